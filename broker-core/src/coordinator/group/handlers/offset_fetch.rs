//! OffsetFetch (9), versions 1 to 10: 2 all topics, 5 leader epoch, 7 require stable, 8 several groups, 10 topic ids.
//!
//! `require_stable` asks to hold back offsets that an undecided transaction is about to change (UNSTABLE_OFFSET_COMMIT). There are no
//! transactional commits yet, so every committed offset is stable.

use std::collections::{HashMap, HashSet};

use levada_wire::ErrorCode;
use levada_wire::messages::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponseGroup, OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions, OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use levada_wire::messages::{OffsetFetchRequest, OffsetFetchResponse};
use uuid::Uuid;

use super::super::machine::GroupError;
use super::super::offsets::{GroupOffsets, OffsetAndMetadata};
use super::{Caller, GroupCoordinator, check_group_id};

/// First version with an error for the whole group.
const GROUP_ERROR: i16 = 2;
/// First version with several groups.
const BATCHED: i16 = 8;
/// First version with topic ids instead of names.
const TOPIC_IDS: i16 = 10;
/// The offset where none is committed.
const NO_OFFSET: i64 = -1;

impl GroupCoordinator {
    /// Tells committed offsets: those asked for, or all of a group. A group that doesn't exist has none, which is no error. Of topics that
    /// the caller may not see nothing is told; `may_see` says which it may.
    pub async fn offset_fetch(
        &self,
        caller: &Caller<'_>,
        request: OffsetFetchRequest,
        may_see: &(dyn Fn(&str) -> bool + Sync),
    ) -> OffsetFetchResponse {
        if caller.api_version >= BATCHED {
            let mut groups = Vec::new();
            let mut seen = HashSet::new();
            for group in request.groups {
                if seen.insert(group.group_id.clone()) {
                    groups.push(self.fetch_group(caller, group, may_see).await);
                }
            }
            return OffsetFetchResponse { groups, ..OffsetFetchResponse::default() };
        }
        let topics = request.topics.map(|topics| {
            let topic =
                |topic: levada_wire::messages::offset_fetch::OffsetFetchRequestTopic| OffsetFetchRequestTopics {
                    name: topic.name,
                    partition_indexes: topic.partition_indexes,
                    ..OffsetFetchRequestTopics::default()
                };
            topics.into_iter().map(topic).collect()
        });
        let group =
            OffsetFetchRequestGroup { group_id: request.group_id, topics, ..OffsetFetchRequestGroup::default() };
        single(self.fetch_group(caller, group, may_see).await, caller.api_version)
    }

    async fn fetch_group(
        &self,
        caller: &Caller<'_>,
        mut request: OffsetFetchRequestGroup,
        may_see: &(dyn Fn(&str) -> bool + Sync),
    ) -> OffsetFetchResponseGroup {
        let group_id = request.group_id.clone();
        request.topics.iter_mut().for_each(keep_each_once);
        if let Err(error) = self.fetchable(&group_id).await {
            return failed(request, error, caller.api_version);
        }
        let by_id = caller.api_version >= TOPIC_IDS;
        let answer = |offsets: &GroupOffsets| match &request.topics {
            None => self.answer_all(offsets, by_id, may_see),
            Some(asked) => asked.iter().map(|topic| self.answer_topic(offsets, topic, by_id, may_see)).collect(),
        };
        let found = self.inner.look(&group_id, |entry, _now| answer(&entry.offsets));
        let topics = found.unwrap_or_else(|| answer(&GroupOffsets::default()));
        OffsetFetchResponseGroup { group_id, topics, ..OffsetFetchResponseGroup::default() }
    }

    async fn fetchable(&self, group: &str) -> Result<(), GroupError> {
        check_group_id(group)?;
        self.inner.ready(group).await
    }

    fn answer_all(
        &self,
        offsets: &GroupOffsets,
        by_id: bool,
        may_see: &dyn Fn(&str) -> bool,
    ) -> Vec<OffsetFetchResponseTopics> {
        let mut topics = Vec::new();
        for (name, partitions) in offsets.topics().filter(|(name, _)| may_see(name)) {
            let topic_id = if by_id { self.inner.topics.id_of(name) } else { Some(Uuid::nil()) };
            // Offsets of a topic that is just being deleted can't be named by id any more.
            let Some(topic_id) = topic_id else { continue };
            topics.push(OffsetFetchResponseTopics {
                name: name.to_owned(),
                topic_id,
                partitions: partitions.iter().map(|(index, value)| found(*index, value)).collect(),
            });
        }
        topics
    }

    fn answer_topic(
        &self,
        offsets: &GroupOffsets,
        asked: &OffsetFetchRequestTopics,
        by_id: bool,
        may_see: &dyn Fn(&str) -> bool,
    ) -> OffsetFetchResponseTopics {
        let name = if by_id { self.inner.topics.name_of(asked.topic_id) } else { Some(asked.name.clone()) };
        let partition = |index: &i32| match &name {
            None => missing(*index, ErrorCode::UnknownTopicId as i16),
            Some(name) if !may_see(name) => missing(*index, ErrorCode::TopicAuthorizationFailed as i16),
            Some(name) => match offsets.get(name, *index) {
                Some(value) => found(*index, value),
                None => missing(*index, ErrorCode::None as i16),
            },
        };
        OffsetFetchResponseTopics {
            name: asked.name.clone(),
            topic_id: asked.topic_id,
            partitions: asked.partition_indexes.iter().map(partition).collect(),
        }
    }
}

/// A partition that is named again is answered once: the metadata of a commit is much longer than a partition's number.
fn keep_each_once(topics: &mut Vec<OffsetFetchRequestTopics>) {
    let mut seen: HashMap<(String, Uuid), HashSet<i32>> = HashMap::new();
    for topic in topics {
        let seen = seen.entry((topic.name.clone(), topic.topic_id)).or_default();
        topic.partition_indexes.retain(|index| seen.insert(*index));
    }
}

fn found(partition_index: i32, value: &OffsetAndMetadata) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: value.offset,
        committed_leader_epoch: value.leader_epoch,
        metadata: Some(value.metadata.clone()),
        error_code: ErrorCode::None as i16,
    }
}

fn missing(partition_index: i32, error_code: i16) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: NO_OFFSET,
        committed_leader_epoch: -1,
        metadata: Some(String::new()),
        error_code,
    }
}

/// The group's error, or for clients that can't read it there, the error on each partition.
fn failed(request: OffsetFetchRequestGroup, error: GroupError, version: i16) -> OffsetFetchResponseGroup {
    let topics = if version < GROUP_ERROR { request.topics.unwrap_or_default() } else { Vec::new() };
    let topic = |topic: OffsetFetchRequestTopics| OffsetFetchResponseTopics {
        name: topic.name,
        topic_id: topic.topic_id,
        partitions: topic.partition_indexes.into_iter().map(|index| missing(index, error.code())).collect(),
    };
    OffsetFetchResponseGroup {
        group_id: request.group_id,
        topics: topics.into_iter().map(topic).collect(),
        error_code: error.code(),
    }
}

/// The answer's form before version 8.
fn single(group: OffsetFetchResponseGroup, version: i16) -> OffsetFetchResponse {
    let partition = |partition: OffsetFetchResponsePartitions| OffsetFetchResponsePartition {
        partition_index: partition.partition_index,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: partition.metadata,
        error_code: partition.error_code,
    };
    let topic = |topic: OffsetFetchResponseTopics| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic.partitions.into_iter().map(partition).collect(),
    };
    OffsetFetchResponse {
        topics: group.topics.into_iter().map(topic).collect(),
        error_code: if version >= GROUP_ERROR { group.error_code } else { 0 },
        ..OffsetFetchResponse::default()
    }
}

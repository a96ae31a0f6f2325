//! Committed offsets of a group: fetch and commit.

use crate::{ClientError, TopicName, Transport, call::call, error::check, topic_name::by_topic};
use levada_wire::{
    ApiKey,
    messages::{
        offset_commit::{OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics},
    },
};
use std::{sync::Arc, time::Duration};

/// A committed offset with its metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
    /// The next offset to consume.
    pub offset: i64,
    /// Text beside it.
    pub metadata: String,
}

/// Who commits: a member of a generation, or nobody (`generation` -1), which a group without
/// members accepts.
#[derive(Clone, Debug)]
pub struct Committer {
    /// Group.
    pub group: String,
    /// Member id, empty for nobody.
    pub member: String,
    /// Generation, -1 for nobody.
    pub generation: i32,
}

/// What a group has committed, for the partitions asked about or, with `None`, for all. Partitions
/// without a commit are left out. `names` gives the names of topic ids.
pub async fn fetch(
    transport: &dyn Transport,
    group: &str,
    partitions: Option<&[(TopicName, i32)]>,
    names: &[TopicName],
    deadline: Duration,
) -> Result<Vec<CommittedOffset>, ClientError> {
    let asked = |(topic, partition_indexes): (TopicName, Vec<i32>)| OffsetFetchRequestTopics {
        name: topic.name.to_string(),
        topic_id: topic.id,
        partition_indexes,
    };
    let topics = partitions.map(|partitions| by_topic(partitions.iter().cloned()).into_iter().map(asked).collect());
    let asked = OffsetFetchRequestGroup { group_id: group.to_owned(), topics, ..Default::default() };
    let request = OffsetFetchRequest { groups: vec![asked], require_stable: true, ..Default::default() };
    let answer = call(transport, request, deadline).await?;
    let found = answer.groups.into_iter().next().ok_or(ClientError::WrongAnswer { api: ApiKey::OffsetFetch })?;
    check(|| format!("group {group}"), found.error_code, None)?;
    let mut committed = Vec::new();
    for topic in found.topics {
        let mut known = names.iter().chain(partitions.unwrap_or_default().iter().map(|(topic, _)| topic));
        let name = match known.find(|known| known.is(&topic.name, topic.topic_id)) {
            Some(known) => known.name.clone(),
            None => topic.name.into(),
        };
        for partition in topic.partitions {
            check(|| format!("group {group}, {name}-{}", partition.partition_index), partition.error_code, None)?;
            if partition.committed_offset >= 0 {
                committed.push(CommittedOffset {
                    topic: name.clone(),
                    partition: partition.partition_index,
                    offset: partition.committed_offset,
                    metadata: partition.metadata.unwrap_or_default(),
                });
            }
        }
    }
    Ok(committed)
}

/// The request that commits `offsets`; all of them by this one request.
pub fn commit_request(committer: &Committer, offsets: &[(TopicName, i32, i64, String)]) -> OffsetCommitRequest {
    let entry = |(topic, partition, offset, metadata): &(TopicName, i32, i64, String)| {
        let entry = OffsetCommitRequestPartition {
            partition_index: *partition,
            committed_offset: *offset,
            committed_leader_epoch: -1,
            committed_metadata: Some(metadata.clone()),
        };
        (topic.clone(), entry)
    };
    let topic = |(topic, partitions): (TopicName, Vec<OffsetCommitRequestPartition>)| OffsetCommitRequestTopic {
        name: topic.name.to_string(),
        topic_id: topic.id,
        partitions,
    };
    OffsetCommitRequest {
        group_id: committer.group.clone(),
        generation_id_or_member_epoch: committer.generation,
        member_id: committer.member.clone(),
        group_instance_id: None,
        topics: by_topic(offsets.iter().map(entry)).into_iter().map(topic).collect(),
        ..Default::default()
    }
}

/// Commits outside of a membership.
pub async fn commit(
    transport: &dyn Transport,
    committer: &Committer,
    offsets: &[(TopicName, i32, i64, String)],
    deadline: Duration,
) -> Result<(), ClientError> {
    let answer = call(transport, commit_request(committer, offsets), deadline).await?;
    for topic in &answer.topics {
        for partition in &topic.partitions {
            let number = partition.partition_index;
            let action =
                || format!("commit of group {} for topic {}, partition {number}", committer.group, &*topic.name);
            check(action, partition.error_code, None)?;
        }
    }
    Ok(())
}

//! OffsetCommit (8), versions 2 to 10: 2-4 retention time, 6 leader epoch, 7 static members, 9 GROUP_ID_NOT_FOUND, 10 topic ids.

use std::sync::Arc;

use levada_wire::ErrorCode;
use levada_wire::messages::offset_commit::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use levada_wire::messages::{OffsetCommitRequest, OffsetCommitResponse};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::super::machine::{CommitRequest, GroupError, Now};
use super::super::offsets::OffsetAndMetadata;
use super::super::records::{EncodedRecord, encode_offset};
use super::super::writes::{Commit, CommitWrite};
use super::{Caller, GroupCoordinator, check_group_id};

/// First version with topic ids instead of names.
const TOPIC_IDS: i16 = 10;
/// First version that says that a group doesn't exist.
const GROUP_NOT_FOUND: i16 = 9;

/// A request's topics by name, with the verdict on each partition; what has none yet depends on the group and the log.
struct Checked {
    accepted: Vec<Commit>,
    topics: Vec<OffsetCommitResponseTopic>,
}

impl GroupCoordinator {
    /// Commits offsets. Answers when they are durable (invariant 7).
    pub async fn offset_commit(&self, caller: &Caller<'_>, request: OffsetCommitRequest) -> OffsetCommitResponse {
        let mut checked = self.check_commit(caller, &request);
        let accepted = std::mem::take(&mut checked.accepted);
        if let Err(error) = self.commit(caller, &request, accepted).await {
            let code = error.commit_code();
            for partition in checked.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                if partition.error_code == ErrorCode::None as i16 {
                    partition.error_code = code;
                }
            }
        }
        OffsetCommitResponse { topics: checked.topics, ..OffsetCommitResponse::default() }
    }

    fn check_commit(&self, caller: &Caller<'_>, request: &OffsetCommitRequest) -> Checked {
        let now_ms = self.inner.env.clock.wall_ms();
        let expires = (request.retention_time_ms >= 0).then(|| now_ms.saturating_add(request.retention_time_ms));
        let mut checked = Checked { accepted: Vec::new(), topics: Vec::with_capacity(request.topics.len()) };
        for topic in &request.topics {
            let name = self.name_of(caller, topic);
            let mut answered = OffsetCommitResponseTopic {
                name: topic.name.clone(),
                topic_id: topic.topic_id,
                partitions: Vec::with_capacity(topic.partitions.len()),
            };
            for partition in &topic.partitions {
                let verdict = match &name {
                    Err(error) => *error,
                    Ok(name) if !self.inner.topics.has_partition(name, partition.partition_index) => {
                        ErrorCode::UnknownTopicOrPartition
                    }
                    Ok(_) if self.is_metadata_too_long(partition) => ErrorCode::OffsetMetadataTooLarge,
                    Ok(name) => {
                        let value = value_of(partition, now_ms, expires);
                        checked.accepted.push(((name.clone(), partition.partition_index), value));
                        ErrorCode::None
                    }
                };
                answered.partitions.push(OffsetCommitResponsePartition {
                    partition_index: partition.partition_index,
                    error_code: verdict as i16,
                });
            }
            checked.topics.push(answered);
        }
        checked
    }

    fn name_of(&self, caller: &Caller<'_>, topic: &OffsetCommitRequestTopic) -> Result<String, ErrorCode> {
        if caller.api_version >= TOPIC_IDS {
            return self.inner.topics.name_of(topic.topic_id).ok_or(ErrorCode::UnknownTopicId);
        }
        let known = self.inner.topics.id_of(&topic.name).is_some();
        if known { Ok(topic.name.clone()) } else { Err(ErrorCode::UnknownTopicOrPartition) }
    }

    /// The limit counts characters as Java does.
    fn is_metadata_too_long(&self, partition: &OffsetCommitRequestPartition) -> bool {
        let limit = self.inner.options.max_offset_metadata;
        let metadata = partition.committed_metadata.as_deref().unwrap_or_default();
        metadata.len() > limit && metadata.encode_utf16().count() > limit
    }

    async fn commit(
        &self,
        caller: &Caller<'_>,
        request: &OffsetCommitRequest,
        accepted: Vec<Commit>,
    ) -> Result<(), GroupError> {
        let group = request.group_id.as_str();
        check_group_id(group)?;
        self.inner.ready(group).await?;
        let commit = CommitRequest {
            member_id: request.member_id.clone(),
            group_instance_id: request.group_instance_id.clone(),
            generation: request.generation_id_or_member_epoch,
            transactional: false,
        };
        let encoded = encode(group, &accepted)?;
        let permit = self.write_permit(encoded.iter().map(EncodedRecord::len).sum()).await?;
        let (reply, done) = oneshot::channel();
        let write = CommitWrite { group: group.to_owned(), offsets: accepted, encoded, reply, _permit: permit };
        let step = |entry: &mut super::Entry, now: Now| {
            let valid = entry.group.validate_commit(&commit, now);
            if valid.is_ok() {
                // Under the entry's lock, so that nothing decided later about the group can come before it in the log.
                self.inner.enqueue(self.inner.shard_of(group), Box::new(write));
            }
            (valid, Vec::new())
        };
        if commit.generation < 0 {
            self.inner.step_or_create(group, true, step)??;
        } else {
            self.inner.step(group, step).unwrap_or(Err(no_group(caller.api_version)))?;
        }
        done.await.unwrap_or(Err(GroupError::CoordinatorNotAvailable))
    }

    /// Waits for room among what clients have on its way to the log (invariant 9): a write goes on when its client is gone,
    /// so nothing else bounds how many there are.
    pub(super) async fn write_permit(&self, bytes: usize) -> Result<OwnedSemaphorePermit, GroupError> {
        let permits = bytes.clamp(1, self.inner.options.max_pending_write_bytes);
        let budget = Arc::clone(&self.inner.write_budget);
        let permits = u32::try_from(permits).unwrap_or(u32::MAX);
        budget.acquire_many_owned(permits).await.map_err(|_| GroupError::CoordinatorNotAvailable)
    }
}

fn value_of(partition: &OffsetCommitRequestPartition, now_ms: i64, expires: Option<i64>) -> OffsetAndMetadata {
    OffsetAndMetadata {
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition.committed_metadata.clone().unwrap_or_default(),
        commit_timestamp: now_ms,
        expire_timestamp: expires,
    }
}

fn encode(group: &str, accepted: &[Commit]) -> Result<Vec<EncodedRecord>, GroupError> {
    let encode = |((topic, partition), value): &Commit| encode_offset(group, topic, *partition, Some(value));
    accepted.iter().map(encode).collect::<Result<_, _>>().map_err(|_| GroupError::RecordRefused)
}

/// A member commits to a group that is gone. Older clients only know that their generation is over.
fn no_group(version: i16) -> GroupError {
    if version >= GROUP_NOT_FOUND { GroupError::GroupIdNotFound } else { GroupError::IllegalGeneration }
}

//! OffsetDelete (47), version 0.

use levada_wire::ErrorCode;
use levada_wire::messages::offset_delete::{
    OffsetDeleteRequestTopic, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use levada_wire::messages::{OffsetDeleteRequest, OffsetDeleteResponse};
use tokio::sync::oneshot;

use super::super::machine::GroupError;
use super::super::writes::DeleteOffsetsWrite;
use super::{Caller, GroupCoordinator, WRITE_OVERHEAD, check_member_group_id};

impl GroupCoordinator {
    /// Deletes single offsets of topics the group does not consume.
    pub async fn offset_delete(&self, _caller: &Caller<'_>, request: &OffsetDeleteRequest) -> OffsetDeleteResponse {
        match self.delete_offsets(request).await {
            Ok(topics) => OffsetDeleteResponse { topics, ..OffsetDeleteResponse::default() },
            Err(error) => OffsetDeleteResponse { error_code: error.code(), ..OffsetDeleteResponse::default() },
        }
    }

    async fn delete_offsets(
        &self,
        request: &OffsetDeleteRequest,
    ) -> Result<Vec<OffsetDeleteResponseTopic>, GroupError> {
        let group = &request.group_id;
        check_member_group_id(group)?;
        self.inner.ready(group).await?;
        let size = |topic: &OffsetDeleteRequestTopic| topic.partitions.len() * (topic.name.len() + WRITE_OVERHEAD);
        let permit = self.write_permit(request.topics.iter().map(size).sum()).await?;
        let (reply, done) = oneshot::channel();
        let checked = self.inner.look(group, |entry, _now| {
            entry.group.validate_offset_delete()?;
            let verdict = |topic: &OffsetDeleteRequestTopic| {
                if self.inner.topics.id_of(&topic.name).is_none() {
                    ErrorCode::UnknownTopicOrPartition
                } else if entry.group.is_subscribed_to(&topic.name) {
                    ErrorCode::GroupSubscribedToTopic
                } else {
                    ErrorCode::None
                }
            };
            let verdicts: Vec<ErrorCode> = request.topics.iter().map(verdict).collect();
            let mut selection = Vec::new();
            for (topic, _) in request.topics.iter().zip(&verdicts).filter(|(_, verdict)| **verdict == ErrorCode::None) {
                selection.extend(topic.partitions.iter().map(|p| (topic.name.clone(), p.partition_index)));
            }
            let write = DeleteOffsetsWrite::new(group.clone(), selection, reply, permit);
            self.inner.enqueue(self.inner.shard_of(group), Box::new(write));
            Ok(verdicts)
        });
        let verdicts = checked.unwrap_or(Err(GroupError::GroupIdNotFound))?;
        done.await.unwrap_or(Err(GroupError::CoordinatorNotAvailable))?;
        Ok(request.topics.iter().zip(verdicts).map(|(topic, verdict)| answered(topic, verdict)).collect())
    }
}

fn answered(topic: &OffsetDeleteRequestTopic, verdict: ErrorCode) -> OffsetDeleteResponseTopic {
    let partition = |partition_index| OffsetDeleteResponsePartition { partition_index, error_code: verdict as i16 };
    OffsetDeleteResponseTopic {
        name: topic.name.clone(),
        partitions: topic.partitions.iter().map(|p| partition(p.partition_index)).collect(),
    }
}

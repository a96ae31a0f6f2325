//! OffsetForLeaderEpoch (key 23), versions 2 to 4: where an epoch ended, so that a consumer that was ahead of a crash
//! notices (KIP-320).

use levada_wire::ErrorCode;
use levada_wire::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
};

use super::context::RequestContext;
use super::error_map::ToErrorCode;
use super::services::Services;
use crate::replica::{ReplicaError, TopicRef};
use crate::security::{Operation, Resource};

pub(super) async fn handle(
    services: &Services,
    ctx: &RequestContext,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let allowed = services.authorizer.allows(&ctx.principal, Operation::Describe, Resource::topic(&topic.topic));
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in topic.partitions {
            let code = ErrorCode::TopicAuthorizationFailed;
            partitions.push(if allowed {
                one(services, &topic.topic, &wanted).await.unwrap_or_else(|e| failure(&wanted, e.error_code()))
            } else {
                failure(&wanted, code)
            });
        }
        topics.push(OffsetForLeaderTopicResult { topic: topic.topic, partitions });
    }
    OffsetForLeaderEpochResponse { topics, ..OffsetForLeaderEpochResponse::default() }
}

async fn one(
    services: &Services,
    topic: &str,
    wanted: &OffsetForLeaderPartition,
) -> Result<EpochEndOffset, ReplicaError> {
    let partition = services.replicas.partition(TopicRef::Name(topic), wanted.partition).await?;
    partition.check_epoch(wanted.current_leader_epoch)?;
    let end = partition.log().end_offset_for_epoch(wanted.leader_epoch);
    Ok(EpochEndOffset {
        error_code: ErrorCode::None.code(),
        partition: wanted.partition,
        leader_epoch: end.epoch,
        // Of the current epoch clients see the committed part only (invariant 2).
        end_offset: end.end_offset.min(partition.high_watermark()),
    })
}

fn failure(wanted: &OffsetForLeaderPartition, code: ErrorCode) -> EpochEndOffset {
    EpochEndOffset { error_code: code.code(), partition: wanted.partition, leader_epoch: -1, end_offset: -1 }
}

//! DeleteRecords (key 21), versions 0 to 2: up to an offset, or with -1 up to the high watermark.

use levada_wire::ErrorCode;
use levada_wire::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopicResult,
};

use super::context::RequestContext;
use super::error_map::ToErrorCode;
use super::services::Services;
use crate::replica::{ReplicaError, TopicRef};
use crate::security::{Operation, Resource};

pub(super) async fn handle(
    services: &Services,
    ctx: &RequestContext,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let refused = refusal(services, ctx, &topic.name);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in topic.partitions {
            let outcome = match refused {
                Some(code) => Err(code),
                None => match ctx.before_deadline(delete(services, &topic.name, &wanted)).await {
                    Some(deleted) => deleted.map_err(|error| error.error_code()),
                    None => Err(ErrorCode::RequestTimedOut),
                },
            };
            partitions.push(DeleteRecordsPartitionResult {
                partition_index: wanted.partition_index,
                low_watermark: *outcome.as_ref().unwrap_or(&-1),
                error_code: outcome.err().unwrap_or(ErrorCode::None).code(),
            });
        }
        topics.push(DeleteRecordsTopicResult { name: topic.name, partitions });
    }
    DeleteRecordsResponse { topics, ..DeleteRecordsResponse::default() }
}

fn refusal(services: &Services, ctx: &RequestContext, topic: &str) -> Option<ErrorCode> {
    if !services.authorizer.allows(&ctx.principal, Operation::Delete, Resource::topic(topic)) {
        return Some(ErrorCode::TopicAuthorizationFailed);
    }
    crate::quorum::is_internal_topic(topic).then_some(ErrorCode::InvalidTopicException)
}

async fn delete(services: &Services, topic: &str, wanted: &DeleteRecordsPartition) -> Result<i64, ReplicaError> {
    let partition = services.replicas.partition(TopicRef::Name(topic), wanted.partition_index).await?;
    partition.delete_records(wanted.offset).await
}

//! CreatePartitions (key 37), versions 0 to 3: a topic can only grow.

use levada_wire::ErrorCode;
use levada_wire::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic, CreatePartitionsTopicResult,
};

use super::context::RequestContext;
use super::error_map::ToErrorCode;
use super::services::Services;
use crate::quorum::change;
use crate::quorum::topics::{TopicChangeError, grow};
use crate::security::{Operation, QuotaKind, Resource};

pub(super) async fn handle(
    services: &Services,
    ctx: &RequestContext,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let amount = request.topics.len() as u64;
    let quota = QuotaKind::ControllerMutation;
    let throttle = services.quotas.record(quota, &ctx.principal, ctx.client_id.as_deref(), amount);
    let mut results = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let outcome = if services.authorizer.allows(&ctx.principal, Operation::Alter, Resource::topic(&topic.name)) {
            let grown = ctx.before_deadline(grow_one(services, &topic, request.validate_only)).await;
            grown.unwrap_or(Err(TopicChangeError::TimedOut)).map_err(|e| (e.error_code(), Some(e.to_string())))
        } else {
            Err((ErrorCode::TopicAuthorizationFailed, None))
        };
        let (code, error_message) = outcome.err().unwrap_or((ErrorCode::None, None));
        results.push(CreatePartitionsTopicResult { name: topic.name, error_code: code.code(), error_message });
    }
    CreatePartitionsResponse { throttle_time_ms: throttle.as_millis() as i32, results }
}

async fn grow_one(
    services: &Services,
    topic: &CreatePartitionsTopic,
    validate_only: bool,
) -> Result<(), TopicChangeError> {
    let assignments: Option<Vec<Vec<i32>>> =
        topic.assignments.as_ref().map(|list| list.iter().map(|one| one.broker_ids.clone()).collect());
    change(&*services.quorum, |image| {
        let mut records = grow(image, &topic.name, topic.count, assignments.as_deref())?;
        if validate_only {
            records.clear();
        }
        Ok::<_, TopicChangeError>((records, ()))
    })
    .await
    .map(|_| ())
}

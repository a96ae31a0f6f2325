//! DeleteTopics (key 20), versions 1 to 6: by name, from version 6 on by id too.

use levada_env::time::{Duration, timeout};
use levada_wire::ErrorCode;
use levada_wire::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};

use super::context::RequestContext;
use super::error_map::ToErrorCode;
use super::services::Services;
use crate::quorum::topics::{TopicChangeError, find};
use crate::quorum::{MetadataRecord, change};
use crate::security::{Operation, QuotaKind, Resource};

/// How long a deletion waits for the committed offsets to go.
const FORGET_OFFSETS: Duration = Duration::from_secs(1);

pub(super) async fn handle(
    services: &Services,
    ctx: &RequestContext,
    request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    let wishes: Vec<DeleteTopicState> = if ctx.api_version >= 6 {
        request.topics
    } else {
        let by_name = |name| DeleteTopicState { name: Some(name), ..DeleteTopicState::default() };
        request.topic_names.into_iter().map(by_name).collect()
    };
    let throttle = services.quotas.record(
        QuotaKind::ControllerMutation,
        &ctx.principal,
        ctx.client_id.as_deref(),
        wishes.len() as u64,
    );
    let mut responses = Vec::with_capacity(wishes.len());
    for wish in wishes {
        responses.push(delete(services, ctx, wish).await);
    }
    let deleted = responses.iter().filter(|result| result.error_code == 0).filter_map(|result| result.name.clone());
    forget_offsets(services, deleted.collect()).await;
    DeleteTopicsResponse { throttle_time_ms: throttle.as_millis() as i32, responses }
}

async fn delete(services: &Services, ctx: &RequestContext, wish: DeleteTopicState) -> DeletableTopicResult {
    let answer = |code: ErrorCode, text: Option<String>| DeletableTopicResult {
        name: wish.name.clone(),
        topic_id: wish.topic_id,
        error_code: code.code(),
        error_message: text,
    };
    if wish.name.is_some() != wish.topic_id.is_nil() {
        return answer(ErrorCode::InvalidRequest, Some("give a name or an id, not both".to_owned()));
    }
    if !services.config.delete_topics {
        return answer(ErrorCode::TopicDeletionDisabled, Some("delete.topic.enable is false".to_owned()));
    }
    let image = services.quorum.image();
    let unknown = if wish.name.is_some() { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::UnknownTopicId };
    let Some(topic) = find(&image, wish.name.as_deref(), wish.topic_id) else { return answer(unknown, None) };
    if !services.authorizer.allows(&ctx.principal, Operation::Delete, Resource::topic(&topic.name)) {
        return answer(ErrorCode::TopicAuthorizationFailed, None);
    }
    let id = topic.id;
    let decided = change(&*services.quorum, |image| match image.topic_by_id(id) {
        Some(_) => Ok((vec![MetadataRecord::RemoveTopic { id }], ())),
        None => Err(TopicChangeError::Unknown),
    });
    match ctx.before_deadline(decided).await.unwrap_or(Err(TopicChangeError::TimedOut)) {
        Ok(_) => {
            DeletableTopicResult { name: Some(topic.name.to_string()), topic_id: id, ..DeletableTopicResult::default() }
        }
        Err(TopicChangeError::Unknown) => answer(unknown, None),
        Err(error) => answer(error.error_code(), Some(error.to_string())),
    }
}

/// New topics of the same names start without the offsets that groups committed in these. That is tidying up: the
/// deletion stands without it and does not wait for it long.
async fn forget_offsets(services: &Services, topics: Vec<String>) {
    if topics.is_empty() {
        return;
    }
    let count = topics.len();
    match timeout(FORGET_OFFSETS, services.groups.topics_deleted(topics)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(count, %error, "committed offsets of deleted topics are kept"),
        Err(_) => tracing::debug!(count, "committed offsets of deleted topics go later"),
    }
}

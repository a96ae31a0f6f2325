//! From a request to the handler of its key.

use std::sync::Arc;
use std::time::Duration;

use levada_wire::{RequestKind, ResponseKind};

use super::answer_memory::HeldMemory;
use super::context::RequestContext;
use super::services::Services;
use super::{
    alter_configs, api_versions, create_partitions, create_topics, delete_records, delete_topics, describe_cluster,
    describe_configs, describe_log_dirs, describe_topic_partitions, fetch, find_coordinator, groups,
    incremental_alter_configs, init_producer_id, limits, list_config_resources, list_offsets, metadata,
    offset_for_leader_epoch, produce,
};
use crate::quorum::BoxFuture;

/// What becomes of a request.
#[derive(Debug)]
pub enum Answer {
    /// An answer to be sent, and memory to be held until it is.
    Response(ResponseKind, HeldMemory),
    /// Nothing is sent: a produce request without acknowledgement.
    Nothing,
    /// The connection is to be closed.
    Disconnect,
}

impl Answer {
    /// An answer whose memory nobody counts.
    pub(super) fn of(response: impl Into<ResponseKind>) -> Self {
        Self::Response(response.into(), HeldMemory::default())
    }
}

/// A request whose part that must happen in order has happened.
pub enum Begun {
    /// It is done.
    Ready(Answer),
    /// The rest; other requests may be begun meanwhile. Dropping it gives up the answer, not the work.
    Pending(BoxFuture<'static, Answer>),
}

/// Whether a request may be begun while earlier ones of its connection still wait. Appends are queued in order as they
/// are begun, and a fetch only reads; everything else sees the effects of all that came before it, as on Kafka, where a
/// connection has one request at a time.
pub fn may_overlap(request: &RequestKind) -> bool {
    matches!(request, RequestKind::Produce(_) | RequestKind::Fetch(_))
}

/// Whether a request may wait for what never comes: records, or other members.
pub fn may_wait(request: &RequestKind) -> bool {
    matches!(request, RequestKind::Fetch(_) | RequestKind::JoinGroup(_) | RequestKind::SyncGroup(_))
}

/// Do what must happen before the next request of the same connection is looked at. Requests of one connection are
/// begun one after the other.
pub async fn begin(services: &Arc<Services>, ctx: &RequestContext, request: RequestKind) -> Begun {
    services.metrics.count_request(request.api_key());
    if limits::names_too_much(&request) {
        tracing::debug!(api = %request.api_key(), "request names too much");
        return Begun::Ready(Answer::Disconnect);
    }
    let deadline = patience(&request).map(|patience| services.env.clock.now() + patience);
    let ctx = RequestContext { deadline, ..ctx.clone() };
    match request {
        RequestKind::Produce(request) => produce::begin(services, &ctx, request).await,
        RequestKind::Fetch(request) => fetch::begin(services, ctx, &request),
        request => Begun::Pending(Box::pin(handle(services.clone(), ctx, request))),
    }
}

/// How long the caller waits for the answer, as far as the request says so.
fn patience(request: &RequestKind) -> Option<Duration> {
    let millis = |millis: i32| Duration::from_millis(u64::try_from(millis).unwrap_or(0));
    // Tools that set no timeout for a change do not mean that it need not be made.
    let positive = |timeout: i32| (timeout > 0).then(|| millis(timeout));
    match request {
        // Without acknowledgement nobody waits.
        RequestKind::Produce(request) => (request.acks != 0).then(|| millis(request.timeout_ms)),
        RequestKind::Fetch(request) => Some(millis(request.max_wait_ms)),
        RequestKind::ListOffsets(request) => positive(request.timeout_ms),
        RequestKind::CreateTopics(request) => positive(request.timeout_ms),
        RequestKind::DeleteTopics(request) => positive(request.timeout_ms),
        RequestKind::CreatePartitions(request) => positive(request.timeout_ms),
        RequestKind::DeleteRecords(request) => positive(request.timeout_ms),
        // Members of groups wait as long as their group says.
        _ => None,
    }
}

async fn handle(services: Arc<Services>, ctx: RequestContext, request: RequestKind) -> Answer {
    let (services, ctx) = (&*services, &ctx);
    let response: ResponseKind = match request {
        RequestKind::ApiVersions(r) => api_versions::handle(services, ctx, r).into(),
        RequestKind::Metadata(r) => metadata::handle(services, ctx, r).await.into(),
        RequestKind::ListOffsets(r) => list_offsets::handle(services, ctx, r).await.into(),
        RequestKind::OffsetForLeaderEpoch(r) => offset_for_leader_epoch::handle(services, ctx, r).await.into(),
        RequestKind::CreateTopics(r) => create_topics::handle(services, ctx, r).await.into(),
        RequestKind::DeleteTopics(r) => delete_topics::handle(services, ctx, r).await.into(),
        RequestKind::CreatePartitions(r) => create_partitions::handle(services, ctx, r).await.into(),
        RequestKind::DeleteRecords(r) => delete_records::handle(services, ctx, r).await.into(),
        RequestKind::DescribeConfigs(r) => describe_configs::handle(services, ctx, r).into(),
        RequestKind::AlterConfigs(r) => alter_configs::handle(services, ctx, r).await.into(),
        RequestKind::IncrementalAlterConfigs(r) => incremental_alter_configs::handle(services, ctx, r).await.into(),
        RequestKind::ListConfigResources(r) => list_config_resources::handle(services, ctx, &r).into(),
        RequestKind::DescribeTopicPartitions(r) => describe_topic_partitions::handle(services, ctx, &r).into(),
        RequestKind::DescribeLogDirs(r) => describe_log_dirs::handle(services, ctx, &r).into(),
        RequestKind::DescribeCluster(r) => describe_cluster::handle(services, ctx, r).into(),
        RequestKind::FindCoordinator(r) => find_coordinator::handle(services, ctx, r).into(),
        RequestKind::InitProducerId(r) => init_producer_id::handle(services, ctx, r).await.into(),
        other => match groups::handle(services, ctx, other).await {
            Ok(response) => response,
            Err(other) => {
                tracing::warn!(api = %other.api_key(), "request of an API that is not served");
                return Answer::Disconnect;
            }
        },
    };
    Answer::of(response)
}

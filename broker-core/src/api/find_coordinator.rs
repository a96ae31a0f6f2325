//! FindCoordinator (key 10), versions 0 to 6: for groups the leader of the group's partition of `__consumer_offsets`. There is no coordinator of transactions yet, and the answer says so.

use levada_wire::ErrorCode;
use levada_wire::messages::find_coordinator::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse};

use super::context::RequestContext;
use super::services::Services;
use crate::coordinator::group::{OFFSETS_TOPIC, partition_for};
use crate::security::{Operation, Resource};

/// `key_type` of groups; 1 is transactional ids, 2 share groups.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

pub(super) fn handle(
    services: &Services,
    ctx: &RequestContext,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    let keys = if ctx.api_version >= 4 { request.coordinator_keys } else { vec![request.key] };
    let mut coordinators = Vec::with_capacity(keys.len());
    for key in keys {
        coordinators.push(find(services, ctx, request.key_type, key));
    }
    if ctx.api_version >= 4 {
        return FindCoordinatorResponse { coordinators, ..FindCoordinatorResponse::default() };
    }
    let one = coordinators.pop().unwrap_or_default();
    FindCoordinatorResponse {
        error_code: one.error_code,
        error_message: one.error_message,
        node_id: one.node_id,
        host: one.host,
        port: one.port,
        ..FindCoordinatorResponse::default()
    }
}

fn find(services: &Services, ctx: &RequestContext, key_type: i8, key: String) -> Coordinator {
    let refuse = |key: String, code: ErrorCode, text: &str| Coordinator {
        key,
        node_id: -1,
        port: -1,
        error_code: code.code(),
        error_message: Some(text.to_owned()),
        ..Coordinator::default()
    };
    match key_type {
        GROUP => {}
        TRANSACTION => {
            let text = "transactions are not available in this release of Levada; unset transactional.id";
            return refuse(key, ErrorCode::InvalidRequest, text);
        }
        other => return refuse(key, ErrorCode::InvalidRequest, &format!("no coordinator for key type {other}")),
    }
    if !services.authorizer.allows(&ctx.principal, Operation::Describe, Resource::group(&key)) {
        let code = ErrorCode::GroupAuthorizationFailed;
        return refuse(key, code, code.message());
    }
    let image = services.quorum.image();
    // The topic is made by the first commit; until then it is this node that would lead it.
    let leader_id = image.topic(OFFSETS_TOPIC).and_then(|topic| {
        topic.partition(partition_for(&key, topic.partitions.len() as i32)).map(|partition| partition.leader)
    });
    let leader = image.brokers.get(&leader_id.unwrap_or(services.config.node_id));
    match leader.and_then(|broker| Some((broker.id, broker.endpoint(&ctx.listener)?))) {
        Some((node_id, endpoint)) => Coordinator {
            key,
            node_id,
            host: endpoint.host.clone(),
            port: i32::from(endpoint.port),
            ..Coordinator::default()
        },
        None => {
            let code = ErrorCode::CoordinatorNotAvailable;
            refuse(key, code, code.message())
        }
    }
}

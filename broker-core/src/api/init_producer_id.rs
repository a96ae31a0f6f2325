//! InitProducerId (key 22), versions 0 to 5: ids for idempotent producers. Transactional ids are refused with a code
//! that Java's producer reports at once, until the transaction coordinator is there.

use levada_wire::ErrorCode;
use levada_wire::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

use super::context::RequestContext;
use super::error_map::ToErrorCode;
use super::services::Services;
use crate::security::{Operation, Resource, ResourceType};

pub(super) async fn handle(
    services: &Services,
    ctx: &RequestContext,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    let refuse = |code: ErrorCode| InitProducerIdResponse {
        error_code: code.code(),
        producer_id: -1,
        producer_epoch: -1,
        ..InitProducerIdResponse::default()
    };
    if let Some(id) = &request.transactional_id {
        if id.is_empty() {
            return refuse(ErrorCode::InvalidRequest);
        }
        let allowed = services.authorizer.allows(&ctx.principal, Operation::Write, Resource::transactional_id(id));
        // Clients ask again and again; what they ask for is in the answer.
        tracing::debug!(transactional_id = id, "transactional producer refused: transactions are not available yet");
        return refuse(if allowed {
            ErrorCode::UnsupportedVersion
        } else {
            ErrorCode::TransactionalIdAuthorizationFailed
        });
    }
    let any_topic = Resource { kind: ResourceType::Topic, name: "*" };
    let allowed = services.authorizer.allows(&ctx.principal, Operation::IdempotentWrite, Resource::CLUSTER)
        || services.authorizer.allows(&ctx.principal, Operation::Write, any_topic);
    if !allowed {
        return refuse(ErrorCode::ClusterAuthorizationFailed);
    }
    match services.producer_ids.next_id().await {
        // KIP-360: a producer that had an id and lost its sequence starts over with a fresh one.
        Ok(producer_id) => {
            InitProducerIdResponse { producer_id, producer_epoch: 0, ..InitProducerIdResponse::default() }
        }
        Err(error) => refuse(error.error_code()),
    }
}

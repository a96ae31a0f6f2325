//! ListConfigResources (key 74), versions 0 to 1: which resources have configuration. Version 0 asked for client metrics
//! subscriptions only, of which there are none.

use levada_wire::ErrorCode;
use levada_wire::messages::list_config_resources::{
    ConfigResource, ListConfigResourcesRequest, ListConfigResourcesResponse,
};

use super::context::RequestContext;
use super::services::Services;
use crate::security::{Operation, Resource};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

pub(super) fn handle(
    services: &Services,
    ctx: &RequestContext,
    request: &ListConfigResourcesRequest,
) -> ListConfigResourcesResponse {
    if !services.authorizer.allows(&ctx.principal, Operation::DescribeConfigs, Resource::CLUSTER) {
        let error_code = ErrorCode::ClusterAuthorizationFailed.code();
        return ListConfigResourcesResponse { error_code, ..ListConfigResourcesResponse::default() };
    }
    let wanted = |kind: i8| {
        ctx.api_version >= 1 && (request.resource_types.is_empty() || request.resource_types.contains(&kind))
    };
    let image = services.quorum.image();
    let mut config_resources = Vec::new();
    let mut add = |resource_name: String, resource_type| {
        config_resources.push(ConfigResource { resource_name, resource_type });
    };
    if wanted(TOPIC) {
        image.topics().for_each(|topic| add(topic.name.to_string(), TOPIC));
    }
    if wanted(BROKER) {
        image.brokers.keys().for_each(|id| add(id.to_string(), BROKER));
    }
    ListConfigResourcesResponse { config_resources, ..ListConfigResourcesResponse::default() }
}

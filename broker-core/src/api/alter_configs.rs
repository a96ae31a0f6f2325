//! AlterConfigs (key 33), versions 0 to 2: what is not named goes back to its default. Deprecated, still used by old
//! tools.

use levada_wire::messages::alter_configs::{AlterConfigsRequest, AlterConfigsResourceResponse, AlterConfigsResponse};

use super::config_change::{Mode, Op, alter, outcome};
use super::context::RequestContext;
use super::services::Services;

pub(super) async fn handle(
    services: &Services,
    ctx: &RequestContext,
    request: AlterConfigsRequest,
) -> AlterConfigsResponse {
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in request.resources {
        let op = |value: Option<String>| value.map_or(Op::Delete, Op::Set);
        let ops: Vec<(String, Op)> =
            resource.configs.into_iter().map(|config| (config.name, op(config.value))).collect();
        let what = (resource.resource_type, resource.resource_name.as_str());
        let result = alter(services, ctx, what, &ops, Mode::Replace, request.validate_only).await;
        let (error_code, error_message) = outcome(result);
        responses.push(AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
        });
    }
    AlterConfigsResponse { responses, ..AlterConfigsResponse::default() }
}

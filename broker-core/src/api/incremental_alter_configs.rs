//! IncrementalAlterConfigs (key 44), versions 0 to 1: set, delete, append to and subtract from single keys.

use levada_wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, AlterableConfig, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};

use super::config_change::{ConfigChangeError, Mode, Op, alter, outcome};
use super::context::RequestContext;
use super::services::Services;

pub(super) async fn handle(
    services: &Services,
    ctx: &RequestContext,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in request.resources {
        let result = alter_one(services, ctx, &resource, request.validate_only).await;
        let (error_code, error_message) = outcome(result);
        responses.push(AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
        });
    }
    IncrementalAlterConfigsResponse { responses, ..IncrementalAlterConfigsResponse::default() }
}

async fn alter_one(
    services: &Services,
    ctx: &RequestContext,
    resource: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), ConfigChangeError> {
    let ops = resource.configs.iter().map(|config| Ok((config.name.clone(), operation(config)?)));
    let ops = ops.collect::<Result<Vec<_>, ConfigChangeError>>()?;
    let what = (resource.resource_type, resource.resource_name.as_str());
    alter(services, ctx, what, &ops, Mode::Incremental, validate_only).await
}

fn operation(config: &AlterableConfig) -> Result<Op, ConfigChangeError> {
    let value = || {
        let missing = || ConfigChangeError::Request(format!("{} is to be changed but has no value", config.name));
        config.value.clone().ok_or_else(missing)
    };
    match config.config_operation {
        0 => value().map(Op::Set),
        1 => Ok(Op::Delete),
        2 => value().map(Op::Append),
        3 => value().map(Op::Subtract),
        other => Err(ConfigChangeError::Request(format!("operation {other} on {} does not exist", config.name))),
    }
}

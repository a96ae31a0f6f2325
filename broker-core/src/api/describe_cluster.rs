//! DescribeCluster (key 60), versions 0 to 2.

use levada_wire::ErrorCode;
use levada_wire::messages::describe_cluster::{DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse};

use super::context::RequestContext;
use super::services::Services;
use crate::security::Resource;

/// `endpoint_type`: the brokers, as opposed to the controllers.
const BROKERS: i8 = 1;

pub(super) fn handle(
    services: &Services,
    ctx: &RequestContext,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse {
    let image = services.quorum.image();
    if request.endpoint_type != BROKERS {
        let code = if request.endpoint_type == 2 {
            ErrorCode::MismatchedEndpointType
        } else {
            ErrorCode::UnsupportedEndpointType
        };
        return DescribeClusterResponse {
            error_code: code.code(),
            error_message: Some(code.message().to_owned()),
            endpoint_type: request.endpoint_type,
            ..DescribeClusterResponse::default()
        };
    }
    let brokers = image.brokers.values().filter_map(|broker| {
        let endpoint = broker.endpoint(&ctx.listener)?;
        Some(DescribeClusterBroker {
            broker_id: broker.id,
            host: endpoint.host.clone(),
            port: i32::from(endpoint.port),
            rack: broker.rack.clone(),
            is_fenced: false,
        })
    });
    DescribeClusterResponse {
        cluster_id: image.cluster_id.to_string(),
        controller_id: image.controller_id(),
        endpoint_type: BROKERS,
        brokers: brokers.collect(),
        cluster_authorized_operations: if request.include_cluster_authorized_operations {
            services.authorizer.authorized_operations(&ctx.principal, Resource::CLUSTER)
        } else {
            i32::MIN
        },
        ..DescribeClusterResponse::default()
    }
}

//! ApiVersions (key 18): what this broker speaks. Version 0 to 4; answered before anything else.

use levada_wire::messages::api_versions::{
    ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use levada_wire::{ErrorCode, versions};

use super::context::RequestContext;
use super::services::Services;

/// Features that clients and tools look at. Only what works is finalized: `transaction.version` and `group.version` stay
/// at 0 (absent) until transactions and KIP-848 groups are there.
const METADATA_VERSION: &str = "metadata.version";

/// The level Kafka 4.0 has; tools want one.
const METADATA_LEVEL: i16 = 25;

pub(super) fn handle(services: &Services, ctx: &RequestContext, request: ApiVersionsRequest) -> ApiVersionsResponse {
    if ctx.api_version >= 3 && !(legal(&request.client_software_name) && legal(&request.client_software_version)) {
        return ApiVersionsResponse { error_code: ErrorCode::InvalidRequest.code(), ..ApiVersionsResponse::default() };
    }
    let metadata =
        SupportedFeatureKey { name: METADATA_VERSION.to_owned(), min_version: 7, max_version: METADATA_LEVEL };
    let finalized = FinalizedFeatureKey {
        name: METADATA_VERSION.to_owned(),
        max_version_level: METADATA_LEVEL,
        min_version_level: METADATA_LEVEL,
    };
    ApiVersionsResponse {
        api_keys: versions::api_version_rows(),
        supported_features: vec![metadata],
        finalized_features_epoch: services.quorum.image().offset,
        finalized_features: vec![finalized],
        ..ApiVersionsResponse::default()
    }
}

/// KIP-511: letters, digits, `-` and `.`, starting and ending with a letter or digit.
fn legal(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.bytes().all(inner) && edge(text.bytes().next()) && edge(text.bytes().last())
}

#[cfg(test)]
mod tests {
    use super::legal;

    #[test]
    fn software_names_as_kip_511_has_them() {
        assert!(legal("apache-kafka-java") && legal("1") && legal("4.1.1"));
        assert!(!legal("") && !legal("-a") && !legal("a b") && !legal("a\n"));
    }
}

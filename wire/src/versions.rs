//! Which APIs and versions are served: the one place that ApiVersions answers from and that requests are checked against.

use crate::codec::VersionRange;
use crate::kinds::ApiKey;
use crate::messages::api_versions::ApiVersion;

/// One served API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Supported {
    /// The API.
    pub api_key: ApiKey,
    /// Versions advertised to clients.
    pub advertised: VersionRange,
}

const fn served(api_key: ApiKey, min: i16, max: i16) -> Supported {
    Supported { api_key, advertised: VersionRange { min, max } }
}

/// The served APIs in the order of their keys.
pub const SUPPORTED: &[Supported] = &[
    // librdkafka enables compression only if version 0 is advertised; requests below version 3 are refused all the same.
    served(ApiKey::Produce, 0, 13),
    served(ApiKey::Fetch, 4, 18),
    served(ApiKey::ListOffsets, 1, 11),
    served(ApiKey::Metadata, 0, 13),
    served(ApiKey::OffsetCommit, 2, 10),
    served(ApiKey::OffsetFetch, 1, 10),
    served(ApiKey::FindCoordinator, 0, 6),
    served(ApiKey::JoinGroup, 0, 9),
    served(ApiKey::Heartbeat, 0, 4),
    served(ApiKey::LeaveGroup, 0, 5),
    served(ApiKey::SyncGroup, 0, 5),
    served(ApiKey::DescribeGroups, 0, 6),
    served(ApiKey::ListGroups, 0, 5),
    served(ApiKey::ApiVersions, 0, 4),
    served(ApiKey::CreateTopics, 2, 7),
    served(ApiKey::DeleteTopics, 1, 6),
    served(ApiKey::DeleteRecords, 0, 2),
    // Version 6 (two-phase commit) is not stable in Kafka itself.
    served(ApiKey::InitProducerId, 0, 5),
    served(ApiKey::OffsetForLeaderEpoch, 2, 4),
    served(ApiKey::DescribeConfigs, 1, 4),
    served(ApiKey::AlterConfigs, 0, 2),
    served(ApiKey::DescribeLogDirs, 1, 5),
    served(ApiKey::CreatePartitions, 0, 3),
    served(ApiKey::DeleteGroups, 0, 2),
    served(ApiKey::IncrementalAlterConfigs, 0, 1),
    served(ApiKey::OffsetDelete, 0, 0),
    served(ApiKey::DescribeCluster, 0, 2),
    served(ApiKey::ListConfigResources, 0, 1),
    served(ApiKey::DescribeTopicPartitions, 0, 0),
];

/// The versions in which requests of this API are answered; `None` if it is not served.
pub fn served_versions(api_key: ApiKey) -> Option<VersionRange> {
    let VersionRange { min, max } = SUPPORTED.iter().find(|served| served.api_key == api_key)?.advertised;
    Some(VersionRange { min: min.max(api_key.codec_versions().min), max })
}

/// Whether requests of this API and version are answered.
pub fn is_served(api_key: ApiKey, version: i16) -> bool {
    served_versions(api_key).is_some_and(|versions| versions.contains(version))
}

/// The rows of an ApiVersions answer.
pub fn api_version_rows() -> Vec<ApiVersion> {
    let row = |served: &Supported| ApiVersion {
        api_key: served.api_key.code(),
        min_version: served.advertised.min,
        max_version: served.advertised.max,
    };
    SUPPORTED.iter().map(row).collect()
}

//! DescribeLogDirs (key 35), versions 1 to 5: sizes of partitions on disk.

use std::collections::BTreeMap;

use levada_wire::ErrorCode;
use levada_wire::messages::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeLogDirsResult,
    DescribeLogDirsTopic,
};

use super::context::RequestContext;
use super::services::Services;
use crate::security::{Operation, Resource};

pub(super) fn handle(
    services: &Services,
    ctx: &RequestContext,
    request: &DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    if !services.authorizer.allows(&ctx.principal, Operation::Describe, Resource::CLUSTER) {
        let error_code = ErrorCode::ClusterAuthorizationFailed.code();
        return DescribeLogDirsResponse { error_code, ..DescribeLogDirsResponse::default() };
    }
    let wanted = |topic: &str, partition: i32| match &request.topics {
        None => true,
        Some(topics) => topics.iter().any(|t| t.topic == topic && t.partitions.contains(&partition)),
    };
    let mut topics: BTreeMap<String, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for partition in services.replicas.all_loaded() {
        if wanted(partition.topic(), partition.index()) {
            topics.entry(partition.topic().to_string()).or_default().push(DescribeLogDirsPartition {
                partition_index: partition.index(),
                partition_size: partition.log().size() as i64,
                ..DescribeLogDirsPartition::default()
            });
        }
    }
    let topics = topics.into_iter().map(|(name, partitions)| DescribeLogDirsTopic { name, partitions });
    let result = DescribeLogDirsResult {
        log_dir: services.config.log_dir.display().to_string(),
        topics: topics.collect(),
        total_bytes: -1,
        usable_bytes: -1,
        ..DescribeLogDirsResult::default()
    };
    DescribeLogDirsResponse { results: vec![result], ..DescribeLogDirsResponse::default() }
}

//! DescribeLogDirs (key 35), versions 1 to 5: sizes of partitions on disk.

use std::collections::{BTreeMap, HashSet};

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
    let named = request.topics.as_ref().map(|topics| {
        let partitions = topics.iter().flat_map(|t| t.partitions.iter().map(|index| (t.topic.as_str(), *index)));
        partitions.collect::<HashSet<(&str, i32)>>()
    });
    let wanted = |topic, partition| named.as_ref().is_none_or(|named| named.contains(&(topic, partition)));
    let mut topics: BTreeMap<String, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    let loaded = services.replicas.all_loaded();
    for partition in &loaded {
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

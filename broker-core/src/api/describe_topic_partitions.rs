//! DescribeTopicPartitions (key 75), version 0: Metadata for tools, in pages.

use levada_wire::ErrorCode;
use levada_wire::messages::describe_topic_partitions::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, DescribeTopicPartitionsResponseCursor,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};

use super::context::RequestContext;
use super::services::Services;
use crate::quorum::{PartitionImage, TopicImage};
use crate::security::{Operation, Resource};

pub(super) fn handle(
    services: &Services,
    ctx: &RequestContext,
    request: &DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let image = services.quorum.image();
    let (first, mut from) = match &request.cursor {
        Some(cursor) => (cursor.topic_name.as_str(), cursor.partition_index.max(0)),
        None => ("", 0),
    };
    let limit = request.response_partition_limit.clamp(1, services.config.describe_partition_limit.max(1));
    let mut left = limit as usize;
    let mut names: Vec<String> = match request.topics.as_slice() {
        // Those the caller may not see take no room on a page, so all that follow may be needed.
        [] => image.topics_from(first).map(|topic| topic.name.to_string()).collect(),
        topics => topics.iter().map(|topic| topic.name.clone()).collect(),
    };
    names.sort_unstable();
    names.dedup();
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names.into_iter().filter(|name| name.as_str() >= first) {
        if name != first {
            from = 0;
        }
        if left == 0 {
            let cursor = DescribeTopicPartitionsResponseCursor { topic_name: name, partition_index: from };
            response.next_cursor = Some(cursor);
            break;
        }
        let visible = services.authorizer.allows(&ctx.principal, Operation::Describe, Resource::topic(&name));
        let topic = match image.topic(&name) {
            Some(topic) if visible => describe(services, ctx, topic, from, left),
            _ if !request.topics.is_empty() => unknown(&name, visible),
            _ => continue,
        };
        left -= topic.partitions.len().min(left);
        let next = from + topic.partitions.len() as i32;
        response.topics.push(topic);
        if image.topic(&name).is_some_and(|topic| visible && next < topic.partitions.len() as i32) {
            let cursor = DescribeTopicPartitionsResponseCursor { topic_name: name, partition_index: next };
            response.next_cursor = Some(cursor);
            break;
        }
    }
    response
}

fn unknown(name: &str, visible: bool) -> DescribeTopicPartitionsResponseTopic {
    let code = if visible { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::TopicAuthorizationFailed };
    DescribeTopicPartitionsResponseTopic {
        error_code: code.code(),
        name: Some(name.to_owned()),
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

fn describe(
    services: &Services,
    ctx: &RequestContext,
    topic: &TopicImage,
    from: i32,
    limit: usize,
) -> DescribeTopicPartitionsResponseTopic {
    let partition = |(index, partition): (i32, &PartitionImage)| DescribeTopicPartitionsResponsePartition {
        partition_index: index,
        leader_id: partition.leader,
        leader_epoch: partition.leader_epoch,
        replica_nodes: partition.replicas.clone(),
        isr_nodes: partition.isr.clone(),
        eligible_leader_replicas: Some(Vec::new()),
        last_known_elr: Some(Vec::new()),
        ..DescribeTopicPartitionsResponsePartition::default()
    };
    let partitions = (0..).zip(&topic.partitions).skip(from as usize).take(limit).map(partition);
    DescribeTopicPartitionsResponseTopic {
        name: Some(topic.name.to_string()),
        topic_id: topic.id,
        is_internal: topic.is_internal(),
        partitions: partitions.collect(),
        topic_authorized_operations: services
            .authorizer
            .authorized_operations(&ctx.principal, Resource::topic(&topic.name)),
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

//! ListOffsets (key 2), versions 1 to 11: offsets by time and the special ones. Nothing above the high watermark is told
//! to clients (invariant 2).

use std::collections::HashSet;

use levada_wire::ErrorCode;
use levada_wire::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};

use super::context::RequestContext;
use super::error_map::ToErrorCode;
use super::services::Services;
use crate::replica::{Partition, ReplicaError, TopicRef};
use crate::security::{Operation, Resource};

/// Special timestamps.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// Timestamp and offset of an answer; -1 for none.
struct Found {
    timestamp: i64,
    offset: i64,
}

const NOTHING: Found = Found { timestamp: -1, offset: -1 };

pub(super) async fn handle(
    services: &Services,
    ctx: &RequestContext,
    request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    let doubled = doubled(&request);
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let allowed = services.authorizer.allows(&ctx.principal, Operation::Describe, Resource::topic(&topic.name));
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in topic.partitions {
            partitions.push(if !allowed {
                failure(&wanted, ErrorCode::TopicAuthorizationFailed)
            } else if doubled.contains(&(topic.name.clone(), wanted.partition_index)) {
                failure(&wanted, ErrorCode::InvalidRequest)
            } else {
                let found = ctx.before_deadline(one(services, ctx, &topic.name, &wanted)).await;
                found.unwrap_or_else(|| failure(&wanted, ErrorCode::RequestTimedOut))
            });
        }
        topics.push(ListOffsetsTopicResponse { name: topic.name, partitions });
    }
    ListOffsetsResponse { topics, ..ListOffsetsResponse::default() }
}

/// Partitions named more than once, which is refused as Kafka does.
fn doubled(request: &ListOffsetsRequest) -> HashSet<(String, i32)> {
    let mut seen = HashSet::new();
    let all = request
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|partition| (topic.name.as_str(), partition.partition_index)));
    all.filter(|key| !seen.insert(*key)).map(|(topic, index)| (topic.to_owned(), index)).collect()
}

fn failure(wanted: &ListOffsetsPartition, code: ErrorCode) -> ListOffsetsPartitionResponse {
    ListOffsetsPartitionResponse {
        partition_index: wanted.partition_index,
        error_code: code.code(),
        ..ListOffsetsPartitionResponse::default()
    }
}

async fn one(
    services: &Services,
    ctx: &RequestContext,
    topic: &str,
    wanted: &ListOffsetsPartition,
) -> ListOffsetsPartitionResponse {
    if !timestamp_is_known(wanted.timestamp, ctx.api_version) {
        return failure(wanted, ErrorCode::UnsupportedVersion);
    }
    let found = async {
        let partition = services.replicas.partition(TopicRef::Name(topic), wanted.partition_index).await?;
        partition.check_epoch(wanted.current_leader_epoch)?;
        let found = find(&partition, wanted.timestamp).await?;
        Ok::<_, ReplicaError>((partition, found))
    };
    match found.await {
        Ok((partition, found)) => ListOffsetsPartitionResponse {
            partition_index: wanted.partition_index,
            error_code: ErrorCode::None.code(),
            timestamp: found.timestamp,
            offset: found.offset,
            // The field is new in version 4 and may not be set before.
            leader_epoch: if found.offset >= 0 && ctx.api_version >= 4 {
                epoch_at(&partition, found.offset)
            } else {
                -1
            },
        },
        Err(error) => failure(wanted, error.error_code()),
    }
}

fn timestamp_is_known(timestamp: i64, version: i16) -> bool {
    match timestamp {
        LATEST | EARLIEST | 0.. => true,
        MAX_TIMESTAMP => version >= 7,
        EARLIEST_LOCAL => version >= 8,
        LATEST_TIERED => version >= 9,
        EARLIEST_PENDING_UPLOAD => version >= 11,
        _ => false,
    }
}

async fn find(partition: &Partition, timestamp: i64) -> Result<Found, ReplicaError> {
    let position = partition.position();
    let found = match timestamp {
        LATEST => Found { timestamp: -1, offset: position.last_stable_offset },
        EARLIEST | EARLIEST_LOCAL => Found { timestamp: -1, offset: position.log_start_offset },
        MAX_TIMESTAMP => partition
            .log()
            .max_timestamp(position.high_watermark)
            .await?
            .map_or(NOTHING, |at| Found { timestamp: at.timestamp, offset: at.offset }),
        // Nothing is tiered.
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => NOTHING,
        timestamp => partition
            .log()
            .offset_for_timestamp(timestamp, position.last_stable_offset)
            .await?
            .map_or(NOTHING, |at| Found { timestamp: at.timestamp, offset: at.offset }),
    };
    Ok(found)
}

/// The epoch in which the record at `offset` was (or will be) written.
fn epoch_at(partition: &Partition, offset: i64) -> i32 {
    partition.log().epoch_of(offset).unwrap_or_else(|| partition.leader_epoch())
}

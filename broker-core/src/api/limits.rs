//! How many things one request may name.

use levada_wire::RequestKind;

/// Most topics, partitions, groups or other resources in one request: more than any client has. Each takes memory, in the
/// request and several times that in its answer, for as little as one byte on the wire (invariant 9).
const MAX_NAMED: usize = 100_000;

/// Whether a request names too much. Most versions of most answers have no place for such an error, so the connection is
/// closed.
pub(super) fn names_too_much(request: &RequestKind) -> bool {
    named(request) > MAX_NAMED
}

fn sum<T>(topics: &[T], partitions: impl Fn(&T) -> usize) -> usize {
    topics.iter().map(|topic| 1 + partitions(topic)).sum()
}

fn named(request: &RequestKind) -> usize {
    match request {
        RequestKind::Produce(r) => sum(&r.topic_data, |topic| topic.partition_data.len()),
        RequestKind::Fetch(r) => {
            sum(&r.topics, |topic| topic.partitions.len())
                + sum(&r.forgotten_topics_data, |topic| topic.partitions.len())
        }
        RequestKind::ListOffsets(r) => sum(&r.topics, |topic| topic.partitions.len()),
        RequestKind::OffsetForLeaderEpoch(r) => sum(&r.topics, |topic| topic.partitions.len()),
        RequestKind::Metadata(r) => r.topics.as_ref().map_or(0, Vec::len),
        RequestKind::CreateTopics(r) => sum(&r.topics, |topic| topic.assignments.len() + topic.configs.len()),
        RequestKind::DeleteTopics(r) => r.topics.len() + r.topic_names.len(),
        RequestKind::CreatePartitions(r) => sum(&r.topics, |topic| topic.assignments.as_ref().map_or(0, Vec::len)),
        RequestKind::DeleteRecords(r) => sum(&r.topics, |topic| topic.partitions.len()),
        RequestKind::DescribeConfigs(r) => {
            sum(&r.resources, |resource| resource.configuration_keys.as_ref().map_or(0, Vec::len))
        }
        RequestKind::AlterConfigs(r) => sum(&r.resources, |resource| resource.configs.len()),
        RequestKind::IncrementalAlterConfigs(r) => sum(&r.resources, |resource| resource.configs.len()),
        RequestKind::DescribeTopicPartitions(r) => r.topics.len(),
        RequestKind::DescribeLogDirs(r) => {
            r.topics.as_deref().map_or(0, |all| sum(all, |topic| topic.partitions.len()))
        }
        RequestKind::FindCoordinator(r) => r.coordinator_keys.len(),
        RequestKind::OffsetCommit(r) => sum(&r.topics, |topic| topic.partitions.len()),
        RequestKind::OffsetFetch(r) => {
            let single = r.topics.as_deref().map_or(0, |all| sum(all, |topic| topic.partition_indexes.len()));
            single
                + sum(&r.groups, |group| {
                    group.topics.as_deref().map_or(0, |all| sum(all, |topic| topic.partition_indexes.len()))
                })
        }
        RequestKind::OffsetDelete(r) => sum(&r.topics, |topic| topic.partitions.len()),
        RequestKind::JoinGroup(r) => r.protocols.len(),
        RequestKind::SyncGroup(r) => r.assignments.len(),
        RequestKind::LeaveGroup(r) => r.members.len(),
        RequestKind::DescribeGroups(r) => r.groups.len(),
        RequestKind::DeleteGroups(r) => r.groups_names.len(),
        RequestKind::ListGroups(r) => r.states_filter.len() + r.types_filter.len(),
        _ => 0,
    }
}

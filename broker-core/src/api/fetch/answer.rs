//! The parts of a fetch answer.

use levada_wire::RecordSet;
use levada_wire::messages::fetch::{EpochEndOffset, FetchableTopicResponse, PartitionData};
use uuid::Uuid;

use super::session::{PartitionKey, TopicKey, Wanted};
use crate::replica::Partition;

/// An answer that tells nothing yet.
pub(super) fn empty(wanted: &Wanted) -> PartitionData {
    PartitionData {
        partition_index: wanted.key.1,
        high_watermark: -1,
        last_stable_offset: -1,
        log_start_offset: -1,
        preferred_read_replica: -1,
        records: Some(RecordSet::default()),
        ..PartitionData::default()
    }
}

/// KIP-595: tell whoever fetches after an epoch that ended earlier in this log where that was.
pub(super) fn diverging(partition: &Partition, wanted: &Wanted) -> Option<EpochEndOffset> {
    if wanted.last_fetched_epoch < 0 {
        return None;
    }
    let end = partition.log().end_offset_for_epoch(wanted.last_fetched_epoch);
    let agrees = end.epoch == wanted.last_fetched_epoch && end.end_offset >= wanted.fetch_offset;
    // Of the current epoch clients are told the committed part only (invariant 2).
    let end_offset = end.end_offset.min(partition.high_watermark());
    (!agrees).then_some(EpochEndOffset { epoch: end.epoch, end_offset })
}

/// Partitions under their topics; those of one topic stand together already.
pub(super) fn by_topic(answers: Vec<(PartitionKey, PartitionData)>) -> Vec<FetchableTopicResponse> {
    let mut topics: Vec<(TopicKey, FetchableTopicResponse)> = Vec::new();
    for ((key, _), data) in answers {
        match topics.last_mut() {
            Some((last, topic)) if *last == key => topic.partitions.push(data),
            _ => {
                let (topic, topic_id) = match &key {
                    TopicKey::Name(name) => (name.to_string(), Uuid::nil()),
                    TopicKey::Id(id) => (String::new(), *id),
                };
                topics.push((key, FetchableTopicResponse { topic, topic_id, partitions: vec![data] }));
            }
        }
    }
    topics.into_iter().map(|(_, topic)| topic).collect()
}

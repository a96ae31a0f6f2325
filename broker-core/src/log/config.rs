//! What a partition's log needs to know of its topic's configuration.

use crate::config::{AckDurability, TimestampType, TopicConfig};

/// Settings of one partition's log. Changed at run time by [`super::PartitionLog::update_config`].
#[derive(Debug, Clone, PartialEq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment is rolled before it would grow past this.
    pub segment_bytes: u64,
    /// `segment.ms`: a segment is rolled when its first record is older than this.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: up to this much is taken off `segment_ms`, per segment.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`: a segment is rolled when its offset index would grow past this.
    pub segment_index_bytes: u64,
    /// `index.interval.bytes`: distance of index entries.
    pub index_interval_bytes: u64,
    /// `max.message.bytes`: largest batch accepted.
    pub max_message_bytes: usize,
    /// `retention.ms`; negative for ever.
    pub retention_ms: i64,
    /// `retention.bytes`; negative without limit.
    pub retention_bytes: i64,
    /// `cleanup.policy` has `delete`.
    pub delete: bool,
    /// `cleanup.policy` has `compact`.
    pub compact: bool,
    /// `delete.retention.ms`: how long a tombstone stays after it was cleaned.
    pub delete_retention_ms: i64,
    /// `min.compaction.lag.ms`: records younger than this are not compacted.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`: records older than this make the log due for compaction.
    pub max_compaction_lag_ms: i64,
    /// `min.cleanable.dirty.ratio`: share of uncleaned bytes from which cleaning is worth it.
    pub min_cleanable_dirty_ratio: f64,
    /// `file.delete.delay.ms`: how long the files of deleted segments stay.
    pub file_delete_delay_ms: i64,
    /// `flush.messages`: sync after this many records (page-cache policy; the other syncs always).
    pub flush_messages: i64,
    /// `flush.ms`: sync records older than this (page-cache policy).
    pub flush_ms: i64,
    /// `ack.durability`: when `durable_end_offset` moves.
    pub ack_durability: AckDurability,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`: how far a CreateTime may lie in the past.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`: how far a CreateTime may lie in the future.
    pub timestamp_after_max_ms: i64,
    /// `producer.id.expiration.ms` of the broker: how long an idle producer's state is kept.
    pub producer_expiration_ms: i64,
    /// May write into the disk space kept back for the broker's own topics and metadata.
    pub internal: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 604_800_000,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            max_message_bytes: 1_048_588,
            retention_ms: 604_800_000,
            retention_bytes: -1,
            delete: true,
            compact: false,
            delete_retention_ms: 86_400_000,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            min_cleanable_dirty_ratio: 0.5,
            file_delete_delay_ms: 60_000,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            ack_durability: AckDurability::Fsync,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            producer_expiration_ms: 86_400_000,
            internal: false,
        }
    }
}

impl LogConfig {
    /// The part of a topic's configuration the log uses; what the topic does not say (`producer_expiration_ms`, `internal`) is the default.
    pub fn from_topic(topic: &TopicConfig) -> Self {
        let bytes = |value: i32| u64::try_from(value).unwrap_or(0);
        Self {
            segment_bytes: bytes(topic.segment_bytes).max(1),
            segment_ms: topic.segment_ms,
            segment_jitter_ms: topic.segment_jitter_ms,
            segment_index_bytes: bytes(topic.segment_index_bytes),
            index_interval_bytes: bytes(topic.index_interval_bytes),
            max_message_bytes: usize::try_from(topic.max_message_bytes).unwrap_or(0),
            retention_ms: topic.retention_ms,
            retention_bytes: topic.retention_bytes,
            delete: topic.delete,
            compact: topic.compact,
            delete_retention_ms: topic.delete_retention_ms,
            min_compaction_lag_ms: topic.min_compaction_lag_ms,
            max_compaction_lag_ms: topic.max_compaction_lag_ms,
            min_cleanable_dirty_ratio: topic.min_cleanable_dirty_ratio,
            file_delete_delay_ms: topic.file_delete_delay_ms,
            flush_messages: topic.flush_messages,
            flush_ms: topic.flush_ms,
            ack_durability: topic.ack_durability,
            timestamp_type: topic.timestamp_type,
            timestamp_before_max_ms: topic.timestamp_before_max_ms,
            timestamp_after_max_ms: topic.timestamp_after_max_ms,
            ..Self::default()
        }
    }
}

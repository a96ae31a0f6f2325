//! What the group coordinator needs of the log: the topic `__consumer_offsets`.
//!
//! The layer that owns topics and partitions implements [`OffsetsLog`] over them; nothing else connects the coordinator to storage.

use bytes::Bytes;
use levada_client::BoxFuture;
use thiserror::Error;

/// The topic that holds groups and committed offsets. Compacted.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// Access to the partitions of `__consumer_offsets`.
///
/// For who implements it:
/// - The topic is made on first use: [`OffsetsLog::create`] is called before the first append, never merely because clients ask for a
///   coordinator. It has `offsets.topic.num.partitions` partitions (the hash of group ids depends on the number, so it must not change
///   afterwards), `cleanup.policy=compact`, `compression.type=producer` and `segment.bytes=offsets.topic.segment.bytes`, and clients
///   may neither create nor write it (`is_internal` in Metadata).
/// - The coordinator calls [`OffsetsLog::append`] for one partition again only after the call before it has ended, so order needs no care.
/// - An append goes on to its end even if the future is dropped.
pub trait OffsetsLog: Send + Sync + 'static {
    /// Number of partitions, or `None` while the topic doesn't exist. Asked often: must not wait.
    fn partition_count(&self) -> Option<i32>;

    /// Makes the topic unless it exists; gives its number of partitions.
    fn create(&self) -> BoxFuture<'_, Result<i32, OffsetsLogError>>;

    /// Appends one whole record batch (base offset and leader epoch are still to be set) as `acks=all` does: resolves with the base
    /// offset once the batch is durable and below the high watermark (invariant 1).
    fn append(&self, partition: i32, batch: Bytes) -> BoxFuture<'_, Result<i64, OffsetsLogError>>;

    /// Reads whole batches up to the high watermark, beginning with the one that contains `offset` or, if it was compacted or deleted,
    /// the first after it. Of any convenient size; empty only when `offset` is at the end.
    fn read(&self, partition: i32, offset: i64) -> BoxFuture<'_, Result<OffsetsChunk, OffsetsLogError>>;
}

/// Some of a partition of `__consumer_offsets`.
#[derive(Debug, Clone, Default)]
pub struct OffsetsChunk {
    /// Batches one after another; a piece may end after a batch's header, as the log's reads do.
    pub batches: Vec<Bytes>,
    /// Where to read on.
    pub next_offset: i64,
    /// The high watermark (exclusive) at the time of the read.
    pub end_offset: i64,
}

/// Why `__consumer_offsets` could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OffsetsLogError {
    /// Not now: offline, no leader, too few replicas, no space, stopping. The client tries again.
    #[error("__consumer_offsets is not available: {0}")]
    Unavailable(String),
    /// The batch is larger than the topic allows.
    #[error("the batch is too large for __consumer_offsets")]
    TooLarge,
    /// The topic has not the number of partitions it was expected to have.
    #[error("__consumer_offsets has {actual} partitions instead of {expected}; restart to use it")]
    WrongPartitionCount {
        /// What the coordinator works with.
        expected: i32,
        /// What there is.
        actual: i32,
    },
}

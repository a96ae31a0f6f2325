//! The log: partitions as directories of segment files in Kafka's on-disk format (`kafka-dump-log` reads them), made durable by group-committed
//! fdatasync, recovered after a crash. Owns invariants 1, 2 (its durable half), 4, 5 and 9 for what is on disk.
//!
//! # For the layers above (replica, coordinators, quorum)
//!
//! ```text
//! LogManager::open(env, LogManagerOptions { dirs, node_id, cluster_id, defaults, .. }).await? -> Arc<LogManager>
//!     manager.get(&topic_partition) -> Option<PartitionLog>         (PartitionLog is a cheap clone)
//!     manager.create(topic_partition, topic_id, LogConfig).await?   -> PartitionLog; no fsync, opens what is there
//!     manager.delete(&topic_partition).await?                       rename to -delete at once, files go later
//!     manager.partitions() -> Vec<PartitionLog>                     everything found on disk at open, and made since
//!     manager.tail_cache(), manager.buf_pool()                      process-wide memory, shared with the server
//!     manager.start_background()                                    retention, checkpoints, cleaning, flush.ms
//!     manager.shutdown().await                                      sync, checkpoints, clean mark
//!
//! log.validate(bytes, &ValidationRules).await? -> Result<ValidatedBatches, ValidationError>
//!     CRC, structure, sizes, timestamps, LogAppendTime; the produce error table of the protocol sheet. Long ones run off the runtime;
//!     validate_batches is the same on the caller's thread.
//!
//! log.reserve(bytes).await? -> AppendPermit                         room in the log directory's append queue; a slow disk pushes back here
//! log.append(AppendRequest::leader(validated, leader_epoch), permit) -> impl Future<Output = Result<AppendInfo, LogError>>
//!     queued when called (not when polled) and done whatever happens to the caller; resolves once written and readable.
//!     AppendInfo { base_offset, last_offset, log_append_time_ms, log_start_offset, duplicate }
//! log.wait_durable(end_offset).await -> Result<(), LogError>        until durable_end_offset >= end_offset (fsync policy),
//!                                                                   at once under page-cache policy
//! log.set_observer(Arc<dyn LogObserver>)                            on_append(end) / on_durable(end) / on_offline(cause): how the high
//!                                                                   watermark moves and fetch waiters are woken; called on disk
//!                                                                   threads, must not block
//! log.read(start, ReadLimits { max_bytes, end_offset, at_least_one }).await -> Result<LogRead, LogError>
//!     LogRead { data: ReadData::Slices(Vec<Bytes>) | ReadData::File(FileRange { file, position, len }), first_offset, next_offset, .. }
//!     whole batches; a start inside a batch gives that whole batch. Slices may cut a batch after its header: BatchIter::of_chunks copes.
//! log.materialise(ReadData).await -> Result<Vec<Bytes>, LogError>   a file range read into pooled memory
//!
//! log.log_start_offset() / log_end_offset() / durable_end_offset() / high_watermark()
//! log.set_high_watermark(hw)                                        for checkpoints, retention and cleaning; replica owns its meaning
//! log.offset_for_timestamp(ts, end).await -> Option<TimestampOffset>; log.max_timestamp(end).await
//! log.assign_leader_epoch(epoch); log.end_offset_for_epoch(epoch) -> EpochEndOffset; log.latest_epoch()
//! log.truncate_to(offset).await; log.delete_records_before(offset).await -> new log start offset
//! log.update_config(LogConfig); log.config(); log.size(); log.topic_id()
//! ```
//!
//! # Rules inside
//! - One [`std::sync`]-like lock per partition (`Writer`) is held over every change of the segment list, on disk threads only. Readers never
//!   take it: they see the published segment list, sizes and offsets.
//! - The append job of a partition is alone (one in flight), so is its sync job. Order of publication after a write: index, segment size,
//!   tail cache, log end offset, observer, answers.
//! - Nothing is acknowledged from memory alone: `durable_end_offset` moves only after the sync of every file and directory entry below it
//!   (invariant 1). A failed sync takes the log directory offline and is never retried.

#![deny(clippy::unwrap_used, clippy::indexing_slicing)]

mod append;
mod append_queue;
mod append_write;
mod background;
mod buf_pool;
mod byte_budget;
mod checkpoint;
mod clean_segment;
mod cleaner;
mod config;
mod dir_checkpoints;
mod dir_identity;
mod error;
mod leader_epochs;
mod leftovers;
mod load_dir;
mod loader;
mod log_dir;
mod manager;
mod offset_index;
mod partition_log;
mod producer_snapshot;
mod producer_state;
mod read;
mod retention;
mod segment;
mod shutdown;
mod sync;
mod tail_cache;
#[cfg(test)]
mod tests;
mod time_index;
mod timestamps;
mod truncate;
mod validate;
mod validate_run;

pub use append_queue::{AppendInfo, AppendPermit, AppendRequest, FrameRoom};
pub use buf_pool::{BufPool, PooledBuf};
pub use byte_budget::{BudgetClosed, ByteBudget, BytePermit};
pub use checkpoint::{decode_uuid, encode_uuid};
pub use config::LogConfig;
pub use error::{LogError, OpenError};
pub use leader_epochs::{EpochEndOffset, EpochEntry};
use levada_env::OpenOptions;
pub use log_dir::LogDir;
pub use manager::{LogManager, LogManagerOptions};
pub use partition_log::{LogObserver, PartitionLog, TopicPartition};
pub use read::{FileRange, LogRead, ReadData, ReadLimits};
pub use sync::{DEFAULT_SYNCFS_MIN_FILES, SyncCounts};
pub use tail_cache::TailCache;
pub use timestamps::TimestampOffset;
pub use validate::{AppendOrigin, ValidatedBatches, ValidationError, ValidationRules, validate_batches};

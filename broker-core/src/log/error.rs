//! What can go wrong with a log. Mapped to Kafka codes in `api::error_map`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An operation on a partition's log failed. Cheap to clone: one cause may fail many waiting appends.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// A read or truncation outside the log (OFFSET_OUT_OF_RANGE).
    #[error("offset {offset} is outside the log, which reaches from {log_start_offset} to {log_end_offset}")]
    OffsetOutOfRange {
        /// The offset asked for.
        offset: i64,
        /// First offset there.
        log_start_offset: i64,
        /// Offset after the last one there.
        log_end_offset: i64,
    },
    /// A sequence number that does not follow the last one (OUT_OF_ORDER_SEQUENCE_NUMBER, invariant 5).
    #[error("producer {producer_id} sent sequence {got}, expected {expected}")]
    OutOfOrderSequence {
        /// The producer.
        producer_id: i64,
        /// The sequence number that would follow.
        expected: i32,
        /// The one that came.
        got: i32,
    },
    /// A producer that was superseded (INVALID_PRODUCER_EPOCH).
    #[error("producer {producer_id} sent epoch {got}, the current one is {current}")]
    InvalidProducerEpoch {
        /// The producer.
        producer_id: i64,
        /// The epoch in force.
        current: i16,
        /// The one that came.
        got: i16,
    },
    /// An append under a leader epoch that has passed (invariant 3).
    #[error("leader epoch {got} is fenced, the log has seen {current}")]
    FencedLeaderEpoch {
        /// The newest epoch of the log.
        current: i32,
        /// The one of the append.
        got: i32,
    },
    /// A follower's append that does not start where its log ends, or goes back.
    #[error("batch at offset {got} does not continue the log, which ends at {expected}")]
    NotContiguous {
        /// The log end offset.
        expected: i64,
        /// The base offset that came.
        got: i64,
    },
    /// More than fits into one segment (RECORD_LIST_TOO_LARGE).
    #[error("{size} bytes of batches do not fit a segment of {segment_bytes} bytes")]
    RecordListTooLarge {
        /// Bytes to append.
        size: usize,
        /// `segment.bytes`.
        segment_bytes: u64,
    },
    /// The disk is full, or as full as appends of ordinary topics may make it. Reads and deletes go on; appends resume by themselves.
    #[error("no space left in log directory {}", dir.display())]
    StorageFull {
        /// The log directory.
        dir: Arc<PathBuf>,
    },
    /// An I/O error took the log directory out of service until restart (KAFKA_STORAGE_ERROR).
    #[error("log directory is offline: {cause}")]
    LogDirOffline {
        /// The first error.
        cause: Arc<str>,
    },
    /// The partition was deleted or the broker is stopping.
    #[error("the partition's log is closed")]
    Closed,
    /// Damage found while reading.
    #[error("corrupt log {}: {reason}", path.display())]
    Corrupt {
        /// The file.
        path: Arc<PathBuf>,
        /// What is wrong with it.
        reason: Arc<str>,
    },
    /// Reading failed.
    #[error("{operation} failed: {error}")]
    Io {
        /// What was being done.
        operation: &'static str,
        /// The system's error.
        error: Arc<io::Error>,
    },
}

impl LogError {
    pub(super) fn io(operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { operation, error: Arc::new(error) }
    }

    /// Whether a system error says that there is no space: that passes, other failures of a write do not.
    pub(super) fn is_full(error: &io::Error) -> bool {
        matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }

    pub(super) fn corrupt(path: impl Into<PathBuf>, reason: impl Into<Arc<str>>) -> Self {
        Self::Corrupt { path: Arc::new(path.into()), reason: reason.into() }
    }
}

impl OpenError {
    pub(super) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { operation, path, error }
    }
}

/// Opening the log directories failed. The text is for the operator; the daemon exits with code 3 (or 2 for a mismatch of identity).
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("log directory {} is in use by another process; each needs a data directory of its own (--data-dir)", .0.display())]
    Locked(PathBuf),
    /// The system refuses.
    #[error("cannot {operation} {}: {error}", path.display())]
    Io {
        /// What was being done.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// `meta.properties` belongs to another node or cluster, or is of a newer version.
    #[error("{}: {reason}", path.display())]
    Identity {
        /// The file.
        path: PathBuf,
        /// What does not fit, and the mend.
        reason: String,
    },
    /// A partition cannot be opened.
    #[error("cannot open partition {partition}: {error}")]
    Partition {
        /// Its directory's name.
        partition: String,
        /// Why.
        error: LogError,
    },
}

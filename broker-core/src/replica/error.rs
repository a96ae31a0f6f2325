//! Why a partition cannot do what it is asked for.

use crate::log::{LogError, ValidationError};

/// An operation on a partition failed. Mapped to Kafka codes in `api::error_map`.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReplicaError {
    /// No topic of that name, or no such partition in it.
    #[error("unknown topic or partition")]
    UnknownPartition,
    /// No topic of that id.
    #[error("unknown topic id")]
    UnknownTopicId,
    /// Another broker leads it.
    #[error("this broker does not lead the partition")]
    NotLeader,
    /// The caller knows an older leader.
    #[error("leader epoch {got} is older than the current epoch {current}")]
    FencedEpoch {
        /// The caller's.
        got: i32,
        /// The partition's.
        current: i32,
    },
    /// The caller knows a newer leader than this broker.
    #[error("leader epoch {got} is newer than the current epoch {current}")]
    UnknownEpoch {
        /// The caller's.
        got: i32,
        /// The partition's.
        current: i32,
    },
    /// Fewer in-sync replicas than the topic wants.
    #[error("{in_sync} in-sync replica(s), min.insync.replicas is {wanted}")]
    NotEnoughReplicas {
        /// How many there are.
        in_sync: usize,
        /// How many there must be.
        wanted: usize,
    },
    /// The batches break the rules.
    #[error(transparent)]
    Invalid(#[from] ValidationError),
    /// The log refused or failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The topic's policy does not allow it.
    #[error("{0}")]
    Policy(&'static str),
}

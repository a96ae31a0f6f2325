//! Why a bus call failed.

use std::time::Duration;

/// A failed bus call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// The handle's owner was superseded or abandoned (invariant 8).
    #[error("the task no longer owns this handle")]
    Revoked,
    /// There is no such topic, or none loaded yet.
    #[error("topic {topic} does not exist")]
    UnknownTopic {
        /// Topic.
        topic: String,
    },
    /// There is no such partition.
    #[error("topic {topic} has no partition {partition}")]
    UnknownPartition {
        /// Topic.
        topic: String,
        /// Partition asked for.
        partition: i32,
    },
    /// One record is larger than the log takes.
    #[error("a record of {size} bytes for topic {topic} is above the limit of {limit} bytes; raise max.message.bytes")]
    RecordTooLarge {
        /// Topic.
        topic: String,
        /// The record's size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The log refused the request for good.
    #[error("{action} was refused: {code}{detail}")]
    Refused {
        /// What was asked, for example `produce to t-0`.
        action: String,
        /// Kafka's name of the error.
        code: &'static str,
        /// The log's own text with a leading `: `, or empty.
        detail: String,
    },
    /// A try later may work.
    #[error("{action} failed: {cause}")]
    Retriable {
        /// What was asked.
        action: String,
        /// Why it failed.
        cause: String,
    },
    /// No answer within the call's deadline.
    #[error("{action} got no answer within {} ms", after.as_millis())]
    Timeout {
        /// What was asked.
        action: String,
        /// The deadline.
        after: Duration,
    },
    /// The member was removed from its group; its partitions are lost until it joins again.
    #[error("the member was removed from group {group}: {cause}")]
    NotMember {
        /// Group.
        group: String,
        /// Kafka's name of the error.
        cause: &'static str,
    },
    /// The bus is shut down.
    #[error("the log is shut down")]
    Closed,
}

impl BusError {
    /// Whether the same call may succeed later.
    pub fn is_retriable(&self) -> bool {
        matches!(self, Self::Retriable { .. } | Self::Timeout { .. })
    }
}

//! How a consumer behaves, and what it says.

use super::assignor::TopicPartition;
use std::{sync::Arc, time::Duration};

/// Where to start without a committed offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OffsetReset {
    /// At the log start.
    #[default]
    Earliest,
    /// At the end.
    Latest,
    /// Nowhere: an error.
    None,
}

/// Which topics.
#[derive(Clone)]
pub enum Subscription {
    /// These.
    Topics(Vec<String>),
    /// All whose name fits, the broker's own excepted.
    Matching(Arc<dyn Fn(&str) -> bool + Send + Sync>),
}

/// How a consumer behaves.
#[derive(Clone)]
pub struct ConsumerOptions {
    /// `group.id`.
    pub group: String,
    /// `group.instance.id` (KIP-345): a member that comes back under it takes its old place at once, and
    /// whoever held that place is fenced. `None` for a dynamic member.
    pub instance_id: Option<String>,
    /// Topics.
    pub subscription: Subscription,
    /// `auto.offset.reset`.
    pub offset_reset: OffsetReset,
    /// `isolation.level`.
    pub read_committed: bool,
    /// `fetch.max.bytes`.
    pub fetch_bytes: usize,
    /// `session.timeout.ms`.
    pub session_timeout: Duration,
    /// `heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `max.poll.interval.ms`.
    pub rebalance_timeout: Duration,
    /// How often partition counts are looked up again; every second while a topic is missing.
    pub metadata_max_age: Duration,
    /// Deadline of a request that has none of its own.
    pub request_timeout: Duration,
}

/// A partition that came, with its last commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
    /// Committed offset.
    pub committed: Option<i64>,
    /// Its metadata.
    pub metadata: String,
}

/// What a poll found.
#[derive(Debug)]
pub enum Event {
    /// Nothing within the wait.
    Idle,
    /// These partitions go away with the next poll, or, with `lost`, are gone.
    Revoked {
        /// Partitions.
        partitions: Vec<TopicPartition>,
        /// Whether another member may have them already.
        lost: bool,
    },
    /// These partitions are now owned (all of them, since rebalancing is eager).
    Assigned(Vec<Added>),
    /// There are records: [`Consumer::take`] them.
    Records,
}

/// Records taken of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
    /// Position after them.
    pub next_offset: i64,
}

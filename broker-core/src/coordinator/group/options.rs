//! What the coordinator is told when it is made.

use std::sync::Arc;

use levada_env::time::Duration;
use uuid::Uuid;

use super::machine::GroupOptions;
use crate::config::BrokerConfig;

/// Options of the coordinator, from the broker's configuration.
#[derive(Debug, Clone)]
pub struct GroupCoordinatorOptions {
    /// Options of every group.
    pub groups: GroupOptions,
    /// `offsets.topic.num.partitions`, for when the topic doesn't exist yet.
    pub partitions: i32,
    /// `offset.metadata.max.bytes`.
    pub max_offset_metadata: usize,
    /// `offsets.retention.minutes`.
    pub offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`.
    pub retention_check_interval: Duration,
    /// How long a request waits for its partition to be loaded before it is told to come again.
    pub load_wait: Duration,
    /// Bytes of commits and deletions on their way to the log, over all groups; further ones wait (invariant 9).
    pub max_pending_write_bytes: usize,
    /// Memory that the members of all groups may take (invariant 9).
    pub max_member_bytes: usize,
    /// Groups that clients may create, over all partitions (invariant 9). What the log holds is always loaded.
    pub max_groups: usize,
}

impl Default for GroupCoordinatorOptions {
    fn default() -> Self {
        Self {
            groups: GroupOptions::default(),
            partitions: 50,
            max_offset_metadata: 4096,
            offsets_retention: Duration::from_secs(10_080 * 60),
            retention_check_interval: Duration::from_secs(600),
            load_wait: Duration::from_secs(1),
            max_pending_write_bytes: 16 << 20,
            max_member_bytes: 128 << 20,
            max_groups: 200_000,
        }
    }
}

impl GroupCoordinatorOptions {
    /// The options a broker's configuration asks for.
    pub fn from_config(config: &BrokerConfig) -> Self {
        let groups = GroupOptions {
            initial_rebalance_delay: config.group_initial_rebalance_delay,
            min_session_timeout: config.group_min_session_timeout,
            max_session_timeout: config.group_max_session_timeout,
            max_size: config.group_max_size,
            ..GroupOptions::default()
        };
        Self {
            groups,
            partitions: config.offsets_topic_partitions,
            max_offset_metadata: config.offset_metadata_max_bytes,
            offsets_retention: config.offsets_retention,
            retention_check_interval: config.offsets_retention_check_interval,
            ..Self::default()
        }
    }
}

/// What the coordinator must know about topics: names and ids, as the broker's metadata has them now.
pub trait TopicLookup: Send + Sync + 'static {
    /// The id of a topic, `None` if there is no such topic.
    fn id_of(&self, name: &str) -> Option<Uuid>;
    /// The name of the topic with this id.
    fn name_of(&self, id: Uuid) -> Option<String>;
    /// Whether the topic has a partition of this number.
    fn has_partition(&self, name: &str, index: i32) -> bool;
}

/// Says of a group id whether its offsets must outlive `offsets.retention.minutes`: those of existing connectors must.
pub type ProtectedGroups = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Who sends a request, as far as groups care.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// Client id, empty if it gave none.
    pub client_id: &'a str,
    /// Address as Kafka prints it: `/127.0.0.1`.
    pub client_host: &'a str,
    /// Version of the request; the answer is made for the same.
    pub api_version: i16,
}

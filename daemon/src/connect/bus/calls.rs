//! Records, options and answers of the [`super::Bus`].

use super::BusError;
use bytes::Bytes;
use levada_connector_api::{Committed, Str, TimestampType, TopicPartition};
use std::{sync::Arc, time::Duration};

/// How a producer batches and limits.
#[derive(Clone, Debug)]
pub struct ProducerOptions {
    /// `client.id`.
    pub client_id: String,
    /// `compression.type`: `none`, `gzip`, `snappy`, `lz4` or `zstd`.
    pub compression: String,
    /// Bytes at which an open batch is submitted.
    pub batch_bytes: usize,
    /// Bytes that may be open or in flight together.
    pub max_in_flight_bytes: usize,
    /// `linger.ms`: how long an open batch that is not full waits for more records.
    pub linger: Duration,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self {
            client_id: "connector-producer".to_owned(),
            compression: "none".to_owned(),
            batch_bytes: 512 * 1024,
            max_in_flight_bytes: 8 * 1024 * 1024,
            linger: Duration::ZERO,
        }
    }
}

/// A header as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerHeader {
    /// Name.
    pub key: Str,
    /// Value.
    pub value: Option<Bytes>,
}

/// A record to append; only borrowed, the producer copies what it needs.
#[derive(Clone, Copy, Debug)]
pub struct ProducerRecord<'a> {
    /// Topic.
    pub topic: &'a Arc<str>,
    /// Partition, or `None`: murmur2 of the key, or sticky without a key.
    pub partition: Option<i32>,
    /// Key.
    pub key: Option<&'a [u8]>,
    /// Value.
    pub value: Option<&'a [u8]>,
    /// Milliseconds since the epoch; `None` for now.
    pub timestamp: Option<i64>,
    /// Headers.
    pub headers: &'a [ProducerHeader],
}

/// What became of appended records.
#[derive(Debug, Default)]
pub struct AckReport {
    /// Every record with a number below this is acknowledged (or accepted as lost).
    pub acknowledged: u64,
    /// Batches that were acknowledged or accepted as lost since the last report, by the names that
    /// [`super::BusProducer::append`] gave; also those behind the prefix.
    pub done: Vec<u64>,
    /// How many records were acknowledged since the last report.
    pub written: u64,
    /// Batches refused since the last report.
    pub failures: Vec<ProduceFailure>,
}

/// A batch that the log refused for good.
#[derive(Clone, Debug)]
pub struct ProduceFailure {
    /// Number of the batch's first record; names the batch.
    pub first: u64,
    /// How many records it held.
    pub records: usize,
    /// Topic partition.
    pub partition: TopicPartition,
    /// Why.
    pub error: BusError,
}

/// Where a group member without a committed offset starts (`auto.offset.reset`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OffsetReset {
    /// At the start.
    #[default]
    Earliest,
    /// At the end.
    Latest,
    /// Nowhere: an error.
    None,
}

/// How a group member consumes.
#[derive(Clone, Debug)]
pub struct ConsumerOptions {
    /// `client.id`.
    pub client_id: String,
    /// `group.id`.
    pub group: String,
    /// `group.instance.id`: the task that comes back under it need not wait for its old session to end.
    pub instance_id: Option<String>,
    /// Topics by name.
    pub topics: Vec<String>,
    /// Topics by regular expression, instead of names; matched in full.
    pub topics_regex: Option<regex::Regex>,
    /// `auto.offset.reset`.
    pub offset_reset: OffsetReset,
    /// `isolation.level=read_committed`.
    pub read_committed: bool,
    /// Bytes that one fetch brings at most.
    pub fetch_bytes: usize,
    /// Records that one poll brings at most.
    pub max_poll_records: usize,
    /// `session.timeout.ms`.
    pub session_timeout: Duration,
    /// `heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `max.poll.interval.ms`: how long the others wait for this member in a rebalance.
    pub rebalance_timeout: Duration,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            client_id: "connector-consumer".to_owned(),
            group: String::new(),
            instance_id: None,
            topics: Vec::new(),
            topics_regex: None,
            offset_reset: OffsetReset::default(),
            read_committed: false,
            fetch_bytes: 1024 * 1024,
            max_poll_records: 10_000,
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(3),
            rebalance_timeout: Duration::from_secs(300),
        }
    }
}

/// What a poll found.
#[derive(Debug)]
pub enum ConsumerEvent {
    /// Nothing within the wait.
    Idle,
    /// These partitions go away: finish their work and commit, then poll again. With `lost` they
    /// already belong to someone else and nothing may be committed for them.
    Revoked {
        /// The partitions.
        partitions: Vec<TopicPartition>,
        /// Whether they are gone already.
        lost: bool,
    },
    /// These partitions came, with what was committed for them. Fetching starts at the committed
    /// offset, or as `offset_reset` says, unless [`super::BusConsumer::seek`] moves it.
    Assigned {
        /// The new ones.
        added: Vec<Committed>,
        /// All that the member now holds.
        owned: Vec<TopicPartition>,
    },
    /// Records, grouped by partition.
    Records(Vec<PartitionRecords>),
}

/// Consecutive records of one partition.
#[derive(Debug)]
pub struct PartitionRecords {
    /// Topic partition.
    pub partition: TopicPartition,
    /// Records in order.
    pub records: Vec<ConsumedRecord>,
    /// Position after them (control batches and compacted gaps included).
    pub next_offset: i64,
}

/// A fetched record; its bytes are slices of the fetched batch.
#[derive(Clone, Debug)]
pub struct ConsumedRecord {
    /// Offset.
    pub offset: i64,
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// What the timestamp means.
    pub timestamp_type: TimestampType,
    /// Key.
    pub key: Option<Bytes>,
    /// Value.
    pub value: Option<Bytes>,
    /// Headers; empty without an allocation for most records.
    pub headers: Vec<ProducerHeader>,
}

/// A record for [`super::Bus::write`].
#[derive(Clone, Debug)]
pub struct WriteRecord {
    /// Partition, or `None` for murmur2 of the key.
    pub partition: Option<i32>,
    /// Key.
    pub key: Bytes,
    /// Value; `None` is a tombstone.
    pub value: Option<Bytes>,
}

/// A record from a [`super::TopicReader`].
#[derive(Clone, Debug)]
pub struct TopicRecord {
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// Key.
    pub key: Option<Bytes>,
    /// Value; `None` is a tombstone.
    pub value: Option<Bytes>,
}

/// A topic to create.
#[derive(Clone, Debug, Default)]
pub struct NewTopic {
    /// Name.
    pub name: String,
    /// Partition count; `None` for the log's default.
    pub partitions: Option<i32>,
    /// Replication factor; `None` for the log's default.
    pub replication_factor: Option<i16>,
    /// Topic configs.
    pub configs: Vec<(String, String)>,
}

/// What is known of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDescription {
    /// Name.
    pub name: String,
    /// Partition count.
    pub partitions: i32,
    /// The configs asked about that the topic has.
    pub configs: Vec<(String, String)>,
}

/// What is known of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    /// Kafka's state name (`Stable`, `Empty`, ...).
    pub state: String,
    /// How many members it has.
    pub members: usize,
}

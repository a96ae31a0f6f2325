//! The broker's own configuration, typed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::broker_keys::{BROKER_KEYS, broker_key};
use super::key::{KeyDef, ValueError, nearest, parse_bool};
use super::listeners::{Endpoint, parse_endpoints, parse_protocol_map};

/// Longer times mean this: they are added to the clock, which does not reach much further.
const FOREVER: Duration = Duration::from_secs(50 * 365 * 24 * 3600);

/// Everything the broker is told at start. Build it with [`BrokerConfig::from_map`].
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// Directory of the log (`log.dirs`).
    pub log_dir: PathBuf,
    /// `node.id`.
    pub node_id: i32,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// `listeners`.
    pub listeners: Vec<Endpoint>,
    /// `advertised.listeners`; empty when the listeners themselves are told to clients.
    pub advertised_listeners: Vec<Endpoint>,
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `delete.topic.enable`.
    pub delete_topics: bool,
    /// `default.replication.factor`.
    pub default_replication_factor: i16,
    /// `socket.request.max.bytes`.
    pub request_max_bytes: usize,
    /// `queued.max.request.bytes`.
    pub request_memory_bytes: usize,
    /// `max.requests.in.flight.per.connection`.
    pub max_in_flight: usize,
    /// `connections.max.idle.ms`.
    pub max_idle: Duration,
    /// `max.connections`.
    pub max_connections: usize,
    /// `max.connections.per.ip`.
    pub max_connections_per_ip: usize,
    /// `socket.listen.backlog.size`.
    pub listen_backlog: u32,
    /// `fetch.max.bytes`.
    pub fetch_max_bytes: i32,
    /// `fetch.memory.bytes`.
    pub fetch_memory_bytes: usize,
    /// `max.incremental.fetch.session.cache.slots`.
    pub fetch_session_slots: usize,
    /// `max.request.partition.size.limit`.
    pub describe_partition_limit: i32,
    /// `tail.cache.bytes`.
    pub tail_cache_bytes: usize,
    /// `append.queue.bytes`.
    pub append_queue_bytes: usize,
    /// `log.syncfs.min.files`; 0 never syncs a file system as a whole.
    pub syncfs_min_files: usize,
    /// `log.retention.check.interval.ms`.
    pub retention_check_interval: Duration,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration: Duration,
    /// `record.validation=full`.
    pub full_record_validation: bool,
    /// `group.initial.rebalance.delay.ms`.
    pub group_initial_rebalance_delay: Duration,
    /// `group.min.session.timeout.ms`.
    pub group_min_session_timeout: Duration,
    /// `group.max.session.timeout.ms`.
    pub group_max_session_timeout: Duration,
    /// `group.max.size`.
    pub group_max_size: usize,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_max_bytes: usize,
    /// `offsets.retention.minutes`.
    pub offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval: Duration,
    /// `offsets.topic.num.partitions`.
    pub offsets_topic_partitions: i32,
    /// `offsets.topic.replication.factor`.
    pub offsets_topic_replication_factor: i16,
    /// `offsets.topic.segment.bytes`.
    pub offsets_topic_segment_bytes: i32,
    /// Topics in which the Connect worker of this process keeps its state. No key of the broker's: the node knows them. Like the
    /// broker's own topics they may be written when the disk is full for others.
    pub worker_topics: BTreeSet<String>,
    values: BTreeMap<String, String>,
}

impl BrokerConfig {
    /// Build from Kafka's keys; `log_dir` is where the log lives whatever the map says. All that is wrong is told at
    /// once.
    pub fn from_map(log_dir: &Path, values: &BTreeMap<String, String>) -> Result<Self, Vec<ValueError>> {
        let mut errors = check_all(values);
        let listeners = keep(&mut errors, parse_endpoints("listeners", get_or_default(values, "listeners")));
        let advertised =
            keep(&mut errors, parse_endpoints("advertised.listeners", get_or_default(values, "advertised.listeners")));
        if errors.is_empty() {
            check_listeners(values, &listeners, &advertised, &mut errors);
        }
        if errors.is_empty() { Ok(Self::build(log_dir, values, listeners, advertised)) } else { Err(errors) }
    }

    fn build(
        log_dir: &Path,
        values: &BTreeMap<String, String>,
        listeners: Vec<Endpoint>,
        advertised_listeners: Vec<Endpoint>,
    ) -> Self {
        let v = Values(values);
        Self {
            log_dir: log_dir.to_owned(),
            node_id: v.int("node.id") as i32,
            rack: values.get("broker.rack").cloned(),
            listeners,
            advertised_listeners,
            auto_create_topics: v.flag("auto.create.topics.enable"),
            delete_topics: v.flag("delete.topic.enable"),
            default_replication_factor: v.int("default.replication.factor") as i16,
            request_max_bytes: v.size("socket.request.max.bytes"),
            request_memory_bytes: v.size("queued.max.request.bytes"),
            max_in_flight: v.size("max.requests.in.flight.per.connection"),
            max_idle: v.millis("connections.max.idle.ms"),
            max_connections: v.size("max.connections"),
            max_connections_per_ip: v.size("max.connections.per.ip"),
            listen_backlog: v.int("socket.listen.backlog.size") as u32,
            fetch_max_bytes: v.int("fetch.max.bytes") as i32,
            fetch_memory_bytes: v.size("fetch.memory.bytes"),
            fetch_session_slots: v.size("max.incremental.fetch.session.cache.slots"),
            describe_partition_limit: v.int("max.request.partition.size.limit") as i32,
            tail_cache_bytes: v.size("tail.cache.bytes"),
            append_queue_bytes: v.size("append.queue.bytes"),
            syncfs_min_files: v.size("log.syncfs.min.files"),
            retention_check_interval: v.millis("log.retention.check.interval.ms"),
            producer_id_expiration: v.millis("producer.id.expiration.ms"),
            full_record_validation: get_or_default(values, "record.validation") == "full",
            group_initial_rebalance_delay: v.millis("group.initial.rebalance.delay.ms"),
            group_min_session_timeout: v.millis("group.min.session.timeout.ms"),
            group_max_session_timeout: v.millis("group.max.session.timeout.ms"),
            group_max_size: v.size("group.max.size"),
            offset_metadata_max_bytes: v.size("offset.metadata.max.bytes"),
            offsets_retention: v.millis("offsets.retention.minutes") * 60_000,
            offsets_retention_check_interval: v.millis("offsets.retention.check.interval.ms"),
            offsets_topic_partitions: v.int("offsets.topic.num.partitions") as i32,
            offsets_topic_replication_factor: v.int("offsets.topic.replication.factor") as i16,
            offsets_topic_segment_bytes: v.int("offsets.topic.segment.bytes") as i32,
            worker_topics: BTreeSet::new(),
            values: values.clone(),
        }
    }

    /// The value given for `key` at start, if one was.
    pub fn given(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// All keys a broker knows, with type, default and documentation.
    pub fn keys() -> &'static [KeyDef] {
        BROKER_KEYS
    }
}

fn check_all(values: &BTreeMap<String, String>) -> Vec<ValueError> {
    let mut errors = Vec::new();
    for (key, value) in values {
        match broker_key(key) {
            Some(def) => errors.extend(def.check(value).err()),
            None => errors.push(ValueError::Unknown {
                key: key.clone(),
                nearest: nearest(key, BROKER_KEYS.iter().map(|def| def.name)),
            }),
        }
    }
    errors
}

fn keep<T: Default>(errors: &mut Vec<ValueError>, result: Result<T, ValueError>) -> T {
    result.unwrap_or_else(|error| {
        errors.push(error);
        T::default()
    })
}

fn check_listeners(
    values: &BTreeMap<String, String>,
    listeners: &[Endpoint],
    advertised: &[Endpoint],
    errors: &mut Vec<ValueError>,
) {
    let key = "listener.security.protocol.map";
    let protocols = keep(errors, parse_protocol_map(key, get_or_default(values, key)));
    let mut conflict = |text: String| errors.push(ValueError::Conflict { text });
    if listeners.is_empty() {
        conflict("listeners is empty; give at least one NAME://HOST:PORT".to_owned());
    }
    for listener in listeners {
        match protocols.get(&*listener.name).map(String::as_str) {
            Some("PLAINTEXT") => {}
            Some(other) => conflict(format!("listener {} uses {other}; only PLAINTEXT is available", listener.name)),
            None => conflict(format!("listener {} has no entry in {key}; add {0}:PLAINTEXT", listener.name)),
        }
    }
    for endpoint in advertised {
        if !listeners.iter().any(|listener| listener.name == endpoint.name) {
            conflict(format!("advertised.listeners names {}, which listeners does not have", endpoint.name));
        }
        if matches!(endpoint.host.as_str(), "" | "0.0.0.0" | "::") {
            conflict(format!("advertised.listeners has {endpoint}, an address no client can reach; give a host"));
        }
    }
}

fn get_or_default<'a>(values: &'a BTreeMap<String, String>, key: &str) -> &'a str {
    match values.get(key) {
        Some(value) => value,
        None => broker_key(key).and_then(|def| def.default).unwrap_or_default(),
    }
}

/// Reads checked values; the check came first, so what fails here falls back to the default.
struct Values<'a>(&'a BTreeMap<String, String>);

impl Values<'_> {
    fn int(&self, key: &str) -> i64 {
        get_or_default(self.0, key).trim().parse().unwrap_or_default()
    }

    fn size(&self, key: &str) -> usize {
        usize::try_from(self.int(key)).unwrap_or(usize::MAX)
    }

    fn millis(&self, key: &str) -> Duration {
        Duration::from_millis(u64::try_from(self.int(key)).unwrap_or(0)).min(FOREVER)
    }

    fn flag(&self, key: &str) -> bool {
        parse_bool(get_or_default(self.0, key)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(pairs: &[(&str, &str)]) -> Result<BrokerConfig, Vec<ValueError>> {
        let map = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        BrokerConfig::from_map(Path::new("/data"), &map)
    }

    #[test]
    fn tells_every_wrong_key_at_once_with_the_nearest_known_one() {
        let errors = from(&[("num.partition", "3"), ("node.id", "x"), ("listeners", "nonsense")]).unwrap_err();
        let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors.len(), 3, "{text:?}");
        assert!(text.iter().any(|t| t.contains("did you mean \"num.partitions\"")), "{text:?}");
        assert!(text.iter().any(|t| t.contains("node.id")), "{text:?}");
    }

    #[test]
    fn defaults_are_those_of_the_table() {
        let config = from(&[]).unwrap();
        assert_eq!(config.request_max_bytes, 104_857_600);
        assert_eq!(config.offsets_retention, Duration::from_secs(7 * 24 * 3600));
        assert_eq!(config.listeners[0].to_string(), "PLAINTEXT://127.0.0.1:9092");
        assert!(config.auto_create_topics);
    }

    #[test]
    fn the_longest_time_can_be_added_to_the_clock() {
        let config = from(&[("connections.max.idle.ms", "9223372036854775807")]).unwrap();
        assert!(std::time::Instant::now().checked_add(config.max_idle).is_some());
    }

    #[test]
    fn refuses_listeners_that_cannot_work() {
        assert!(from(&[("listeners", "SSL://127.0.0.1:9092")]).is_err());
        assert!(from(&[("listeners", "INSIDE://127.0.0.1:9092")]).is_err());
        assert!(from(&[("advertised.listeners", "OTHER://host:1")]).is_err());
        assert!(from(&[("advertised.listeners", "PLAINTEXT://0.0.0.0:1")]).is_err());
        let map = ("listener.security.protocol.map", "INSIDE:PLAINTEXT");
        assert!(from(&[("listeners", "INSIDE://127.0.0.1:9092"), map]).is_ok());
    }
}

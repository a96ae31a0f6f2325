//! A topic's effective configuration: its overrides over the broker's values over the defaults.

use std::collections::BTreeMap;

use super::BrokerConfig;
use super::broker_keys::broker_key;
use super::key::parse_bool;
use super::topic_keys::{broker_synonyms, topic_key};

/// When a record counts as safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AckDurability {
    /// Once a sync of its file has returned.
    #[default]
    Fsync,
    /// Once the operating system has it.
    PageCache,
}

/// Whose time a record carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimestampType {
    /// The producer's.
    #[default]
    CreateTime,
    /// The broker's at append.
    LogAppendTime,
}

/// Effective configuration of one topic.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicConfig {
    /// `ack.durability`.
    pub ack_durability: AckDurability,
    /// `cleanup.policy` has `delete`.
    pub delete: bool,
    /// `cleanup.policy` has `compact`.
    pub compact: bool,
    /// `compression.type`; `producer` keeps what came.
    pub compression_type: String,
    /// `delete.retention.ms`.
    pub delete_retention_ms: i64,
    /// `file.delete.delay.ms`.
    pub file_delete_delay_ms: i64,
    /// `flush.messages`.
    pub flush_messages: i64,
    /// `flush.ms`.
    pub flush_ms: i64,
    /// `index.interval.bytes`.
    pub index_interval_bytes: i32,
    /// `max.compaction.lag.ms`.
    pub max_compaction_lag_ms: i64,
    /// `max.message.bytes`.
    pub max_message_bytes: i32,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `min.cleanable.dirty.ratio`.
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`.
    pub min_compaction_lag_ms: i64,
    /// `min.insync.replicas`.
    pub min_insync_replicas: i32,
    /// `preallocate`.
    pub preallocate: bool,
    /// `retention.bytes`.
    pub retention_bytes: i64,
    /// `retention.ms`.
    pub retention_ms: i64,
    /// `segment.bytes`.
    pub segment_bytes: i32,
    /// `segment.index.bytes`.
    pub segment_index_bytes: i32,
    /// `segment.jitter.ms`.
    pub segment_jitter_ms: i64,
    /// `segment.ms`.
    pub segment_ms: i64,
}

/// The layers below a topic's own overrides.
#[derive(Debug, Clone, Copy)]
pub struct ConfigLayers<'a> {
    /// What the broker was started with.
    pub broker: &'a BrokerConfig,
    /// Dynamic values of this broker.
    pub dynamic_broker: &'a BTreeMap<String, String>,
    /// Dynamic values of all brokers.
    pub dynamic_default: &'a BTreeMap<String, String>,
}

impl<'a> ConfigLayers<'a> {
    /// The value of a broker key before its default: this broker's dynamic one, all brokers', the one given at start.
    pub fn broker_value(&self, key: &str) -> Option<&'a str> {
        self.dynamic_broker
            .get(key)
            .or_else(|| self.dynamic_default.get(key))
            .map(String::as_str)
            .or_else(|| self.broker.given(key))
    }

    /// The value a topic key has where the topic does not say.
    pub fn topic_default(&self, key: &str) -> String {
        for (name, factor) in broker_synonyms(key) {
            if let Some(value) = self.broker_value(name) {
                return scale(value, *factor);
            }
        }
        for (name, factor) in broker_synonyms(key) {
            if let Some(value) = broker_key(name).and_then(|def| def.default) {
                return scale(value, *factor);
            }
        }
        topic_key(key).and_then(|def| def.default).unwrap_or_default().to_owned()
    }
}

/// Bring a synonym's value to the topic key's unit. Negative values mean "none" in every unit.
pub fn scale(value: &str, factor: i64) -> String {
    match value.trim().parse::<i64>() {
        Ok(number) if factor != 1 && number >= 0 => number.saturating_mul(factor).to_string(),
        _ => value.to_owned(),
    }
}

impl TopicConfig {
    /// Lay `overrides` over the broker's values.
    pub fn resolve(layers: ConfigLayers<'_>, overrides: &BTreeMap<String, String>) -> Self {
        let text = |key: &str| overrides.get(key).cloned().unwrap_or_else(|| layers.topic_default(key));
        let long = |key: &str| text(key).trim().parse::<i64>().unwrap_or_default();
        let int = |key: &str| text(key).trim().parse::<i32>().unwrap_or_default();
        let policy = text("cleanup.policy");
        let has = |word: &str| policy.split(',').any(|given| given.trim() == word);
        Self {
            ack_durability: match text("ack.durability").trim() {
                "page-cache" => AckDurability::PageCache,
                _ => AckDurability::Fsync,
            },
            delete: has("delete"),
            compact: has("compact"),
            compression_type: text("compression.type").trim().to_owned(),
            delete_retention_ms: long("delete.retention.ms"),
            file_delete_delay_ms: long("file.delete.delay.ms"),
            flush_messages: long("flush.messages"),
            flush_ms: long("flush.ms"),
            index_interval_bytes: int("index.interval.bytes"),
            max_compaction_lag_ms: long("max.compaction.lag.ms"),
            max_message_bytes: int("max.message.bytes"),
            timestamp_after_max_ms: long("message.timestamp.after.max.ms"),
            timestamp_before_max_ms: long("message.timestamp.before.max.ms"),
            timestamp_type: match text("message.timestamp.type").trim() {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            min_cleanable_dirty_ratio: text("min.cleanable.dirty.ratio").trim().parse().unwrap_or(0.5),
            min_compaction_lag_ms: long("min.compaction.lag.ms"),
            min_insync_replicas: int("min.insync.replicas"),
            preallocate: parse_bool(&text("preallocate")).unwrap_or_default(),
            retention_bytes: long("retention.bytes"),
            retention_ms: long("retention.ms"),
            segment_bytes: int("segment.bytes"),
            segment_index_bytes: int("segment.index.bytes"),
            segment_jitter_ms: long("segment.jitter.ms"),
            segment_ms: long("segment.ms"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_nearest_layer_wins_and_units_are_brought_together() {
        let given = [("log.retention.hours", "2"), ("min.insync.replicas", "3")];
        let given = given.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let broker = BrokerConfig::from_map(Path::new("/data"), &given).unwrap();
        let dynamic = BTreeMap::from([("log.segment.bytes".to_owned(), "2097152".to_owned())]);
        let none = BTreeMap::new();
        let layers = ConfigLayers { broker: &broker, dynamic_broker: &none, dynamic_default: &dynamic };
        let overrides = BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
        let config = TopicConfig::resolve(layers, &overrides);
        assert_eq!(config.retention_ms, 7_200_000);
        assert_eq!(config.min_insync_replicas, 3);
        assert_eq!(config.segment_bytes, 2_097_152);
        assert_eq!(config.segment_ms, 604_800_000);
        assert_eq!(config.flush_ms, i64::MAX);
        assert!(config.compact && !config.delete);
    }
}

//! Keys of what is sent beside and around changes.

use super::enums::FailureMode;
use crate::filter::check_patterns;
use levada_connector_api::ConnectorConfig;
use std::time::Duration;

/// What is sent beside and around changes.
#[derive(Clone, Debug, ConnectorConfig)]
#[expect(dead_code, reason = "some keys are known and have no effect")]
pub struct EventsConfig {
    /// After the event of a deleted row a record of its key without a value, for compaction.
    #[config(key = "tombstones.on.delete", default = "true", group = "Events")]
    pub tombstones_on_delete: bool,
    /// Operations that are left out: `c`, `u`, `d`, `t`, or `none`.
    #[config(key = "skipped.operations", default = "t", one_of("c", "u", "d", "t", "none"), group = "Events")]
    pub skipped: Vec<String>,
    /// Leave out updates that change none of the captured columns; needs replica identity FULL.
    #[config(key = "skip.messages.without.change", default = "false", group = "Events")]
    pub skip_unchanged: bool,
    /// Begin and end of transactions in a topic of their own, and each event's place in its transaction.
    #[config(key = "provide.transaction.metadata", default = "false", group = "Events")]
    pub transaction_metadata: bool,
    /// Time between two heartbeats; 0 is none. The slot advances without them.
    #[config(key = "heartbeat.interval.ms", default = "0", group = "Events")]
    pub heartbeat_interval: Duration,
    /// The older name of `topic.heartbeat.prefix`.
    #[config(key = "heartbeat.topics.prefix", importance = "low", group = "Events")]
    pub heartbeat_topics_prefix: Option<String>,
    /// SQL to run with each heartbeat.
    #[config(key = "heartbeat.action.query", group = "Events")]
    pub heartbeat_query: Option<String>,
    /// Prefixes of logical decoding messages to capture: regular expressions.
    #[config(key = "message.prefix.include.list", check = check_patterns, group = "Events")]
    pub message_include: Option<Vec<String>>,
    /// Prefixes of logical decoding messages to leave out.
    #[config(key = "message.prefix.exclude.list", check = check_patterns, group = "Events")]
    pub message_exclude: Option<Vec<String>>,
    /// Headers that name connector, task and run, on all records of tables.
    #[config(key = "extended.headers.enabled", default = "true", importance = "low", group = "Events")]
    pub extended_headers: bool,
    /// What becomes of an event that can't be represented: `fail`, or leave it out with a warning or without (`skip`).
    #[config(key = "event.processing.failure.handling.mode", default = "fail", group = "Events")]
    pub failure: FailureMode,
    /// Java classes that represent columns their own way.
    #[config(importance = "low", group = "Events")]
    pub converters: Option<Vec<String>>,
    /// A post-processor by a name of its own, whose keys begin with that name: Debezium's `ReselectColumnsPostProcessor`,
    /// which reads large values that did not change, and nulls, from their tables.
    #[config(key = "post.processors", importance = "low", group = "Events")]
    pub post_processors: Option<Vec<String>>,
    /// Where notifications go.
    #[config(key = "notification.enabled.channels", importance = "low", group = "Events")]
    pub notification_channels: Option<Vec<String>>,
    /// Topic of notifications.
    #[config(key = "notification.sink.topic.name", importance = "low", group = "Events")]
    pub notification_topic: Option<String>,
    /// Tags of metrics.
    #[config(key = "custom.metric.tags", importance = "low", group = "Events")]
    pub metric_tags: Option<String>,
}

//! Keys of snapshots and signals.

use super::enums::{IsolationMode, LockingMode, SnapshotMode};
use crate::{
    catalog::TableId,
    filter::{Patterns, check_patterns},
};
use levada_connector_api::{ConnectorConfig, config::KeyFamily};
use std::time::Duration;

fn check_table(name: &str) -> Result<(), String> {
    match name.trim().split_once('.') {
        _ if name.trim().is_empty() => Ok(()),
        Some((schema, table)) if !schema.is_empty() && !table.is_empty() => Ok(()),
        _ => Err("it must be schema.table".to_owned()),
    }
}

fn check_channels(value: &str) -> Result<(), String> {
    let known = ["source", "kafka", "file", "in-process"];
    match value.split(',').map(str::trim).find(|channel| !channel.is_empty() && !known.contains(channel)) {
        None => Ok(()),
        Some(other) => Err(format!("there is no channel {other}; there are {}", known.join(", "))),
    }
}

impl SnapshotConfig {
    /// Whether signals come by a channel.
    pub fn channel(&self, name: &str) -> bool {
        self.signal_channels.iter().any(|channel| channel.trim() == name)
    }

    /// Whether a table, by its name, is one of a snapshot's: `snapshot.include.collection.list`, without which all are.
    pub fn includes(&self) -> impl Fn(&str) -> bool + use<> {
        let include = self.include.as_ref().filter(|list| !list.is_empty()).map(|list| Patterns::new(list));
        move |name| include.as_ref().is_none_or(|include| include.matches(name))
    }

    /// Puts tables in the order of their rows, when that is asked for.
    pub fn put_in_order<T>(&self, tables: &mut [T], rows: impl Fn(&T) -> f64) {
        match self.order_by_rows.as_str() {
            "ascending" => tables.sort_by(|a, b| rows(a).total_cmp(&rows(b))),
            "descending" => tables.sort_by(|a, b| rows(b).total_cmp(&rows(a))),
            _ => {}
        }
    }

    /// The table of signals by its name, where it is a channel.
    pub fn source_channel(&self) -> Option<&str> {
        self.signal_table.as_deref().filter(|_| self.channel("source"))
    }

    /// The table of signals, where it is a channel. It is published whether it is captured or not.
    pub fn source_table(&self) -> Option<TableId> {
        let (schema, name) = self.source_channel()?.trim().split_once('.')?;
        Some(TableId { schema: schema.to_owned(), name: name.to_owned() })
    }
}

/// Snapshots and signals.
#[derive(Clone, Debug, ConnectorConfig)]
#[expect(dead_code, reason = "some keys are known and have no effect")]
pub struct SnapshotConfig {
    /// When tables are read whole: `initial`, `initial_only`, `no_data`, `always`, `when_needed`, `configuration_based`.
    #[config(key = "snapshot.mode", default = "initial", importance = "high", group = "Snapshot")]
    pub mode: SnapshotMode,
    /// `configuration_based`: read the tables.
    #[config(
        key = "snapshot.mode.configuration.based.snapshot.data",
        default = "false",
        importance = "low",
        group = "Snapshot"
    )]
    pub based_data: bool,
    /// `configuration_based`: has no effect, there is no schema history.
    #[config(
        key = "snapshot.mode.configuration.based.snapshot.schema",
        default = "false",
        importance = "low",
        group = "Snapshot"
    )]
    pub based_schema: bool,
    /// `configuration_based`: stream afterwards.
    #[config(
        key = "snapshot.mode.configuration.based.start.stream",
        default = "false",
        importance = "low",
        group = "Snapshot"
    )]
    pub based_stream: bool,
    /// `configuration_based`: has no effect, there is no schema history.
    #[config(
        key = "snapshot.mode.configuration.based.snapshot.on.schema.error",
        default = "false",
        importance = "low",
        group = "Snapshot"
    )]
    pub based_schema_error: bool,
    /// `configuration_based`: read the tables when the slot no longer covers the offset.
    #[config(
        key = "snapshot.mode.configuration.based.snapshot.on.data.error",
        default = "false",
        importance = "low",
        group = "Snapshot"
    )]
    pub based_data_error: bool,
    /// A Java class.
    #[config(key = "snapshot.mode.custom.name", importance = "low", group = "Snapshot")]
    pub custom_name: Option<String>,
    /// `none`, or `shared` for a lock against changes of the tables' definitions.
    #[config(key = "snapshot.locking.mode", default = "none", importance = "low", group = "Snapshot")]
    pub locking: LockingMode,
    /// Isolation of a snapshot that is not the slot's own; ours is always at least repeatable read.
    #[config(key = "snapshot.isolation.mode", default = "serializable", importance = "low", group = "Snapshot")]
    pub isolation: IsolationMode,
    /// Has no effect: tables are read by COPY.
    #[config(key = "snapshot.fetch.size", default = "10240", min = 0, importance = "low", group = "Snapshot")]
    pub fetch_size: i32,
    /// Tables read at a time.
    #[config(key = "snapshot.max.threads", default = "1", min = 1, group = "Snapshot")]
    pub max_threads: i32,
    /// Has no effect: a table is read by one session.
    #[config(key = "snapshot.max.threads.multiplier", default = "1", min = 1, importance = "low", group = "Snapshot")]
    pub threads_multiplier: i32,
    /// Time before the snapshot begins.
    #[config(key = "snapshot.delay.ms", default = "0", importance = "low", group = "Snapshot")]
    pub delay: Duration,
    /// Longest wait for a lock.
    #[config(key = "snapshot.lock.timeout.ms", default = "10000", importance = "low", group = "Snapshot")]
    pub lock_timeout: Duration,
    /// Tables of the snapshot, of those that are captured.
    #[config(key = "snapshot.include.collection.list", check = check_patterns, group = "Snapshot")]
    pub include: Option<Vec<String>>,
    /// Tables whose SELECT is that of the key `snapshot.select.statement.overrides.SCHEMA.TABLE`.
    #[config(key = "snapshot.select.statement.overrides", group = "Snapshot")]
    pub overrides: Option<Vec<String>>,
    /// The SELECT of a table of `snapshot.select.statement.overrides`.
    #[config(key = "snapshot.select.statement.overrides.(.+)", group = "Snapshot")]
    pub statements: KeyFamily,
    /// Order of the tables: `disabled`, or `ascending` or `descending` by their estimated rows.
    #[config(
        key = "snapshot.tables.order.by.row.count",
        default = "disabled",
        one_of("disabled", "ascending", "descending"),
        importance = "low",
        group = "Snapshot"
    )]
    pub order_by_rows: String,
    /// Tables that are captured since a restart and were not before: `incremental` reads their rows, as a signal would, `off`
    /// streams their changes only. Levada's own; what is captured is remembered while it is on.
    #[config(key = "snapshot.new.tables", default = "off", one_of("off", "incremental"), group = "Snapshot")]
    pub new_tables: String,
    /// Stream at once and read the tables in chunks between the stream's transactions, as an incremental snapshot does; those
    /// without a key are read before. Levada's own.
    #[config(key = "snapshot.while.streaming", default = "false", group = "Snapshot")]
    pub while_streaming: bool,
    /// Table of signals, `schema.table`.
    #[config(key = "signal.data.collection", check = check_table, group = "Signals")]
    pub signal_table: Option<String>,
    /// Where signals come from: `source` (the signal table), `kafka` (a topic), `file`; `in-process` has no effect. The worker's
    /// REST interface always may.
    #[config(key = "signal.enabled.channels", default = "source", check = check_channels, group = "Signals")]
    pub signal_channels: Vec<String>,
    /// `kafka`: the topic; its records have `topic.prefix` as key. Without it `TOPIC.PREFIX-signal`.
    #[config(key = "signal.kafka.topic", group = "Signals")]
    pub signal_topic: Option<String>,
    /// `kafka`: has no effect, the worker's own broker is read.
    #[config(key = "signal.kafka.bootstrap.servers", importance = "low", group = "Signals")]
    pub signal_servers: Option<String>,
    /// `kafka`: has no effect, how far the topic is read is in the connector's offset.
    #[config(key = "signal.kafka.groupId", default = "kafka-signal", importance = "low", group = "Signals")]
    pub signal_group: String,
    /// `kafka`: has no effect.
    #[config(key = "signal.kafka.poll.timeout.ms", default = "100", importance = "low", group = "Signals")]
    pub signal_poll_timeout: Duration,
    /// `file`: the file, a signal a line, as JSON of id, type and data; it is renamed, and removed when its lines are followed.
    #[config(key = "signal.file", default = "file-signals.txt", group = "Signals")]
    pub signal_file: String,
    /// Time between two looks for signals.
    #[config(key = "signal.poll.interval.ms", default = "5000", importance = "low", group = "Signals")]
    pub signal_poll: Duration,
    /// Rows of a chunk of an incremental snapshot.
    #[config(key = "incremental.snapshot.chunk.size", default = "1024", min = 1, group = "Signals")]
    pub chunk_size: i32,
    /// Has no effect: no marks are written around a chunk.
    #[config(
        key = "incremental.snapshot.watermarking.strategy",
        default = "INSERT_INSERT",
        one_of("INSERT_INSERT", "INSERT_DELETE", "insert_insert", "insert_delete"),
        importance = "low",
        group = "Signals"
    )]
    pub watermarking: String,
    /// Has no effect: incremental snapshots never write to the database.
    #[config(key = "read.only", default = "false", group = "Signals")]
    pub read_only: bool,
}

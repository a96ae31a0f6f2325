//! Keys of Confluent's JDBC source.

use super::{Isolation, SharedKeys, names, rules};
use levada_connector_api::{ConfigEnum, ConnectorConfig, config::Secret};
use std::time::Duration;

/// How `timestamp` and `timestamptz` are represented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
pub enum Granularity {
    /// Connect's Timestamp, milliseconds.
    #[config(name = "connect_logical")]
    ConnectLogical,
    #[config(name = "micros_long")]
    MicrosLong,
    #[config(name = "micros_string")]
    MicrosString,
    #[config(name = "micros_iso_datetime_string")]
    MicrosIso,
    #[config(name = "nanos_long")]
    NanosLong,
    #[config(name = "nanos_string")]
    NanosString,
    #[config(name = "nanos_iso_datetime_string")]
    NanosIso,
}

/// Keys of `io.confluent.connect.jdbc.JdbcSourceConnector`.
#[derive(Clone, Debug, ConnectorConfig)]
#[config(rule = rules::confluent)]
#[expect(dead_code, reason = "some keys are known and have no effect")]
pub struct ConfluentQueryConfig {
    /// Keys of both dialects.
    #[config(flatten)]
    pub common: SharedKeys,
    /// Regular expressions for `schema.table`; such tables are read.
    #[config(key = "table.include.list", default = "", check = names::check_patterns, group = "Database")]
    pub include: Vec<String>,
    /// Of these, such tables are not.
    #[config(key = "table.exclude.list", default = "", check = names::check_patterns, group = "Database")]
    pub exclude: Vec<String>,
    /// Timestamp columns by table: `regex:[column|column],...`.
    #[config(key = "timestamp.columns.mapping", default = "", check = names::check_mapping, group = "Mode")]
    pub timestamp_mapping: Vec<String>,
    /// Incrementing column by table: `regex:column,...`.
    #[config(key = "incrementing.column.mapping", default = "", check = names::check_mapping, group = "Mode")]
    pub incrementing_mapping: Vec<String>,
    /// Where to begin without a stored offset, in milliseconds since 1970; -1 is now. Without it everything is read.
    #[config(key = "timestamp.initial", importance = "low", group = "Mode")]
    pub timestamp_initial: Option<i64>,
    /// `query`, hidden wherever configurations are shown.
    #[config(key = "query.masked", group = "Mode")]
    pub query_masked: Option<Secret>,
    /// Added to the end of each query, as `LIMIT 1000`.
    #[config(key = "query.suffix", default = "", importance = "low", group = "Mode")]
    pub suffix: String,
    /// Has no effect: what passes is tried again, what does not fails the task.
    #[config(key = "query.retry.attempts", default = "-1", importance = "low", group = "Mode")]
    pub retries: i32,
    /// `NEVER` takes names of columns in any case. Names in SQL are always quoted, as the catalog has them.
    #[config(
        key = "quote.sql.identifiers",
        default = "ALWAYS",
        one_of("ALWAYS", "NEVER", "always", "never"),
        importance = "low",
        group = "Mode"
    )]
    pub quote: String,
    /// Isolation of the transaction that reads.
    #[config(key = "transaction.isolation.mode", default = "DEFAULT", importance = "low", group = "Mode")]
    pub isolation: Isolation,
    /// Has no effect: dates are those of the proleptic Gregorian calendar, as the server's.
    #[config(
        key = "date.calendar.system",
        default = "LEGACY",
        one_of("LEGACY", "PROLEPTIC_GREGORIAN"),
        importance = "low",
        group = "Database"
    )]
    pub calendar: String,
    /// Most rows of one poll.
    #[config(key = "batch.max.rows", default = "1000", min = 1, importance = "low", group = "Connector")]
    pub batch_rows: i32,
    /// Has no effect: at most two batches wait.
    #[config(key = "max.buffer.size", default = "0", importance = "low", group = "Connector")]
    pub buffer: i32,
    /// Has no effect: a batch goes on as soon as it is there.
    #[config(key = "poll.linger.ms", default = "5000", importance = "low", group = "Connector")]
    pub linger: Duration,
    /// Has no effect: rows are streamed.
    #[config(key = "db.fetch.size", default = "100", importance = "low", group = "Connector")]
    pub fetch_size: i32,
    /// How timestamps are represented: `connect_logical`, or `micros` or `nanos` as `_long`, `_string` or
    /// `_iso_datetime_string`.
    #[config(key = "timestamp.granularity", default = "connect_logical", importance = "low", group = "Connector")]
    pub granularity: Granularity,
    /// Has no effect: tables are listed when the work is divided.
    #[config(
        key = "table.monitoring.startup.polling.limit.ms",
        default = "10000",
        importance = "low",
        group = "Connector"
    )]
    pub startup_limit: Duration,
    /// Has no effect: it is a Java class; `connection.user` and `connection.password` take placeholders.
    #[config(key = "jdbc.credentials.provider.class", importance = "low", group = "Database")]
    pub credentials_provider: Option<String>,
}

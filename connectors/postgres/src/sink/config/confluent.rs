//! Keys of Confluent's JDBC sink.

use super::{
    OwnConfig,
    jdbc::{JdbcConnection, JdbcRows},
    rules,
};
use levada_connector_api::ConnectorConfig;
use std::time::Duration;

/// Keys of `io.confluent.connect.jdbc.JdbcSinkConnector`.
#[derive(Clone, Debug, ConnectorConfig)]
#[config(rule = rules::confluent)]
#[expect(dead_code, reason = "some keys are known and have no effect")]
pub struct ConfluentConfig {
    /// Where the rows go.
    #[config(flatten)]
    pub connection: JdbcConnection,
    /// How often a connection is tried before a batch counts as failed.
    #[config(key = "connection.attempts", default = "3", min = 1, importance = "low", group = "Connection")]
    pub attempts: i32,
    /// Time between these tries.
    #[config(key = "connection.backoff.ms", default = "10000", importance = "low", group = "Connection")]
    pub attempts_backoff: Duration,
    /// How rows are written: `insert`, `upsert`, `update`.
    #[config(
        key = "insert.mode",
        default = "insert",
        one_of("insert", "upsert", "update", "INSERT", "UPSERT", "UPDATE"),
        importance = "high",
        group = "Writes"
    )]
    pub insert_mode: String,
    /// Which rows of which tables, and how often they are tried.
    #[config(flatten)]
    pub rows: JdbcRows,
    /// Has no effect: tables, views and partitioned tables are all written to.
    #[config(key = "table.types", default = "TABLE", importance = "low", group = "Writes")]
    pub table_types: Vec<String>,
    /// `ALWAYS` keeps the case of names; with `NEVER` they are taken in lower case, as the server takes what is not quoted.
    #[config(
        key = "quote.sql.identifiers",
        default = "ALWAYS",
        one_of("ALWAYS", "NEVER", "always", "never"),
        group = "Tables"
    )]
    pub quote: String,
    /// Has no effect: dates are never shifted by a zone.
    #[config(
        key = "date.timezone",
        default = "DB_TIMEZONE",
        one_of("DB_TIMEZONE", "UTC"),
        importance = "low",
        group = "Data"
    )]
    pub date_zone: String,
    /// Has no effect: dates are always those of the proleptic Gregorian calendar, as the server's.
    #[config(
        key = "date.calendar.system",
        default = "LEGACY",
        one_of("LEGACY", "PROLEPTIC_GREGORIAN"),
        importance = "low",
        group = "Data"
    )]
    pub calendar: String,
    /// Fields of the value to take as timestamps, instants since 1970, though they are int64 or texts of a number or ISO 8601.
    #[config(key = "timestamp.fields.list", default = "", importance = "low", group = "Data")]
    pub timestamp_fields: Vec<String>,
    /// What the numbers of `timestamp.fields.list` count.
    #[config(
        key = "timestamp.precision.mode",
        default = "microseconds",
        one_of("microseconds", "nanoseconds"),
        importance = "low",
        group = "Data"
    )]
    pub timestamp_precision: String,
    /// Column for values that are texts.
    #[config(key = "string.output.value.column.name", default = "record_value", importance = "low", group = "Data")]
    pub text_column: String,
    /// Whether a null is written as its schema's default, where it has one.
    #[config(key = "replace.null.with.default", default = "true", importance = "low", group = "Data")]
    pub replace_null: bool,
    /// Has no effect: values are never logged.
    #[config(key = "trim.sensitive.log", default = "false", importance = "low", group = "Writes")]
    pub trim_log: bool,
    /// Keys of Levada's own.
    #[config(flatten)]
    pub own: OwnConfig,
}

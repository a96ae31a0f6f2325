//! Keys of Confluent's JDBC sink.

use super::{OwnConfig, rules, url};
use levada_connector_api::{ConnectorConfig, config::Secret};
use std::time::Duration;

/// Keys of `io.confluent.connect.jdbc.JdbcSinkConnector`.
#[derive(Clone, Debug, ConnectorConfig)]
#[config(rule = rules::confluent)]
#[expect(dead_code, reason = "some keys are known and have no effect")]
pub struct ConfluentConfig {
    /// `jdbc:postgresql://host:port/database?parameters`; several hosts are tried in order.
    #[config(key = "connection.url", importance = "high", secret, required, check = url::check, group = "Connection")]
    pub url: String,
    /// User.
    #[config(key = "connection.user", importance = "high", group = "Connection")]
    pub user: Option<String>,
    /// Password of the user.
    #[config(key = "connection.password", importance = "high", group = "Connection")]
    pub password: Option<Secret>,
    /// Name of a dialect; `PostgreSqlDatabaseDialect` or nothing.
    #[config(
        key = "dialect.name",
        default = "",
        one_of("", "PostgreSqlDatabaseDialect"),
        importance = "low",
        group = "Connection"
    )]
    pub dialect: String,
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
    /// Has no effect: a batch is written as it comes, whole.
    #[config(key = "batch.size", default = "3000", min = 0, importance = "low", group = "Writes")]
    pub batch_size: i32,
    /// Whether a null value deletes the row; needs `pk.mode=record_key`.
    #[config(key = "delete.enabled", default = "false", group = "Writes")]
    pub delete: bool,
    /// Name of the table: text with `${topic}`; may be `schema.table`.
    #[config(key = "table.name.format", default = "${topic}", non_empty, group = "Data")]
    pub table_format: String,
    /// Where key columns come from: `none`, `kafka`, `record_key`, `record_value`.
    #[config(
        key = "pk.mode",
        default = "none",
        one_of("none", "kafka", "record_key", "record_value"),
        importance = "high",
        group = "Data"
    )]
    pub pk_mode: String,
    /// Names of key columns: three for `kafka`, the column for a key that is no struct, a subset of the fields otherwise.
    #[config(key = "pk.fields", default = "", group = "Data")]
    pub pk_fields: Vec<String>,
    /// Fields of the value to write; all when it is empty. Key columns stay.
    #[config(key = "fields.whitelist", default = "", group = "Data")]
    pub fields_whitelist: Vec<String>,
    /// Zone of timestamps in columns without one.
    #[config(key = "db.timezone", default = "UTC", non_empty, group = "Data")]
    pub zone: String,
    /// Make missing tables.
    #[config(key = "auto.create", default = "false", group = "Tables")]
    pub create: bool,
    /// Add missing columns.
    #[config(key = "auto.evolve", default = "false", group = "Tables")]
    pub evolve: bool,
    /// How often in a row a batch is tried again before the task fails.
    #[config(key = "max.retries", default = "10", min = 0, group = "Retries")]
    pub max_retries: i32,
    /// Time between these tries.
    #[config(key = "retry.backoff.ms", default = "3000", group = "Retries")]
    pub retry_backoff: Duration,
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
    /// Fields to take as timestamps whatever their schema. Not known yet.
    #[config(key = "timestamp.fields.list", default = "", importance = "low", group = "Data")]
    pub timestamp_fields: Vec<String>,
    /// Unit of `timestamp.fields.list`.
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

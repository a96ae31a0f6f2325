//! Keys of Debezium's JDBC sink.

use super::{OwnConfig, rules};
use crate::jdbc::url;
use levada_connector_api::{ConnectorConfig, config::Secret};
use std::time::Duration;

/// Keys of `io.debezium.connector.jdbc.JdbcSinkConnector`.
#[derive(Clone, Debug, ConnectorConfig)]
#[config(rule = rules::debezium)]
#[expect(dead_code, reason = "some keys are known and have no effect")]
pub struct DebeziumConfig {
    /// `jdbc:postgresql://host:port/database?parameters`; several hosts are tried in order.
    #[config(key = "connection.url", importance = "high", secret, required, check = url::check, group = "Connection")]
    pub url: String,
    /// User.
    #[config(key = "connection.username", importance = "high", group = "Connection")]
    pub user: Option<String>,
    /// Password of the user.
    #[config(key = "connection.password", importance = "high", group = "Connection")]
    pub password: Option<Secret>,
    /// Has no effect: a task has one connection.
    #[config(key = "connection.pool.min_size", default = "5", min = 0, importance = "low", group = "Connection")]
    pub pool_min: i32,
    /// Has no effect: a task has one connection.
    #[config(key = "connection.pool.max_size", default = "32", min = 1, importance = "low", group = "Connection")]
    pub pool_max: i32,
    /// Has no effect: a task has one connection.
    #[config(
        key = "connection.pool.acquire_increment",
        default = "32",
        min = 0,
        importance = "low",
        group = "Connection"
    )]
    pub pool_increment: i32,
    /// Has no effect: a task has one connection.
    #[config(key = "connection.pool.timeout", default = "1800", min = 0, importance = "low", group = "Connection")]
    pub pool_timeout: i64,
    /// Has no effect: a lost connection is always made anew.
    #[config(key = "connection.restart.on.errors", default = "false", importance = "low", group = "Connection")]
    pub restart_on_errors: bool,
    /// How rows are written: `insert`, `upsert`, `update`.
    #[config(
        key = "insert.mode",
        default = "insert",
        one_of("insert", "upsert", "update", "INSERT", "UPSERT", "UPDATE"),
        importance = "high",
        group = "Writes"
    )]
    pub insert_mode: String,
    /// Whether a null value or an event of a deletion deletes the row; needs `primary.key.mode=record_key`.
    #[config(key = "delete.enabled", default = "false", group = "Writes")]
    pub delete: bool,
    /// Whether an event of a truncation empties the table.
    #[config(key = "truncate.enabled", default = "false", importance = "low", group = "Writes")]
    pub truncate: bool,
    /// Where key columns come from: `none`, `kafka`, `record_key`, `record_value`, `record_header`.
    #[config(
        key = "primary.key.mode",
        default = "none",
        one_of("none", "kafka", "record_key", "record_value", "record_header"),
        importance = "high",
        group = "Data"
    )]
    pub pk_mode: String,
    /// Fields that are the key; without it all of the record's key, value or headers.
    #[config(key = "primary.key.fields", group = "Data")]
    pub pk_fields: Option<Vec<String>>,
    /// `basic` makes missing tables and columns, `none` refuses what does not fit.
    #[config(key = "schema.evolution", default = "none", one_of("none", "basic"), group = "Data")]
    pub schema_evolution: String,
    /// Name of the table: text with `${topic}` (dots become `_`), `${source.db}`, `${source.schema}`, `${source.table}`.
    #[config(key = "collection.name.format", default = "${topic}", non_empty, group = "Data")]
    pub table_format: String,
    /// The older name of `collection.name.format`.
    #[config(key = "table.name.format", importance = "low", group = "Data")]
    pub table_format_before: Option<String>,
    /// Whether names keep their case; without it they are taken in lower case, as the server takes what is not quoted.
    #[config(key = "quote.identifiers", default = "false", group = "Data")]
    pub quote: bool,
    /// Fields of the value to write, as `field` or `topic:field`. Key columns stay.
    #[config(key = "field.include.list", group = "Data")]
    pub fields_include: Option<Vec<String>>,
    /// Fields of the value to leave out, as `field` or `topic:field`.
    #[config(key = "field.exclude.list", group = "Data")]
    pub fields_exclude: Option<Vec<String>>,
    /// Zone of timestamps in columns without one.
    #[config(key = "use.time.zone", default = "UTC", non_empty, group = "Data")]
    pub zone: String,
    /// Java class that names columns; only the default is known.
    #[config(
        key = "column.naming.strategy",
        default = "io.debezium.connector.jdbc.naming.DefaultColumnNamingStrategy",
        importance = "low",
        group = "Data"
    )]
    pub column_naming: String,
    /// Java class that names tables; only the default is known.
    #[config(
        key = "collection.naming.strategy",
        default = "io.debezium.connector.jdbc.naming.DefaultCollectionNamingStrategy",
        importance = "low",
        group = "Data"
    )]
    pub collection_naming: String,
    /// Has no effect: a batch is written as it comes, whole.
    #[config(key = "batch.size", default = "500", min = 1, importance = "low", group = "Writes")]
    pub batch_size: i32,
    /// Has no effect: of several changes of a key in a batch, only what results is always written.
    #[config(key = "use.reduction.buffer", default = "false", importance = "low", group = "Writes")]
    pub reduction: bool,
    /// How often in a row a batch is tried again before the task fails.
    #[config(key = "flush.max.retries", default = "5", min = 0, group = "Writes")]
    pub max_retries: i32,
    /// Time between these tries.
    #[config(key = "flush.retry.delay.ms", default = "1000", group = "Writes")]
    pub retry_backoff: Duration,
    /// Has no effect: PostGIS' types are found wherever they are.
    #[config(key = "dialect.postgres.postgis.schema", default = "public", importance = "low", group = "Writes")]
    pub postgis_schema: String,
    /// Has no effect: the fastest of UNNEST and COPY is always taken.
    #[config(key = "dialect.postgres.unnest.insert.enabled", default = "false", importance = "low", group = "Writes")]
    pub unnest: bool,
    /// Keys of Levada's own.
    #[config(flatten)]
    pub own: OwnConfig,
}

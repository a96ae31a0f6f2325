//! Keys that Confluent's sink and Aiven's, which came from it, have both.

use crate::jdbc::url;
use levada_connector_api::{ConnectorConfig, config::Secret};
use std::time::Duration;

/// Where the rows go.
#[derive(Clone, Debug, ConnectorConfig)]
#[expect(dead_code, reason = "some keys are known and have no effect")]
pub struct JdbcConnection {
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
}

/// Which rows of which tables, and how often they are tried.
#[derive(Clone, Debug, ConnectorConfig)]
#[expect(dead_code, reason = "some keys are known and have no effect")]
pub struct JdbcRows {
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
}

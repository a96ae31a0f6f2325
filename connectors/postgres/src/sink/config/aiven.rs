//! Keys of Aiven's JDBC sink.

use super::{
    OwnConfig,
    jdbc::{JdbcConnection, JdbcRows},
    rules,
};
use levada_connector_api::ConnectorConfig;

/// Keys of `io.aiven.connect.jdbc.JdbcSinkConnector`.
#[derive(Clone, Debug, ConnectorConfig)]
#[config(rule = rules::aiven)]
pub struct AivenConfig {
    /// Where the rows go.
    #[config(flatten)]
    pub connection: JdbcConnection,
    /// How rows are written: `insert`, `multi` (the same), `upsert`, `update`.
    #[config(
        key = "insert.mode",
        default = "insert",
        one_of("insert", "multi", "upsert", "update", "INSERT", "MULTI", "UPSERT", "UPDATE"),
        importance = "high",
        group = "Writes"
    )]
    pub insert_mode: String,
    /// Which rows of which tables, and how often they are tried.
    #[config(flatten)]
    pub rows: JdbcRows,
    /// Whether `${topic}` has `_` for all but letters, digits and `_`.
    #[config(key = "table.name.normalize", default = "false", group = "Data")]
    pub normalize: bool,
    /// Tables of topics, as `topic:table,...`; other topics go by `table.name.format`.
    #[config(key = "topics.to.tables.mapping", group = "Data")]
    pub mapping: Option<Vec<String>>,
    /// Whether names keep their case; without it they are taken in lower case, as the server takes what is not quoted.
    #[config(key = "sql.quote.identifiers", default = "true", group = "Data")]
    pub quote: bool,
    /// Keys of Levada's own.
    #[config(flatten)]
    pub own: OwnConfig,
}

//! Keys of Aiven's JDBC source.

use super::{SharedKeys, rules};
use levada_connector_api::ConnectorConfig;

/// Keys of `io.aiven.connect.jdbc.JdbcSourceConnector`.
#[derive(Clone, Debug, ConnectorConfig)]
#[config(rule = rules::aiven)]
#[expect(dead_code, reason = "some keys are known and have no effect")]
pub struct AivenQueryConfig {
    /// Keys of both dialects.
    #[config(flatten)]
    pub common: SharedKeys,
    /// Whether tables are meant with their schema. Without it they are those that the search path finds, and offsets
    /// are stored under the table's bare name.
    #[config(key = "table.names.qualify", default = "true", importance = "low", group = "Database")]
    pub qualify: bool,
    /// Without it names of columns are taken in any case. Names in SQL are always quoted, as the catalog has them.
    #[config(key = "sql.quote.identifiers", default = "true", importance = "low", group = "Database")]
    pub quote: bool,
    /// Where to begin without a stored offset, in milliseconds since 1970. Without it everything is read.
    #[config(key = "timestamp.initial.ms", group = "Mode")]
    pub timestamp_initial: Option<i64>,
    /// Value of the incrementing column behind which to begin without a stored offset. Without it everything is read.
    #[config(key = "incrementing.initial", group = "Mode")]
    pub incrementing_initial: Option<i64>,
    /// Most rows of one poll.
    #[config(key = "batch.max.rows", default = "100", min = 1, importance = "low", group = "Connector")]
    pub batch_rows: i32,
}

//! Keys of what is captured, and of the topics it goes to.

use super::enums::NameAdjustment;
use crate::filter::check_patterns;
use levada_connector_api::{ConnectorConfig, config::KeyFamily};

/// Which tables and columns, and in what topics.
#[derive(Clone, Debug, ConnectorConfig)]
#[expect(dead_code, reason = "some keys are known and have no effect")]
pub struct CaptureConfig {
    /// Name of this database in topics, schemas and offsets. Changing it starts anew.
    #[config(key = "topic.prefix", importance = "high", required, check = check_prefix, group = "Topics")]
    pub topic_prefix: String,
    /// How topics are named; only Debezium's default and its table strategy are known.
    #[config(
        key = "topic.naming.strategy",
        default = "io.debezium.schema.SchemaTopicNamingStrategy",
        class,
        importance = "low",
        group = "Topics"
    )]
    pub naming_strategy: String,
    /// Between the parts of a topic's name.
    #[config(key = "topic.delimiter", default = ".", importance = "low", check = check_delimiter, group = "Topics")]
    pub topic_delimiter: String,
    /// Last part of the name of the topic of transactions.
    #[config(key = "topic.transaction", default = "transaction", importance = "low", group = "Topics")]
    pub topic_transaction: String,
    /// First part of the name of the heartbeat topic.
    #[config(key = "topic.heartbeat.prefix", default = "__debezium-heartbeat", importance = "low", group = "Topics")]
    pub topic_heartbeat_prefix: String,
    /// Schemas to capture: regular expressions that match the whole name, any case.
    #[config(key = "schema.include.list", check = check_patterns, group = "Tables")]
    pub schema_include: Option<Vec<String>>,
    /// Schemas to leave out.
    #[config(key = "schema.exclude.list", check = check_patterns, group = "Tables")]
    pub schema_exclude: Option<Vec<String>>,
    /// Tables to capture: regular expressions that match all of `schema.table`.
    #[config(key = "table.include.list", check = check_patterns, importance = "high", group = "Tables")]
    pub table_include: Option<Vec<String>>,
    /// Tables to leave out.
    #[config(key = "table.exclude.list", check = check_patterns, group = "Tables")]
    pub table_exclude: Option<Vec<String>>,
    /// Columns to capture: regular expressions that match all of `schema.table.column`. Key columns stay in the key.
    #[config(key = "column.include.list", check = check_patterns, group = "Tables")]
    pub column_include: Option<Vec<String>>,
    /// Columns to leave out.
    #[config(key = "column.exclude.list", check = check_patterns, group = "Tables")]
    pub column_exclude: Option<Vec<String>>,
    /// Columns whose texts become so many asterisks.
    #[config(key = "column.mask.with.(d+).chars", group = "Tables")]
    pub masked: KeyFamily,
    /// Columns whose texts are cut to so many characters.
    #[config(key = "column.truncate.to.(d+).chars", group = "Tables")]
    pub truncated: KeyFamily,
    /// Columns whose texts become their digest: SHA-1, SHA-256, SHA-384 or SHA-512 of the salt and the text.
    #[config(key = "column.mask.hash.v2.([^.]+).with.salt.(.+)", group = "Tables")]
    pub hashed_plainly: KeyFamily,
    /// Columns whose texts become their digest: SHA-1, SHA-256, SHA-384 or SHA-512 of the salt and the text as Java serializes
    /// it.
    #[config(key = "column.mask.hash.([^.]+).with.salt.(.+)", group = "Tables")]
    pub hashed: KeyFamily,
    /// Keys of tables instead of their primary keys: `schema.table:column,column;...`, the table a regular expression.
    #[config(key = "message.key.columns", group = "Tables")]
    pub message_key_columns: Option<String>,
    /// Columns whose database type goes into the parameters of their schema.
    #[config(key = "column.propagate.source.type", check = check_patterns, importance = "low", group = "Tables")]
    pub column_propagate: Option<Vec<String>>,
    /// Types, as `schema.table.TYPE` patterns, whose columns' database type goes into the parameters of their schema.
    #[config(key = "datatype.propagate.source.type", check = check_patterns, importance = "low", group = "Tables")]
    pub datatype_propagate: Option<Vec<String>>,
    /// How names of schemas are made fit for a format.
    #[config(key = "schema.name.adjustment.mode", default = "none", importance = "low", group = "Topics")]
    pub schema_names: NameAdjustment,
    /// How names of fields are made fit for a format.
    #[config(key = "field.name.adjustment.mode", default = "none", importance = "low", group = "Topics")]
    pub field_names: NameAdjustment,
    /// Most tables to capture; 0 is any number.
    #[config(key = "guardrail.collections.max", default = "0", min = 0, importance = "low", group = "Tables")]
    pub max_tables: i32,
}

fn check_prefix(prefix: &str) -> Result<(), String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !prefix.is_empty() && prefix.chars().all(fine) {
        return Ok(());
    }
    Err("it must be letters, digits, '.', '_' and '-', and not empty".to_owned())
}

fn check_delimiter(delimiter: &str) -> Result<(), String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if delimiter.chars().all(fine) {
        return Ok(());
    }
    Err("it must be of letters, digits, '.', '_' and '-'".to_owned())
}

//! Keys of Levada's own that all three classes have.

use levada_connector_api::{ConfigEnum, ConnectorConfig};

/// Whether a crash may double a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
pub enum ExactlyOnceMode {
    /// It may.
    None,
    /// Offsets are kept in a table, in the transaction of the rows.
    Transaction,
}

/// What becomes of maps and structs where a column has no place for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
pub enum NestedValues {
    /// The record is refused.
    Fail,
    /// New columns for them are `jsonb`.
    Jsonb,
}

/// Keys of Levada's own.
#[derive(Clone, Debug, ConnectorConfig)]
pub struct OwnConfig {
    /// `transaction` keeps the offsets in a table of the database, written in the transaction of the rows, so that no
    /// record is written twice, whatever crashes; `none` is at least once.
    #[config(key = "exactly.once.mode", default = "none", group = "Levada")]
    pub exactly_once: ExactlyOnceMode,
    /// `exactly.once.mode=transaction`: the table, made when it is missing; may be `schema.table`.
    #[config(key = "exactly.once.table", default = "connect_offsets", non_empty, importance = "low", group = "Levada")]
    pub offsets_table: String,
    /// What stands in a change event for a large value that the source was not sent: such columns are left alone.
    #[config(
        key = "unavailable.value.placeholder",
        default = "__debezium_unavailable_value",
        importance = "low",
        group = "Levada"
    )]
    pub placeholder: String,
    /// Maps and structs without a type of their own: `fail`, or new columns of type `jsonb`. They always fit columns
    /// that are json or jsonb already.
    #[config(key = "nested.values", default = "fail", importance = "low", group = "Levada")]
    pub nested: NestedValues,
    /// Check deferrable constraints at the end of each batch: for tables that refer to each other.
    #[config(key = "defer.constraints", default = "false", importance = "low", group = "Levada")]
    pub defer: bool,
}

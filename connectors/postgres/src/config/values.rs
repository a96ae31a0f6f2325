//! Keys of how values are represented.

use super::enums::{BinaryMode, DecimalMode, HstoreMode, IntervalMode, TimeMode};
use levada_connector_api::ConnectorConfig;

/// How values are represented.
#[derive(Clone, Debug, ConnectorConfig)]
#[expect(dead_code, reason = "some keys are known and have no effect")]
pub struct TypesConfig {
    /// `numeric`: exact bytes, a double, or text.
    #[config(key = "decimal.handling.mode", default = "precise", group = "Types")]
    pub decimal: DecimalMode,
    /// Most bytes of one value, as the server writes it; an event with a larger one is handled as
    /// `event.processing.failure.handling.mode` says. 0 is no limit.
    #[config(key = "max.value.bytes", default = "67108864", min = 0, group = "Types")]
    pub max_value: i64,
    /// Digits behind the point of `money`.
    #[config(key = "money.fraction.digits", default = "2", min = 0, max = 30, importance = "low", group = "Types")]
    pub money_digits: i32,
    /// Dates and times: `adaptive`, `adaptive_time_microseconds`, `connect`, `isostring`, `microseconds`, `nanoseconds`, `structured`.
    #[config(key = "time.precision.mode", default = "adaptive", group = "Types")]
    pub time: TimeMode,
    /// `hstore`: JSON text or a map.
    #[config(key = "hstore.handling.mode", default = "json", group = "Types")]
    pub hstore: HstoreMode,
    /// `interval`: microseconds or ISO 8601 text.
    #[config(key = "interval.handling.mode", default = "numeric", group = "Types")]
    pub interval: IntervalMode,
    /// `bytea`: bytes, or text as `base64`, `base64-url-safe` or `hex`.
    #[config(key = "binary.handling.mode", default = "bytes", group = "Types")]
    pub binary: BinaryMode,
    /// Values of types that are not known, as the bytes of their text; without it such columns are left out.
    #[config(key = "include.unknown.datatypes", default = "false", group = "Types")]
    pub unknown: bool,
    /// What stands for a large value that an update did not change and the server did not send; `hex:` begins bytes.
    #[config(
        key = "unavailable.value.placeholder",
        default = "__debezium_unavailable_value",
        check = check_placeholder,
        group = "Types"
    )]
    pub placeholder: String,
    /// Has no effect: schemas follow what the server announces.
    #[config(
        key = "schema.refresh.mode",
        default = "columns_diff",
        one_of("columns_diff", "columns_diff_exclude_unchanged_toast"),
        importance = "low",
        group = "Types"
    )]
    pub schema_refresh: String,
}

fn check_placeholder(text: &str) -> Result<(), String> {
    let Some(digits) = text.strip_prefix("hex:") else { return Ok(()) };
    if digits.len().is_multiple_of(2) && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Ok(());
    }
    Err("behind hex: there must be pairs of hexadecimal digits".to_owned())
}

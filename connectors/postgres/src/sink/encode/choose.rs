//! Which text a field's values get: by its schema and the type of its column.

use super::{ColumnType, Encode, Form, Unit};
use levada_connector_api::{Schema, SchemaType, logical};
use std::sync::Arc;

/// Prefix of the names of Debezium's types of time.
pub const DEBEZIUM_TIME: &str = "io.debezium.time.";

/// Name of the schema of a field that `timestamp.fields.list` makes a timestamp: counted in, or as a text that ISO 8601 or a
/// count is.
pub const LISTED_TIME: [(&str, Unit); 2] =
    [("levada.sink.MicroTimestamp", Unit::Micros), ("levada.sink.NanoTimestamp", Unit::Nanos)];

/// Columns that take numbers: a date in one of them is the number that it is.
const NUMBERS: [&str; 7] = ["int2", "int4", "int8", "float4", "float8", "numeric", "oid"];

impl Encode {
    /// Of a field and its column; `local` says that zoneless columns are of a zone other than UTC.
    pub fn of(schema: &Arc<Schema>, column: &ColumnType, local: bool) -> Result<Self, String> {
        let name = schema.name.as_deref().unwrap_or_default();
        if let Some(found) = named(schema, name, column, local) {
            return Ok(found);
        }
        let json = column.is(&["json", "jsonb"]);
        Ok(match schema.kind {
            SchemaType::Boolean if column.is(&["bit", "varbit"]) => Self::Bit,
            SchemaType::Bytes => bytes(column),
            SchemaType::String if column.is(&["numeric", "float4", "float8", "money"]) => Self::NumberText,
            SchemaType::Array if column.is(&["vector", "halfvec"]) => Self::Vector,
            SchemaType::Map if column.is(&["hstore"]) => Self::Hstore,
            SchemaType::Array | SchemaType::Map | SchemaType::Struct if json => Self::Json(Arc::clone(schema)),
            SchemaType::Array => return array(schema, column, local),
            SchemaType::Map | SchemaType::Struct => {
                return Err(format!(
                    "a {} does not fit a column of type {}; make it json or jsonb, or flatten the record by a transform",
                    if schema.kind == SchemaType::Map { "map" } else { "struct" },
                    column.sql
                ));
            }
            _ => Self::Plain,
        })
    }
}

fn bytes(column: &ColumnType) -> Encode {
    // What is neither bytes nor text can only be the text of a type that the source had no form for.
    if column.is(&["bytea", "text", "varchar", "bpchar"]) { Encode::Hex } else { Encode::Opaque }
}

fn array(schema: &Schema, column: &ColumnType, local: bool) -> Result<Encode, String> {
    let Some(items) = &schema.value_schema else {
        return Err("its schema does not say what its elements are".to_owned());
    };
    let Some(element) = &column.element else {
        return Err(format!("an array does not fit a column of type {}; make it an array, json or jsonb", column.sql));
    };
    Ok(Encode::Array(Box::new(Encode::of(items, element, local)?)))
}

fn named(schema: &Arc<Schema>, name: &str, column: &ColumnType, local: bool) -> Option<Encode> {
    let number = column.is(&NUMBERS);
    let zoned = column.is(&["timestamptz"]);
    match name {
        "" => None,
        logical::DECIMAL => Some(Encode::Decimal(schema.scale().unwrap_or(0))),
        logical::DATE | logical::TIME | logical::TIMESTAMP if number => Some(Encode::Plain),
        logical::DATE => Some(Encode::Days),
        logical::TIME => Some(Encode::Clock(Unit::Millis)),
        // An instant: the column's zone, or the session's, says what it is there.
        logical::TIMESTAMP => Some(Encode::Moment(Unit::Millis, zoned || local)),
        name if name.starts_with(DEBEZIUM_TIME) => {
            Some(debezium_time(name.trim_start_matches(DEBEZIUM_TIME), column, number, local))
        }
        name if LISTED_TIME.iter().any(|(listed, _)| *listed == name) => {
            let unit = LISTED_TIME.iter().find(|(listed, _)| *listed == name).map_or(Unit::Micros, |(_, unit)| *unit);
            Some(if number { Encode::Plain } else { Encode::Instant(unit, zoned || local) })
        }
        "io.debezium.data.Bits" if column.is(&["bit"]) => Some(Encode::Bits(usize::try_from(column.modifier).ok())),
        "io.debezium.data.Bits" if column.is(&["varbit"]) => Some(Encode::Bits(None)),
        "io.debezium.data.VariableScaleDecimal" => Some(Encode::Struct(Form::VariableDecimal)),
        "io.debezium.data.Json" if column.is(&["hstore"]) => Some(Encode::HstoreJson),
        "io.debezium.data.SparseDoubleVector" => Some(Encode::Struct(Form::Sparse)),
        "io.debezium.data.geometry.Point" if column.is(&["point"]) => Some(Encode::Struct(Form::Point)),
        name if name.starts_with("io.debezium.data.geometry.") => {
            let form = if column.is(&["bytea"]) { Form::GeometryBytes } else { Form::Geometry };
            (schema.kind == SchemaType::Struct).then_some(Encode::Struct(form))
        }
        _ => None,
    }
}

fn debezium_time(name: &str, column: &ColumnType, number: bool, local: bool) -> Encode {
    if number && !name.starts_with("Structured") {
        return Encode::Plain;
    }
    let zoned = column.is(&["timestamptz"]);
    match name {
        "Date" => Encode::Days,
        "Time" => Encode::Clock(Unit::Millis),
        "MicroTime" => Encode::Clock(Unit::Micros),
        "NanoTime" => Encode::Clock(Unit::Nanos),
        // Without a zone in the source: the same clock in the column.
        "Timestamp" => Encode::Moment(Unit::Millis, zoned),
        "MicroTimestamp" => Encode::Moment(Unit::Micros, zoned),
        "NanoTimestamp" => Encode::Moment(Unit::Nanos, zoned),
        "ZonedTimestamp" => Encode::Iso(zoned || local || !column.is(&["timestamp"])),
        "IsoTimestamp" => Encode::Iso(zoned),
        "IsoDate" => Encode::Iso(false),
        "IsoTime" => Encode::IsoClock,
        "MicroDuration" if column.is(&["interval"]) => Encode::Duration,
        name if name.starts_with("Structured") => Encode::Struct(Form::Structured),
        // `ZonedTime` and `Interval` are texts that the server reads.
        _ => Encode::Plain,
    }
}

impl Encode {
    /// Whether the text has an offset that a column without a zone would silently drop.
    pub fn is_instant(&self) -> bool {
        matches!(self, Self::Moment(_, true) | Self::Instant(_, true) | Self::Iso(true))
    }
}

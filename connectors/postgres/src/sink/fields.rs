//! Types of new columns, from the schemas of their fields.

use super::{
    config::{Dialect, Settings},
    encode::{ColumnType, DEBEZIUM_TIME, Encode, LISTED_TIME, is_nested},
};
use crate::net::literal;
use levada_connector_api::{Schema, SchemaType, logical};
use std::{collections::HashMap, sync::Arc};

/// Types of extensions that the database has, by name, as SQL writes them.
pub type Extensions = HashMap<String, String>;

/// Names to ask the catalog for.
pub const EXTENSION_TYPES: [&str; 9] =
    ["geometry", "geography", "ltree", "hstore", "vector", "halfvec", "sparsevec", "citext", "isbn"];

/// Types of a source's columns that new columns get where the schema tells of them (`column.propagate.source.type`).
const NATIVE: [&str; 24] = [
    "jsonb",
    "json",
    "uuid",
    "inet",
    "cidr",
    "macaddr",
    "macaddr8",
    "money",
    "oid",
    "name",
    "xml",
    "int4range",
    "int8range",
    "numrange",
    "tsrange",
    "tstzrange",
    "daterange",
    "tsvector",
    "citext",
    "ltree",
    "hstore",
    "isbn",
    "interval",
    "text",
];

/// A new column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewColumn {
    /// Name.
    pub name: String,
    /// Type.
    pub sql: String,
    /// Whether null is refused.
    pub not_null: bool,
    /// Default, as SQL.
    pub default: Option<String>,
}

impl NewColumn {
    /// For a field; keys are never null and have no defaults.
    pub fn of(
        name: &str,
        schema: &Arc<Schema>,
        key: bool,
        settings: &Settings,
        extensions: &Extensions,
    ) -> Result<Self, String> {
        let sql = type_of(schema, settings, extensions)?;
        let default = if key { None } else { default(schema, &sql) };
        Ok(Self { name: name.to_owned(), sql, not_null: key || !schema.optional, default })
    }
}

/// The schema's default as SQL, where it has one that the new column can take.
fn default(schema: &Arc<Schema>, sql: &str) -> Option<String> {
    let value = schema.default.as_ref().filter(|value| !value.is_null())?;
    let base = sql.split('(').next().unwrap_or(sql);
    let name = match base {
        "boolean" => "bool",
        "numeric" => "numeric",
        "bit" => "bit",
        "bytea" => "bytea",
        "timestamptz" => "timestamptz",
        other => other,
    };
    let modifier = sql.split_once('(').and_then(|(_, rest)| rest.trim_end_matches(')').parse().ok()).unwrap_or(-1);
    let kind = ColumnType { name: name.to_owned(), sql: base.to_owned(), element: None, modifier, composite: false };
    let mut text = Vec::new();
    Encode::of(schema, &kind, false).ok()?.write(value, &mut text).ok()?;
    Some(format!("CAST({} AS {sql})", literal(&String::from_utf8(text).ok()?).trim_start()))
}

fn type_of(schema: &Schema, settings: &Settings, extensions: &Extensions) -> Result<String, String> {
    if let Some(native) = native(schema, extensions) {
        return Ok(native);
    }
    let name = schema.name.as_deref().unwrap_or_default();
    if let Some(named) = named(schema, name, settings, extensions) {
        return Ok(named);
    }
    let plain = match schema.kind {
        SchemaType::Int8 | SchemaType::Int16 => "smallint",
        SchemaType::Int32 => "integer",
        SchemaType::Int64 => "bigint",
        SchemaType::Float32 => "real",
        SchemaType::Float64 => "double precision",
        SchemaType::Boolean => "boolean",
        SchemaType::String => "text",
        SchemaType::Bytes => "bytea",
        SchemaType::Array => return array(schema, settings, extensions),
        SchemaType::Map | SchemaType::Struct if settings.nested => "jsonb",
        SchemaType::Map | SchemaType::Struct => {
            return Err("a map or struct has no column type of its own; set nested.values=jsonb, make the column \
                        yourself as jsonb, or flatten the record by the Flatten transform"
                .to_owned());
        }
    };
    Ok(plain.to_owned())
}

fn array(schema: &Schema, settings: &Settings, extensions: &Extensions) -> Result<String, String> {
    let items = schema.value_schema.as_deref().ok_or("its schema does not say what its elements are")?;
    if is_nested(schema) && !items.name.as_deref().is_some_and(|name| name.starts_with("io.debezium.")) {
        return if settings.nested {
            Ok("jsonb".to_owned())
        } else {
            Err("an array of arrays, maps or structs has no column type; set nested.values=jsonb, or make the column \
                 yourself as jsonb"
                .to_owned())
        };
    }
    Ok(format!("{}[]", type_of(items, settings, extensions)?))
}

fn named(schema: &Schema, name: &str, settings: &Settings, extensions: &Extensions) -> Option<String> {
    let extension =
        |wanted: &str, otherwise: &str| Some(extensions.get(wanted).cloned().unwrap_or_else(|| otherwise.to_owned()));
    if let Some(time) = name.strip_prefix(DEBEZIUM_TIME) {
        return time_type(time).map(str::to_owned);
    }
    match name {
        logical::DECIMAL => {
            let precision =
                schema.parameters.get("connect.decimal.precision").and_then(|text| text.parse::<u32>().ok());
            match (precision, schema.scale()) {
                (Some(precision @ 1..=1000), Some(scale)) if settings.dialect == Dialect::Debezium => {
                    Some(format!("numeric({precision},{scale})"))
                }
                _ => Some("numeric".to_owned()),
            }
        }
        logical::DATE => Some("date".to_owned()),
        logical::TIME => Some("time".to_owned()),
        logical::TIMESTAMP => Some("timestamp".to_owned()),
        name if LISTED_TIME.iter().any(|(listed, _)| *listed == name) => Some("timestamp".to_owned()),
        "io.debezium.data.VariableScaleDecimal" => Some("numeric".to_owned()),
        "io.debezium.data.Json" => Some("json".to_owned()),
        "io.debezium.data.Xml" => Some("xml".to_owned()),
        "io.debezium.data.Uuid" => Some("uuid".to_owned()),
        "io.debezium.data.Tsvector" => Some("tsvector".to_owned()),
        "io.debezium.data.Ltree" => extension("ltree", "text"),
        "io.debezium.data.Enum" | "io.debezium.data.EnumSet" => Some("text".to_owned()),
        "io.debezium.data.Bits" => match schema.parameters.get("length").and_then(|text| text.parse::<i32>().ok()) {
            Some(length) if (1..=83_886_080).contains(&length) => Some(format!("bit({length})")),
            _ => Some("varbit".to_owned()),
        },
        "io.debezium.data.geometry.Point" => Some("point".to_owned()),
        "io.debezium.data.geometry.Geometry" => extension("geometry", "bytea"),
        "io.debezium.data.geometry.Geography" => extension("geography", "bytea"),
        "io.debezium.data.DoubleVector" => extension("vector", "double precision[]"),
        "io.debezium.data.FloatVector" => extension("halfvec", "real[]"),
        "io.debezium.data.SparseDoubleVector" => extension("sparsevec", "text"),
        _ => None,
    }
}

fn time_type(name: &str) -> Option<&'static str> {
    Some(match name {
        "Date" | "IsoDate" | "StructuredDate" => "date",
        "Time" => "time(3)",
        "MicroTime" | "NanoTime" | "IsoTime" | "StructuredTime" => "time",
        "Timestamp" => "timestamp(3)",
        "MicroTimestamp" | "NanoTimestamp" | "IsoTimestamp" | "StructuredTimestamp" => "timestamp",
        "ZonedTimestamp" | "StructuredZonedTimestamp" => "timestamptz",
        "ZonedTime" | "StructuredZonedTime" => "timetz",
        "Interval" | "MicroDuration" | "StructuredDuration" => "interval",
        "Year" => "integer",
        _ => return None,
    })
}

/// The type that the source's column had, where the schema tells it and this database has it.
fn native(schema: &Schema, extensions: &Extensions) -> Option<String> {
    let parameter = |name: &str| schema.parameters.get(name);
    let name = parameter("__debezium.source.column.type")?.to_ascii_lowercase();
    let length = parameter("__debezium.source.column.length").and_then(|text| text.parse::<u32>().ok());
    let (element, suffix) = name.strip_prefix('_').map_or((name.as_str(), ""), |element| (element, "[]"));
    let sql = match (element, length) {
        ("varchar", Some(length @ 1..=10_485_760)) => format!("varchar({length})"),
        ("varchar", _) => "varchar".to_owned(),
        ("bpchar", Some(length @ 1..=10_485_760)) => format!("char({length})"),
        (element, _) if EXTENSION_TYPES.contains(&element) => extensions.get(element)?.clone(),
        (element, _) if NATIVE.contains(&element) => element.to_owned(),
        _ => return None,
    };
    Some(sql + suffix)
}

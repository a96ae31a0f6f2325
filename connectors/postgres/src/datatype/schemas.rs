//! The schemas of Debezium's and Connect's logical types.

use levada_connector_api::{Schema, SchemaType};
use std::sync::Arc;

/// A schema with name and version.
pub fn named(kind: SchemaType, name: &str, version: i32) -> Schema {
    let mut schema = Schema::new(kind).named(name);
    schema.version = Some(version);
    schema
}

fn plain(kind: SchemaType) -> Arc<Schema> {
    Arc::new(Schema::new(kind))
}

fn optional(kind: SchemaType) -> Arc<Schema> {
    Arc::new(Schema::new(kind).optional())
}

fn structure(name: &str, doc: Option<&str>, fields: &[(&str, Arc<Schema>)]) -> Schema {
    let mut schema = Schema::structure(fields.iter().map(|(name, schema)| (*name, Arc::clone(schema)))).named(name);
    schema.version = Some(1);
    schema.doc = doc.map(str::to_owned);
    schema
}

/// Connect's Decimal.
pub fn decimal(scale: i32, precision: Option<i32>) -> Schema {
    let mut schema = named(SchemaType::Bytes, "org.apache.kafka.connect.data.Decimal", 1);
    schema.parameters.insert("scale".to_owned(), scale.to_string());
    if let Some(precision) = precision {
        schema.parameters.insert("connect.decimal.precision".to_owned(), precision.to_string());
    }
    schema
}

/// A decimal with a scale of its own.
pub fn variable_decimal() -> Schema {
    let fields = [("scale", plain(SchemaType::Int32)), ("value", plain(SchemaType::Bytes))];
    structure("io.debezium.data.VariableScaleDecimal", Some("Variable scaled decimal"), &fields)
}

/// Bits.
pub fn bits(length: i32) -> Schema {
    let mut schema = named(SchemaType::Bytes, "io.debezium.data.Bits", 1);
    schema.parameters.insert("length".to_owned(), length.to_string());
    schema
}

/// An enumeration.
pub fn enumeration(labels: &[String]) -> Schema {
    let mut schema = named(SchemaType::String, "io.debezium.data.Enum", 1);
    schema.parameters.insert("allowed".to_owned(), labels.join(","));
    schema
}

/// A point of the plane.
pub fn point() -> Schema {
    let fields = [
        ("x", plain(SchemaType::Float64)),
        ("y", plain(SchemaType::Float64)),
        ("wkb", optional(SchemaType::Bytes)),
        ("srid", optional(SchemaType::Int32)),
    ];
    structure("io.debezium.data.geometry.Point", Some("Geometry (POINT)"), &fields)
}

/// PostGIS' types: `Geometry` or `Geography`.
pub fn geometry(name: &str) -> Schema {
    let fields = [("wkb", plain(SchemaType::Bytes)), ("srid", optional(SchemaType::Int32))];
    structure(&format!("io.debezium.data.geometry.{name}"), Some(name), &fields)
}

/// A sparse vector.
pub fn sparse_vector() -> Schema {
    let entries = Arc::new(Schema::map(plain(SchemaType::Int16), plain(SchemaType::Float64)));
    let fields = [("dimensions", plain(SchemaType::Int16)), ("vector", entries)];
    structure("io.debezium.data.SparseDoubleVector", Some("Sparse double vector"), &fields)
}

/// A structured time: its name and the names of its fields.
pub fn structured(name: &str, fields: &[&str]) -> Schema {
    let kind = |field: &str| match field {
        "seconds" => SchemaType::Int64,
        "month" | "day" | "hour" | "minute" | "second" => SchemaType::Int8,
        "zoneId" | "specialValue" => SchemaType::String,
        _ => SchemaType::Int32,
    };
    let fields: Vec<_> = fields.iter().map(|field| (*field, optional(kind(field)))).collect();
    structure(&format!("io.debezium.time.{name}"), None, &fields)
}

/// Optional text.
pub fn optional_text() -> Arc<Schema> {
    optional(SchemaType::String)
}

/// Required text.
pub fn text() -> Arc<Schema> {
    plain(SchemaType::String)
}

/// An array of required elements.
pub fn vector(kind: SchemaType, name: &str) -> Schema {
    let mut schema = Schema::array(plain(kind)).named(name);
    schema.version = Some(1);
    schema
}

//! What stands for a value that must be there and is not: an old row without the columns that were not sent.

use levada_connector_api::{Bytes, Schema, SchemaType, Str, Value};
use std::sync::Arc;

/// The schema's default, else its zero.
pub fn missing(schema: &Schema) -> Value {
    if schema.optional {
        return Value::Null;
    }
    if let Some(default) = &schema.default {
        return default.clone();
    }
    match schema.kind {
        SchemaType::Int8 => Value::Int8(0),
        SchemaType::Int16 => Value::Int16(0),
        SchemaType::Int32 => Value::Int32(0),
        SchemaType::Int64 => Value::Int64(0),
        SchemaType::Float32 => Value::Float32(0.0),
        SchemaType::Float64 => Value::Float64(0.0),
        SchemaType::Boolean => Value::Boolean(false),
        SchemaType::String => Value::String(Str::from_static(match schema.name.as_deref() {
            Some("io.debezium.time.ZonedTimestamp" | "io.debezium.time.IsoTimestamp") => "1970-01-01T00:00:00Z",
            Some("io.debezium.time.ZonedTime" | "io.debezium.time.IsoTime") => "00:00:00Z",
            Some("io.debezium.time.IsoDate") => "1970-01-01Z",
            Some("io.debezium.time.Interval") => "P0Y0M0DT0H0M0S",
            Some("io.debezium.data.Json") => "{}",
            _ => "",
        })),
        SchemaType::Bytes if schema.name.as_deref() == Some("org.apache.kafka.connect.data.Decimal") => {
            Value::Bytes(Bytes::from_static(&[0]))
        }
        SchemaType::Bytes => Value::Bytes(Bytes::new()),
        SchemaType::Array => Value::Array(Vec::new()),
        SchemaType::Map => Value::Map(Vec::new()),
        // A number without a scale of its own: 0, whose bytes are one.
        SchemaType::Struct if schema.name.as_deref() == Some("io.debezium.data.VariableScaleDecimal") => {
            let values = vec![Value::Int32(0), Value::Bytes(Bytes::from_static(&[0]))];
            Value::structure(Arc::new(schema.clone()), values)
        }
        SchemaType::Struct => {
            let values = schema.fields.iter().map(|field| missing(&field.schema)).collect();
            Value::structure(Arc::new(schema.clone()), values)
        }
    }
}

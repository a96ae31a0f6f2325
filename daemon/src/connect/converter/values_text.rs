//! Values as Connect's `Values.convertToString` prints them: JSON-like, with base64 bytes and ISO
//! dates. Used for headers.

use super::calendar;
use base64::{Engine, engine::general_purpose::STANDARD};
use levada_connector_api::{Schema, Value, java_text, schema::logical};

/// Appends `value`; texts inside of containers are `embedded` and get quotes.
pub(super) fn print(value: &Value, schema: Option<&Schema>, embedded: bool, out: &mut String) {
    let name = schema.and_then(|schema| schema.name.as_deref());
    match (value, name) {
        (Value::Bytes(bytes), Some(logical::DECIMAL)) => {
            let scale = schema.and_then(Schema::scale).unwrap_or(0);
            out.push_str(&java_text::decimal(bytes, scale).unwrap_or_else(|| STANDARD.encode(bytes)));
        }
        (Value::Int32(days), Some(logical::DATE)) => out.push_str(&calendar::date_text(i64::from(*days))),
        (Value::Int32(millis), Some(logical::TIME)) => out.push_str(&calendar::time_text(i64::from(*millis))),
        (Value::Int64(millis), Some(logical::TIMESTAMP)) => out.push_str(&calendar::timestamp_text(*millis)),
        (Value::String(text), _) if embedded => {
            out.push('"');
            out.push_str(&text.replace('\\', "\\\\").replace('"', "\\\""));
            out.push('"');
        }
        (Value::Bytes(bytes), _) => out.push_str(&STANDARD.encode(bytes)),
        (Value::Array(items), _) => {
            let element = schema.and_then(|schema| schema.value_schema.as_deref());
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                print(item, element, true, out);
            }
            out.push(']');
        }
        (Value::Map(entries), _) => {
            let (keys, values) = match schema {
                Some(schema) => (schema.key_schema.as_deref(), schema.value_schema.as_deref()),
                None => (None, None),
            };
            out.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                print(key, keys, true, out);
                out.push(':');
                print(value, values, true, out);
            }
            out.push('}');
        }
        (Value::Struct(value), _) => {
            out.push('{');
            for (index, (field, value)) in value.schema.fields.iter().zip(&value.values).enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                print(&Value::string(field.name.as_str()), None, true, out);
                out.push(':');
                print(value, Some(&field.schema), true, out);
            }
            out.push('}');
        }
        (other, _) => out.push_str(&other.to_text(None)),
    }
}

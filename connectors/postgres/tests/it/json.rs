//! Values as JSON, for comparisons.

use levada_connector_api::{SourceRecord, Value};
use serde_json::{Map, Value as Json, json};

/// Bytes as hexadecimal digits behind `\x`.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap();
    let digits: String = bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect();
    format!("\\x{digits}")
}

/// A value; bytes as hexadecimal digits behind `\x`.
pub fn json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => json!(value),
        Value::Int8(value) => json!(value),
        Value::Int16(value) => json!(value),
        Value::Int32(value) => json!(value),
        Value::Int64(value) => json!(value),
        Value::Float32(value) => json!(value),
        Value::Float64(value) if value.is_finite() => json!(value),
        Value::Float64(value) => json!(value.to_string()),
        Value::String(text) => json!(text.as_str()),
        Value::Bytes(bytes) => json!(hex(bytes)),
        Value::Array(items) => Json::Array(items.iter().map(json).collect()),
        Value::Map(entries) => {
            let entry =
                |(key, value): &(Value, Value)| (json(key).as_str().unwrap_or_default().to_owned(), json(value));
            Json::Object(entries.iter().map(entry).collect())
        }
        Value::Struct(value) => {
            let field = |(field, value): (&levada_connector_api::Field, &Value)| (field.name.clone(), json(value));
            assert_eq!(
                value.schema.fields.len(),
                value.values.len(),
                "a value for each field of {:?}",
                value.schema.name
            );
            Json::Object(value.schema.fields.iter().zip(&value.values).map(field).collect::<Map<_, _>>())
        }
    }
}

/// Key, value and topic of a record, short: `{"key":..., "op":..., "before":..., "after":...}` and so on.
pub fn event(record: &SourceRecord) -> Json {
    let mut value = json(&record.value);
    if let Some(envelope) = value.as_object_mut() {
        envelope.retain(|key, _| !matches!(key.as_str(), "ts_ms" | "ts_us" | "ts_ns"));
    }
    json!({ "topic": record.topic.as_ref(), "key": json(&record.key), "value": value })
}

/// Operation and row of an event: `["c", {...}]`; a tombstone is `["tombstone", key]`.
pub fn change(record: &SourceRecord) -> Json {
    let value = json(&record.value);
    match value["op"].as_str() {
        None if value.is_null() => json!(["tombstone", json(&record.key)]),
        None => value,
        Some("d") => json!(["d", value["before"]]),
        Some(op) => json!([op, value["after"]]),
    }
}

/// [`change`] of each.
pub fn changes(records: &[SourceRecord]) -> Vec<Json> {
    records.iter().map(change).collect()
}

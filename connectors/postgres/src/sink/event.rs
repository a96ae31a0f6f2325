//! What a record asks for: a row, a deletion, a truncation, or nothing.

use super::config::{Dialect, Settings};
use crate::{datatype, event::UNSENT};
use levada_connector_api::{Schema, SchemaType, SinkRecord, Struct, Value};
use std::sync::Arc;

/// What a record asks for.
#[derive(Debug)]
pub enum Change<'a> {
    /// A row of these fields.
    Row(&'a Struct),
    /// A text alone, for the column that such texts go to.
    Text,
    /// The row of the record's key is gone.
    Delete,
    /// All rows are gone.
    Truncate,
    /// Nothing.
    Skip,
}

/// Whether values of a schema are Debezium's change events.
pub fn is_envelope(schema: &Schema) -> bool {
    let named = schema.name.as_deref().is_some_and(|name| name.ends_with(".Envelope") || name == "Envelope");
    schema.kind == SchemaType::Struct
        && schema.field("op").is_some_and(|(_, field)| field.schema.kind == SchemaType::String)
        && (named || (schema.field("after").is_some() && schema.field("source").is_some()))
}

/// Records of Debezium's that are about the capture, not about rows.
fn is_about_capture(schema: &Schema) -> bool {
    let Some(name) = schema.name.as_deref() else { return false };
    let known = ["Heartbeat", "TransactionMetadataValue", "SchemaChangeValue", "MessageValue"];
    known.iter().any(|known| name.ends_with(known)) && name.contains("io.debezium")
}

/// Whether it is the envelope of CloudEvents, by the attributes that each must have.
fn is_cloud_event(schema: &Schema) -> bool {
    ["specversion", "id", "source", "type"].iter().all(|name| schema.field(name).is_some())
}

fn field<'a>(value: &'a Struct, name: &str) -> Option<&'a Value> {
    value.schema.field(name).and_then(|(at, _)| value.values.get(at))
}

/// The schema of the rows that a value schema brings: the fields of `after`, for events.
pub fn row_schema(schema: &Arc<Schema>) -> &Arc<Schema> {
    if is_envelope(schema)
        && let Some((_, after)) = schema.field("after")
    {
        return &after.schema;
    }
    schema
}

/// What the record asks for, or why it asks for nothing sensible.
pub fn change<'a>(record: &'a SinkRecord, settings: &Settings) -> Result<Change<'a>, String> {
    match (&record.value, record.value_schema.as_deref()) {
        // It does not say whose it is; the event of the deletion before it did, and was of the same row.
        (Value::Null, _) if settings.naming.by_record() => Ok(Change::Skip),
        (Value::Null, _) => deletion(settings, "a null value"),
        (_, Some(schema)) if is_about_capture(schema) => Ok(Change::Skip),
        (Value::Struct(value), Some(schema)) if is_envelope(schema) => envelope(value, settings),
        (Value::Struct(_), Some(schema)) if is_cloud_event(schema) => {
            Err("it is a CloudEvent, whose envelope is not taken apart here; leave CloudEventsConverter out at the \
                 source, or make a row of its data by transforms"
                .to_owned())
        }
        (Value::Struct(value), _) => Ok(Change::Row(value)),
        (Value::String(_), Some(_)) if settings.text_column.is_some() => Ok(Change::Text),
        (_, Some(_)) => Err("the value is no struct: only fields with names have columns to go to; the HoistField \
                             transform makes a struct of a single value"
            .to_owned()),
        (_, None) => Err("the value has no schema, so the types of its fields are not known; use a converter with \
                          schemas (JsonConverter with schemas.enable=true, Avro, Protobuf)"
            .to_owned()),
    }
}

fn deletion<'a>(settings: &Settings, what: &str) -> Result<Change<'a>, String> {
    if settings.delete {
        return Ok(Change::Delete);
    }
    // As Debezium's own sink; the others refuse, since what they were not told to do is not done silently.
    if settings.dialect == Dialect::Debezium {
        return Ok(Change::Skip);
    }
    Err(format!(
        "{what} asks for a deletion; set delete.enabled=true with pk.mode=record_key, or drop such records by a transform"
    ))
}

fn envelope<'a>(value: &'a Struct, settings: &Settings) -> Result<Change<'a>, String> {
    let Some(Value::String(operation)) = field(value, "op") else {
        return Err("the change event has no `op`".to_owned());
    };
    match operation.as_str() {
        "d" => deletion(settings, "an event of a deletion"),
        "t" if settings.truncate => Ok(Change::Truncate),
        "t" if settings.dialect == Dialect::Debezium => Ok(Change::Skip),
        "t" => Err("an event of a truncation is refused: the table would keep what its source has not; drop such \
                    events by a transform"
            .to_owned()),
        "m" => Ok(Change::Skip),
        "c" | "r" | "u" => match field(value, "after") {
            Some(Value::Struct(after)) => Ok(Change::Row(after)),
            _ => Err("the change event has no `after`".to_owned()),
        },
        other => Err(format!("the change event's `op` is {other:?}, which is not known")),
    }
}

/// The forms of what stands for a value that the source was not sent.
#[derive(Clone, Debug)]
pub struct Placeholder(datatype::Placeholder);

/// Names of fields that the source was not sent, where nothing in their places tells so: of the header that our source
/// adds, as a converter of headers may give it.
pub fn unsent(record: &SinkRecord) -> Vec<&str> {
    let Some(header) = record.headers.iter().find(|header| header.key == *UNSENT) else { return Vec::new() };
    match &header.value {
        Value::Array(names) => names.iter().filter_map(as_text).collect(),
        Value::String(text) => {
            let names = text.trim_start_matches('[').trim_end_matches(']').split(',');
            names.map(|name| name.trim().trim_matches('"')).collect()
        }
        _ => Vec::new(),
    }
}

impl Placeholder {
    /// Of `unavailable.value.placeholder`.
    pub fn new(configured: &str) -> Self {
        Self(datatype::Placeholder::new(configured))
    }

    /// Whether it is what stands there: as text, as bytes, or in the list or map that its schema asks for.
    pub fn is(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => *text == self.0.text || *text == self.0.object,
            Value::Bytes(bytes) => *bytes == self.0.bytes,
            Value::Array(items) => self.is_list(items),
            Value::Map(entries) => matches!(entries.as_slice(), [(key, value)] if self.is(key) && self.is(value)),
            _ => false,
        }
    }

    fn is_list(&self, items: &[Value]) -> bool {
        if let [item @ (Value::String(_) | Value::Bytes(_))] = items {
            return self.is(item);
        }
        let code = |item: &Value| match item {
            Value::Int16(code) => i64::from(*code),
            Value::Int32(code) => i64::from(*code),
            Value::Int64(code) => *code,
            _ => i64::MIN,
        };
        let bytes = &self.0.bytes;
        items.len() == bytes.len()
            && !bytes.is_empty()
            && items.iter().zip(bytes.iter()).all(|(item, byte)| code(item) == i64::from(*byte as i8))
    }
}

fn as_text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text.as_str()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_told_in_every_form() {
        let placeholder = Placeholder::new("ab");
        let list = |items: Vec<Value>| placeholder.is(&Value::Array(items));
        assert!(placeholder.is(&Value::string("ab")) && !placeholder.is(&Value::string("abc")));
        assert!(placeholder.is(&Value::Bytes("ab".into())));
        assert!(list(vec![Value::string("ab")]) && !list(vec![Value::string("ab"), Value::string("ab")]));
        assert!(list(vec![Value::Int32(97), Value::Int32(98)]) && !list(vec![Value::Int32(97)]));
        let in_hex = Placeholder::new("hex:6162");
        assert!(in_hex.is(&Value::string("ab")) && !in_hex.is(&Value::string("hex:6162")));
        assert!(!list(Vec::new()) && !Placeholder::new("").is(&Value::Array(Vec::new())));
    }
}

//! What transforms share in reading values: maps by name, structs by field, and the errors of the wrong type.

use super::record::{ConnectRecord, Part};
use levada_connector_api::{ConnectorError, Field, Result, Schema, Struct, Value};
use std::sync::Arc;

/// The value of a name in a map with text keys.
pub(super) fn entry<'a>(map: &'a [(Value, Value)], name: &str) -> Option<&'a Value> {
    map.iter().find(|(key, _)| is_name(key, name)).map(|(_, value)| value)
}

/// Sets the value of a name in a map.
pub(super) fn put(map: &mut Vec<(Value, Value)>, name: &str, value: Value) {
    match map.iter_mut().find(|(key, _)| is_name(key, name)) {
        Some((_, known)) => *known = value,
        None => map.push((Value::string(name), value)),
    }
}

/// Whether a map's key is this name.
pub(super) fn is_name(key: &Value, name: &str) -> bool {
    matches!(key, Value::String(key) if *key == *name)
}

/// A field's value: with `replace`, a null of a field that has a default reads as that.
pub(super) fn field_value(field: &Field, value: &Value, replace: bool) -> Value {
    match (&field.schema.default, value) {
        (Some(default), Value::Null) if replace => default.clone(),
        _ => value.clone(),
    }
}

/// As [`field_value`], without a copy.
pub(super) fn into_field_value(field: &Field, value: Value, replace: bool) -> Value {
    match (&field.schema.default, value) {
        (Some(default), Value::Null) if replace => default.clone(),
        (_, value) => value,
    }
}

/// What a transform works on: the two modes of every Connect transform.
pub(super) enum Taken {
    /// No value at all; the record is as it was.
    Null,
    /// A value with a schema that is a struct.
    Struct(Struct),
    /// A map without a schema.
    Map(Vec<(Value, Value)>),
}

/// Takes a part of a record out, to be put back changed; the error of what is neither struct nor map names `purpose`.
pub(super) fn take<R: ConnectRecord>(record: &mut R, part: Part, purpose: &str) -> Result<Taken> {
    let (schema, value) = record.part_mut(part);
    match (schema.is_some(), std::mem::take(value)) {
        (_, Value::Null) => Ok(Taken::Null),
        (true, Value::Struct(value)) => Ok(Taken::Struct(Arc::unwrap_or_clone(value))),
        (false, Value::Map(map)) => Ok(Taken::Map(map)),
        (true, other) => Err(only("Struct objects", purpose, &other)),
        (false, other) => Err(only("Map objects in absence of a schema", purpose, &other)),
    }
}

/// Puts a struct into a part of a record.
pub(super) fn put_struct<R: ConnectRecord>(record: &mut R, part: Part, schema: Arc<Schema>, values: Vec<Value>) {
    let value = Value::structure(Arc::clone(&schema), values);
    record.set_part(part, Some(schema), value);
}

/// The error of a value of the wrong type. Never the value itself (invariant 12).
pub(super) fn only(what: &str, purpose: &str, found: &Value) -> ConnectorError {
    ConnectorError::data(format!("Only {what} supported for [{purpose}], found: {}", java_class(found)))
}

/// The Java class that would hold the value.
pub(super) fn java_class(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Boolean(_) => "java.lang.Boolean",
        Value::Int8(_) => "java.lang.Byte",
        Value::Int16(_) => "java.lang.Short",
        Value::Int32(_) => "java.lang.Integer",
        Value::Int64(_) => "java.lang.Long",
        Value::Float32(_) => "java.lang.Float",
        Value::Float64(_) => "java.lang.Double",
        Value::String(_) => "java.lang.String",
        Value::Bytes(_) => "[B",
        Value::Array(_) => "java.util.ArrayList",
        Value::Map(_) => "java.util.HashMap",
        Value::Struct(_) => "org.apache.kafka.connect.data.Struct",
    }
}

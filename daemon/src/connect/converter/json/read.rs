//! JSON as values, by a schema or without one.

use super::{
    super::{ConvertError, decimal},
    tree::Json,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use levada_connector_api::{Schema, SchemaType, Value, schema::logical};
use std::sync::Arc;

/// Reads `json` as `schema` says.
pub(super) fn with_schema(
    json: &Json,
    schema: &Arc<Schema>,
    replace_null_with_default: bool,
) -> Result<Value, ConvertError> {
    let read = |json: &Json, schema: &Arc<Schema>| with_schema(json, schema, replace_null_with_default);
    if *json == Json::Null {
        return match &schema.default {
            Some(default) if replace_null_with_default => Ok(default.clone()),
            _ if schema.optional => Ok(Value::Null),
            _ => Err(ConvertError::new(format!("invalid null value for required {:?} field", schema.kind))),
        };
    }
    if schema.name.as_deref() == Some(logical::DECIMAL) {
        return read_decimal(json, schema);
    }
    let value = match (schema.kind, json) {
        (SchemaType::Boolean, Json::Bool(value)) => Some(Value::Boolean(*value)),
        (SchemaType::Int8, Json::Number(text)) => whole(text).map(|value| Value::Int8(value as i8)),
        (SchemaType::Int16, Json::Number(text)) => whole(text).map(|value| Value::Int16(value as i16)),
        (SchemaType::Int32, Json::Number(text)) => whole(text).map(|value| Value::Int32(value as i32)),
        (SchemaType::Int64, Json::Number(text)) => whole(text).map(Value::Int64),
        (SchemaType::Float32, json) => float(json).map(|value| Value::Float32(value as f32)),
        (SchemaType::Float64, json) => float(json).map(Value::Float64),
        (SchemaType::String, Json::Text(text)) => Some(Value::String(text.clone())),
        (SchemaType::Bytes, Json::Text(text)) => {
            STANDARD.decode(text.as_bytes()).ok().map(|bytes| Value::Bytes(Bytes::from(bytes)))
        }
        (SchemaType::Array, Json::Array(items)) => {
            let element = schema.value_schema.as_ref().ok_or_else(|| incomplete("array"))?;
            Some(Value::Array(items.iter().map(|item| read(item, element)).collect::<Result<_, _>>()?))
        }
        (SchemaType::Map, json) => read_map(json, schema, read)?,
        (SchemaType::Struct, Json::Object(_)) => {
            let mut values = Vec::with_capacity(schema.fields.len());
            for field in &schema.fields {
                values.push(read(json.get(&field.name).unwrap_or(&Json::Null), &field.schema)?);
            }
            Some(Value::structure(schema.clone(), values))
        }
        _ => None,
    };
    value.ok_or_else(|| ConvertError::new(format!("the payload has no {:?} where the schema has one", schema.kind)))
}

fn read_map(
    json: &Json,
    schema: &Schema,
    read: impl Fn(&Json, &Arc<Schema>) -> Result<Value, ConvertError>,
) -> Result<Option<Value>, ConvertError> {
    let (Some(keys), Some(values)) = (&schema.key_schema, &schema.value_schema) else { return Err(incomplete("map")) };
    let mut entries = Vec::new();
    match json {
        Json::Object(object) if keys.kind == SchemaType::String => {
            for (key, value) in object {
                entries.push((Value::String(key.clone()), read(value, values)?));
            }
        }
        Json::Array(pairs) => {
            for pair in pairs {
                let Json::Array(pair) = pair else { return Ok(None) };
                let [key, value] = pair.as_slice() else { return Ok(None) };
                entries.push((read(key, keys)?, read(value, values)?));
            }
        }
        _ => return Ok(None),
    }
    Ok(Some(Value::Map(entries)))
}

fn incomplete(kind: &str) -> ConvertError {
    ConvertError::new(format!("the {kind} schema does not say what it holds"))
}

/// A Decimal comes as base64 of its unscaled bytes, or as a number.
fn read_decimal(json: &Json, schema: &Schema) -> Result<Value, ConvertError> {
    let bytes = match json {
        Json::Text(text) => STANDARD.decode(text.as_bytes()).ok(),
        Json::Number(text) => {
            let scale = schema
                .scale()
                .ok_or_else(|| ConvertError::new("a Decimal schema needs a scale parameter that is a whole number"))?;
            decimal::parse(text).and_then(|(unscaled, found)| decimal::rescale(unscaled, found, scale))
        }
        _ => None,
    };
    bytes
        .map(|bytes| Value::Bytes(Bytes::from(bytes)))
        .ok_or_else(|| ConvertError::new("the payload has no Decimal of the schema's scale where the schema has one"))
}

/// Integer value as Java's `longValue` gives it: fractions are cut, and what is too large wraps.
fn whole(text: &str) -> Option<i64> {
    if let Ok(value) = text.parse::<i64>() {
        return Some(value);
    }
    if text.contains(['.', 'e', 'E']) {
        return text.parse::<f64>().ok().map(|value| value as i64);
    }
    let bytes = decimal::integer_bytes(text)?;
    Some(bytes.iter().fold(0i64, |value, byte| (value << 8) | i64::from(*byte)))
}

fn float(json: &Json) -> Option<f64> {
    match json {
        Json::Number(text) => text.parse().ok(),
        Json::Text(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// Reads `json` without a schema: whole numbers are INT64, others FLOAT64, objects are maps.
pub(super) fn schemaless(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Boolean(*value),
        Json::Number(text) if text.contains(['.', 'e', 'E']) => Value::Float64(text.parse().unwrap_or(f64::NAN)),
        Json::Number(text) => whole(text).map_or(Value::Null, Value::Int64),
        Json::Text(text) => Value::String(text.clone()),
        Json::Array(items) => Value::Array(items.iter().map(schemaless).collect()),
        Json::Object(entries) => {
            let entries = entries.iter().map(|(key, value)| (Value::String(key.clone()), schemaless(value)));
            Value::Map(entries.collect())
        }
    }
}

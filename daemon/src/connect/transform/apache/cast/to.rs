//! One value to another type, as Java's number classes and Connect's `Values` do it.

use super::super::mask_field::truncated;
use crate::connect::{converter::calendar, transform::values::java_class};
use base64::{Engine, engine::general_purpose::STANDARD};
use levada_connector_api::{ConnectorError, Result, Schema, SchemaType, Value, java_text, logical};

const DAY_MS: i64 = 86_400_000;

/// The value as one of type `kind`; null stays null.
pub(super) fn cast(schema: Option<&Schema>, value: &Value, kind: SchemaType) -> Result<Value> {
    if matches!(value, Value::Array(_) | Value::Map(_) | Value::Struct(_)) {
        let text = "Cast transformation does not support casting to/from";
        return Err(ConnectorError::data(format!("{text} {}", java_class(value))));
    }
    Ok(match kind {
        _ if value.is_null() => Value::Null,
        SchemaType::Int8 => Value::Int8(narrow(schema, value, kind)? as i8),
        SchemaType::Int16 => Value::Int16(narrow(schema, value, kind)? as i16),
        SchemaType::Int32 => Value::Int32(narrow(schema, value, kind)? as i32),
        SchemaType::Int64 => Value::Int64(narrow(schema, value, kind)?),
        SchemaType::Float32 => Value::Float32(single(schema, value)?),
        SchemaType::Float64 => Value::Float64(double(schema, value)?),
        SchemaType::Boolean => Value::Boolean(boolean(schema, value)?),
        _ => Value::string(text(schema, value)),
    })
}

fn is_decimal(schema: Option<&Schema>) -> Option<i32> {
    schema.filter(|schema| schema.name.as_deref() == Some(logical::DECIMAL)).and_then(Schema::scale)
}

fn unexpected(value: &Value) -> ConnectorError {
    ConnectorError::data(format!("Unexpected type in Cast transformation: {}", java_class(value)))
}

/// The text itself is not told: it may be a secret (invariant 12).
fn unparsed(kind: SchemaType) -> ConnectorError {
    ConnectorError::data(format!("Value was out of range or no number for requested data type {kind:?}"))
}

/// Java's narrowing: whole numbers lose their upper bits; floats are first clamped, to `long` for `long` and to `int`
/// for everything smaller. A text must be a number in the target's range.
fn narrow(schema: Option<&Schema>, value: &Value, kind: SchemaType) -> Result<i64> {
    let wide = kind == SchemaType::Int64;
    let of_float = |float: f64| if wide { float as i64 } else { i64::from(float as i32) };
    Ok(match value {
        Value::Boolean(value) => i64::from(*value),
        Value::Int8(value) => i64::from(*value),
        Value::Int16(value) => i64::from(*value),
        Value::Int32(value) => i64::from(*value),
        Value::Int64(value) => *value,
        Value::Float32(value) => of_float(f64::from(*value)),
        Value::Float64(value) => of_float(*value),
        Value::String(text) => {
            let number: i64 = text.parse().map_err(|_| unparsed(kind))?;
            let fits = match kind {
                SchemaType::Int8 => i8::try_from(number).is_ok(),
                SchemaType::Int16 => i16::try_from(number).is_ok(),
                SchemaType::Int32 => i32::try_from(number).is_ok(),
                _ => true,
            };
            if !fits {
                return Err(unparsed(kind));
            }
            number
        }
        Value::Bytes(bytes) => match is_decimal(schema) {
            Some(scale) => truncated(bytes, scale),
            None => return Err(unexpected(value)),
        },
        other => return Err(unexpected(other)),
    })
}

fn double(schema: Option<&Schema>, value: &Value) -> Result<f64> {
    Ok(match value {
        Value::Boolean(value) => f64::from(u8::from(*value)),
        Value::Int8(value) => f64::from(*value),
        Value::Int16(value) => f64::from(*value),
        Value::Int32(value) => f64::from(*value),
        Value::Int64(value) => *value as f64,
        Value::Float32(value) => f64::from(*value),
        Value::Float64(value) => *value,
        Value::String(text) => {
            float_text(text).and_then(|text| text.parse().ok()).ok_or_else(|| unparsed(SchemaType::Float64))?
        }
        Value::Bytes(bytes) => match is_decimal(schema) {
            Some(scale) => java_text::decimal(bytes, scale).and_then(|text| text.parse().ok()).unwrap_or(f64::NAN),
            None => return Err(unexpected(value)),
        },
        other => return Err(unexpected(other)),
    })
}

fn single(schema: Option<&Schema>, value: &Value) -> Result<f32> {
    Ok(match value {
        // Through a double the last bit could come out another way.
        Value::Int64(value) => *value as f32,
        Value::String(text) => {
            float_text(text).and_then(|text| text.parse().ok()).ok_or_else(|| unparsed(SchemaType::Float32))?
        }
        Value::Bytes(bytes) if is_decimal(schema).is_some() => {
            java_text::decimal(bytes, is_decimal(schema).unwrap_or(0))
                .and_then(|text| text.parse().ok())
                .unwrap_or(f32::NAN)
        }
        other => double(schema, other)? as f32,
    })
}

/// What Java's `parseDouble` takes, in the form that Rust's takes: white space around, a type suffix, `NaN` and
/// `Infinity` in that spelling only.
fn float_text(text: &str) -> Option<&str> {
    let text = text.trim();
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, "NaN" | "Infinity") {
        return Some(text);
    }
    let plain = text.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(text);
    let is_number = plain.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'));
    is_number.then_some(plain)
}

fn boolean(schema: Option<&Schema>, value: &Value) -> Result<bool> {
    Ok(match value {
        Value::Boolean(value) => *value,
        Value::String(text) => text.eq_ignore_ascii_case("true"),
        other => narrow(schema, other, SchemaType::Int64)? != 0,
    })
}

fn text(schema: Option<&Schema>, value: &Value) -> String {
    let date = match (schema.and_then(|schema| schema.name.as_deref()), value) {
        (Some(logical::DATE), Value::Int32(days)) => Some(i64::from(*days) * DAY_MS),
        (Some(logical::TIME), Value::Int32(millis)) => Some(i64::from(*millis)),
        (Some(logical::TIMESTAMP), Value::Int64(millis)) => Some(*millis),
        _ => None,
    };
    match (date, value) {
        (Some(millis), _) => date_text(millis),
        (None, Value::Bytes(bytes)) if is_decimal(schema).is_none() => STANDARD.encode(bytes),
        _ => value.to_text(schema),
    }
}

/// Java chooses the form by the value, not by the schema: below one day a time, at midnight a date.
fn date_text(millis: i64) -> String {
    if millis < DAY_MS {
        calendar::time_text(millis)
    } else if millis % DAY_MS == 0 {
        calendar::date_text(millis / DAY_MS)
    } else {
        calendar::timestamp_text(millis)
    }
}

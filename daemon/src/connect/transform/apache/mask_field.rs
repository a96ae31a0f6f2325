//! `MaskField`: fields lose their values, to nothings of their types or to a replacement.

use crate::connect::{
    converter::decimal,
    transform::{
        ConnectRecord, Part, Plugin,
        values::{Taken, field_value, is_name, java_class, put_struct, take},
    },
};
use levada_connector_api::{
    ConnectorConfig, ConnectorError, Result, Schema, Value, config::KeyError, java_text, logical,
};

#[derive(Debug, ConnectorConfig)]
pub(super) struct Config {
    /// Names of fields to mask.
    #[config(importance = "high", non_empty)]
    fields: Vec<String>,
    /// Custom value replacement, that will be applied to all 'fields' values (numeric or non-empty string values only).
    #[config(importance = "low", non_empty)]
    replacement: Option<String>,
    /// Whether to replace fields that have a default value and that are null to the default value.
    #[config(key = "replace.null.with.default", default = "true", importance = "medium")]
    replace_null: bool,
}

pub(super) struct MaskField {
    part: Part,
    config: Config,
}

impl MaskField {
    fn is_masked(&self, name: &str) -> bool {
        self.config.fields.iter().any(|field| field == name)
    }

    fn masked(&self, schema: Option<&Schema>, value: &Value) -> Result<Value> {
        match &self.config.replacement {
            _ if value.is_null() => Ok(Value::Null),
            None => nothing(schema, value),
            Some(replacement) => replaced(schema, value, replacement),
        }
    }
}

impl Plugin for MaskField {
    type Config = Config;

    fn new(part: Part, config: Config) -> Result<Self, KeyError> {
        Ok(Self { part, config })
    }

    fn apply<R: ConnectRecord>(&mut self, mut record: R) -> Result<Option<R>> {
        match take(&mut record, self.part, "mask fields")? {
            Taken::Null => {
                let text = "Only Map or Struct objects supported for [mask fields], found: null";
                return Err(ConnectorError::data(text));
            }
            Taken::Map(mut map) => {
                for name in &self.config.fields {
                    match map.iter_mut().find(|(key, _)| is_name(key, name)) {
                        Some((_, value)) => *value = self.masked(None, value)?,
                        None => map.push((Value::string(name.as_str()), Value::Null)),
                    }
                }
                record.set_part(self.part, None, Value::Map(map));
            }
            Taken::Struct(mut value) => {
                let schema = value.schema.clone();
                for (field, value) in schema.fields.iter().zip(&mut value.values) {
                    let read = field_value(field, value, self.config.replace_null);
                    *value = if self.is_masked(&field.name) { self.masked(Some(&field.schema), &read)? } else { read };
                }
                put_struct(&mut record, self.part, schema, value.values);
            }
        }
        Ok(Some(record))
    }
}

fn logical_name(schema: Option<&Schema>) -> Option<&str> {
    schema.and_then(|schema| schema.name.as_deref())
}

fn cannot(value: &Value, with: &str) -> ConnectorError {
    ConnectorError::data(format!("Cannot mask value of type {}{with}.", java_class(value)))
}

/// The value of its type that says nothing.
fn nothing(schema: Option<&Schema>, value: &Value) -> Result<Value> {
    Ok(match value {
        Value::Boolean(_) => Value::Boolean(false),
        Value::Int8(_) => Value::Int8(0),
        Value::Int16(_) => Value::Int16(0),
        Value::Int32(_) => Value::Int32(0),
        Value::Int64(_) => Value::Int64(0),
        Value::Float32(_) => Value::Float32(0.0),
        Value::Float64(_) => Value::Float64(0.0),
        Value::String(_) => Value::string(""),
        Value::Array(_) => Value::Array(Vec::new()),
        Value::Map(_) => Value::Map(Vec::new()),
        Value::Bytes(_) if logical_name(schema) == Some(logical::DECIMAL) => Value::Bytes(vec![0].into()),
        other => return Err(cannot(other, "")),
    })
}

/// The replacement as a value of the type: numbers and texts only, no logical types but decimals.
fn replaced(schema: Option<&Schema>, value: &Value, replacement: &str) -> Result<Value> {
    let unfit = || ConnectorError::data(format!("Unable to convert {replacement} (class java.lang.String) to number"));
    let name = logical_name(schema);
    if matches!(name, Some(logical::DATE | logical::TIME | logical::TIMESTAMP)) {
        return Err(ConnectorError::data("Cannot mask value of type java.util.Date with custom replacement."));
    }
    let whole = || whole_number(replacement).ok_or_else(unfit);
    let float = || replacement.trim().parse::<f64>().map_err(|_| unfit());
    Ok(match value {
        Value::Int8(_) => Value::Int8(whole()? as i8),
        Value::Int16(_) => Value::Int16(whole()? as i16),
        Value::Int32(_) => Value::Int32(whole()? as i32),
        Value::Int64(_) => Value::Int64(whole()?),
        Value::Float32(_) => Value::Float32(float()? as f32),
        Value::Float64(_) => Value::Float64(float()?),
        Value::String(_) => Value::string(replacement),
        Value::Bytes(_) if name == Some(logical::DECIMAL) => {
            let (unscaled, found) = decimal::parse(replacement).ok_or_else(unfit)?;
            let wanted = schema.and_then(Schema::scale).unwrap_or(found);
            Value::Bytes(decimal::rescale(unscaled, found, wanted).ok_or_else(unfit)?.into())
        }
        other => return Err(cannot(other, " with custom replacement")),
    })
}

/// A decimal number without its fraction, in its lowest 64 bits, as Java's `BigDecimal.longValue`.
pub(super) fn whole_number(text: &str) -> Option<i64> {
    let (unscaled, scale) = decimal::parse(text.trim())?;
    Some(truncated(&unscaled, scale))
}

/// Java's `BigDecimal.longValue`.
pub(super) fn truncated(unscaled: &[u8], scale: i32) -> i64 {
    let text = java_text::integer(unscaled).unwrap_or_default();
    let (negative, digits) = text.strip_prefix('-').map_or((false, text.as_str()), |digits| (true, digits));
    let kept = digits.len().saturating_sub(usize::try_from(scale).unwrap_or(0));
    let push = |number: i64, digit: i64| number.wrapping_mul(10).wrapping_add(digit);
    let number = digits.bytes().take(kept).fold(0, |number, digit| push(number, i64::from(digit - b'0')));
    // Past 64 zeros the lowest 64 bits are all 0.
    let zeros = scale.min(0).unsigned_abs().min(64);
    let number = (0..zeros).fold(number, |number, _| push(number, 0));
    if negative { number.wrapping_neg() } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_cut_as_java_cuts_them() {
        for (text, expected) in [
            ("3.9", 3),
            ("-3.9", -3),
            ("0.1", 0),
            ("1e3", 1000),
            ("9223372036854775807", i64::MAX),
            ("9223372036854775808", i64::MIN),
            ("1e100", 0),
        ] {
            assert_eq!(whole_number(text), Some(expected), "{text}");
        }
        assert_eq!(whole_number("x"), None);
    }
}

//! Values as text, the way Java's `String.valueOf` gives them: what Apache's string converter and
//! file sink write, and what users of them expect to find.

mod calendar;
mod decimal;
mod number;

pub use calendar::{civil, write_date};
pub use decimal::{decimal, integer};
pub use number::{Double, Float};

use crate::{Schema, Struct, Value, schema::logical};
use std::io::Write;

impl Value {
    /// Appends the text of the value. `schema` tells logical types from their base types.
    ///
    /// A struct is `Struct{a=1,b=x}` without its null fields, a map `{a=1, b=2}`, a list `[1, 2]`.
    /// Bytes, for which Java would give the address of an object, are UTF-8 text.
    pub fn write_text(&self, schema: Option<&Schema>, out: &mut Vec<u8>) {
        if schema.is_some_and(|schema| write_logical(self, schema, out)) {
            return;
        }
        let element = schema.and_then(|schema| schema.value_schema.as_deref());
        match self {
            Self::String(text) => out.extend_from_slice(text.as_bytes()),
            Self::Bytes(bytes) => match String::from_utf8_lossy(bytes) {
                std::borrow::Cow::Borrowed(text) => out.extend_from_slice(text.as_bytes()),
                std::borrow::Cow::Owned(text) => out.extend_from_slice(text.as_bytes()),
            },
            Self::Array(items) => {
                out.push(b'[');
                join(items, b", ", out, |item, out| item.write_text(element, out));
                out.push(b']');
            }
            Self::Map(entries) => {
                let key = schema.and_then(|schema| schema.key_schema.as_deref());
                out.push(b'{');
                join(entries, b", ", out, |(name, value), out| {
                    name.write_text(key, out);
                    out.push(b'=');
                    value.write_text(element, out);
                });
                out.push(b'}');
            }
            Self::Struct(value) => write_struct(value, out),
            Self::Null => out.extend_from_slice(b"null"),
            // Writing to a vector can't fail.
            Self::Boolean(value) => drop(write!(out, "{value}")),
            Self::Int8(value) => drop(write!(out, "{value}")),
            Self::Int16(value) => drop(write!(out, "{value}")),
            Self::Int32(value) => drop(write!(out, "{value}")),
            Self::Int64(value) => drop(write!(out, "{value}")),
            Self::Float32(value) => drop(write!(out, "{}", Float(*value))),
            Self::Float64(value) => drop(write!(out, "{}", Double(*value))),
        }
    }

    /// The text that [`Value::write_text`] appends.
    pub fn to_text(&self, schema: Option<&Schema>) -> String {
        let mut text = Vec::new();
        self.write_text(schema, &mut text);
        // Nothing but text is ever written.
        String::from_utf8(text).unwrap_or_default()
    }
}

/// Writes the text of a logical type's value; false when it is none, and then its base type counts.
fn write_logical(value: &Value, schema: &Schema, out: &mut Vec<u8>) -> bool {
    let millis = match (schema.name.as_deref(), value) {
        (Some(logical::DECIMAL), Value::Bytes(bytes)) => {
            let text = schema.scale().and_then(|scale| decimal(bytes, scale));
            out.extend_from_slice(text.as_deref().unwrap_or_default().as_bytes());
            return text.is_some();
        }
        (Some(logical::DATE), Value::Int32(days)) => i64::from(*days) * calendar::DAY_MS,
        (Some(logical::TIME), Value::Int32(millis)) => i64::from(*millis),
        (Some(logical::TIMESTAMP), Value::Int64(millis)) => *millis,
        _ => return false,
    };
    // Writing to a vector can't fail.
    drop(write_date(millis, out));
    true
}

fn join<T>(
    items: impl IntoIterator<Item = T>,
    between: &[u8],
    out: &mut Vec<u8>,
    mut each: impl FnMut(T, &mut Vec<u8>),
) {
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(between);
        }
        each(item, out);
    }
}

fn write_struct(value: &Struct, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Struct{");
    let fields = value.schema.fields.iter().zip(&value.values).filter(|(_, value)| !value.is_null());
    join(fields, b",", out, |(field, value), out| {
        out.extend_from_slice(field.name.as_bytes());
        out.push(b'=');
        value.write_text(Some(&field.schema), out);
    });
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SchemaType;
    use bytes::Bytes;
    use std::sync::Arc;

    fn text(value: &Value, schema: Option<&Schema>) -> String {
        value.to_text(schema)
    }

    #[test]
    fn plain_values_are_written_as_java_does() {
        assert_eq!(text(&Value::Float32(0.1), None), "0.1");
        assert_eq!(text(&Value::Float64(1e21), None), "1.0E21");
        assert_eq!(text(&Value::Int64(i64::MIN), None), "-9223372036854775808");
        assert_eq!(text(&Value::Boolean(false), None), "false");
    }

    #[test]
    fn parts_are_written_as_java_does() {
        let string = Arc::new(Schema::new(SchemaType::String).optional());
        let schema = Arc::new(Schema::structure([
            ("a", Arc::new(Schema::new(SchemaType::Int32))),
            ("b", string.clone()),
            ("c", string),
        ]));
        let values = vec![Value::Int32(1), Value::Null, Value::string("x")];
        let value = Value::structure(schema, values);
        assert_eq!(text(&value, None), "Struct{a=1,c=x}");
        let map = Value::Map(vec![(Value::string("a"), Value::Int8(1)), (Value::string("b"), Value::Null)]);
        assert_eq!(text(&map, None), "{a=1, b=null}");
        assert_eq!(text(&Value::Array(vec![value, Value::Boolean(true)]), None), "[Struct{a=1,c=x}, true]");
        assert_eq!(text(&Value::Null, None), "null");
        assert_eq!(text(&Value::Bytes(Bytes::from_static("é".as_bytes())), None), "é");
        assert_eq!(text(&Value::Bytes(Bytes::from_static(b"\xff")), None), "\u{fffd}");
    }

    #[test]
    fn logical_types_are_written_as_java_does() {
        let named = |kind, name: &str| Schema::new(kind).named(format!("org.apache.kafka.connect.data.{name}"));
        let date = named(SchemaType::Int32, "Date");
        assert_eq!(text(&Value::Int32(0), Some(&date)), "Thu Jan 01 00:00:00 UTC 1970");
        let timestamp = named(SchemaType::Int64, "Timestamp");
        assert_eq!(text(&Value::Int64(1_709_208_000_123), Some(&timestamp)), "Thu Feb 29 12:00:00 UTC 2024");
        let decimal = |scale: &str, bytes: &'static [u8]| {
            let mut schema = named(SchemaType::Bytes, "Decimal");
            schema.parameters.insert("scale".into(), scale.into());
            text(&Value::Bytes(Bytes::from_static(bytes)), Some(&schema))
        };
        assert_eq!(decimal("2", &[0x04, 0xd2]), "12.34");
        assert_eq!(decimal("x", b"no scale"), "no scale");
    }
}

//! Values as JSON, written straight into the record's buffer.

use super::{super::ConvertError, DecimalFormat};
use base64::{Engine, engine::general_purpose::STANDARD};
use levada_connector_api::{
    Schema, SchemaType, Struct, Value,
    java_text::{self, Double, Float},
    schema::logical,
};
use std::{fmt::Display, io::Write as _};

/// How values are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) decimal_format: DecimalFormat,
    pub(super) replace_null_with_default: bool,
}

impl Style {
    /// Appends `value`; with a schema checked against it, without one as it is.
    pub(super) fn value(self, value: &Value, schema: Option<&Schema>, out: &mut Vec<u8>) -> Result<(), ConvertError> {
        let Some(schema) = schema else { return self.schemaless(value, out) };
        let value = match (value, &schema.default) {
            (Value::Null, Some(default)) if self.replace_null_with_default => default,
            _ => value,
        };
        if value.is_null() {
            if schema.optional {
                out.extend_from_slice(b"null");
                return Ok(());
            }
            return Err(ConvertError::new("a null value stands where the schema requires one"));
        }
        if schema.name.as_deref() == Some(logical::DECIMAL)
            && let Value::Bytes(unscaled) = value
        {
            return self.decimal(unscaled, schema, out);
        }
        match (schema.kind, value) {
            (SchemaType::Array, Value::Array(items)) => self.array(items, schema.value_schema.as_deref(), out),
            (SchemaType::Map, Value::Map(entries)) => self.map(entries, schema, out),
            (SchemaType::Struct, Value::Struct(value)) => self.structure(value, out),
            (kind, value) if fits(kind, value) => self.schemaless(value, out),
            (kind, _) => Err(ConvertError::new(format!("the value is not of the schema's type {}", type_name(kind)))),
        }
    }

    /// The fields of a struct, by its own schema.
    pub(super) fn structure(self, value: &Struct, out: &mut Vec<u8>) -> Result<(), ConvertError> {
        out.push(b'{');
        for (index, (field, value)) in value.schema.fields.iter().zip(&value.values).enumerate() {
            separate(index, out);
            text(&field.name, out);
            out.push(b':');
            self.value(value, Some(&field.schema), out)?;
        }
        out.push(b'}');
        Ok(())
    }

    /// A value as it is.
    pub(super) fn schemaless(self, value: &Value, out: &mut Vec<u8>) -> Result<(), ConvertError> {
        match value {
            Value::Null => out.extend_from_slice(b"null"),
            Value::Boolean(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
            Value::Int8(value) => integer(*value, out),
            Value::Int16(value) => integer(*value, out),
            Value::Int32(value) => integer(*value, out),
            Value::Int64(value) => integer(*value, out),
            Value::Float32(value) => number(Float(*value), value.is_finite(), out),
            Value::Float64(value) => number(Double(*value), value.is_finite(), out),
            Value::String(value) => text(value, out),
            Value::Bytes(value) => base64(value, out),
            Value::Array(items) => return self.array(items, None, out),
            Value::Map(entries) => return self.map_of(entries, None, None, out),
            Value::Struct(value) => return self.structure(value, out),
        }
        Ok(())
    }

    fn array(self, items: &[Value], schema: Option<&Schema>, out: &mut Vec<u8>) -> Result<(), ConvertError> {
        out.push(b'[');
        for (index, item) in items.iter().enumerate() {
            separate(index, out);
            self.value(item, schema, out)?;
        }
        out.push(b']');
        Ok(())
    }

    fn map(self, entries: &[(Value, Value)], schema: &Schema, out: &mut Vec<u8>) -> Result<(), ConvertError> {
        self.map_of(entries, schema.key_schema.as_deref(), schema.value_schema.as_deref(), out)
    }

    /// An object when all keys are text, else an array of pairs.
    fn map_of(
        self,
        entries: &[(Value, Value)],
        key_schema: Option<&Schema>,
        value_schema: Option<&Schema>,
        out: &mut Vec<u8>,
    ) -> Result<(), ConvertError> {
        let object = match key_schema {
            Some(schema) => schema.kind == SchemaType::String && !schema.optional,
            None => entries.iter().all(|(key, _)| matches!(key, Value::String(_))),
        };
        out.push(if object { b'{' } else { b'[' });
        for (index, (key, value)) in entries.iter().enumerate() {
            separate(index, out);
            if object {
                match key {
                    Value::String(name) => text(name, out),
                    _ => return Err(ConvertError::new("a map key is not of the schema's type string")),
                }
                out.push(b':');
                self.value(value, value_schema, out)?;
            } else {
                out.push(b'[');
                self.value(key, key_schema, out)?;
                out.push(b',');
                self.value(value, value_schema, out)?;
                out.push(b']');
            }
        }
        out.push(if object { b'}' } else { b']' });
        Ok(())
    }

    fn decimal(self, unscaled: &[u8], schema: &Schema, out: &mut Vec<u8>) -> Result<(), ConvertError> {
        let scale = schema
            .scale()
            .ok_or_else(|| ConvertError::new("a Decimal schema needs a scale parameter that is a whole number"))?;
        match self.decimal_format {
            DecimalFormat::Base64 => base64(unscaled, out),
            DecimalFormat::Numeric => {
                let text = java_text::decimal(unscaled, scale);
                let text = text.ok_or_else(|| ConvertError::new("a Decimal has more digits than can be written"))?;
                out.extend_from_slice(text.as_bytes());
            }
        }
        Ok(())
    }
}

fn separate(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
}

/// Whether a value is of a type that is neither made of others nor written in another way.
pub(super) fn fits(kind: SchemaType, value: &Value) -> bool {
    matches!(
        (kind, value),
        (SchemaType::Int8, Value::Int8(_))
            | (SchemaType::Int16, Value::Int16(_))
            | (SchemaType::Int32, Value::Int32(_))
            | (SchemaType::Int64, Value::Int64(_))
            | (SchemaType::Float32, Value::Float32(_))
            | (SchemaType::Float64, Value::Float64(_))
            | (SchemaType::Boolean, Value::Boolean(_))
            | (SchemaType::String, Value::String(_))
            | (SchemaType::Bytes, Value::Bytes(_))
    )
}

/// Connect's name of a type in JSON schemas.
pub(super) fn type_name(kind: SchemaType) -> &'static str {
    match kind {
        SchemaType::Int8 => "int8",
        SchemaType::Int16 => "int16",
        SchemaType::Int32 => "int32",
        SchemaType::Int64 => "int64",
        SchemaType::Float32 => "float",
        SchemaType::Float64 => "double",
        SchemaType::Boolean => "boolean",
        SchemaType::String => "string",
        SchemaType::Bytes => "bytes",
        SchemaType::Array => "array",
        SchemaType::Map => "map",
        SchemaType::Struct => "struct",
    }
}

/// A number in Java's notation; what is no number in quotes.
fn number(value: impl Display, finite: bool, out: &mut Vec<u8>) {
    // Writing to a vector can't fail.
    let _ = if finite { write!(out, "{value}") } else { write!(out, "\"{value}\"") };
}

fn integer(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Bytes as Base64 in quotes.
fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = out.get_mut(start..).and_then(|place| STANDARD.encode_slice(bytes, place).ok());
    out.truncate(start + written.unwrap_or(0));
    out.push(b'"');
}

/// A text in quotes, escaped as the Java writer escapes.
pub(super) fn text(value: &str, out: &mut Vec<u8>) {
    out.reserve(value.len() + 2);
    out.push(b'"');
    let mut rest = value.as_bytes();
    loop {
        // Word for word, and of a word with something special in it what comes before that.
        let plain = if let Some(word) = rest.first_chunk::<WORD>() {
            let special = special(u64::from_le_bytes(*word));
            out.extend_from_slice(word);
            if special == 0 {
                rest = rest.get(WORD..).unwrap_or_default();
                continue;
            }
            let plain = special.trailing_zeros() as usize / 8;
            out.truncate(out.len() - (WORD - plain));
            plain
        } else {
            let mut word = [b' '; WORD];
            for (place, byte) in word.iter_mut().zip(rest) {
                *place = *byte;
            }
            // Behind the end there is nothing special.
            let plain = rest.len().min(special(u64::from_le_bytes(word)).trailing_zeros() as usize / 8);
            out.extend_from_slice(rest.get(..plain).unwrap_or_default());
            plain
        };
        rest = rest.get(plain..).unwrap_or_default();
        let Some(first) = rest.first() else { break };
        // Only characters of four bytes are special beyond ASCII.
        let length = if first.is_ascii() { 1 } else { 4 };
        let (character, behind) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        std::str::from_utf8(character).unwrap_or_default().chars().for_each(|c| escape(c, out));
        rest = behind;
    }
    out.push(b'"');
}

/// Bytes that are looked at together.
const WORD: usize = 8;

/// The highest bit of each byte that does not stand for itself: quotes, backslashes, control characters, first bytes of characters
/// beyond the first plane. Bytes above such a one may be told wrongly.
fn special(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let (quote, backslash) = (word ^ (ONES * u64::from(b'"')), word ^ (ONES * u64::from(b'\\')));
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let beyond = word & (word << 1) & (word << 2) & (word << 3);
    (zero(quote) | zero(backslash) | control | beyond) & HIGH
}

fn escape(c: char, out: &mut Vec<u8>) {
    match c {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\u{8}' => out.extend_from_slice(b"\\b"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\u{c}' => out.extend_from_slice(b"\\f"),
        '\r' => out.extend_from_slice(b"\\r"),
        // A character beyond the first plane: the Java writer makes two escapes of it.
        other => {
            for unit in other.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the writer's words do it, one character after the other.
    fn slowly(value: &str) -> Vec<u8> {
        let mut out = vec![b'"'];
        for c in value.chars() {
            if c < ' ' || c == '"' || c == '\\' || c > '\u{ffff}' {
                escape(c, &mut out);
            } else {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        out.push(b'"');
        out
    }

    #[test]
    fn every_character_is_told_at_every_place() {
        let ascii = (0..128u8).map(char::from);
        for c in
            ascii.chain(['\u{80}', '\u{a0}', '\u{7ff}', '\u{800}', '\u{ffff}', '\u{10000}', '\u{1f600}', '\u{10ffff}'])
        {
            for len in 0..20 {
                for place in 0..=len {
                    for other in ["a", "\"", "\u{7f}", "é", "\u{1f600}"] {
                        let value = format!("{}{c}{}", other.repeat(place), other.repeat(len - place));
                        let mut out = Vec::new();
                        text(&value, &mut out);
                        assert_eq!(out, slowly(&value), "{value:?}");
                    }
                }
            }
        }
    }
}

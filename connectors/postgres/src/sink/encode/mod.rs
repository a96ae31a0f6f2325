//! From a value to the text that the input function of its column's type reads.
//!
//! How is worked out once for a field and its column ([`Encode::of`]); a value then costs one pass.

mod choose;
mod nested;
mod number;
mod structure;
mod time;

pub use choose::{DEBEZIUM_TIME, LISTED_TIME};
pub use nested::{is_nested, quote};

use crate::datatype::Unit;
use levada_connector_api::{Schema, Value};
use number::float;
use std::sync::Arc;

/// Longest text of a value: the server takes no more in one field.
pub const MAX_TEXT: usize = (1 << 30) - 1;

/// Why a value has no text. Never holds the value, which may be anybody's secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EncodeError(pub String);

impl EncodeError {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// The type of a column, beneath its domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnType {
    /// Name of the type in the catalog: `int4`, `bpchar`, `mood`.
    pub name: String,
    /// The type as SQL writes it, without lengths.
    pub sql: String,
    /// Type of the elements, for an array.
    pub element: Option<Box<ColumnType>>,
    /// Length or the like; -1 when there is none.
    pub modifier: i32,
    /// Whether it is made of columns itself.
    pub composite: bool,
}

impl ColumnType {
    /// Whether it is one of these.
    pub fn is(&self, names: &[&str]) -> bool {
        self.element.is_none() && names.contains(&self.name.as_str())
    }
}

/// Structs with a form of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `io.debezium.data.VariableScaleDecimal`.
    VariableDecimal,
    /// `io.debezium.data.geometry.Point` into `point`.
    Point,
    /// PostGIS' types by their binary form, into themselves.
    Geometry,
    /// The same into `bytea`.
    GeometryBytes,
    /// `io.debezium.data.SparseDoubleVector`.
    Sparse,
    /// The structured dates and times of `time.precision.mode=structured`.
    Structured,
}

/// How a field's values become text.
#[derive(Clone, Debug)]
pub enum Encode {
    /// As the value itself says.
    Plain,
    /// A truth value as a bit.
    Bit,
    /// Bytes into `bytea`.
    Hex,
    /// Bytes that are the text of their type.
    Opaque,
    /// Bits, so many of them, or as few as there are.
    Bits(Option<usize>),
    /// Unscaled bytes.
    Decimal(i32),
    /// Text of a number, or the name of one that is none.
    NumberText,
    /// Days since 1970.
    Days,
    /// Time of day.
    Clock(Unit),
    /// Time since 1970; with an offset of UTC where the column or the session minds zones.
    Moment(Unit, bool),
    /// The same as a number or a text of digits, or ISO 8601.
    Instant(Unit, bool),
    /// ISO 8601 of a date or timestamp; with or without the zone.
    Iso(bool),
    /// ISO 8601 of a time of day, without its zone.
    IsoClock,
    /// Microseconds of an interval.
    Duration,
    /// Numbers as pgvector has them.
    Vector,
    /// A map into `hstore`.
    Hstore,
    /// JSON text into `hstore`.
    HstoreJson,
    /// Anything as JSON.
    Json(Arc<Schema>),
    /// An array.
    Array(Box<Encode>),
    /// A struct with a form of its own.
    Struct(Form),
}

impl Encode {
    /// Appends the text of a value that is not null.
    pub fn write(&self, value: &Value, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match (self, value) {
            (Self::Plain, value) => return plain(value, out),
            (Self::Bit, Value::Boolean(bit)) => out.push(b'0' + u8::from(*bit)),
            (Self::Hex, Value::Bytes(bytes)) => hex(bytes, out),
            (Self::Opaque, Value::Bytes(bytes)) => match std::str::from_utf8(bytes) {
                Ok(text) => return checked(text, out),
                Err(_) => return Err(EncodeError::new("it is bytes, which are no text, and the column is no bytea")),
            },
            (Self::Bits(width), Value::Bytes(bytes)) => return number::bits(bytes, *width, out),
            (Self::Decimal(scale), Value::Bytes(bytes)) => return number::decimal(bytes, *scale, out),
            (Self::NumberText, Value::String(text)) => return checked(number::special(text), out),
            (Self::Days, value) => time::days(whole(value)?, out),
            (Self::Clock(unit), value) => return time::clock(whole(value)?, *unit, out),
            (Self::Moment(unit, zoned), value) => time::moment(whole(value)?, *unit, *zoned, out),
            (Self::Instant(unit, zoned), Value::String(text)) => match text.trim().parse() {
                Ok(number) => time::moment(number, *unit, *zoned, out),
                Err(_) => return time::iso(text.trim(), *zoned, out),
            },
            (Self::Instant(unit, zoned), value) => time::moment(whole(value)?, *unit, *zoned, out),
            (Self::Iso(zone), Value::String(text)) => return time::iso(text, *zone, out),
            (Self::IsoClock, Value::String(text)) => return checked(time::without_zone(text), out),
            (Self::Duration, value) => time::duration(whole(value)?, out),
            (Self::Vector, Value::Array(items)) => return nested::vector(items, out),
            (Self::Hstore, Value::Map(entries)) => return nested::hstore(entries, out),
            (Self::HstoreJson, Value::String(text)) => return nested::hstore_of_json(text, out),
            (Self::Json(schema), value) => return nested::json(value, schema, out),
            (Self::Array(element), Value::Array(items)) => return nested::array(items, element, out),
            (Self::Struct(form), Value::Struct(value)) => return structure::write(*form, value, out),
            _ => return Err(EncodeError::new("the value is not what its schema says")),
        }
        Ok(())
    }
}

/// A value by its own type.
fn plain(value: &Value, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match value {
        Value::Boolean(value) => out.push(if *value { b't' } else { b'f' }),
        Value::Int8(number) => integer(i64::from(*number), out),
        Value::Int16(number) => integer(i64::from(*number), out),
        Value::Int32(number) => integer(i64::from(*number), out),
        Value::Int64(number) => integer(*number, out),
        Value::Float32(number) => float(f64::from(*number), *number, out),
        Value::Float64(number) => float(*number, *number, out),
        Value::String(text) => return checked(text, out),
        Value::Bytes(bytes) => hex(bytes, out),
        _ => return Err(EncodeError::new("a list, map or struct has no place in a column of one value")),
    }
    Ok(())
}

/// Text, which the server takes no zero characters in.
fn checked(text: &str, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if memchr::memchr(0, text.as_bytes()).is_some() {
        return Err(EncodeError::new(
            "it has a character \\u0000, which PostgreSQL keeps in no text; a transform may take it out",
        ));
    }
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| DIGITS.get(usize::from(half & 15)).copied().unwrap_or(b'0');
    out.reserve(2 + bytes.len() * 2);
    out.extend_from_slice(b"\\x");
    out.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]));
}

fn whole(value: &Value) -> Result<i64, EncodeError> {
    match value {
        Value::Int8(number) => Ok(i64::from(*number)),
        Value::Int16(number) => Ok(i64::from(*number)),
        Value::Int32(number) => Ok(i64::from(*number)),
        Value::Int64(number) => Ok(*number),
        _ => Err(EncodeError::new("the value is not the whole number that its schema says")),
    }
}

/// A number's digits.
pub fn integer(number: i64, out: &mut Vec<u8>) {
    if number < 0 {
        out.push(b'-');
    }
    let mut buffer = [0u8; 20];
    let (mut at, mut left) = (buffer.len(), number.unsigned_abs());
    loop {
        at -= 1;
        if let Some(digit) = buffer.get_mut(at) {
            *digit = b'0' + (left % 10) as u8;
        }
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(buffer.get(at..).unwrap_or_default());
}

/// What `write` writes.
#[cfg(test)]
fn written(write: impl Fn(&mut Vec<u8>) -> Result<(), EncodeError>) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

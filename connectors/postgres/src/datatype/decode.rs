//! From the server's text to a value.

use super::{array, geometry, hstore, interval::Interval, numeric, time, time::Moment, time::Unit};
use crate::config::BinaryMode;
use base64::{Engine, engine::general_purpose as base64s};
use levada_connector_api::{Bytes, Schema, Str, Value};
use std::sync::Arc;

/// A text that is not of its type. Never holds the text, which may be anybody's secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value is not {expected}")]
pub struct DecodeError {
    expected: &'static str,
}

impl DecodeError {
    /// It is not `expected`.
    pub fn new(expected: &'static str) -> Self {
        Self { expected }
    }
}

/// How a type's text becomes a value.
#[derive(Clone, Debug)]
pub enum Decode {
    Boolean,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Text,
    Bytea(BinaryMode),
    Opaque(BinaryMode),
    Bit,
    Bits,
    Decimal(i32),
    VariableDecimal(Arc<Schema>),
    DecimalDouble,
    DecimalText,
    Money(i32),
    MoneyDouble,
    MoneyText,
    Days,
    IsoDate,
    StructuredDate(Arc<Schema>),
    Time(Unit),
    TimeMillis32,
    IsoTime,
    StructuredTime(Arc<Schema>, i32),
    Timestamp(Unit),
    IsoTimestamp,
    StructuredTimestamp(Arc<Schema>, i32),
    ZonedTimestamp(usize),
    StructuredZonedTimestamp(Arc<Schema>, i32),
    ZonedTime,
    StructuredZonedTime(Arc<Schema>, i32),
    IntervalMicros,
    IntervalIso,
    StructuredInterval(Arc<Schema>, i32),
    HstoreJson,
    HstoreMap,
    Point(Arc<Schema>),
    Postgis(Arc<Schema>),
    Vector,
    HalfVector,
    SparseVector(Arc<Schema>),
    Array(Box<Decode>, u8),
}

/// Kinds of placeholders of values that were not sent.
#[derive(Clone, Debug)]
pub struct Placeholder {
    /// As text.
    pub text: Str,
    /// As bytes; as numbers they are Java's, from -128 to 127.
    pub bytes: Bytes,
    /// As the text of a JSON object with one entry, both of it the text.
    pub object: Str,
}

impl Placeholder {
    /// Of `unavailable.value.placeholder`.
    pub fn new(configured: &str) -> Self {
        let bytes = configured.strip_prefix("hex:").and_then(|digits| geometry::hex(digits.as_bytes()));
        let bytes = bytes.unwrap_or_else(|| Bytes::copy_from_slice(configured.as_bytes()));
        let text = Str::from(String::from_utf8_lossy(&bytes).into_owned());
        let quoted = serde_json::Value::from(text.as_str());
        Self { object: format!("{{{quoted}:{quoted}}}").into(), text, bytes }
    }
}

fn parse<T: std::str::FromStr>(text: &[u8], expected: &'static str) -> Result<T, DecodeError> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(DecodeError::new(expected))
}

/// A whole number without going through text.
fn integer(text: &[u8]) -> Result<i64, DecodeError> {
    let (negative, digits) = match text.split_first() {
        Some((b'-', digits)) => (true, digits),
        _ => (false, text),
    };
    if digits.is_empty() || digits.len() > 19 {
        return Err(DecodeError::new("a whole number"));
    }
    let mut number = 0u64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(DecodeError::new("a whole number"));
        }
        number = number * 10 + u64::from(digit - b'0');
    }
    match (negative, number) {
        (false, ..=0x7fff_ffff_ffff_ffff) => Ok(number as i64),
        (true, ..=0x8000_0000_0000_0000) => Ok((number as i64).wrapping_neg()),
        _ => Err(DecodeError::new("a whole number of 64 bits")),
    }
}

fn text(text: &[u8], owner: &Bytes) -> Result<Value, DecodeError> {
    let text = Str::from_utf8(owner.slice_ref(text)).map_err(|_| DecodeError::new("UTF-8 text"))?;
    Ok(Value::String(text))
}

/// Bytes as hexadecimal digits.
pub fn hex_digits(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Bytes in the form that is asked for.
pub fn binary(bytes: Bytes, mode: BinaryMode) -> Value {
    match mode {
        BinaryMode::Bytes => Value::Bytes(bytes),
        BinaryMode::Base64 => Value::string(base64s::STANDARD.encode(&bytes)),
        BinaryMode::Base64UrlSafe => Value::string(base64s::URL_SAFE.encode(&bytes)),
        BinaryMode::Hex => Value::string(hex_digits(&bytes)),
    }
}

fn bytea(text: &[u8]) -> Result<Bytes, DecodeError> {
    let wrong = || DecodeError::new("a bytea");
    let digits = text.strip_prefix(b"\\x").ok_or_else(wrong)?;
    geometry::hex(digits).ok_or_else(wrong)
}

/// The bits in bytes, the lowest first, no zero bytes at the end.
fn bits(text: &[u8]) -> Result<Value, DecodeError> {
    let mut bytes = vec![0u8; text.len().div_ceil(8)];
    for (index, bit) in text.iter().rev().enumerate() {
        match (bit, bytes.get_mut(index / 8)) {
            (b'1', Some(byte)) => *byte |= 1 << (index % 8),
            (b'0', _) => {}
            _ => return Err(DecodeError::new("bits")),
        }
    }
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    Ok(Value::Bytes(bytes.into()))
}

fn numbers(text: &[u8], value: fn(f64) -> Value) -> Result<Value, DecodeError> {
    let inner = text.strip_prefix(b"[").and_then(|text| text.strip_suffix(b"]"));
    let inner = inner.ok_or(DecodeError::new("a vector"))?;
    let items = inner.split(|byte| *byte == b',').map(|item| parse::<f64>(item, "a vector").map(value));
    items.collect::<Result<_, _>>().map(Value::Array)
}

/// `{1:1.5,3:2}/5`.
fn sparse(text: &[u8], schema: &Arc<Schema>) -> Result<Value, DecodeError> {
    let wrong = || DecodeError::new("a sparse vector");
    let text = std::str::from_utf8(text).map_err(|_| wrong())?;
    let (entries, dimensions) = text.rsplit_once('/').ok_or_else(wrong)?;
    let entries = entries.strip_prefix('{').and_then(|text| text.strip_suffix('}')).ok_or_else(wrong)?;
    let pairs = entries.split(',').filter(|entry| !entry.is_empty()).map(|entry| {
        let (index, value) = entry.split_once(':').ok_or_else(wrong)?;
        let index = Value::Int16(index.trim().parse().map_err(|_| wrong())?);
        Ok((index, Value::Float64(value.trim().parse().map_err(|_| wrong())?)))
    });
    let pairs = pairs.collect::<Result<Vec<_>, DecodeError>>()?;
    let dimensions = dimensions.trim().parse().map_err(|_| wrong())?;
    Ok(Value::structure(Arc::clone(schema), vec![Value::Int16(dimensions), Value::Map(pairs)]))
}

fn special(text: &[u8]) -> Option<&'static str> {
    match text {
        b"NaN" => Some("NAN"),
        b"Infinity" => Some("POSITIVE_INFINITY"),
        b"-Infinity" => Some("NEGATIVE_INFINITY"),
        _ => None,
    }
}

/// A number that exact bytes have no form for.
fn exact<T>(text: &[u8], decode: impl FnOnce() -> Result<T, DecodeError>) -> Result<T, DecodeError> {
    if special(text).is_some() {
        return Err(DecodeError::new(
            "a finite number; set decimal.handling.mode to double or string to allow NaN and infinity",
        ));
    }
    decode()
}

impl Decode {
    /// The value of `raw`, which lies within `owner`.
    pub fn decode(&self, raw: &[u8], owner: &Bytes) -> Result<Value, DecodeError> {
        Ok(match self {
            Self::Text => return text(raw, owner),
            Self::Int32 => Value::Int32(i32::try_from(integer(raw)?).map_err(|_| DecodeError::new("of 32 bits"))?),
            Self::Int64 => Value::Int64(integer(raw)?),
            Self::Int16 => Value::Int16(i16::try_from(integer(raw)?).map_err(|_| DecodeError::new("of 16 bits"))?),
            Self::Boolean => match raw {
                b"t" => Value::Boolean(true),
                b"f" => Value::Boolean(false),
                _ => return Err(DecodeError::new("a boolean")),
            },
            Self::Float32 => Value::Float32(parse(raw, "a number")?),
            Self::Float64 | Self::DecimalDouble => Value::Float64(parse(raw, "a number")?),
            Self::Bytea(mode) => binary(bytea(raw)?, *mode),
            Self::Opaque(mode) => binary(owner.slice_ref(raw), *mode),
            Self::Bit => Value::Boolean(raw == b"1"),
            Self::Bits => bits(raw)?,
            Self::Decimal(scale) => Value::Bytes(exact(raw, || numeric::fixed(raw, *scale))?),
            Self::VariableDecimal(schema) => {
                let number = exact(raw, || numeric::variable(raw))?;
                Value::structure(Arc::clone(schema), vec![Value::Int32(number.scale), Value::Bytes(number.unscaled)])
            }
            Self::DecimalText => match special(raw) {
                Some(name) => Value::String(Str::from_static(name)),
                None => return text(raw, owner),
            },
            Self::Money(scale) => {
                Value::Bytes(numeric::fixed(&numeric::rounded(&numeric::money(raw), *scale), *scale)?)
            }
            Self::MoneyDouble => Value::Float64(parse(&numeric::money(raw), "money")?),
            Self::MoneyText => {
                let plain = String::from_utf8(numeric::money(raw)).map_err(|_| DecodeError::new("money"))?;
                Value::string(plain)
            }
            Self::ZonedTimestamp(width) => Value::String(time::zoned_timestamp(raw, *width)?),
            Self::Timestamp(unit) => Value::Int64(time::timestamp_number(raw, *unit)?),
            Self::Days => Value::Int32(time::date_days(raw)?),
            Self::Time(unit) => {
                let micros = time::time(raw)?.micros_of_day();
                Value::Int64(if *unit == Unit::Nanos { micros * 1000 } else { micros })
            }
            Self::TimeMillis32 => Value::Int32((time::time(raw)?.micros_of_day() / 1000) as i32),
            Self::ZonedTime => Value::String(time::zoned_time(raw)?),
            Self::IntervalMicros => Value::Int64(Interval::micros_of(raw)?),
            Self::IntervalIso => Value::String(Interval::iso_of(raw)?),
            Self::HstoreJson => Value::String(hstore::json(raw)?),
            Self::HstoreMap => hstore::map(raw)?,
            Self::Point(schema) => geometry::point(raw, schema)?,
            Self::Postgis(schema) => geometry::postgis(raw, schema)?,
            Self::Vector => numbers(raw, Value::Float64)?,
            Self::HalfVector => numbers(raw, |number| Value::Float32(number as f32))?,
            Self::SparseVector(schema) => sparse(raw, schema)?,
            Self::Array(element, apart) => array::decode(raw, owner, element, *apart)?,
            Self::IsoDate => match time::date(raw)? {
                Moment::At(date) => Value::String(time::iso_date(date)),
                _ => return text(raw, owner),
            },
            Self::IsoTime => Value::String(time::iso_time(time::time(raw)?)),
            Self::IsoTimestamp => match time::timestamp(raw)? {
                Moment::At((date, clock)) => Value::String(time::iso_timestamp(date, clock, None)),
                _ => return text(raw, owner),
            },
            structured => return structured.structured(raw),
        })
    }

    /// `time.precision.mode=structured`.
    fn structured(&self, raw: &[u8]) -> Result<Value, DecodeError> {
        let day = |date: time::Date| {
            [Value::Int32(date.year as i32), Value::Int8(date.month as i8), Value::Int8(date.day as i8)]
        };
        let clock = |time: time::Time| {
            let nanos = Value::Int32((time.micros * 1000) as i32);
            [Value::Int8(time.hour as i8), Value::Int8(time.minute as i8), Value::Int8(time.second as i8), nanos]
        };
        let infinity = |schema: &Arc<Schema>, name: &'static str, precision: Value| {
            let field = |field: &levada_connector_api::Field| match field.name.as_str() {
                "specialValue" => Value::String(Str::from_static(name)),
                "precision" => precision.clone(),
                _ => Value::Null,
            };
            Value::structure(Arc::clone(schema), schema.fields.iter().map(field).collect())
        };
        Ok(match self {
            Self::StructuredDate(schema) => match time::date(raw)? {
                Moment::At(date) => {
                    Value::structure(Arc::clone(schema), day(date).into_iter().chain([Value::Null]).collect())
                }
                Moment::Infinity => infinity(schema, "POSITIVE_INFINITY", Value::Null),
                Moment::MinusInfinity => infinity(schema, "NEGATIVE_INFINITY", Value::Null),
            },
            Self::StructuredTime(schema, precision) => Value::structure(
                Arc::clone(schema),
                clock(time::time(raw)?).into_iter().chain([Value::Int32(*precision)]).collect(),
            ),
            Self::StructuredTimestamp(schema, precision) | Self::StructuredZonedTimestamp(schema, precision) => {
                let precision = Value::Int32(*precision);
                match time::timestamp(raw)? {
                    Moment::At((date, time)) => {
                        let zone = match self {
                            Self::StructuredZonedTimestamp(..) => vec![Value::Int32(0), Value::string("Z")],
                            _ => Vec::new(),
                        };
                        let tail = zone.into_iter().chain([Value::Null, precision]);
                        Value::structure(
                            Arc::clone(schema),
                            day(date).into_iter().chain(clock(time)).chain(tail).collect(),
                        )
                    }
                    Moment::Infinity => infinity(schema, "POSITIVE_INFINITY", precision),
                    Moment::MinusInfinity => infinity(schema, "NEGATIVE_INFINITY", precision),
                }
            }
            Self::StructuredZonedTime(schema, precision) => {
                let (time, offset) = time::zoned(raw)?;
                let tail = [Value::Int32(offset as i32), Value::Int32(*precision)];
                Value::structure(Arc::clone(schema), clock(time).into_iter().chain(tail).collect())
            }
            Self::StructuredInterval(schema, precision) => {
                let i = Interval::parse(raw)?;
                let int = |number: i64| Value::Int32(number as i32);
                let (seconds, micros) = (i.micros / 1_000_000, i.micros % 1_000_000);
                let clock = [int(i.hours), int(i.minutes), Value::Int64(seconds), int(micros * 1000)];
                let date = [int(i.years), int(i.months), int(i.days)];
                Value::structure(
                    Arc::clone(schema),
                    date.into_iter().chain(clock).chain([Value::Int32(*precision)]).collect(),
                )
            }
            _ => return Err(DecodeError::new("of a type that is known")),
        })
    }
}

//! How a column's type is represented: the schemas and values of the Java connectors on PostgreSQL.

use super::{
    columns::Column,
    config::{Granularity, NumericMapping, Other, Settings, UnboundNumeric},
    instant::Instant,
    statement::{column, to_utc},
};
use crate::{
    config::BinaryMode,
    datatype::{self, Decode, DecodeError, Unit},
};
use levada_connector_api::{Bytes, Schema, SchemaType, Value, logical};
use std::sync::Arc;
use tokio_postgres::types::{Kind, Type};

/// Most digits that a 64-bit integer always has room for.
const MOST_DIGITS: i32 = 18;

/// How the server's text becomes a value.
#[derive(Clone, Debug)]
pub enum Convert {
    /// As the other source does it.
    Plain(Decode),
    /// A `numeric` without fraction as an integer.
    Integer(SchemaType),
    /// A `numeric` as a Decimal of this scale.
    Decimal(i32),
    /// Up to eight bits as a number.
    Bits,
    /// A `timetz` as milliseconds of the day in UTC.
    ZonedTime,
    /// A `timestamp` as a number in text.
    TimestampDigits(Unit),
    /// A `timestamp` as ISO text with so many digits behind the point.
    TimestampIso(usize),
}

/// A field of records.
#[derive(Clone, Debug)]
pub struct Field {
    /// Name.
    pub name: String,
    /// Schema.
    pub schema: Arc<Schema>,
    /// How its value is made.
    pub convert: Convert,
    /// What is asked for.
    pub select: String,
}

fn decimal(precision: i32, scale: i32) -> (Schema, Convert) {
    (datatype::decimal(scale, Some(precision)), Convert::Decimal(scale))
}

fn plain(kind: SchemaType, decode: Decode) -> (Schema, Convert) {
    (Schema::new(kind), Convert::Plain(decode))
}

fn named(kind: SchemaType, name: &str, convert: Convert) -> (Schema, Convert) {
    let mut schema = Schema::new(kind).named(name);
    schema.version = Some(1);
    (schema, convert)
}

/// `numeric(precision,scale)`.
fn numeric(settings: &Settings, modifier: i32) -> (Schema, Convert) {
    if modifier < 4 {
        return match settings.unbound {
            UnboundNumeric::Whole => decimal(0, 0),
            UnboundNumeric::String => plain(SchemaType::String, Decode::Text),
            UnboundNumeric::Double => plain(SchemaType::Float64, Decode::Float64),
        };
    }
    let precision = ((modifier - 4) >> 16) & 0xffff;
    // Eleven bits with a sign.
    let scale = (((modifier - 4) & 0x7ff) ^ 1024) - 1024;
    // With a negative scale the number has that many digits more.
    let digits = precision - scale.min(0);
    let integer = digits <= MOST_DIGITS && scale <= 0;
    let mapping = settings.numeric;
    if integer && mapping != NumericMapping::None {
        let kind = match digits {
            10.. => SchemaType::Int64,
            5..10 => SchemaType::Int32,
            3..5 => SchemaType::Int16,
            _ => SchemaType::Int8,
        };
        return (Schema::new(kind), Convert::Integer(kind));
    }
    let double = match mapping {
        NumericMapping::BestFit => digits <= MOST_DIGITS,
        NumericMapping::BestFitEagerDouble => true,
        NumericMapping::None | NumericMapping::PrecisionOnly => false,
    };
    if scale > 0 && double {
        return plain(SchemaType::Float64, Decode::Float64);
    }
    decimal(precision, scale.max(0))
}

fn timestamp(granularity: Granularity) -> (Schema, Convert) {
    let text = |convert| (Schema::new(SchemaType::String), convert);
    match granularity {
        Granularity::ConnectLogical => {
            named(SchemaType::Int64, logical::TIMESTAMP, Convert::Plain(Decode::Timestamp(Unit::Millis)))
        }
        Granularity::MicrosLong => plain(SchemaType::Int64, Decode::Timestamp(Unit::Micros)),
        Granularity::NanosLong => plain(SchemaType::Int64, Decode::Timestamp(Unit::Nanos)),
        Granularity::MicrosString => text(Convert::TimestampDigits(Unit::Micros)),
        Granularity::NanosString => text(Convert::TimestampDigits(Unit::Nanos)),
        Granularity::MicrosIso => text(Convert::TimestampIso(6)),
        Granularity::NanosIso => text(Convert::TimestampIso(9)),
    }
}

/// A timestamp's expression: numbers are in UTC, texts in the database's zone.
fn timestamp_select(settings: &Settings, name: &str, zoned: bool) -> String {
    let column = column(name);
    let text = matches!(settings.granularity, Granularity::MicrosIso | Granularity::NanosIso);
    let zone = crate::net::literal(&settings.zone);
    match (zoned, text, settings.utc) {
        (true, true, false) => format!("{column} AT TIME ZONE {zone}"),
        (true, ..) => format!("{column} AT TIME ZONE 'UTC'"),
        (false, false, false) => to_utc(&column, &settings.zone),
        (false, ..) => column,
    }
}

fn bits(modifier: i32) -> (Schema, Convert) {
    match modifier {
        ..=1 => plain(SchemaType::Boolean, Decode::Bit),
        2..=8 => (Schema::new(SchemaType::Int8), Convert::Bits),
        // The digits' bytes, as they come from the Java driver.
        _ => plain(SchemaType::Bytes, Decode::Opaque(BinaryMode::Bytes)),
    }
}

/// The field of a column; `None` where its type has no form.
pub fn field(settings: &Settings, of: &Column) -> Option<Field> {
    let mut select = column(&of.name);
    let (schema, convert) = match of.kind {
        Type::BOOL => plain(SchemaType::Boolean, Decode::Boolean),
        Type::BIT => bits(of.modifier),
        Type::INT2 => plain(SchemaType::Int16, Decode::Int16),
        Type::INT4 => plain(SchemaType::Int32, Decode::Int32),
        Type::INT8 | Type::OID => plain(SchemaType::Int64, Decode::Int64),
        Type::FLOAT4 => plain(SchemaType::Float32, Decode::Float32),
        Type::FLOAT8 => plain(SchemaType::Float64, Decode::Float64),
        Type::NUMERIC => numeric(settings, of.modifier),
        Type::MONEY => plain(SchemaType::Float64, Decode::MoneyDouble),
        Type::BYTEA => plain(SchemaType::Bytes, Decode::Bytea(BinaryMode::Bytes)),
        Type::DATE => named(SchemaType::Int32, logical::DATE, Convert::Plain(Decode::Days)),
        Type::TIME => named(SchemaType::Int32, logical::TIME, Convert::Plain(Decode::TimeMillis32)),
        Type::TIMETZ => named(SchemaType::Int32, logical::TIME, Convert::ZonedTime),
        Type::TIMESTAMP | Type::TIMESTAMPTZ => {
            select = timestamp_select(settings, &of.name, of.kind == Type::TIMESTAMPTZ);
            timestamp(settings.granularity)
        }
        Type::CHAR
        | Type::BPCHAR
        | Type::VARCHAR
        | Type::TEXT
        | Type::NAME
        | Type::UUID
        | Type::JSON
        | Type::JSONB
        | Type::XML => plain(SchemaType::String, Decode::Text),
        _ if matches!(of.kind.kind(), Kind::Enum(_)) => plain(SchemaType::String, Decode::Text),
        _ if settings.other == Other::String => plain(SchemaType::String, Decode::Text),
        _ => return None,
    };
    let schema = if of.not_null { schema } else { schema.optional() };
    Some(Field { name: of.name.clone(), schema: Arc::new(schema), convert, select })
}

impl Convert {
    /// The value of `raw`, which lies within `owner`.
    pub fn convert(&self, raw: &[u8], owner: &Bytes) -> Result<Value, DecodeError> {
        match self {
            Self::Plain(decode) => decode.decode(raw, owner),
            Self::Integer(kind) => integer(raw, *kind),
            Self::Decimal(scale) => exact(raw, *scale),
            Self::Bits => {
                let digits = std::str::from_utf8(raw).ok().and_then(|text| u8::from_str_radix(text, 2).ok());
                digits.map(|bits| Value::Int8(bits.cast_signed())).ok_or(DecodeError::new("bits"))
            }
            Self::ZonedTime => {
                let (time, offset) = datatype::zoned(raw)?;
                let millis = time.micros_of_day().div_euclid(1000) - offset * 1000;
                // Midnight at the end of the day stays what it is.
                let day = if offset == 0 { millis } else { millis.rem_euclid(86_400_000) };
                Ok(Value::Int32(i32::try_from(day).unwrap_or(0)))
            }
            Self::TimestampDigits(unit) => {
                datatype::timestamp_number(raw, *unit).map(|number| Value::string(number.to_string()))
            }
            Self::TimestampIso(digits) => Instant::parse(raw).map(|instant| Value::string(iso(instant, *digits))),
        }
    }
}

/// `2024-02-29T10:34:56.123456`; the infinities stay words, and years before 1 have a sign as in Java.
fn iso(instant: Instant, digits: usize) -> String {
    let text = instant.text();
    let Some((day, time)) = text.split_once(' ') else { return text };
    let (time, bc) = time.strip_suffix(" BC").map_or((time, false), |time| (time, true));
    let zeros = "0".repeat(digits.saturating_sub(6));
    if !bc {
        return format!("{day}T{time}{zeros}");
    }
    let (year, rest) = day.split_once('-').unwrap_or((day, ""));
    let year = year.parse::<i64>().unwrap_or(1) - 1;
    let sign = if year == 0 { "" } else { "-" };
    format!("{sign}{year:04}-{rest}T{time}{zeros}")
}

fn finite(raw: &[u8]) -> Result<(), DecodeError> {
    match raw {
        b"NaN" | b"Infinity" | b"-Infinity" => Err(DecodeError::new(
            "a finite number; a double has room for NaN and infinity: numeric.mapping=best_fit_eager_double, \
             numeric.unbound.mapping=double, or a query with a cast",
        )),
        _ => Ok(()),
    }
}

fn integer(raw: &[u8], kind: SchemaType) -> Result<Value, DecodeError> {
    finite(raw)?;
    let wrong = DecodeError::new("a whole number of its precision");
    let number: i64 = std::str::from_utf8(raw).ok().and_then(|text| text.parse().ok()).ok_or(wrong.clone())?;
    let value = match kind {
        SchemaType::Int8 => i8::try_from(number).map(Value::Int8),
        SchemaType::Int16 => i16::try_from(number).map(Value::Int16),
        SchemaType::Int32 => i32::try_from(number).map(Value::Int32),
        _ => return Ok(Value::Int64(number)),
    };
    value.map_err(|_| wrong)
}

fn exact(raw: &[u8], scale: i32) -> Result<Value, DecodeError> {
    finite(raw)?;
    let fraction = memchr::memchr(b'.', raw).and_then(|at| raw.get(at + 1..)).unwrap_or_default();
    let beyond = fraction.get(usize::try_from(scale).unwrap_or(0)..).unwrap_or_default();
    if beyond.iter().any(|digit| *digit != b'0') {
        return Err(DecodeError::new(
            "a whole number, and its column has no scale; set numeric.unbound.mapping to string or double, or give \
             the column a precision and scale",
        ));
    }
    datatype::fixed(raw, scale).map(Value::Bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_have_javas_iso_form() {
        let iso = |text: &str| iso(Instant::parse(text.as_bytes()).unwrap(), 9);
        assert_eq!(iso("2024-02-29 10:34:56.1"), "2024-02-29T10:34:56.100000000");
        assert_eq!(iso("0044-03-15 12:00:00 BC"), "-0043-03-15T12:00:00.000000000");
        assert_eq!(iso("0001-01-01 00:00:00 BC"), "0000-01-01T00:00:00.000000000");
        assert_eq!(iso("infinity"), "infinity");
    }

    #[test]
    fn numbers_are_never_cut() {
        assert!(exact(b"1.5", 0).is_err() && exact(b"NaN", 2).is_err() && exact(b"1.50", 1).is_ok());
        assert_eq!(exact(b"100.00", 0).unwrap(), Value::Bytes(Bytes::from_static(&[100])));
        assert!(integer(b"200", SchemaType::Int8).is_err());
        assert_eq!(integer(b"-128", SchemaType::Int8).unwrap(), Value::Int8(-128));
        let zoned = |text: &[u8]| Convert::ZonedTime.convert(text, &Bytes::new()).unwrap();
        assert_eq!(zoned(b"00:30:00.5+02"), Value::Int32(81_000_500));
        assert_eq!(zoned(b"24:00:00+00"), Value::Int32(86_400_000));
    }
}

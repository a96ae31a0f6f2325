//! Values as text, the way Java's `String.valueOf` gives them: what Apache's string converter and
//! file sink write, and what users of them expect to find.

use crate::{Schema, Struct, Value};
use std::{fmt, io::Write};

impl Value {
    /// Appends the text of the value. `schema` tells logical types from their base types.
    ///
    /// A struct is `Struct{a=1,b=x}` without its null fields, a map `{a=1, b=2}`, a list `[1, 2]`.
    /// Bytes, for which Java would give the address of an object, are UTF-8 text.
    pub fn write_text(&self, schema: Option<&Schema>, out: &mut Vec<u8>) {
        if let Some(text) = schema.and_then(|schema| logical(self, schema)) {
            out.extend_from_slice(text.as_bytes());
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
            // Writing to a vector can't fail.
            plain => drop(write!(out, "{}", Plain(plain))),
        }
    }
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

/// A value without parts.
struct Plain<'a>(&'a Value);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Boolean(value) => write!(f, "{value}"),
            Value::Int8(value) => write!(f, "{value}"),
            Value::Int16(value) => write!(f, "{value}"),
            Value::Int32(value) => write!(f, "{value}"),
            Value::Int64(value) => write!(f, "{value}"),
            Value::Float32(value) => java_float(f, f64::from(*value), &format!("{value:e}")),
            Value::Float64(value) => java_float(f, *value, &format!("{value:e}")),
            _ => f.write_str("null"),
        }
    }
}

/// Java writes a decimal point always, and powers of ten outside of 0.001 to 10,000,000.
/// `scientific` is the number as Rust writes it, `1.5e-7`.
fn java_float(f: &mut fmt::Formatter<'_>, value: f64, scientific: &str) -> fmt::Result {
    if value.is_nan() {
        return f.write_str("NaN");
    }
    if value.is_infinite() {
        return f.write_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
    }
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return f.write_str(scientific) };
    let plain = value == 0.0 || (1e-3..1e7).contains(&value.abs());
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", mantissa),
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !plain {
        let fraction = if digits.contains('.') { "" } else { ".0" };
        return write!(f, "{sign}{digits}{fraction}E{exponent}");
    }
    let digits = digits.replace('.', "");
    write!(f, "{sign}{}", with_point(&digits, 1 + exponent))
}

/// `digits` with a decimal point behind `place` of them, and at least one digit on each side.
fn with_point(digits: &str, place: i32) -> String {
    let count = digits.len() as i32;
    if place <= 0 {
        return format!("0.{}{digits}", "0".repeat(place.unsigned_abs() as usize));
    }
    if place >= count {
        return format!("{digits}{}.0", "0".repeat((place - count) as usize));
    }
    let (whole, fraction) = digits.split_at(place as usize);
    format!("{whole}.{fraction}")
}

const DAY: i64 = 86_400_000;

/// The text of a logical type's value.
fn logical(value: &Value, schema: &Schema) -> Option<String> {
    let name = schema.name.as_deref()?.strip_prefix("org.apache.kafka.connect.data.")?;
    match (name, value) {
        ("Decimal", Value::Bytes(bytes)) => decimal(bytes, schema.parameters.get("scale")?.parse().ok()?),
        ("Date", Value::Int32(days)) => Some(java_date(i64::from(*days).checked_mul(DAY)?)),
        ("Time", Value::Int32(millis)) => Some(java_date(i64::from(*millis))),
        ("Timestamp", Value::Int64(millis)) => Some(java_date(*millis)),
        _ => None,
    }
}

/// As Java writes a `Date` in UTC: `Thu Jan 01 00:00:00 UTC 1970`.
fn java_date(millis: i64) -> String {
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, seconds) = (millis.div_euclid(DAY), millis.rem_euclid(DAY) / 1000);
    let (year, month, day) = civil(days);
    let weekday = WEEKDAYS.get(days.rem_euclid(7) as usize).unwrap_or(&"");
    let month = MONTHS.get(month as usize).unwrap_or(&"");
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{weekday} {month} {day:02} {hour:02}:{minute:02}:{second:02} UTC {year:04}")
}

/// Year, month from 0, and day of month, of a day counted from 1970-01-01.
fn civil(days: i64) -> (i64, i64, i64) {
    // Counted from 1 March of the year 0, a leap day is the last of its year.
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year_of_era + i64::from(month >= 10);
    (year, (month + 2) % 12, day)
}

/// As Java writes a `BigDecimal`. `None` for numbers beyond 128 bits.
fn decimal(unscaled: &[u8], scale: i32) -> Option<String> {
    if unscaled.is_empty() || unscaled.len() > 16 {
        return None;
    }
    let negative = unscaled.first().is_some_and(|byte| *byte >= 0x80);
    let start = if negative { -1i128 } else { 0 };
    let number = unscaled.iter().fold(start, |number, byte| (number << 8) | i128::from(*byte));
    let sign = if number < 0 { "-" } else { "" };
    let digits = number.unsigned_abs().to_string();
    let adjusted = i64::from(scale).checked_neg()? + digits.len() as i64 - 1;
    if scale == 0 {
        return Some(format!("{sign}{digits}"));
    }
    if scale > 0 && adjusted >= -6 {
        return Some(format!("{sign}{}", with_point(&digits, digits.len() as i32 - scale)));
    }
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    Some(format!("{sign}{first}{point}{rest}E{adjusted:+}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SchemaType;
    use bytes::Bytes;
    use std::sync::Arc;

    fn text(value: &Value, schema: Option<&Schema>) -> String {
        let mut out = Vec::new();
        value.write_text(schema, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_written_as_java_does() {
        for (value, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (100.0, "100.0"),
            (0.001, "0.001"),
            (1.5e-4, "1.5E-4"),
            (12345678.9, "1.23456789E7"),
            (9999999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (1e21, "1.0E21"),
            (-2.5, "-2.5"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
            (0.1 + 0.2, "0.30000000000000004"),
        ] {
            assert_eq!(text(&Value::Float64(value), None), expected);
        }
        assert_eq!(text(&Value::Float32(0.1), None), "0.1");
        assert_eq!(text(&Value::Int64(i64::MIN), None), "-9223372036854775808");
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
        let value = Value::Struct(Box::new(Struct { schema, values }));
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
        assert_eq!(text(&Value::Int32(-1), Some(&date)), "Wed Dec 31 00:00:00 UTC 1969");
        let timestamp = named(SchemaType::Int64, "Timestamp");
        assert_eq!(text(&Value::Int64(1_709_208_000_123), Some(&timestamp)), "Thu Feb 29 12:00:00 UTC 2024");
        let decimal = |scale: &str, bytes: &'static [u8]| {
            let mut schema = named(SchemaType::Bytes, "Decimal");
            schema.parameters.insert("scale".into(), scale.into());
            text(&Value::Bytes(Bytes::from_static(bytes)), Some(&schema))
        };
        assert_eq!(decimal("2", &[0x04, 0xd2]), "12.34");
        assert_eq!(decimal("2", &[0xff]), "-0.01");
        assert_eq!(decimal("0", &[0x7f]), "127");
        assert_eq!(decimal("2", &[5]), "0.05");
        assert_eq!(decimal("-2", &[12]), "1.2E+3");
        assert_eq!(decimal("10", &[12]), "1.2E-9");
    }
}

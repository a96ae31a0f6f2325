//! Structs with a form of their own: decimals, points, geometries, structured times.

use super::{EncodeError, Form, hex, number, plain, time, whole};
use crate::datatype::days;
use levada_connector_api::{Struct, Value};
use std::io::Write as _;

fn field<'a>(value: &'a Struct, name: &str) -> &'a Value {
    value.schema.field(name).and_then(|(at, _)| value.values.get(at)).unwrap_or(&Value::Null)
}

fn missing(name: &str) -> EncodeError {
    EncodeError::new(format!("the struct has no {name}"))
}

/// Appends the text of a struct.
pub fn write(form: Form, value: &Struct, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match form {
        Form::VariableDecimal => {
            let Value::Bytes(bytes) = field(value, "value") else { return Err(missing("value")) };
            let scale = i32::try_from(whole(field(value, "scale"))?).map_err(|_| missing("scale of 32 bits"))?;
            number::decimal(bytes, scale, out)
        }
        Form::Point => {
            out.push(b'(');
            plain(field(value, "x"), out)?;
            out.push(b',');
            plain(field(value, "y"), out)?;
            out.push(b')');
            Ok(())
        }
        Form::Geometry => {
            let Value::Bytes(wkb) = field(value, "wkb") else { return Err(missing("wkb")) };
            let start = out.len();
            hex(&with_srid(wkb, field(value, "srid")), out);
            // Without the `\x` of bytea.
            out.drain(start..start + 2);
            Ok(())
        }
        Form::GeometryBytes => plain(field(value, "wkb"), out),
        Form::Sparse => sparse(value, out),
        Form::Structured => structured(value, out),
    }
}

/// Well-known binary with its reference system in it.
fn with_srid(wkb: &[u8], srid: &Value) -> Vec<u8> {
    const HAS_SRID: u32 = 0x2000_0000;
    let Value::Int32(srid) = srid else { return wkb.to_vec() };
    let (Some(order), Some(Ok(kind))) = (wkb.first(), wkb.get(1..5).map(<[u8; 4]>::try_from)) else {
        return wkb.to_vec();
    };
    let little = *order == 1;
    let kind = if little { u32::from_le_bytes(kind) } else { u32::from_be_bytes(kind) };
    if kind & HAS_SRID != 0 {
        return wkb.to_vec();
    }
    let word = |number: u32| if little { number.to_le_bytes() } else { number.to_be_bytes() };
    let mut full = vec![*order];
    full.extend_from_slice(&word(kind | HAS_SRID));
    full.extend_from_slice(&word(*srid as u32));
    full.extend_from_slice(wkb.get(5..).unwrap_or_default());
    full
}

/// `{1:1.5,3:2}/5`.
fn sparse(value: &Struct, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let Value::Map(entries) = field(value, "vector") else { return Err(missing("vector")) };
    out.push(b'{');
    for (index, (place, number)) in entries.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        plain(place, out)?;
        out.push(b':');
        plain(number, out)?;
    }
    out.extend_from_slice(b"}/");
    plain(field(value, "dimensions"), out)
}

fn structured(value: &Struct, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let number = |name: &str| match field(value, name) {
        Value::Null => Ok(0),
        number => whole(number),
    };
    match field(value, "specialValue") {
        Value::String(text) if text.as_str() == "POSITIVE_INFINITY" => {
            out.extend_from_slice(b"infinity");
            return Ok(());
        }
        Value::String(text) if text.as_str() == "NEGATIVE_INFINITY" => {
            out.extend_from_slice(b"-infinity");
            return Ok(());
        }
        _ => {}
    }
    let name = value.schema.name.as_deref().unwrap_or_default();
    if name.ends_with("StructuredDuration") {
        return duration(number, out);
    }
    let dated = value.schema.field("year").is_some();
    let timed = value.schema.field("hour").is_some();
    let clock = || -> Result<i64, EncodeError> {
        let seconds = (number("hour")? * 60 + number("minute")?) * 60 + number("second")?;
        Ok(seconds * 1_000_000 + number("nanos")? / 1000)
    };
    let offset = number("offsetSeconds")?;
    match (dated, timed) {
        (true, timed) => {
            let day =
                days(number("year")?.clamp(-10_000_000, 10_000_000), number("month")?.clamp(1, 12), number("day")?);
            if !timed {
                time::days(day, out);
                return Ok(());
            }
            let micros = day * 86_400_000_000 + clock()? - offset * 1_000_000;
            time::moment(micros, super::Unit::Micros, name.ends_with("StructuredZonedTimestamp"), out);
        }
        (false, true) => {
            time::clock(clock()?, super::Unit::Micros, out)?;
            if name.ends_with("StructuredZonedTime") {
                let sign = if offset < 0 { '-' } else { '+' };
                let offset = offset.unsigned_abs();
                // Writing to memory can't fail.
                let _ = write!(out, "{sign}{:02}:{:02}:{:02}", offset / 3600, offset / 60 % 60, offset % 60);
            }
        }
        _ => return Err(EncodeError::new("the struct has no date and no time")),
    }
    Ok(())
}

/// Each part with its own sign, as ISO 8601 and the server have it.
fn duration(number: impl Fn(&str) -> Result<i64, EncodeError>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let (seconds, micros) = (number("seconds")?, number("nanos")? / 1000);
    let total = i128::from(seconds) * 1_000_000 + i128::from(micros);
    let sign = if total < 0 { "-" } else { "" };
    let (whole, fraction) = (total.unsigned_abs() / 1_000_000, total.unsigned_abs() % 1_000_000);
    let (years, months, days) = (number("years")?, number("months")?, number("days")?);
    let (hours, minutes) = (number("hours")?, number("minutes")?);
    let _ = write!(out, "P{years}Y{months}M{days}DT{hours}H{minutes}M{sign}{whole}.{fraction:06}S");
    Ok(())
}

//! `point`, and PostGIS' types from their extended well-known binary form.

use super::DecodeError;
use levada_connector_api::{Bytes, Schema, Value};
use std::sync::Arc;

/// `(1.5,2)` as Debezium's Point.
pub fn point(text: &[u8], schema: &Arc<Schema>) -> Result<Value, DecodeError> {
    let wrong = || DecodeError::new("a point");
    let text = std::str::from_utf8(text).map_err(|_| wrong())?;
    let inner = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).ok_or_else(wrong)?;
    let (x, y) = inner.split_once(',').ok_or_else(wrong)?;
    let (x, y): (f64, f64) = (x.parse().map_err(|_| wrong())?, y.parse().map_err(|_| wrong())?);
    let mut wkb = vec![1, 1, 0, 0, 0];
    wkb.extend_from_slice(&x.to_le_bytes());
    wkb.extend_from_slice(&y.to_le_bytes());
    let values = vec![Value::Float64(x), Value::Float64(y), Value::Bytes(wkb.into()), Value::Null];
    Ok(Value::structure(Arc::clone(schema), values))
}

/// Hexadecimal EWKB with the number of its reference system.
pub fn postgis(text: &[u8], schema: &Arc<Schema>) -> Result<Value, DecodeError> {
    let wkb = hex(text).ok_or_else(|| DecodeError::new("a PostGIS value"))?;
    let srid = srid(&wkb).map_or(Value::Null, Value::Int32);
    let values = vec![Value::Bytes(wkb), srid];
    Ok(Value::structure(Arc::clone(schema), values))
}

/// The reference system, where the type says that there is one.
fn srid(wkb: &[u8]) -> Option<i32> {
    let little = *wkb.first()? == 1;
    let word = |at: usize| -> Option<u32> {
        let bytes: [u8; 4] = wkb.get(at..at + 4)?.try_into().ok()?;
        Some(if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    };
    (word(1)? & 0x2000_0000 != 0).then(|| word(5))?.map(|srid| srid as i32)
}

/// Bytes of hexadecimal digits.
pub fn hex(text: &[u8]) -> Option<Bytes> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    let pairs = text.as_chunks::<2>().0.iter();
    pairs.map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect::<Option<Vec<u8>>>().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datatype::schemas;

    #[test]
    fn points_have_their_binary_form() {
        let Value::Struct(point) = point(b"(1.5,-2)", &Arc::new(schemas::point())).unwrap() else { panic!() };
        assert_eq!(point.values[..2], [Value::Float64(1.5), Value::Float64(-2.0)]);
        let Value::Bytes(wkb) = &point.values[2] else { panic!() };
        assert_eq!(wkb.len(), 21);
    }

    #[test]
    fn the_reference_system_is_read() {
        // SRID=4326;POINT(1 2)
        let text = b"0101000020E6100000000000000000F03F0000000000000040";
        let Value::Struct(value) = postgis(text, &Arc::new(schemas::geometry("Geometry"))).unwrap() else { panic!() };
        assert_eq!(value.values[1], Value::Int32(4326));
        assert!(hex(b"0g").is_none() && hex(b"0").is_none());
    }
}

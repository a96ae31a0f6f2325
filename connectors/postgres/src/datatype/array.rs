//! Arrays from the server's text: `{1,NULL,"a,b"}`.

use super::{Decode, DecodeError};
use levada_connector_api::{Bytes, Value};

/// Decodes each element; they are apart by `apart`. Arrays of more than one dimension have no place in a schema of one.
pub fn decode(text: &[u8], owner: &Bytes, element: &Decode, apart: u8) -> Result<Value, DecodeError> {
    let wrong = || DecodeError::new("an array");
    // Bounds other than 1: `[0:2]={...}`.
    let text = match text.first() {
        Some(b'[') => memchr::memchr(b'=', text).and_then(|at| text.get(at + 1..)).ok_or_else(wrong)?,
        _ => text,
    };
    let mut rest = text.strip_prefix(b"{").and_then(|text| text.strip_suffix(b"}")).ok_or_else(wrong)?;
    let mut values = Vec::new();
    while !rest.is_empty() {
        let value;
        (value, rest) = match rest.first() {
            Some(b'{') => return Err(DecodeError::new("an array of one dimension")),
            Some(b'"') => {
                let (bytes, after) = quoted(rest).ok_or_else(wrong)?;
                (element.decode(&bytes, &bytes)?, after)
            }
            _ => {
                let end = memchr::memchr(apart, rest).unwrap_or(rest.len());
                let (item, after) = rest.split_at(end);
                let null = item.eq_ignore_ascii_case(b"NULL");
                (if null { Value::Null } else { element.decode(item, owner)? }, after)
            }
        };
        values.push(value);
        rest = match rest.split_first() {
            Some((next, after)) if *next == apart && !after.is_empty() => after,
            None => rest,
            Some(_) => return Err(wrong()),
        };
    }
    Ok(Value::Array(values))
}

/// The text within quotes, and what follows them.
fn quoted(text: &[u8]) -> Option<(Bytes, &[u8])> {
    let mut rest = text.strip_prefix(b"\"")?;
    let mut out = Vec::new();
    loop {
        let at = memchr::memchr2(b'"', b'\\', rest)?;
        out.extend_from_slice(rest.get(..at)?);
        match rest.get(at)? {
            b'"' => return Some((out.into(), rest.get(at + 1..)?)),
            _ => out.push(*rest.get(at + 1)?),
        }
        rest = rest.get(at + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &'static str) -> Result<Value, DecodeError> {
        let owner = Bytes::from_static(text.as_bytes());
        decode(&owner, &owner, &Decode::Text, b',')
    }

    #[test]
    fn elements_are_read() {
        let list = |items: &[&str]| Value::Array(items.iter().map(|item| Value::string(*item)).collect());
        assert_eq!(texts("{}").unwrap(), list(&[]));
        assert_eq!(texts(r#"{a,"b,c","d\"e","NULL"}"#).unwrap(), list(&["a", "b,c", "d\"e", "NULL"]));
        assert_eq!(texts("{NULL}").unwrap(), Value::Array(vec![Value::Null]));
        assert_eq!(texts("[0:1]={x,y}").unwrap(), list(&["x", "y"]));
        for wrong in ["", "{", "{a", "{{a}}", "{a,}", "{\"a\"b}"] {
            assert!(texts(wrong).is_err(), "{wrong}");
        }
        let boxes = Bytes::from_static(b"{(1,1),(0,0);(2,2),(1,1)}");
        assert_eq!(decode(&boxes, &boxes, &Decode::Text, b';').unwrap(), list(&["(1,1),(0,0)", "(2,2),(1,1)"]));
    }
}

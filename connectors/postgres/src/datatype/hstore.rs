//! `hstore` from its text: `"a"=>"1", "b"=>NULL`.

use super::DecodeError;
use levada_connector_api::{Str, Value};

/// Keys and values in the text's order.
pub fn entries(text: &[u8]) -> Result<Vec<(String, Option<String>)>, DecodeError> {
    let wrong = || DecodeError::new("an hstore");
    let mut entries = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (key, after) = quoted(rest).ok_or_else(wrong)?;
        rest = after.strip_prefix(b"=>").ok_or_else(wrong)?;
        let value = match rest.strip_prefix(b"NULL") {
            Some(after) => {
                rest = after;
                None
            }
            None => {
                let (value, after) = quoted(rest).ok_or_else(wrong)?;
                rest = after;
                Some(value)
            }
        };
        entries.push((key, value));
        rest = rest.strip_prefix(b", ").unwrap_or(rest);
    }
    Ok(entries)
}

fn quoted(text: &[u8]) -> Option<(String, &[u8])> {
    let mut bytes = text.strip_prefix(b"\"")?;
    let mut out = Vec::new();
    loop {
        match bytes {
            [b'\\', escaped, rest @ ..] => {
                out.push(*escaped);
                bytes = rest;
            }
            [b'"', rest @ ..] => return Some((String::from_utf8(out).ok()?, rest)),
            [byte, rest @ ..] => {
                out.push(*byte);
                bytes = rest;
            }
            [] => return None,
        }
    }
}

/// As JSON text.
pub fn json(text: &[u8]) -> Result<Str, DecodeError> {
    let object: serde_json::Map<_, _> = entries(text)?
        .into_iter()
        .map(|(key, value)| (key, value.map_or(serde_json::Value::Null, Into::into)))
        .collect();
    Ok(serde_json::Value::Object(object).to_string().into())
}

/// As a map.
pub fn map(text: &[u8]) -> Result<Value, DecodeError> {
    let entry = |(key, value): (String, Option<String>)| (Value::string(key), value.map_or(Value::Null, Value::string));
    Ok(Value::Map(entries(text)?.into_iter().map(entry).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read() {
        assert_eq!(json(br#""a"=>"1", "b \"q\""=>NULL"#).unwrap(), r#"{"a":"1","b \"q\"":null}"#);
        assert_eq!(json(b"").unwrap(), "{}");
        assert_eq!(map(br#""k"=>"v""#).unwrap(), Value::Map(vec![(Value::string("k"), Value::string("v"))]));
        assert!(json(br#""a""#).is_err());
    }
}

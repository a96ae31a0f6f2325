//! Values made of others: arrays, vectors, `hstore`, JSON.

use super::{Encode, EncodeError, integer, number, plain};
use base64::Engine as _;
use levada_connector_api::{Schema, SchemaType, Value, logical};
use serde_json::{Map, Number, Value as Json};

/// Deepest nesting of a value that is followed (invariant 9).
const MAX_DEPTH: usize = 100;

/// Appends `text` within quotes, `"` and `\` marked by `\`.
pub fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text;
    while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
        let (before, after) = rest.split_at(at);
        out.extend_from_slice(before);
        out.push(b'\\');
        let (special, after) = after.split_at(1);
        out.extend_from_slice(special);
        rest = after;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// `{1,NULL,"a"}`.
pub fn array(items: &[Value], element: &Encode, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    out.push(b'{');
    let mut scratch = Vec::new();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        match (item, element) {
            (Value::Null, _) => out.extend_from_slice(b"NULL"),
            (item, Encode::Array(_)) => element.write(item, out)?,
            (item, _) => {
                scratch.clear();
                element.write(item, &mut scratch)?;
                quote(&scratch, out);
            }
        }
    }
    out.push(b'}');
    Ok(())
}

/// `[1,2.5]`.
pub fn vector(items: &[Value], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        plain(item, out)?;
    }
    out.push(b']');
    Ok(())
}

fn pair(key: &str, value: Option<&str>, out: &mut Vec<u8>) {
    if !out.is_empty() {
        out.push(b',');
    }
    quote(key.as_bytes(), out);
    out.extend_from_slice(b"=>");
    match value {
        Some(value) => quote(value.as_bytes(), out),
        None => out.extend_from_slice(b"NULL"),
    }
}

/// `"a"=>"1","b"=>NULL`.
pub fn hstore(entries: &[(Value, Value)], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let mut text = Vec::new();
    for (key, value) in entries {
        match (key, value) {
            (Value::String(key), Value::Null) => pair(key, None, &mut text),
            (Value::String(key), Value::String(value)) => pair(key, Some(value), &mut text),
            _ => return Err(EncodeError::new("only a map of texts to texts fits an hstore")),
        }
    }
    out.extend_from_slice(&text);
    Ok(())
}

/// A JSON object's text as an `hstore`.
pub fn hstore_of_json(text: &str, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let wrong = || EncodeError::new("only a JSON object of texts fits an hstore");
    let Ok(Json::Object(object)) = serde_json::from_str(text) else { return Err(wrong()) };
    let mut pairs = Vec::new();
    for (key, value) in &object {
        match value {
            Json::Null => pair(key, None, &mut pairs),
            Json::String(value) => pair(key, Some(value), &mut pairs),
            other => pair(key, Some(&other.to_string()), &mut pairs),
        }
    }
    out.extend_from_slice(&pairs);
    Ok(())
}

/// Any value as JSON.
pub fn json(value: &Value, schema: &Schema, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let tree = tree(value, Some(schema), 0)?;
    serde_json::to_writer(out, &tree).map_err(|error| EncodeError::new(format!("it has no form as JSON: {error}")))
}

fn tree(value: &Value, schema: Option<&Schema>, depth: usize) -> Result<Json, EncodeError> {
    if depth > MAX_DEPTH {
        return Err(EncodeError::new(format!("it is nested more than {MAX_DEPTH} deep")));
    }
    let below = |value: &Value, schema: Option<&Schema>| tree(value, schema, depth + 1);
    let items = schema.and_then(|schema| schema.value_schema.as_deref());
    Ok(match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => Json::Bool(*value),
        Value::Int8(number) => Json::from(*number),
        Value::Int16(number) => Json::from(*number),
        Value::Int32(number) => Json::from(*number),
        Value::Int64(number) => Json::from(*number),
        Value::Float32(number) => real(f64::from(*number)),
        Value::Float64(number) => real(*number),
        Value::String(text) => Json::String(text.as_str().to_owned()),
        Value::Bytes(bytes) => match schema {
            Some(schema) if schema.name.as_deref() == Some(logical::DECIMAL) => {
                let mut digits = Vec::new();
                number::decimal(bytes, schema.scale().unwrap_or(0), &mut digits)?;
                // As text: a JSON number of that many digits would lose some in most readers.
                Json::String(String::from_utf8_lossy(&digits).into_owned())
            }
            _ => Json::String(base64::engine::general_purpose::STANDARD.encode(bytes)),
        },
        Value::Array(values) => Json::Array(values.iter().map(|value| below(value, items)).collect::<Result<_, _>>()?),
        Value::Map(entries) => {
            let keyed = entries.iter().map(|(key, value)| Ok((key_text(key)?, below(value, items)?)));
            Json::Object(keyed.collect::<Result<Map<_, _>, EncodeError>>()?)
        }
        Value::Struct(value) => {
            let fields = value.schema.fields.iter().zip(&value.values);
            let named = fields.map(|(field, value)| Ok((field.name.clone(), below(value, Some(&field.schema))?)));
            Json::Object(named.collect::<Result<Map<_, _>, EncodeError>>()?)
        }
    })
}

fn real(number: f64) -> Json {
    Number::from_f64(number).map_or_else(|| Json::String(number.to_string()), Json::Number)
}

fn key_text(key: &Value) -> Result<String, EncodeError> {
    let mut text = Vec::new();
    match key {
        Value::String(text) => return Ok(text.as_str().to_owned()),
        Value::Int64(number) => integer(*number, &mut text),
        other => plain(other, &mut text)?,
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Whether values of a schema are made of others, so that only JSON has a place for them.
pub fn is_nested(schema: &Schema) -> bool {
    matches!(schema.kind, SchemaType::Map | SchemaType::Struct)
        || schema.value_schema.as_ref().is_some_and(|items| items.kind == SchemaType::Array || is_nested(items))
}

#[cfg(test)]
mod tests {
    use super::{super::written as text, *};
    use std::sync::Arc;

    #[test]
    fn arrays_are_quoted() {
        let items =
            [Value::string("a,b"), Value::string(r#"q"\"#), Value::Null, Value::string("NULL"), Value::string("")];
        assert_eq!(text(|out| array(&items, &Encode::Plain, out)), r#"{"a,b","q\"\\",NULL,"NULL",""}"#);
        let inner = Encode::Array(Box::new(Encode::Plain));
        let nested = [Value::Array(vec![Value::Int32(1)]), Value::Array(vec![Value::Int32(2)])];
        assert_eq!(text(|out| array(&nested, &inner, out)), r#"{{"1"},{"2"}}"#);
    }

    #[test]
    fn stores_and_json_are_written() {
        let entries = [(Value::string("a\""), Value::string("1")), (Value::string("b"), Value::Null)];
        assert_eq!(text(|out| hstore(&entries, out)), r#""a\""=>"1","b"=>NULL"#);
        assert_eq!(text(|out| hstore_of_json(r#"{"k":"v","n":null}"#, out)), r#""k"=>"v","n"=>NULL"#);
        let schema = Schema::map(Arc::new(Schema::new(SchemaType::String)), Arc::new(Schema::new(SchemaType::Int32)));
        let map = Value::Map(vec![(Value::string("x"), Value::Int32(1))]);
        assert_eq!(text(|out| json(&map, &schema, out)), r#"{"x":1}"#);
        let mut deep = Value::Null;
        for _ in 0..200 {
            deep = Value::Array(vec![deep]);
        }
        assert!(json(&deep, &Schema::new(SchemaType::Array), &mut Vec::new()).is_err());
    }
}

//! Guesses the type of a text as Connect's `Values.parseString` does. Used for headers.
//!
//! Texts come from strangers: nesting is bounded, and what does not parse as a whole is a string.

use super::{SchemaAndValue, calendar, decimal};
use bytes::Bytes;
use levada_connector_api::{Schema, SchemaType, Value, java_text, schema::logical};
use std::sync::Arc;

/// Nesting beyond which a text is a string.
const MAX_DEPTH: usize = 64;

/// Value and schema of a text that is not empty.
pub(in crate::connect) fn parse(text: &str) -> SchemaAndValue {
    let trimmed = text.trim();
    if trimmed.starts_with(['[', '{']) {
        let mut parser = Parser { text: trimmed, at: 0 };
        if let Some(parsed) = parser.value(0)
            && parser.at == trimmed.len()
        {
            return parsed;
        }
        return string(text);
    }
    scalar(trimmed).unwrap_or_else(|| string(text))
}

fn with(kind: SchemaType, value: Value) -> SchemaAndValue {
    SchemaAndValue { schema: Some(Arc::new(Schema::new(kind))), value }
}

fn string(text: &str) -> SchemaAndValue {
    with(SchemaType::String, Value::string(text))
}

fn named(kind: SchemaType, name: &str, value: Value) -> SchemaAndValue {
    let schema = Schema { version: Some(1), ..Schema::new(kind).named(name) };
    SchemaAndValue { schema: Some(Arc::new(schema)), value }
}

/// Everything but containers and quoted texts.
fn scalar(text: &str) -> Option<SchemaAndValue> {
    match text {
        "null" => return Some(SchemaAndValue::default()),
        "true" => return Some(with(SchemaType::Boolean, Value::Boolean(true))),
        "false" => return Some(with(SchemaType::Boolean, Value::Boolean(false))),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return None;
    }
    if let Some(days) = calendar::parse_date(text) {
        return Some(named(SchemaType::Int32, logical::DATE, Value::Int32(i32::try_from(days).ok()?)));
    }
    if let Some(millis) = calendar::parse_time(text) {
        return Some(named(SchemaType::Int32, logical::TIME, Value::Int32(i32::try_from(millis).ok()?)));
    }
    if let Some(millis) = calendar::parse_timestamp(text) {
        return Some(named(SchemaType::Int64, logical::TIMESTAMP, Value::Int64(millis)));
    }
    number(text)
}

/// The smallest type that holds the number.
fn number(text: &str) -> Option<SchemaAndValue> {
    let (unscaled, scale) = decimal::parse(text)?;
    if let Some(whole) = decimal::rescale(unscaled.clone(), scale, 0)
        && let Some(value) = java_text::integer(&whole).and_then(|text| text.parse::<i64>().ok())
    {
        return Some(if let Ok(small) = i8::try_from(value) {
            with(SchemaType::Int8, Value::Int8(small))
        } else if let Ok(small) = i16::try_from(value) {
            with(SchemaType::Int16, Value::Int16(small))
        } else if let Ok(small) = i32::try_from(value) {
            with(SchemaType::Int32, Value::Int32(small))
        } else {
            with(SchemaType::Int64, Value::Int64(value))
        });
    }
    if scale != 0 {
        let single: f32 = text.parse().ok()?;
        if single.is_finite() {
            return Some(with(SchemaType::Float32, Value::Float32(single)));
        }
        let double: f64 = text.parse().ok()?;
        if double.is_finite() {
            return Some(with(SchemaType::Float64, Value::Float64(double)));
        }
    }
    let mut schema = Schema { version: Some(1), ..Schema::new(SchemaType::Bytes).named(logical::DECIMAL) };
    schema.parameters.insert("scale".to_owned(), scale.to_string());
    Some(SchemaAndValue { schema: Some(Arc::new(schema)), value: Value::Bytes(Bytes::from(unscaled)) })
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn white_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn take(&mut self, wanted: char) -> Option<()> {
        self.rest().starts_with(wanted).then(|| self.at += wanted.len_utf8())
    }

    fn value(&mut self, depth: usize) -> Option<SchemaAndValue> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.white_space();
        if self.take('[').is_some() {
            return self.array(depth);
        }
        if self.take('{').is_some() {
            return self.map(depth);
        }
        if self.take('"').is_some() {
            return self.quoted();
        }
        let rest = self.rest();
        let end = rest.find([',', ']', '}', '[', '{', '"']).unwrap_or(rest.len());
        let token = rest.get(..end)?;
        // A time or a timestamp holds colons; anything else ends at one.
        let token = match scalar(token.trim()) {
            Some(_) => token,
            None => token.split(':').next().unwrap_or(token),
        };
        let parsed = scalar(token.trim());
        self.at += token.len();
        parsed
    }

    /// A value inside a container; as in Java, a null there makes the whole text a string.
    fn item(&mut self, depth: usize) -> Option<SchemaAndValue> {
        self.value(depth).filter(|item| item.schema.is_some())
    }

    fn quoted(&mut self) -> Option<SchemaAndValue> {
        let mut text = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((index, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += index + 1;
                    return Some(string(&text));
                }
                '\\' => text.push(chars.next()?.1),
                c => text.push(c),
            }
        }
        None
    }

    fn array(&mut self, depth: usize) -> Option<SchemaAndValue> {
        let mut items = Vec::new();
        self.white_space();
        if self.take(']').is_none() {
            loop {
                items.push(self.item(depth + 1)?);
                self.white_space();
                if self.take(',').is_none() {
                    self.take(']')?;
                    break;
                }
            }
        }
        let (schema, items) = unify(items);
        let schema = Schema { value_schema: schema, ..Schema::new(SchemaType::Array) };
        Some(SchemaAndValue { schema: Some(Arc::new(schema)), value: Value::Array(items) })
    }

    fn map(&mut self, depth: usize) -> Option<SchemaAndValue> {
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        self.white_space();
        if self.take('}').is_none() {
            loop {
                keys.push(self.item(depth + 1)?);
                self.white_space();
                self.take(':')?;
                values.push(self.item(depth + 1)?);
                self.white_space();
                if self.take(',').is_none() {
                    self.take('}')?;
                    break;
                }
            }
        }
        let ((key_schema, keys), (value_schema, values)) = (unify(keys), unify(values));
        let schema = Schema { key_schema, value_schema, ..Schema::new(SchemaType::Map) };
        let entries = keys.into_iter().zip(values).collect();
        Some(SchemaAndValue { schema: Some(Arc::new(schema)), value: Value::Map(entries) })
    }
}

/// One schema for all items: the widest of their numbers, or their one type; none when they differ.
fn unify(items: Vec<SchemaAndValue>) -> (Option<Arc<Schema>>, Vec<Value>) {
    let mut widest: Option<Arc<Schema>> = None;
    for schema in items.iter().filter_map(|item| item.schema.as_ref()) {
        widest = match widest {
            None => Some(schema.clone()),
            Some(known) if known == *schema => Some(known),
            Some(known) => match (rank(&known), rank(schema)) {
                (Some(a), Some(b)) => Some(if a >= b { known } else { schema.clone() }),
                _ => return (None, items.into_iter().map(|item| item.value).collect()),
            },
        };
    }
    let kind = widest.as_deref().and_then(|schema| rank(schema).map(|_| schema.kind));
    let schema = widest;
    let values = items.into_iter().map(|item| kind.map_or(item.value.clone(), |kind| widened(item.value, kind)));
    (schema, values.collect())
}

fn rank(schema: &Schema) -> Option<u8> {
    if schema.name.is_some() {
        return None;
    }
    Some(match schema.kind {
        SchemaType::Int8 => 0,
        SchemaType::Int16 => 1,
        SchemaType::Int32 => 2,
        SchemaType::Int64 => 3,
        SchemaType::Float32 => 4,
        SchemaType::Float64 => 5,
        _ => return None,
    })
}

fn widened(value: Value, kind: SchemaType) -> Value {
    let (whole, float) = match value {
        Value::Int8(value) => (i64::from(value), f64::from(value)),
        Value::Int16(value) => (i64::from(value), f64::from(value)),
        Value::Int32(value) => (i64::from(value), f64::from(value)),
        Value::Int64(value) => (value, value as f64),
        Value::Float32(value) if kind == SchemaType::Float64 => (0, f64::from(value)),
        other => return other,
    };
    match kind {
        SchemaType::Int8 => Value::Int8(whole as i8),
        SchemaType::Int16 => Value::Int16(whole as i16),
        SchemaType::Int32 => Value::Int32(whole as i32),
        SchemaType::Int64 => Value::Int64(whole),
        SchemaType::Float32 => Value::Float32(float as f32),
        _ => Value::Float64(float),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Option<SchemaType> {
        parse(text).schema.map(|schema| schema.kind)
    }

    #[test]
    fn scalars_get_the_smallest_type() {
        assert_eq!(parse("12").value, Value::Int8(12));
        assert_eq!(parse("300").value, Value::Int16(300));
        assert_eq!(parse("3000000000").value, Value::Int64(3_000_000_000));
        assert_eq!(parse("1.5").value, Value::Float32(1.5));
        assert_eq!(parse("null").value, Value::Null);
        assert_eq!(parse("true").value, Value::Boolean(true));
        assert_eq!(kind("1e400"), Some(SchemaType::Bytes));
        assert_eq!(kind("12 apples"), Some(SchemaType::String));
        assert_eq!(kind("-"), Some(SchemaType::String));
    }

    #[test]
    fn dates_and_times_are_known_by_their_form() {
        let name = |text: &str| parse(text).schema.unwrap().name.clone();
        assert_eq!(name("2024-02-29").as_deref(), Some(logical::DATE));
        assert_eq!(name("12:00:00.000Z").as_deref(), Some(logical::TIME));
        assert_eq!(name("2024-02-29T12:00:00.000Z").as_deref(), Some(logical::TIMESTAMP));
    }

    #[test]
    fn containers_are_parsed_and_broken_ones_are_strings() {
        assert_eq!(parse("[1, 300]").value, Value::Array(vec![Value::Int16(1), Value::Int16(300)]));
        let map = parse(r#"{"a":1,"b":2}"#).value;
        assert_eq!(map, Value::Map(vec![(Value::string("a"), Value::Int8(1)), (Value::string("b"), Value::Int8(2))]));
        assert_eq!(kind("[1, 2"), Some(SchemaType::String));
        assert_eq!(kind(&"[".repeat(100_000)), Some(SchemaType::String));
    }
}

//! Defaults of columns, from the expressions that the catalog has.

use super::Codec;
use levada_connector_api::{Bytes, Value};

/// The value that a default's expression gives a schema: that of a literal, the type's zero for what is made by a
/// function, `None` where it can't be told. `scale` is that of a number's declaration.
pub fn default_value(codec: &Codec, type_name: &str, scale: Option<i32>, expression: &str) -> Option<Value> {
    let zero = zero(type_name)?;
    let expression = expression.trim();
    if expression.starts_with("NULL::") || expression.eq_ignore_ascii_case("NULL") {
        return None;
    }
    let text = match literal(expression) {
        Some(text) => text,
        None if is_generated(expression) => zero.to_owned(),
        None => expression.to_owned(),
    };
    let mut text = shaped(type_name, text);
    if let ("numeric", Some(scale)) = (type_name, scale.and_then(|scale| usize::try_from(scale).ok())) {
        let digits = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        if scale > digits && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-')) {
            let point = if digits == 0 { "." } else { "" };
            text = format!("{text}{point}{}", "0".repeat(scale - digits));
        }
    }
    let owner = Bytes::from(text.into_bytes());
    match codec.decode.decode(&owner, &owner).ok()? {
        // A struct can't be a default in Connect.
        Value::Struct(_) | Value::Null => None,
        value => Some(value),
    }
}

/// The text of a literal: `'abc'::text`, `B'101'::"bit"`.
fn literal(expression: &str) -> Option<String> {
    let start = expression.find('\'')?;
    if !matches!(expression.get(..start)?, "" | "B" | "E" | "(") {
        return None;
    }
    let mut out = String::new();
    let mut rest = expression.get(start + 1..)?.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '\'' {
            out.push(c);
        } else if rest.next_if_eq(&'\'').is_some() {
            out.push('\'');
        } else {
            let tail: String = rest.collect();
            // More than a cast behind it is an expression.
            return (tail.is_empty() || tail.starts_with("::") || tail.starts_with(")::")).then_some(out);
        }
    }
    None
}

fn is_generated(expression: &str) -> bool {
    const NOW: [&str; 7] = [
        "current_date",
        "current_time",
        "current_timestamp",
        "localtime",
        "localtimestamp",
        "current_user",
        "session_user",
    ];
    let lower = expression.to_ascii_lowercase();
    NOW.contains(&lower.as_str()) || (expression.contains('(') && !expression.starts_with('('))
}

/// What stands for a generated value, as the server would write it; `None` for types that have no defaults upstream.
fn zero(type_name: &str) -> Option<&'static str> {
    Some(match type_name {
        "int2" | "int4" | "int8" | "numeric" | "float4" | "float8" | "varbit" => "0",
        "bit" => "00",
        "bool" => "f",
        "bpchar" | "varchar" | "text" | "xml" | "enum" => "",
        "json" | "jsonb" => "{}",
        "uuid" => "00000000-0000-0000-0000-000000000000",
        "date" => "1970-01-01",
        "time" => "00:00:00",
        "timestamp" | "timestamptz" => "1970-01-01 00:00:00",
        "interval" => "00:00:00",
        _ => return None,
    })
}

/// A literal as the server would print a value of the type.
fn shaped(type_name: &str, text: String) -> String {
    match type_name {
        "bool" if text.eq_ignore_ascii_case("true") => "t".to_owned(),
        "bool" if text.eq_ignore_ascii_case("false") => "f".to_owned(),
        "timestamp" | "timestamptz" if text.len() == 10 => format!("{text} 00:00:00"),
        "time" if text.len() == 5 => format!("{text}:00"),
        "int2" | "int4" | "int8" | "numeric" | "float4" | "float8" => {
            text.trim_start_matches('(').trim_end_matches(')').to_owned()
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datatype::Decode;
    use levada_connector_api::{Schema, SchemaType};

    fn value(decode: Decode, type_name: &str, expression: &str) -> Option<Value> {
        let codec = Codec { schema: Schema::new(SchemaType::String), decode, placeholder: Value::Null };
        default_value(&codec, type_name, Some(2), expression)
    }

    #[test]
    fn literals_are_read_and_functions_are_zero() {
        assert_eq!(value(Decode::Int32, "int4", "42"), Some(Value::Int32(42)));
        assert_eq!(value(Decode::Int32, "int4", "(-1)"), Some(Value::Int32(-1)));
        assert_eq!(value(Decode::Int32, "int4", "nextval('s'::regclass)"), Some(Value::Int32(0)));
        assert_eq!(value(Decode::Int64, "int8", "'-9223372036854775808'::bigint"), Some(Value::Int64(i64::MIN)));
        assert_eq!(value(Decode::Text, "text", "'it''s'::text"), Some(Value::string("it's")));
        assert_eq!(value(Decode::Text, "varchar", "NULL::character varying"), None);
        assert_eq!(value(Decode::Boolean, "bool", "true"), Some(Value::Boolean(true)));
        assert_eq!(
            value(Decode::ZonedTimestamp(6), "timestamptz", "now()"),
            Some(Value::string("1970-01-01T00:00:00.000000Z"))
        );
        assert_eq!(
            value(Decode::ZonedTimestamp(6), "timestamptz", "CURRENT_TIMESTAMP"),
            Some(Value::string("1970-01-01T00:00:00.000000Z"))
        );
        assert_eq!(value(Decode::DecimalText, "numeric", "1.5"), Some(Value::string("1.50")));
        assert_eq!(value(Decode::DecimalText, "numeric", "3"), Some(Value::string("3.00")));
        assert_eq!(value(Decode::Text, "inet", "'127.0.0.1'::inet"), None);
        assert_eq!(value(Decode::Int32, "int4", "(1 + 2)"), None);
    }
}

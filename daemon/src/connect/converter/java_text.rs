//! Values as Java's `toString` prints them, which is what `StringConverter` writes.

use super::{calendar, decimal};
use levada_connector_api::{Schema, Struct, Value};
use std::fmt::Write as _;

/// Well-known names of logical types.
pub(super) mod logical {
    /// Unscaled bytes with a `scale` parameter.
    pub(crate) const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
    /// Days since the epoch.
    pub(crate) const DATE: &str = "org.apache.kafka.connect.data.Date";
    /// Milliseconds since midnight.
    pub(crate) const TIME: &str = "org.apache.kafka.connect.data.Time";
    /// Milliseconds since the epoch.
    pub(crate) const TIMESTAMP: &str = "org.apache.kafka.connect.data.Timestamp";
}

/// The `scale` parameter of a Decimal schema.
pub(super) fn scale(schema: &Schema) -> Option<i32> {
    schema.parameters.get("scale")?.parse().ok()
}

/// Appends `value` as Java prints it. Bytes are printed as text, where Java prints an object id that
/// says nothing.
pub(super) fn print(value: &Value, schema: Option<&Schema>, out: &mut String) {
    if let Some(name) = schema.and_then(|schema| schema.name.as_deref())
        && print_logical(value, name, schema, out)
    {
        return;
    }
    match value {
        Value::Null => out.push_str("null"),
        Value::Boolean(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int8(value) => drop(write!(out, "{value}")),
        Value::Int16(value) => drop(write!(out, "{value}")),
        Value::Int32(value) => drop(write!(out, "{value}")),
        Value::Int64(value) => drop(write!(out, "{value}")),
        Value::Float32(value) => float(*value, out),
        Value::Float64(value) => double(*value, out),
        Value::String(text) => out.push_str(text),
        Value::Bytes(bytes) => out.push_str(&String::from_utf8_lossy(bytes)),
        Value::Array(items) => {
            let schema = schema.and_then(|schema| schema.value_schema.as_deref());
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                print(item, schema, out);
            }
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                print(key, schema.and_then(|schema| schema.key_schema.as_deref()), out);
                out.push('=');
                print(value, schema.and_then(|schema| schema.value_schema.as_deref()), out);
            }
            out.push('}');
        }
        Value::Struct(value) => print_struct(value, out),
    }
}

fn print_logical(value: &Value, name: &str, schema: Option<&Schema>, out: &mut String) -> bool {
    match (name, value) {
        (logical::DECIMAL, Value::Bytes(bytes)) => match schema.and_then(scale) {
            Some(scale) => out.push_str(&decimal::decimal_text(bytes, scale)),
            None => return false,
        },
        (logical::DATE, Value::Int32(days)) => calendar::java_date(i64::from(*days) * 86_400_000, out),
        (logical::TIME, Value::Int32(millis)) => calendar::java_date(i64::from(*millis), out),
        (logical::TIMESTAMP, Value::Int64(millis)) => calendar::java_date(*millis, out),
        _ => return false,
    }
    true
}

fn print_struct(value: &Struct, out: &mut String) {
    out.push_str("Struct{");
    let mut first = true;
    for (field, value) in value.schema.fields.iter().zip(&value.values) {
        if value.is_null() {
            continue;
        }
        out.push_str(if first { "" } else { "," });
        first = false;
        out.push_str(&field.name);
        out.push('=');
        print(value, Some(&field.schema), out);
    }
    out.push('}');
}

/// `Float.toString`.
pub(super) fn float(value: f32, out: &mut String) {
    java_number(f64::from(value), &format!("{:e}", value.abs()), out);
}

/// `Double.toString`.
pub(super) fn double(value: f64, out: &mut String) {
    java_number(value, &format!("{:e}", value.abs()), out);
}

/// Lays out the shortest digits (`scientific` is like `1.25e-7`) in Java's way.
fn java_number(value: f64, scientific: &str, out: &mut String) {
    if value.is_nan() {
        return out.push_str("NaN");
    }
    if value.is_sign_negative() {
        out.push('-');
    }
    if value.is_infinite() {
        return out.push_str("Infinity");
    }
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    if value == 0.0 {
        out.push_str("0.0");
    } else if (0..7).contains(&exponent) {
        let whole = exponent as usize + 1;
        let padded = format!("{digits:0<whole$}");
        let (whole, fraction) = padded.split_at(whole);
        let _ = write!(out, "{whole}.{}", if fraction.is_empty() { "0" } else { fraction });
    } else if (-3..0).contains(&exponent) {
        let zeros = exponent.unsigned_abs() as usize - 1;
        let _ = write!(out, "0.{}{digits}", "0".repeat(zeros));
    } else {
        let (first, rest) = digits.split_at(1);
        let _ = write!(out, "{first}.{}E{exponent}", if rest.is_empty() { "0" } else { rest });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_connector_api::SchemaType;
    use std::sync::Arc;

    fn text(value: &Value, schema: Option<&Schema>) -> String {
        let mut out = String::new();
        print(value, schema, &mut out);
        out
    }

    #[test]
    fn doubles_print_as_java_prints_them() {
        for (value, expected) in [
            (100.0, "100.0"),
            (1e21, "1.0E21"),
            (1.25e-7, "1.25E-7"),
            (0.001, "0.001"),
            (1234567.0, "1234567.0"),
            (12345678.0, "1.2345678E7"),
            (-0.0, "-0.0"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(text(&Value::Float64(value), None), expected);
        }
        assert_eq!(text(&Value::Float32(0.1), None), "0.1");
    }

    #[test]
    fn structs_print_their_fields_that_are_set() {
        let int = Arc::new(Schema::new(SchemaType::Int32));
        let optional = Arc::new(Schema::new(SchemaType::String).optional());
        let schema = Arc::new(Schema::structure([("a", int), ("b", optional.clone()), ("c", optional)]));
        let values = vec![Value::Int32(1), Value::Null, Value::string("x")];
        assert_eq!(text(&Value::Struct(Box::new(Struct { schema, values })), None), "Struct{a=1,c=x}");
    }

    #[test]
    fn containers_print_with_spaces() {
        let list = Value::Array(vec![Value::Int8(1), Value::Null, Value::string("a")]);
        assert_eq!(text(&list, None), "[1, null, a]");
        let map = Value::Map(vec![(Value::string("a"), Value::Int8(1)), (Value::string("b"), list)]);
        assert_eq!(text(&map, None), "{a=1, b=[1, null, a]}");
    }

    #[test]
    fn decimals_print_with_their_scale() {
        let mut schema = Schema::new(SchemaType::Bytes).named(logical::DECIMAL);
        schema.parameters.insert("scale".to_owned(), "2".to_owned());
        assert_eq!(text(&Value::Bytes(vec![0x30, 0x39].into()), Some(&schema)), "123.45");
    }
}

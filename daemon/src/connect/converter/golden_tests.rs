//! Our converters against what Apache's print, captured by `tests/data/ConverterGoldens.java`.

use super::{Converter, HeaderConverter, JsonConverter, SchemaAndValue, SimpleHeaderConverter, StringConverter};
use bytes::Bytes;
use levada_connector_api::{Config, Header, Schema, SchemaType, Struct, Value, schema::logical};
use std::sync::Arc;

const GOLDENS: &str = include_str!("../../../tests/data/converter-goldens.tsv");

type Case = (Option<Schema>, Value);

fn decimal(scale: &str, unscaled: &[u8]) -> Case {
    let mut schema = Schema { version: Some(1), ..Schema::new(SchemaType::Bytes).named(logical::DECIMAL) };
    schema.parameters.insert("scale".to_owned(), scale.to_owned());
    (Some(schema), Value::Bytes(Bytes::copy_from_slice(unscaled)))
}

fn of(kind: SchemaType, value: Value) -> Case {
    (Some(Schema::new(kind)), value)
}

fn named(kind: SchemaType, name: &str, value: Value) -> Case {
    (Some(Schema { version: Some(1), ..Schema::new(kind).named(name) }), value)
}

fn structure() -> Case {
    let inner = Arc::new(Schema::structure([("x", Arc::new(Schema::new(SchemaType::Int64)))]).named("inner"));
    let with_default = Schema {
        default: Some(Value::string("dflt")),
        doc: Some("cdoc".to_owned()),
        ..Schema::new(SchemaType::String)
    };
    let mut outer = Schema::structure([
        ("a", Arc::new(Schema::new(SchemaType::Int32))),
        ("b", Arc::new(Schema::new(SchemaType::String).optional())),
        ("c", Arc::new(with_default)),
        ("i", inner.clone()),
        ("l", Arc::new(Schema::array(inner.clone()).optional())),
    ])
    .named("outer")
    .optional();
    (outer.version, outer.doc) = (Some(3), Some("a doc".to_owned()));
    outer.parameters.insert("p".to_owned(), "v".to_owned());
    let nested = Struct { schema: inner, values: vec![Value::Int64(7)] };
    let values = vec![Value::Int32(1), Value::Null, Value::string("x"), Value::Struct(Arc::new(nested)), Value::Null];
    (Some(outer.clone()), Value::structure(Arc::new(outer), values))
}

fn case(name: &str) -> Case {
    let optional = Schema::new(SchemaType::String).optional();
    let int = || Arc::new(Schema::new(SchemaType::Int32));
    let text = || Arc::new(Schema::new(SchemaType::String));
    let entry = |key, value| Value::Map(vec![(key, value)]);
    match name {
        "line" => of(SchemaType::String, Value::string("a line")),
        "escapes" => of(SchemaType::String, Value::string("q\" b\\ t\t n\\n \u{1} é € 😀 /")),
        "null-schema" => (None, Value::Null),
        "null-optional" => (Some(optional), Value::Null),
        "null-required" => of(SchemaType::String, Value::Null),
        "null-default" => (Some(Schema { default: Some(Value::string("d")), ..optional }), Value::Null),
        "schemaless-string" => (None, Value::string("x")),
        "schemaless-int" => (None, Value::Int32(5)),
        "schemaless-double" => (None, Value::Float64(1.5)),
        "schemaless-list" => {
            (None, Value::Array(vec![Value::Int32(1), Value::string("a"), Value::Null, Value::Boolean(true)]))
        }
        "schemaless-map" => {
            (None, Value::Map(vec![(Value::string("a"), Value::Int32(1)), (Value::string("b"), Value::string("x"))]))
        }
        "schemaless-intmap" => (None, entry(Value::Int32(1), Value::string("x"))),
        "int8" => of(SchemaType::Int8, Value::Int8(-3)),
        "int16" => of(SchemaType::Int16, Value::Int16(300)),
        "int32" => of(SchemaType::Int32, Value::Int32(70000)),
        "int64" => of(SchemaType::Int64, Value::Int64(9_007_199_254_740_993)),
        "float" => of(SchemaType::Float32, Value::Float32(0.1)),
        "double" => of(SchemaType::Float64, Value::Float64(100.0)),
        "double-big" => of(SchemaType::Float64, Value::Float64(1e21)),
        "double-small" => of(SchemaType::Float64, Value::Float64(1.25e-7)),
        "double-nan" => of(SchemaType::Float64, Value::Float64(f64::NAN)),
        "double-inf" => of(SchemaType::Float64, Value::Float64(f64::NEG_INFINITY)),
        "boolean" => of(SchemaType::Boolean, Value::Boolean(true)),
        "decimal" => decimal("2", &[0x30, 0x39]),
        "decimal-neg" => decimal("3", &[0xfb]),
        "decimal-tiny" => decimal("8", &[5]),
        "date" => named(SchemaType::Int32, logical::DATE, Value::Int32(19782)),
        "time" => named(SchemaType::Int32, logical::TIME, Value::Int32(43_200_001)),
        "timestamp" => named(SchemaType::Int64, logical::TIMESTAMP, Value::Int64(1_709_210_096_789)),
        "array" => (Some(Schema::array(int())), Value::Array(vec![Value::Int32(1), Value::Int32(2)])),
        "array-strings" => (Some(Schema::array(text())), Value::Array(vec![Value::string("a"), Value::string("b\"c")])),
        "map" => (Some(Schema::map(text(), int())), entry(Value::string("k"), Value::Int32(1))),
        "intmap" => (Some(Schema::map(int(), text())), entry(Value::Int32(1), Value::string("x"))),
        "struct" => structure(),
        other => panic!("no case {other}"),
    }
}

fn json(entries: &[(&str, &str)]) -> JsonConverter {
    let config: Config = entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    JsonConverter::from_config(&config).unwrap()
}

fn written(converter: &dyn Converter, (schema, value): &Case) -> String {
    let schema = schema.clone().map(Arc::new);
    match converter.from_connect("t", schema.as_ref(), value, &mut Vec::new()) {
        Ok(Some(bytes)) => String::from_utf8(bytes.to_vec()).unwrap(),
        Ok(None) => "<null>".to_owned(),
        Err(_) => "<error>".to_owned(),
    }
}

fn header((schema, value): Case) -> String {
    let header = Header { key: "h".into(), schema: schema.map(Arc::new), value };
    match SimpleHeaderConverter::default().from_connect_header("t", &header).unwrap() {
        Some(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        None => "<null>".to_owned(),
    }
}

/// The same description of a schema as the Java program prints.
fn describe(schema: Option<&Schema>) -> String {
    let Some(schema) = schema else { return "-".to_owned() };
    let mut text = format!("{:?}", schema.kind).to_lowercase();
    if let Some(name) = &schema.name {
        text = format!("{text}/{}", name.rsplit('.').next().unwrap());
    }
    if schema.optional {
        text.push('?');
    }
    let (key, value) = (describe(schema.key_schema.as_deref()), describe(schema.value_schema.as_deref()));
    match schema.kind {
        SchemaType::Array => format!("{text}<{value}>"),
        SchemaType::Map => format!("{text}<{key},{value}>"),
        _ => text,
    }
}

fn show(read: &SchemaAndValue) -> String {
    let text = match (&read.value, read.schema.as_deref().and_then(|schema| schema.name.as_deref())) {
        (Value::Int32(days), Some(logical::DATE)) => format!("Date({})", i64::from(*days) * 86_400_000),
        (Value::Int32(millis), Some(logical::TIME)) => format!("Date({millis})"),
        (Value::Int64(millis), Some(logical::TIMESTAMP)) => format!("Date({millis})"),
        (value, _) => value.to_text(read.schema.as_deref()),
    };
    format!("{} {text}", describe(read.schema.as_deref()))
}

/// Lines of one kind, without the kind.
fn lines(kind: &str) -> impl Iterator<Item = &'static str> {
    GOLDENS.lines().filter_map(move |line| line.strip_prefix(kind)?.strip_prefix('\t'))
}

#[test]
fn values_are_written_as_apache_writes_them() {
    let converters: [(&str, Box<dyn Converter>); 5] = [
        ("json", Box::new(json(&[]))),
        ("plain", Box::new(json(&[("schemas.enable", "false")]))),
        ("numeric", Box::new(json(&[("decimal.format", "NUMERIC")]))),
        ("keepnull", Box::new(json(&[("replace.null.with.default", "false")]))),
        ("string", Box::new(StringConverter::default())),
    ];
    for (kind, converter) in converters {
        let mut seen = 0;
        for line in lines(kind) {
            let (name, expected) = line.split_once('\t').unwrap();
            assert_eq!(written(&*converter, &case(name)), expected, "{kind} {name}");
            seen += 1;
        }
        assert!(seen > 30, "{kind}");
    }
}

#[test]
fn headers_are_written_as_apache_writes_them() {
    for line in lines("header") {
        let (name, expected) = line.split_once('\t').unwrap();
        assert_eq!(header(case(name)), expected, "{name}");
    }
}

#[test]
fn header_types_are_guessed_as_apache_guesses_them() {
    for line in lines("infer") {
        let (text, expected) = line.split_once('\t').unwrap();
        // Java reads no further than the comma and loses the rest; ours stays a string.
        let expected = match text {
            "1,2" => "string 1,2",
            // Java prints the shortest digits only since its version 19; this was captured with 17.
            "123456789.123456789" => "float32 1.2345679E8",
            _ => expected,
        };
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let read = SimpleHeaderConverter::default().to_connect_header("t", "h", Some(bytes)).unwrap();
        assert_eq!(show(&read), expected, "{text}");
    }
}

#[test]
fn json_is_read_as_apache_reads_it() {
    for line in lines("read") {
        let [name, text, config, expected] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let expected = match name {
            // By the contract no bytes are no value.
            "empty" => "- null",
            // Java makes 0 of what is no number; ours is an error, which errors.tolerance may pass over.
            "wrong-type" => "<error>",
            // What Java writes for a NaN it reads as 0.0.
            "nan" => "float64 NaN",
            // The schema's scale holds for the value too.
            "decimal-rescaled" => "bytes/Decimal 123.40",
            _ => expected,
        };
        let config: Vec<(&str, &str)> = config.split_once(',').into_iter().collect();
        let bytes = (text != "<null>").then(|| Bytes::copy_from_slice(text.as_bytes()));
        let read = json(&config).to_connect("t", bytes);
        assert_eq!(read.map_or_else(|_| "<error>".to_owned(), |read| show(&read)), expected, "{name}");
    }
}

//! Our transforms against what the Java classes make of the same records: cases in `tests/data/transform-cases.json`,
//! answers captured by `tests/data/TransformGoldens.java`.

use super::{Part, build::Chained, find};
use crate::connect::converter::{Converter, JsonConverter, SchemaAndValue};
use bytes::Bytes;
use levada_connector_api::{Config, Header, Headers, Result, Schema, SinkRecord, SourceRecord, TimestampType, Value};
use serde_json::{Map, Value as Json, json};
use std::{collections::BTreeMap, sync::Arc};

const CASES: &str = include_str!("../../../tests/data/transform-cases.json");
const GOLDENS: &str = include_str!("../../../tests/data/transform-goldens.jsonl");

fn converter() -> JsonConverter {
    let config = [("schemas.enable", "true"), ("replace.null.with.default", "false")];
    JsonConverter::from_config(&config.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
        .unwrap()
}

struct Cases {
    converter: JsonConverter,
    schemas: Map<String, Json>,
}

impl Cases {
    fn read(&self, value: Option<&Json>) -> SchemaAndValue {
        let Some(value) = value.filter(|value| !value.is_null()) else { return SchemaAndValue::default() };
        let mut value = value.clone();
        if let Some(name) = value["schema"].as_str() {
            value["schema"] = self.schemas[name].clone();
        }
        self.converter.to_connect("t", Some(Bytes::from(value.to_string()))).unwrap()
    }

    fn write(&self, schema: Option<&Arc<Schema>>, value: &Value) -> Result<Json> {
        let mut scratch = Vec::new();
        Ok(match self.converter.from_connect("t", schema, value, &mut scratch)? {
            Some(bytes) => serde_json::from_slice(bytes).unwrap(),
            None => Json::Null,
        })
    }

    fn headers(&self, record: &Json) -> Headers {
        let header = |header: &Json| {
            let SchemaAndValue { schema, value } = self.read(header.get("value"));
            Header { key: header["key"].as_str().unwrap().into(), schema, value }
        };
        record["headers"].as_array().into_iter().flatten().map(header).collect()
    }

    fn source(&self, record: &Json) -> SourceRecord {
        let (key, value) = (self.read(record.get("key")), self.read(record.get("value")));
        SourceRecord {
            topic: record["topic"].as_str().unwrap_or("topic").into(),
            partition: record["partition"].as_i64().map(|partition| partition as i32),
            key_schema: key.schema,
            key: key.value,
            value_schema: value.schema,
            value: value.value,
            timestamp: record["timestamp"].as_i64(),
            headers: self.headers(record),
        }
    }

    fn sink(&self, record: &Json) -> SinkRecord {
        let source = self.source(record);
        SinkRecord {
            topic: source.topic,
            partition: source.partition.unwrap(),
            offset: record["offset"].as_i64().unwrap(),
            key_schema: source.key_schema,
            key: source.key,
            value_schema: source.value_schema,
            value: source.value,
            timestamp: source.timestamp.unwrap_or(-1),
            timestamp_type: TimestampType::CreateTime,
            headers: source.headers,
            original_topic: None,
        }
    }

    fn result<R: Chained>(&self, case: &Json, record: R) -> Result<Json> {
        let config = case["config"].as_object().unwrap();
        let config: Config =
            config.iter().map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned())).collect();
        let class = find(case["class"].as_str().unwrap()).unwrap_or_else(|| panic!("no class {}", case["class"]));
        let Some(record) = R::instance(&class, &config)?.apply(record)? else { return Ok(Json::Null) };
        let part = |part| {
            let (schema, value) = record.part(part);
            self.write(schema.as_ref(), value)
        };
        let header = |header: &Header| {
            let value = self.write(header.schema.as_ref(), &header.value)?;
            Ok(json!({ "key": header.key.as_str(), "value": value }))
        };
        Ok(json!({
            "topic": &**record.topic(),
            "partition": record.partition(),
            "timestamp": record.timestamp(),
            "key": part(Part::Key)?,
            "value": part(Part::Value)?,
            "headers": record.headers().iter().map(header).collect::<Result<Vec<_>>>()?,
        }))
    }
}

/// Dates that have no schema are numbers here: days, milliseconds of the day, milliseconds.
fn without_dates(value: &mut Json, target: &str) {
    if let Some(millis) = value.get("$date").and_then(Json::as_i64) {
        *value = json!(if target == "Date" { millis.div_euclid(86_400_000) } else { millis });
    } else if let Some(map) = value.as_object_mut() {
        map.values_mut().for_each(|value| without_dates(value, target));
    }
}

/// Java's answers by the names of the cases. Large schemas stand on lines of their own.
fn goldens() -> BTreeMap<String, Json> {
    let (mut schemas, mut goldens) = (Map::new(), BTreeMap::new());
    for line in GOLDENS.lines() {
        let mut golden: Json = serde_json::from_str(line).unwrap();
        if let Some(name) = golden["schema"].as_str() {
            schemas.insert(name.to_owned(), golden["is"].clone());
            continue;
        }
        let named = |value: &mut Json| {
            if let Some(schema) = value["schema"].as_str() {
                value["schema"] = schemas[schema].clone();
            }
        };
        if let Some(result) = golden.get_mut("result").filter(|result| !result.is_null()) {
            named(&mut result["key"]);
            named(&mut result["value"]);
            result["headers"].as_array_mut().unwrap().iter_mut().for_each(|header| named(&mut header["value"]));
        }
        goldens.insert(golden["name"].as_str().unwrap().to_owned(), golden);
    }
    goldens
}

/// Where ours differs from Java's on purpose: the name of the case, or its beginning with a `*`, and why.
const DIFFERENT: [(&str, &str); 11] = [
    ("cast-string-time-of-day", "Java keeps the name of the date type on the text, which no converter can then write"),
    ("cast-string-midnight", "as above"),
    ("cast-string-before-1970", "as above"),
    ("cast-int32-timestamp", "as above, on the number"),
    ("mask-dec", "Java's 0 has scale 0, which does not fit the schema; ours is rescaled"),
    ("mask-dec-7", "as above"),
    ("mask-dec-3.7", "as above"),
    ("mask-dec-300", "as above"),
    ("mask-dec--1", "as above"),
    ("schema-both", "Java can't name an array"),
    ("parse-17", "the year 24, when Java's calendar is still the Julian one"),
];

/// Whether two answers are the same. A float may be written with more digits than it has.
fn equal(ours: &Json, java: &Json) -> bool {
    match (ours, java) {
        (Json::Number(a), Json::Number(b)) if a.is_f64() || b.is_f64() => {
            a.as_f64() == b.as_f64() || a.as_f64().map(|a| a as f32) == b.as_f64().map(|b| b as f32)
        }
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        (a, b) => a == b,
    }
}

fn differs(name: &str) -> bool {
    DIFFERENT.iter().any(|(pattern, _)| match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == *pattern,
    })
}

#[test]
fn transforms_do_what_javas_do() {
    let file: Json = serde_json::from_str(CASES).unwrap();
    let cases = Cases { converter: converter(), schemas: file["schemas"].as_object().unwrap().clone() };
    let goldens = goldens();
    let (mut seen, mut wrong) = (0, Vec::new());
    for case in file["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let mut golden = goldens[name].clone();
        let record = &case["record"];
        let result = if record.get("offset").is_some() {
            cases.result(case, cases.sink(record))
        } else {
            cases.result(case, cases.source(record))
        };
        without_dates(&mut golden, case["config"]["target.type"].as_str().unwrap_or(""));
        let same = match (&result, golden.get("error")) {
            (Ok(result), None) => equal(result, &golden["result"]),
            (result, error) => result.is_err() && error.is_some(),
        };
        if same == differs(name) {
            wrong.push(format!("{name} {}\n  java {golden}\n  ours {result:?}", case["config"]));
        }
        seen += 1;
    }
    assert!(wrong.is_empty(), "{} of {seen} cases:\n{}", wrong.len(), wrong.join("\n"));
    assert!(seen > 900);
}

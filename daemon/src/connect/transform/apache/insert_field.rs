//! `InsertField`: adds fields that hold the record's place, its time, or a text.

use crate::connect::transform::{
    ConnectRecord, Part, Plugin,
    schemas::{self, SchemaCache, add_field, basics, check_null},
    values::{Taken, into_field_value, put, put_struct, take},
};
use levada_connector_api::{
    ConnectorConfig, ConnectorError, Result, Schema, SchemaType, Value, config::KeyError, logical,
};
use std::sync::Arc;

#[derive(Debug, ConnectorConfig)]
pub(super) struct Config {
    /// Field name for Kafka topic. Suffix with ! to make this a required field, or ? to keep it optional (the default).
    #[config(key = "topic.field", importance = "medium")]
    topic: Option<String>,
    /// Field name for Kafka partition. Suffix with ! to make this a required field, or ? to keep it optional (the default).
    #[config(key = "partition.field", importance = "medium")]
    partition: Option<String>,
    /// Field name for Kafka offset - only applicable to sink connectors. Suffix with ! to make this a required field, or
    /// ? to keep it optional (the default).
    #[config(key = "offset.field", importance = "medium")]
    offset: Option<String>,
    /// Field name for record timestamp. Suffix with ! to make this a required field, or ? to keep it optional (the
    /// default).
    #[config(key = "timestamp.field", importance = "medium")]
    timestamp: Option<String>,
    /// Field name for static data field. Suffix with ! to make this a required field, or ? to keep it optional (the
    /// default).
    #[config(key = "static.field", importance = "medium")]
    static_field: Option<String>,
    /// Static field value, if field name configured.
    #[config(key = "static.value", importance = "medium")]
    static_value: Option<String>,
    /// Whether to replace fields that have a default value and that are null to the default value.
    #[config(key = "replace.null.with.default", default = "true", importance = "medium")]
    replace_null: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Topic,
    Partition,
    Offset,
    Timestamp,
    Static,
}

struct Insertion {
    what: What,
    name: String,
    schema: Arc<Schema>,
}

impl Insertion {
    fn of(what: What, spec: Option<&String>) -> Option<Self> {
        let spec = spec?.as_str();
        let (name, optional) = match (spec.strip_suffix('!'), spec.strip_suffix('?')) {
            (Some(name), _) => (name, false),
            (None, Some(name)) => (name, true),
            (None, None) => (spec, true),
        };
        let plain = |kind| Schema { optional, ..Schema::new(kind) };
        let schema = match what {
            What::Topic | What::Static => plain(SchemaType::String),
            What::Partition => plain(SchemaType::Int32),
            What::Offset => plain(SchemaType::Int64),
            What::Timestamp => schemas::logical(SchemaType::Int64, logical::TIMESTAMP, optional),
        };
        Some(Self { what, name: name.to_owned(), schema: Arc::new(schema) })
    }
}

pub(super) struct InsertField {
    part: Part,
    insertions: Vec<Insertion>,
    static_value: Option<String>,
    replace_null: bool,
    schemas: SchemaCache,
}

impl InsertField {
    fn value<R: ConnectRecord>(&self, what: What, record: &R) -> Result<Option<Value>> {
        Ok(match what {
            What::Topic => Some(Value::string(&**record.topic())),
            What::Partition => record.partition().map(Value::Int32),
            What::Offset => match record.offset() {
                Some(offset) => Some(Value::Int64(offset)),
                None => {
                    let text = "Only SinkRecord supported for [field insertion], found: SourceRecord";
                    return Err(ConnectorError::data(text));
                }
            },
            What::Timestamp => record.timestamp().map(Value::Int64),
            What::Static => self.static_value.as_deref().map(Value::string),
        })
    }
}

impl Plugin for InsertField {
    type Config = Config;

    fn new(part: Part, config: Config) -> Result<Self, KeyError> {
        let insertions: Vec<_> = [
            (What::Topic, &config.topic),
            (What::Partition, &config.partition),
            (What::Offset, &config.offset),
            (What::Timestamp, &config.timestamp),
            (What::Static, &config.static_field),
        ]
        .into_iter()
        .filter_map(|(what, spec)| Insertion::of(what, spec.as_ref()))
        .collect();
        if insertions.is_empty() {
            let text = "No field insertion configured; set at least one of the keys that end in .field";
            return Err(KeyError { key: "static.field".to_owned(), message: text.to_owned() });
        }
        if let (Some(field), None) = (&config.static_field, &config.static_value) {
            let text = format!("No value specified for static field: {field}; set static.value");
            return Err(KeyError { key: "static.value".to_owned(), message: text });
        }
        let (static_value, replace_null) = (config.static_value, config.replace_null);
        Ok(Self { part, insertions, static_value, replace_null, schemas: SchemaCache::default() })
    }

    fn apply<R: ConnectRecord>(&mut self, mut record: R) -> Result<Option<R>> {
        match take(&mut record, self.part, "field insertion")? {
            Taken::Null => {}
            Taken::Map(mut map) => {
                for insertion in &self.insertions {
                    if let Some(value) = self.value(insertion.what, &record)? {
                        put(&mut map, &insertion.name, value);
                    }
                }
                record.set_part(self.part, None, Value::Map(map));
            }
            Taken::Struct(value) => {
                let insertions = &self.insertions;
                let updated = self.schemas.get(&value.schema, (), |schema| {
                    let mut updated = basics(schema);
                    updated.fields.clone_from(&schema.fields);
                    for insertion in insertions {
                        add_field(&mut updated, &insertion.name, Arc::clone(&insertion.schema))?;
                    }
                    Ok(updated)
                })?;
                let old = value.schema.fields.iter().zip(value.values);
                let mut values: Vec<Value> =
                    old.map(|(field, value)| into_field_value(field, value, self.replace_null)).collect();
                for insertion in &self.insertions {
                    values.push(self.value(insertion.what, &record)?.unwrap_or_default());
                }
                for (field, value) in updated.fields.iter().zip(&values).rev().take(self.insertions.len()) {
                    check_null(field, value)?;
                }
                put_struct(&mut record, self.part, updated, values);
            }
        }
        Ok(Some(record))
    }
}

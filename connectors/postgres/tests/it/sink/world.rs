//! Sinks on a test's server, and records for them.

use crate::server::Server;
use levada_connector_api::{
    Config, Headers, Result, Schema, SchemaType, SinkConnector, SinkRecord, SourceRecord, TimestampType,
    TopicPartition, Value,
    testkit::{GroupOffsets, SinkRun},
};
use levada_connector_postgres::sinks;
use std::sync::Arc;

/// Whose keys.
#[derive(Clone, Copy)]
pub enum Class {
    Debezium,
    Confluent,
    Aiven,
}

pub fn connector(class: Class) -> Box<dyn SinkConnector> {
    sinks()[class as usize]()
}

pub fn partition(topic: &str, number: i32) -> TopicPartition {
    TopicPartition { topic: topic.into(), partition: number }
}

impl Server {
    /// A configuration with further keys.
    pub fn sink_config(&self, keys: &[(&str, &str)]) -> Config {
        let url = format!("jdbc:postgresql://127.0.0.1:{}/d?user=postgres", self.port());
        let given = [("name", "test"), ("connection.url", url.as_str())];
        given.iter().chain(keys).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    /// Starts a sink of topic `t` and its two partitions.
    pub fn sink(&self, class: Class, keys: &[(&str, &str)]) -> SinkRun {
        self.sink_of(class, keys, &GroupOffsets::new()).unwrap()
    }

    /// With what the group has committed.
    pub fn sink_of(&self, class: Class, keys: &[(&str, &str)], group: &GroupOffsets) -> Result<SinkRun> {
        let partitions = [partition("t", 0), partition("t", 1)];
        SinkRun::start(&mut *connector(class), self.sink_config(keys), &partitions, group)
    }
}

/// A field: name, schema, value.
pub type Given = (&'static str, Schema, Value);

pub fn int(name: &'static str, value: i32) -> Given {
    (name, Schema::new(SchemaType::Int32), Value::Int32(value))
}

pub fn text(name: &'static str, value: &str) -> Given {
    (name, Schema::new(SchemaType::String).optional(), Value::string(value))
}

pub fn null(name: &'static str) -> Given {
    (name, Schema::new(SchemaType::String).optional(), Value::Null)
}

/// A struct with its schema.
pub fn structure(fields: &[Given]) -> (Option<Arc<Schema>>, Value) {
    let schema = Schema::structure(fields.iter().map(|(name, schema, _)| (*name, Arc::new(schema.clone()))));
    let schema = Arc::new(schema);
    let values = fields.iter().map(|(_, _, value)| value.clone()).collect();
    let value = Value::structure(Arc::clone(&schema), values);
    (Some(schema), value)
}

/// A record of topic `t`, partition 0.
pub fn record(offset: i64, key: &[Given], value: &[Given]) -> SinkRecord {
    let (key_schema, key) = if key.is_empty() { (None, Value::Null) } else { structure(key) };
    let (value_schema, value) = if value.is_empty() { (None, Value::Null) } else { structure(value) };
    SinkRecord {
        topic: "t".into(),
        partition: 0,
        offset,
        key_schema,
        key,
        value_schema,
        value,
        timestamp: 0,
        timestamp_type: TimestampType::CreateTime,
        headers: Headers::new(),
        original_topic: None,
    }
}

/// A row of table `t (id int, name text)` with its key.
pub fn row(offset: i64, id: i32, name: &str) -> SinkRecord {
    record(offset, &[int("id", id)], &[int("id", id), text("name", name)])
}

/// The deletion of one.
pub fn tombstone(offset: i64, id: i32) -> SinkRecord {
    record(offset, &[int("id", id)], &[])
}

/// What a source made, as a sink gets it from topic `topic`.
pub fn consumed(records: Vec<SourceRecord>, topic: &str) -> Vec<SinkRecord> {
    let sink = |(offset, record): (usize, SourceRecord)| SinkRecord {
        topic: topic.into(),
        partition: 0,
        offset: offset as i64,
        key_schema: record.key_schema,
        key: record.key,
        value_schema: record.value_schema,
        value: record.value,
        timestamp: 0,
        timestamp_type: TimestampType::CreateTime,
        headers: record.headers,
        original_topic: None,
    };
    records.into_iter().enumerate().map(sink).collect()
}

//! Writes batches.

use super::{
    MAGIC, NO_TIMESTAMP, SINK, SOURCE, VERSION,
    schemas::{Schemas, Texts},
    write,
};
use crate::{Header, Reach, Result, Schema, SinkRecord, SourceBatch, SourcePartition, TimestampType, Value};
use serde_json::Value as Json;
use std::sync::Arc;

/// The tables a batch starts with, and its rows.
#[derive(Default)]
struct Writer {
    topics: Texts<*const u8>,
    schemas: Schemas,
    rows: Vec<u8>,
}

/// A source batch as bytes.
pub fn write_source(batch: &SourceBatch) -> Result<Vec<u8>> {
    let mut writer = Writer::default();
    for record in &batch.records {
        let topic = writer.topic(&record.topic)?;
        let partition = record.partition.unwrap_or(-1);
        let timestamp = record.timestamp.unwrap_or(NO_TIMESTAMP);
        let Writer { schemas, rows, .. } = &mut writer;
        write::with_length(rows, |out| {
            place(out, topic, partition, timestamp);
            valued(out, schemas, record.key_schema.as_ref(), &record.key)?;
            valued(out, schemas, record.value_schema.as_ref(), &record.value)?;
            headers(out, schemas, &record.headers)
        })?;
    }
    let mut out = writer.finish(SOURCE, batch.records.len())?;
    checkpoints(&mut out, batch)?;
    Ok(out)
}

/// A sink batch as bytes.
pub fn write_sink(records: &[SinkRecord]) -> Result<Vec<u8>> {
    let mut writer = Writer::default();
    for record in records {
        let topic = writer.topic(&record.topic)?;
        let original = record.original_topic.as_ref().map(|topic| writer.topic(topic)).transpose()?;
        let Writer { schemas, rows, .. } = &mut writer;
        write::with_length(rows, |out| {
            place(out, topic, record.partition, record.timestamp);
            out.extend_from_slice(&record.offset.to_le_bytes());
            out.push(match record.timestamp_type {
                TimestampType::CreateTime => 0,
                TimestampType::LogAppendTime => 1,
            });
            valued(out, schemas, record.key_schema.as_ref(), &record.key)?;
            valued(out, schemas, record.value_schema.as_ref(), &record.value)?;
            headers(out, schemas, &record.headers)?;
            if let Some(original) = original {
                out.extend_from_slice(&original.to_le_bytes());
            }
            Ok(())
        })?;
    }
    writer.finish(SINK, records.len())
}

impl Writer {
    fn topic(&mut self, topic: &Arc<str>) -> Result<u32> {
        self.topics.intern(Arc::as_ptr(topic).cast::<u8>(), || topic.as_bytes().to_vec())
    }

    fn finish(self, kind: u8, records: usize) -> Result<Vec<u8>> {
        let (topics, topic_table) = self.topics.finish();
        let (schemas, schema_table) = self.schemas.finish();
        let mut out = Vec::with_capacity(self.rows.len() + topic_table.len() + schema_table.len() + 64);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[kind, VERSION, 0, 0]);
        write::count(&mut out, topics)?;
        out.extend_from_slice(&topic_table);
        write::count(&mut out, schemas)?;
        out.extend_from_slice(&schema_table);
        write::count(&mut out, records)?;
        out.extend_from_slice(&self.rows);
        Ok(out)
    }
}

fn place(out: &mut Vec<u8>, topic: u32, partition: i32, timestamp: i64) {
    out.extend_from_slice(&topic.to_le_bytes());
    out.extend_from_slice(&partition.to_le_bytes());
    out.extend_from_slice(&timestamp.to_le_bytes());
}

fn valued(out: &mut Vec<u8>, schemas: &mut Schemas, schema: Option<&Arc<Schema>>, value: &Value) -> Result<()> {
    let index = schemas.index(schema)?;
    out.extend_from_slice(&index.to_le_bytes());
    write::value(out, schemas, value, 0)
}

fn headers(out: &mut Vec<u8>, schemas: &mut Schemas, headers: &[Header]) -> Result<()> {
    write::count(out, headers.len())?;
    for header in headers {
        write::bytes(out, header.key.as_bytes())?;
        valued(out, schemas, header.schema.as_ref(), &header.value)?;
    }
    Ok(())
}

fn checkpoints(out: &mut Vec<u8>, batch: &SourceBatch) -> Result<()> {
    let text = |map: &SourcePartition| Json::Object(map.clone()).to_string().into_bytes();
    let mut partitions = Texts::<*const SourcePartition>::default();
    let mut rows = Vec::new();
    for checkpoint in &batch.checkpoints {
        let key = Arc::as_ptr(&checkpoint.partition);
        let partition = partitions.intern(key, || text(&checkpoint.partition))?;
        write::count(&mut rows, checkpoint.after)?;
        rows.extend_from_slice(&partition.to_le_bytes());
        write::bytes(&mut rows, &text(&checkpoint.offset))?;
        rows.push(match checkpoint.reach {
            Reach::All => 0,
            Reach::Partition => 1,
        });
    }
    let (count, table) = partitions.finish();
    write::count(out, count)?;
    out.extend_from_slice(&table);
    write::count(out, batch.checkpoints.len())?;
    out.extend_from_slice(&rows);
    Ok(())
}

//! Reads batches out of bytes that nobody vouches for (invariant 9).

use super::{MAGIC, NO_TIMESTAMP, SINK, SOURCE, VERSION, read::Reader, read_schema::SchemaTable};
use crate::{
    Checkpoint, ConnectorError, Header, Headers, Reach, Result, Schema, SinkRecord, SourceBatch, SourceOffset,
    SourceRecord, TimestampType, Value,
};
use bytes::Bytes;
use std::sync::Arc;

/// Fewest bytes of a record.
const LEAST_RECORD: usize = 34;

/// Reads a source batch; no bytes are an empty one.
pub fn read_source(bytes: Bytes) -> Result<SourceBatch> {
    if bytes.is_empty() {
        return Ok(SourceBatch::default());
    }
    let mut reader = Reader::new(bytes);
    let tables = Tables::read(&mut reader, SOURCE)?;
    let count = reader.count(LEAST_RECORD)?;
    let mut records = Vec::with_capacity(count);
    for _ in 0..count {
        let end = reader.end()?;
        records.push(tables.source_record(&mut reader)?);
        reader.leave(end)?;
    }
    let checkpoints = checkpoints(&mut reader, records.len())?;
    finished(&reader)?;
    Ok(SourceBatch { records, checkpoints })
}

/// Reads a sink batch; no bytes are an empty one.
pub fn read_sink(bytes: Bytes) -> Result<Vec<SinkRecord>> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut reader = Reader::new(bytes);
    let tables = Tables::read(&mut reader, SINK)?;
    let count = reader.count(LEAST_RECORD)?;
    let mut records = Vec::with_capacity(count);
    for _ in 0..count {
        let end = reader.end()?;
        records.push(tables.sink_record(&mut reader, end)?);
        reader.leave(end)?;
    }
    finished(&reader)?;
    Ok(records)
}

fn finished(reader: &Reader) -> Result<()> {
    if reader.left() == 0 { Ok(()) } else { Err(reader.broken("there are bytes after its end")) }
}

/// What stands once for the whole batch.
struct Tables {
    topics: Vec<Arc<str>>,
    schemas: SchemaTable,
}

impl Tables {
    fn read(reader: &mut Reader, kind: u8) -> Result<Self> {
        if reader.u32()? != u32::from_le_bytes(MAGIC) {
            return Err(reader.broken("it does not start with LVB1"));
        }
        let (found, version) = (reader.u8()?, reader.u8()?);
        if found != kind {
            return Err(reader.broken("it is of the other kind of connector"));
        }
        if version != VERSION {
            let text = format!("record batches of layout version {version} are not known here");
            return Err(ConnectorError::fatal(text));
        }
        if [reader.u8()?, reader.u8()?] != [0, 0] {
            return Err(reader.broken("bytes that must be zero are not"));
        }
        let mut topics = Vec::new();
        for _ in 0..reader.count(4)? {
            topics.push(Arc::from(reader.text()?.as_str()));
        }
        Ok(Self { topics, schemas: SchemaTable::read(reader)? })
    }

    fn topic(&self, reader: &mut Reader) -> Result<Arc<str>> {
        let index = reader.u32()?;
        self.topics.get(index as usize).cloned().ok_or_else(|| reader.broken("there is no topic of that index"))
    }

    fn source_record(&self, reader: &mut Reader) -> Result<SourceRecord> {
        let topic = self.topic(reader)?;
        let partition = match reader.i32()? {
            -1 => None,
            partition if partition >= 0 => Some(partition),
            _ => return Err(reader.broken("a partition is below -1")),
        };
        let timestamp = Some(reader.i64()?).filter(|timestamp| *timestamp != NO_TIMESTAMP);
        let (key_schema, key) = self.valued(reader)?;
        let (value_schema, value) = self.valued(reader)?;
        let headers = self.headers(reader)?;
        Ok(SourceRecord { topic, partition, key_schema, key, value_schema, value, timestamp, headers })
    }

    fn sink_record(&self, reader: &mut Reader, end: usize) -> Result<SinkRecord> {
        let (topic, partition, timestamp) = (self.topic(reader)?, reader.i32()?, reader.i64()?);
        let offset = reader.i64()?;
        let timestamp_type = match reader.u8()? {
            0 => TimestampType::CreateTime,
            1 => TimestampType::LogAppendTime,
            _ => return Err(reader.broken("a timestamp has an unknown type")),
        };
        let (key_schema, key) = self.valued(reader)?;
        let (value_schema, value) = self.valued(reader)?;
        let headers = self.headers(reader)?;
        // Left out where no transform has changed the topic, and by writers that know none.
        let original_topic = if reader.left_before(end) >= 4 { Some(self.topic(reader)?) } else { None };
        Ok(SinkRecord {
            topic,
            partition,
            offset,
            key_schema,
            key,
            value_schema,
            value,
            timestamp,
            timestamp_type,
            headers,
            original_topic,
        })
    }

    fn valued(&self, reader: &mut Reader) -> Result<(Option<Arc<Schema>>, Value)> {
        Ok((reader.schema(&self.schemas)?, reader.value(&self.schemas, 0)?))
    }

    fn headers(&self, reader: &mut Reader) -> Result<Headers> {
        let mut headers = Headers::new();
        for _ in 0..reader.count(9)? {
            let key = reader.text()?;
            let (schema, value) = self.valued(reader)?;
            headers.push(Header { key, schema, value });
        }
        Ok(headers)
    }
}

fn checkpoints(reader: &mut Reader, records: usize) -> Result<Vec<Checkpoint>> {
    let mut partitions = Vec::new();
    for _ in 0..reader.count(4)? {
        partitions.push(Arc::new(object(reader)?));
    }
    let mut checkpoints: Vec<Checkpoint> = Vec::new();
    let mut last = 0;
    for _ in 0..reader.count(13)? {
        let (after, index) = (reader.u32()? as usize, reader.u32()?);
        if after < last || after > records {
            return Err(reader.broken("checkpoints are out of order or beyond the records"));
        }
        last = after;
        let partition = partitions.get(index as usize).cloned();
        let partition = partition.ok_or_else(|| reader.broken("there is no partition of that index"))?;
        let offset = object(reader)?;
        let reach = match reader.u8()? {
            0 => Reach::All,
            1 => Reach::Partition,
            _ => return Err(reader.broken("a checkpoint has an unknown reach")),
        };
        checkpoints.push(Checkpoint { after, partition, offset, reach });
    }
    Ok(checkpoints)
}

fn object(reader: &mut Reader) -> Result<SourceOffset> {
    let bytes = reader.bytes()?;
    serde_json::from_slice(&bytes).map_err(|_| reader.broken("a source partition or offset is no JSON object"))
}

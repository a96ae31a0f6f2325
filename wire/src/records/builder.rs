//! Building batches. The embedded worker makes more than a million records a second with this, so a record costs one size computation, one
//! copy of its head and one each of key and value; buffers are the caller's and come back.

use super::header::{attributes, put};
use super::varint::{Head, len32, len64};
use super::{
    ATTRIBUTES_OFFSET, BatchHeader, CRC_OFFSET, Compression, HEADER_LEN, LOG_OVERHEAD, NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID, NO_SEQUENCE, RecordError, compress,
};

/// Most bytes a record takes beside key, value and headers.
const MAX_RECORD_OVERHEAD: usize = 5 + 1 + 10 + 5 + 5 + 5 + 5;

/// Collects records into one batch.
#[derive(Debug)]
pub struct RecordBatchBuilder {
    /// Room for the header, then the records.
    buffer: Vec<u8>,
    base_offset: i64,
    leader_epoch: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    last_offset_delta: i32,
    count: i32,
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
    transactional: bool,
    control: bool,
    delete_horizon_ms: Option<i64>,
    log_append_time_ms: Option<i64>,
}

impl RecordBatchBuilder {
    /// An empty batch in `buffer`, whose content is dropped and whose capacity is used.
    pub fn new(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        buffer.resize(HEADER_LEN, 0);
        Self {
            buffer,
            base_offset: 0,
            leader_epoch: -1,
            base_timestamp: 0,
            max_timestamp: i64::MIN,
            last_offset_delta: -1,
            count: 0,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            base_sequence: NO_SEQUENCE,
            transactional: false,
            control: false,
            delete_horizon_ms: None,
            log_append_time_ms: None,
        }
    }

    /// Makes it a batch of an idempotent producer.
    pub fn set_producer(&mut self, producer_id: i64, producer_epoch: i16, base_sequence: i32) {
        (self.producer_id, self.producer_epoch, self.base_sequence) = (producer_id, producer_epoch, base_sequence);
    }

    /// Makes it part of a transaction.
    pub fn set_transactional(&mut self, transactional: bool) {
        self.transactional = transactional;
    }

    /// Makes it a control batch.
    pub fn set_control(&mut self, control: bool) {
        self.control = control;
    }

    /// Sets what the log otherwise sets at append.
    pub fn set_position(&mut self, base_offset: i64, leader_epoch: i32) {
        (self.base_offset, self.leader_epoch) = (base_offset, leader_epoch);
    }

    /// Sets the time from which tombstones may go; only the cleaner does. Before the first record.
    pub fn set_delete_horizon_ms(&mut self, horizon_ms: Option<i64>) {
        self.delete_horizon_ms = horizon_ms;
    }

    /// Makes the broker's time that of all records; only the cleaner does, whose batches had it before.
    pub fn set_log_append_time_ms(&mut self, time_ms: Option<i64>) {
        self.log_append_time_ms = time_ms;
    }

    /// Says the batch reached to this delta before records were removed from it; only the cleaner does.
    pub fn set_last_offset_delta(&mut self, delta: i32) {
        self.last_offset_delta = delta;
    }

    /// Number of records so far.
    pub fn count(&self) -> i32 {
        self.count
    }

    /// Whether there is no record yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Size of the batch so far, uncompressed.
    pub fn size(&self) -> usize {
        self.buffer.len()
    }

    /// At most the size after one more record with this much key and value and no headers.
    pub fn size_with(&self, key: usize, value: usize) -> usize {
        self.buffer.len().saturating_add(MAX_RECORD_OVERHEAD).saturating_add(key).saturating_add(value)
    }

    /// Adds a record with the next offset delta.
    #[inline]
    pub fn append<'a, H>(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: H,
    ) -> Result<(), RecordError>
    where
        H: IntoIterator<Item = (&'a [u8], Option<&'a [u8]>)>,
        H::IntoIter: Clone,
    {
        let delta = self.last_offset_delta.checked_add(1).ok_or(RecordError::BatchFull)?;
        self.append_at(delta, timestamp, key, value, headers)
    }

    /// Adds a record with a delta of its own, larger than the one before.
    #[inline]
    pub fn append_at<'a, H>(
        &mut self,
        offset_delta: i32,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: H,
    ) -> Result<(), RecordError>
    where
        H: IntoIterator<Item = (&'a [u8], Option<&'a [u8]>)>,
        H::IntoIter: Clone,
    {
        if self.count == 0 {
            self.base_timestamp = self.delete_horizon_ms.unwrap_or(timestamp);
        }
        let headers = headers.into_iter();
        let timestamp_delta = timestamp.wrapping_sub(self.base_timestamp);
        let (mut header_count, mut headers_len) = (0i32, 0usize);
        for (name, content) in headers.clone() {
            header_count += 1;
            headers_len += len32(name.len() as i32) + name.len() + len32(content.map_or(-1, |c| c.len() as i32));
            headers_len += content.map_or(0, <[u8]>::len);
        }
        let (key_len, value_len) = (part_len(key)?, part_len(value)?);
        let body = 1
            + len64(timestamp_delta)
            + len32(offset_delta)
            + (len32(key_len) + key.map_or(0, <[u8]>::len))
            + (len32(value_len) + value.map_or(0, <[u8]>::len))
            + len32(header_count)
            + headers_len;
        if self.buffer.len() + body + 5 > i32::MAX as usize || self.count == i32::MAX {
            return Err(RecordError::BatchFull);
        }
        self.buffer.reserve(body + 5);
        let mut head = Head::new();
        head.varint(body as i32);
        head.byte(0);
        head.varlong(timestamp_delta);
        head.varint(offset_delta);
        head.varint(key_len);
        if let Some(key) = key {
            self.buffer.extend_from_slice(head.as_slice());
            self.buffer.extend_from_slice(key);
            head = Head::new();
        }
        head.varint(value_len);
        self.buffer.extend_from_slice(head.as_slice());
        if let Some(value) = value {
            self.buffer.extend_from_slice(value);
        }
        if header_count == 0 {
            self.buffer.push(0);
        } else {
            self.put_headers(header_count, headers);
        }
        self.count += 1;
        self.last_offset_delta = offset_delta;
        self.max_timestamp = self.max_timestamp.max(timestamp);
        Ok(())
    }

    fn put_headers<'a>(&mut self, count: i32, headers: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>) {
        let mut head = Head::new();
        head.varint(count);
        self.buffer.extend_from_slice(head.as_slice());
        for (name, content) in headers {
            let mut head = Head::new();
            head.varint(name.len() as i32);
            self.buffer.extend_from_slice(head.as_slice());
            self.buffer.extend_from_slice(name);
            let mut head = Head::new();
            head.varint(content.map_or(-1, |c| c.len() as i32));
            self.buffer.extend_from_slice(head.as_slice());
            self.buffer.extend_from_slice(content.unwrap_or_default());
        }
    }

    /// The finished batch, uncompressed, in the builder's buffer.
    pub fn finish(mut self) -> Vec<u8> {
        self.seal(Compression::None);
        self.buffer
    }

    /// The finished batch, compressed into `scratch`, which comes back holding the builder's buffer for the next batch. `level` is the
    /// codec's own scale; `None` its default.
    pub fn finish_with(
        mut self,
        codec: Compression,
        level: Option<i32>,
        scratch: &mut Vec<u8>,
    ) -> Result<Vec<u8>, RecordError> {
        if codec != Compression::None {
            scratch.clear();
            scratch.resize(HEADER_LEN, 0);
            compress(codec, level, self.buffer.get(HEADER_LEN..).unwrap_or_default(), scratch)?;
            std::mem::swap(&mut self.buffer, scratch);
        }
        self.seal(codec);
        Ok(self.buffer)
    }

    fn seal(&mut self, codec: Compression) {
        let header = BatchHeader {
            base_offset: self.base_offset,
            batch_length: (self.buffer.len() - LOG_OVERHEAD) as i32,
            leader_epoch: self.leader_epoch,
            crc: 0,
            attributes: attributes(codec, self.transactional, self.control, self.delete_horizon_ms.is_some()),
            last_offset_delta: self.last_offset_delta.max(0),
            base_timestamp: self.base_timestamp,
            max_timestamp: if self.count == 0 { super::NO_TIMESTAMP } else { self.max_timestamp },
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            base_sequence: self.base_sequence,
            records_count: self.count,
        };
        let header = match self.log_append_time_ms {
            Some(time_ms) => header.with_log_append_time(time_ms),
            None => header,
        };
        put(&mut self.buffer, 0, header.to_bytes());
        let crc = crc32c::crc32c(self.buffer.get(ATTRIBUTES_OFFSET..).unwrap_or_default());
        put(&mut self.buffer, CRC_OFFSET, crc.to_be_bytes());
    }
}

fn part_len(part: Option<&[u8]>) -> Result<i32, RecordError> {
    part.map_or(Ok(-1), |part| i32::try_from(part.len()).map_err(|_| RecordError::BatchFull))
}

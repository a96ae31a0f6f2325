//! Records inside a decompressed block.

use bytes::Bytes;

use super::varint::{read32, read64};
use super::{Batch, BatchHeader, RecordError, TimestampType};

/// One record, borrowed from its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordRef<'a> {
    /// Offset minus the batch's base offset.
    pub offset_delta: i32,
    /// Timestamp minus the batch's base timestamp.
    pub timestamp_delta: i64,
    /// Key; `None` is a null key.
    pub key: Option<&'a [u8]>,
    /// Value; `None` is a tombstone on a compacted topic.
    pub value: Option<&'a [u8]>,
    header_count: i32,
    headers: &'a [u8],
}

impl<'a> RecordRef<'a> {
    /// Number of headers.
    pub fn header_count(&self) -> usize {
        self.header_count as usize
    }

    /// The headers in order.
    pub fn headers(&self) -> HeaderIter<'a> {
        HeaderIter { left: self.header_count, bytes: self.headers }
    }

    /// Takes the record at the front of `input`.
    pub(super) fn read(input: &mut &'a [u8]) -> Result<Self, &'static str> {
        let length = read32(input).ok_or("no length")?;
        let length = usize::try_from(length).map_err(|_| "negative length")?;
        let (mut body, rest) = input.split_at_checked(length).ok_or("longer than the records block")?;
        *input = rest;
        let body = &mut body;
        let (_attributes, after) = body.split_first().ok_or("no attributes")?;
        *body = after;
        let timestamp_delta = read64(body).ok_or("no timestamp delta")?;
        let offset_delta = read32(body).ok_or("no offset delta")?;
        let key = read_nullable(body).ok_or("key does not fit")?;
        let value = read_nullable(body).ok_or("value does not fit")?;
        let header_count = read32(body).ok_or("no header count")?;
        if header_count < 0 {
            return Err("negative header count");
        }
        let headers = *body;
        skip_headers(body, header_count)?;
        if !body.is_empty() {
            return Err("trailing bytes");
        }
        Ok(Self { offset_delta, timestamp_delta, key, value, header_count, headers })
    }
}

#[expect(clippy::option_option, reason = "malformed, null, and a value are three things")]
fn read_nullable<'a>(input: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = read32(input)?;
    if length < 0 {
        return (length == -1).then_some(None);
    }
    let (value, rest) = input.split_at_checked(length as usize)?;
    *input = rest;
    Some(Some(value))
}

fn skip_headers(input: &mut &[u8], count: i32) -> Result<(), &'static str> {
    // Each header takes at least two bytes, so a lying count ends this early.
    for _ in 0..count {
        read_nullable(input).flatten().ok_or("header key does not fit or is null")?;
        read_nullable(input).ok_or("header value does not fit")?;
    }
    Ok(())
}

/// Headers of a record: key and value.
#[derive(Debug, Clone)]
pub struct HeaderIter<'a> {
    left: i32,
    bytes: &'a [u8],
}

impl<'a> Iterator for HeaderIter<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            return None;
        }
        self.left -= 1;
        let key = read_nullable(&mut self.bytes).flatten()?;
        Some((key, read_nullable(&mut self.bytes)?))
    }
}

/// Records of a decompressed block, borrowed.
#[derive(Debug, Clone)]
pub struct RecordRefIter<'a> {
    block: &'a [u8],
    count: i32,
    next: i32,
}

impl<'a> RecordRefIter<'a> {
    /// Iterates `count` records in `block`.
    pub fn new(block: &'a [u8], count: i32) -> Self {
        Self { block, count, next: 0 }
    }
}

impl<'a> Iterator for RecordRefIter<'a> {
    type Item = Result<RecordRef<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.count {
            return None;
        }
        let index = self.next;
        match RecordRef::read(&mut self.block) {
            Ok(record) => {
                self.next += 1;
                Some(Ok(record))
            }
            Err(reason) => {
                self.next = self.count;
                Some(Err(RecordError::InvalidRecord { index, reason }))
            }
        }
    }
}

/// A header of an owned record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordHeader {
    /// Name.
    pub key: Bytes,
    /// Value, may be null.
    pub value: Option<Bytes>,
}

/// One record whose parts share the block's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Absolute offset.
    pub offset: i64,
    /// Absolute timestamp in milliseconds.
    pub timestamp: i64,
    /// Key; `None` is a null key.
    pub key: Option<Bytes>,
    /// Value; `None` is a tombstone on a compacted topic.
    pub value: Option<Bytes>,
    /// Headers in order.
    pub headers: Vec<RecordHeader>,
}

/// Records of one batch with absolute offsets and timestamps, as `Bytes` of the decompressed block.
#[derive(Debug, Clone)]
pub struct RecordIter {
    header: BatchHeader,
    block: Bytes,
    position: usize,
    next: i32,
}

impl RecordIter {
    pub(super) fn new(header: BatchHeader, block: Bytes) -> Self {
        Self { header, block, position: 0, next: 0 }
    }

    /// Decompresses `batch` into at most `limit` bytes and iterates its records.
    pub fn of(batch: &Batch, limit: usize) -> Result<Self, RecordError> {
        Ok(Self::new(batch.header, batch.decompressed(limit)?))
    }
}

/// The timestamp of a record, which LogAppendTime sets for the whole batch.
pub(super) fn timestamp_of(header: &BatchHeader, delta: i64) -> i64 {
    match header.timestamp_type() {
        TimestampType::LogAppendTime => header.max_timestamp,
        TimestampType::CreateTime => header.base_timestamp.saturating_add(delta),
    }
}

/// A record of a batch as a value of its own, sharing the memory of `block`, which it lies in.
pub(super) fn owned(header: &BatchHeader, block: &Bytes, record: &RecordRef<'_>) -> Record {
    let own = |part: &[u8]| block.slice_ref(part);
    let headers = record.headers().map(|(key, value)| RecordHeader { key: own(key), value: value.map(own) });
    Record {
        offset: header.base_offset.saturating_add(i64::from(record.offset_delta)),
        timestamp: timestamp_of(header, record.timestamp_delta),
        key: record.key.map(own),
        value: record.value.map(own),
        headers: headers.collect(),
    }
}

impl Iterator for RecordIter {
    type Item = Result<Record, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.header.records_count {
            return None;
        }
        let index = self.next;
        let all = self.block.get(self.position..).unwrap_or_default();
        let mut rest = all;
        match RecordRef::read(&mut rest) {
            Ok(record) => {
                self.position += all.len() - rest.len();
                self.next += 1;
                Some(Ok(owned(&self.header, &self.block, &record)))
            }
            Err(reason) => {
                self.next = i32::MAX;
                Some(Err(RecordError::InvalidRecord { index, reason }))
            }
        }
    }
}

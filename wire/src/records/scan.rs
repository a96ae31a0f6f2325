//! Records one after another as they come out of a decoder: what a batch says of each is checked without ever holding all of it, so that
//! memory does not depend on how far a batch unpacks.

use std::io::Read;

use super::decoder::{decoder, failed};
use super::record::{RecordRef, timestamp_of};
use super::varint::{read32, read64};
use super::{Batch, BatchHeader, Compression, RecordError};

/// Bytes of unpacked records kept at a time; a larger record passes by in pieces.
const BUFFER: usize = 32 << 10;
/// Bytes of the longest varint.
const LONGEST_INT: usize = 10;

/// What is known of a record that has passed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordMeta {
    /// Offset minus the batch's base offset.
    pub offset_delta: i32,
    /// In milliseconds.
    pub timestamp: i64,
    /// It has a key.
    pub has_key: bool,
}

/// The records of a batch, checked in their structure as [`RecordRefIter`](super::RecordRefIter) does. Ends after an error.
pub struct RecordScan {
    header: BatchHeader,
    codec: Compression,
    source: Box<dyn Read + Send + Sync>,
    buffer: Vec<u8>,
    /// Where what is not looked at yet begins in `buffer`.
    start: usize,
    unpacked: usize,
    limit: usize,
    next: i32,
}

impl RecordScan {
    /// The records of `batch`, of which at most `limit` bytes are unpacked.
    pub fn new(batch: &Batch, limit: usize) -> Result<Self, RecordError> {
        let codec = batch.header.compression()?;
        let source = decoder(codec, batch.records.clone(), limit)?;
        Ok(Self { header: batch.header, codec, source, buffer: Vec::new(), start: 0, unpacked: 0, limit, next: 0 })
    }

    /// That nothing follows the last record.
    pub(super) fn finish(mut self) -> Result<(), RecordError> {
        match self.fill(1)? {
            0 => Ok(()),
            _ => Err(RecordError::InvalidBatch("bytes after the last record")),
        }
    }

    fn waiting(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// Has at least `wanted` bytes wait, unless the block ends before. Gives how many there are.
    fn fill(&mut self, wanted: usize) -> Result<usize, RecordError> {
        if self.waiting().len() >= wanted {
            return Ok(self.waiting().len());
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        while self.buffer.len() < wanted {
            let have = self.buffer.len();
            self.buffer.resize(BUFFER, 0);
            let got = match self.buffer.get_mut(have..).map(|room| self.source.read(room)) {
                Some(Ok(got)) => got,
                Some(Err(error)) => return Err(failed(self.codec, error)),
                None => 0,
            };
            self.buffer.truncate(have + got);
            self.unpacked += got;
            if self.unpacked > self.limit {
                return Err(RecordError::DecompressedTooLarge { limit: self.limit });
            }
            if got == 0 {
                break;
            }
        }
        Ok(self.buffer.len())
    }

    fn read(&mut self) -> Result<RecordMeta, RecordError> {
        let index = self.next;
        let invalid = |reason| RecordError::InvalidRecord { index, reason };
        self.fill(LONGEST_INT)?;
        let mut rest = self.waiting();
        let before = rest.len();
        let length = read32(&mut rest).ok_or(invalid("no length"))?;
        let length = usize::try_from(length).map_err(|_| invalid("negative length"))?;
        let whole = before - rest.len() + length;
        if whole > BUFFER {
            self.start += whole - length;
            return Large { stream: self, left: length }.read();
        }
        if self.fill(whole)? < whole {
            return Err(invalid("longer than the records block"));
        }
        let mut rest = self.waiting();
        let record = RecordRef::read(&mut rest).map_err(invalid)?;
        let meta = self.meta(record.offset_delta, record.timestamp_delta, record.key.is_some());
        self.start += whole;
        Ok(meta)
    }

    fn meta(&self, offset_delta: i32, timestamp_delta: i64, has_key: bool) -> RecordMeta {
        RecordMeta { offset_delta, timestamp: timestamp_of(&self.header, timestamp_delta), has_key }
    }
}

impl Iterator for RecordScan {
    type Item = Result<RecordMeta, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.header.records_count {
            return None;
        }
        let read = self.read();
        self.next = if read.is_ok() { self.next + 1 } else { i32::MAX };
        Some(read)
    }
}

/// A record that does not fit the buffer, behind its length.
struct Large<'s> {
    stream: &'s mut RecordScan,
    left: usize,
}

impl Large<'_> {
    fn invalid(&self, reason: &'static str) -> RecordError {
        RecordError::InvalidRecord { index: self.stream.next, reason }
    }

    fn read(mut self) -> Result<RecordMeta, RecordError> {
        self.skip(1, "no attributes")?;
        let timestamp_delta = self.int(read64, "no timestamp delta")?;
        let offset_delta = self.int(read32, "no offset delta")?;
        let has_key = self.skip_nullable("key does not fit")?;
        self.skip_nullable("value does not fit")?;
        let headers = self.int(read32, "no header count")?;
        if headers < 0 {
            return Err(self.invalid("negative header count"));
        }
        for _ in 0..headers {
            // Each takes at least two bytes, so a lying count ends this early.
            if !self.skip_nullable("header key does not fit or is null")? {
                return Err(self.invalid("header key does not fit or is null"));
            }
            self.skip_nullable("header value does not fit")?;
        }
        if self.left > 0 {
            return Err(self.invalid("trailing bytes"));
        }
        Ok(self.stream.meta(offset_delta, timestamp_delta, has_key))
    }

    fn int<T>(&mut self, read: fn(&mut &[u8]) -> Option<T>, reason: &'static str) -> Result<T, RecordError> {
        self.stream.fill(LONGEST_INT)?;
        let waiting = self.stream.waiting();
        let mut rest = waiting.get(..self.left.min(waiting.len())).unwrap_or_default();
        let before = rest.len();
        let value = read(&mut rest).ok_or_else(|| self.invalid(reason))?;
        let used = before - rest.len();
        self.stream.start += used;
        self.left -= used;
        Ok(value)
    }

    /// Passes over a length and so many bytes; false where they are null.
    fn skip_nullable(&mut self, reason: &'static str) -> Result<bool, RecordError> {
        let length = self.int(read32, reason)?;
        if length == -1 {
            return Ok(false);
        }
        let length = usize::try_from(length).map_err(|_| self.invalid(reason))?;
        self.skip(length, reason)?;
        Ok(true)
    }

    fn skip(&mut self, length: usize, reason: &'static str) -> Result<(), RecordError> {
        if length > self.left {
            return Err(self.invalid(reason));
        }
        let mut missing = length;
        while missing > 0 {
            let step = self.stream.fill(1)?.min(missing);
            if step == 0 {
                return Err(self.invalid("longer than the records block"));
            }
            self.stream.start += step;
            missing -= step;
        }
        self.left -= length;
        Ok(())
    }
}

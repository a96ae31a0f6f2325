//! The structural check of a records block: of an uncompressed one without allocation or copying, of a compressed one as a stream.

use super::record::{RecordRef, timestamp_of};
use super::{Batch, BatchHeader, Compression, RecordError, RecordMeta, RecordScan};

/// What a walk learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalkSummary {
    /// Largest record timestamp.
    pub max_timestamp: i64,
    /// Smallest record timestamp.
    pub min_timestamp: i64,
    /// Position of the first record without a key.
    pub first_null_key: Option<i32>,
}

impl WalkSummary {
    const NOTHING: Self = Self { max_timestamp: i64::MIN, min_timestamp: i64::MAX, first_null_key: None };

    /// Takes in the record at `index`.
    fn add(&mut self, index: i32, record: RecordMeta) -> Result<(), RecordError> {
        if record.offset_delta != index {
            return Err(RecordError::InvalidRecord { index, reason: "offset delta is not sequential" });
        }
        if !record.has_key && self.first_null_key.is_none() {
            self.first_null_key = Some(index);
        }
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        self.min_timestamp = self.min_timestamp.min(record.timestamp);
        Ok(())
    }
}

fn check_counts(header: &BatchHeader) -> Result<(), RecordError> {
    if header.records_count <= 0 {
        return Err(RecordError::InvalidBatch("a batch needs at least one record"));
    }
    if header.last_offset_delta.checked_add(1) != Some(header.records_count) {
        return Err(RecordError::InvalidBatch("last offset delta does not fit the number of records"));
    }
    Ok(())
}

/// Checks that `block` (decompressed) holds exactly the records `header` promises: their number, offset deltas from 0 without gaps up to the
/// last offset delta, lengths that fit, no byte left over.
pub fn walk_records(header: &BatchHeader, block: &[u8]) -> Result<WalkSummary, RecordError> {
    check_counts(header)?;
    let mut rest = block;
    let mut summary = WalkSummary::NOTHING;
    for index in 0..header.records_count {
        let record = RecordRef::read(&mut rest).map_err(|reason| RecordError::InvalidRecord { index, reason })?;
        let timestamp = timestamp_of(header, record.timestamp_delta);
        let has_key = record.key.is_some();
        summary.add(index, RecordMeta { offset_delta: record.offset_delta, timestamp, has_key })?;
    }
    if rest.is_empty() { Ok(summary) } else { Err(RecordError::InvalidBatch("bytes after the last record")) }
}

/// [`walk_records`] of a batch as it is, compressed or not. At most `limit` bytes are unpacked, and only a little is kept at a time: at most
/// [`Batch::walk_memory`].
pub fn walk_batch(batch: &Batch, limit: usize) -> Result<WalkSummary, RecordError> {
    if batch.header.compression()? == Compression::None {
        return walk_records(&batch.header, &batch.records);
    }
    check_counts(&batch.header)?;
    let mut stream = RecordScan::new(batch, limit)?;
    let mut summary = WalkSummary::NOTHING;
    for index in 0..batch.header.records_count {
        let Some(record) = stream.next() else { break };
        summary.add(index, record?)?;
    }
    stream.finish()?;
    Ok(summary)
}

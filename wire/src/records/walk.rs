//! The structural check of a records block, run on every uncompressed batch a client produces: no allocation, no copying.

use super::record::{RecordRef, timestamp_of};
use super::{BatchHeader, RecordError};

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

/// Checks that `block` (decompressed) holds exactly the records `header` promises: their number, offset deltas from 0 without gaps up to the
/// last offset delta, lengths that fit, no byte left over.
pub fn walk_records(header: &BatchHeader, block: &[u8]) -> Result<WalkSummary, RecordError> {
    if header.records_count <= 0 {
        return Err(RecordError::InvalidBatch("a batch needs at least one record"));
    }
    if header.last_offset_delta.checked_add(1) != Some(header.records_count) {
        return Err(RecordError::InvalidBatch("last offset delta does not fit the number of records"));
    }
    let mut rest = block;
    let mut summary = WalkSummary { max_timestamp: i64::MIN, min_timestamp: i64::MAX, first_null_key: None };
    for index in 0..header.records_count {
        let record = RecordRef::read(&mut rest).map_err(|reason| RecordError::InvalidRecord { index, reason })?;
        if record.offset_delta != index {
            return Err(RecordError::InvalidRecord { index, reason: "offset delta is not sequential" });
        }
        if record.key.is_none() && summary.first_null_key.is_none() {
            summary.first_null_key = Some(index);
        }
        let timestamp = timestamp_of(header, record.timestamp_delta);
        summary.max_timestamp = summary.max_timestamp.max(timestamp);
        summary.min_timestamp = summary.min_timestamp.min(timestamp);
    }
    if rest.is_empty() { Ok(summary) } else { Err(RecordError::InvalidBatch("bytes after the last record")) }
}

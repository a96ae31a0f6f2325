//! Look-ups by time (ListOffsets).

use std::cmp::Reverse;
use std::io;
use std::sync::Arc;

use levada_env::IoClass;
use levada_wire::records::{Batch, RecordError, RecordScan};

use super::LogError;
use super::byte_budget::BudgetClosed;
use super::partition_log::{Inner, PartitionLog};
use super::segment::{Found, Segment};

/// A record found by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampOffset {
    /// Its timestamp.
    pub timestamp: i64,
    /// Its offset.
    pub offset: i64,
}

/// Most bytes of a batch that are unpacked, piece by piece, to look for a record's time.
const DECOMPRESSED_LIMIT: usize = 128 << 20;

/// A batch that may hold the record looked for.
struct Candidate {
    segment: Arc<Segment>,
    batch: Batch,
}

impl PartitionLog {
    /// The first record with at least `timestamp`, below offset `end`.
    pub async fn offset_for_timestamp(&self, timestamp: i64, end: i64) -> Result<Option<TimestampOffset>, LogError> {
        let mut from = self.log_start_offset();
        loop {
            let looked = self.run(IoClass::Read, move |inner| inner.batch_at_least(timestamp, from, end)).await??;
            let Some(candidate) = looked else { return Ok(None) };
            from = candidate.batch.header.last_offset().saturating_add(1);
            let found = self.record_at_least(candidate, timestamp, end).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// The first record with the largest timestamp, below offset `end`.
    pub async fn max_timestamp(&self, end: i64) -> Result<Option<TimestampOffset>, LogError> {
        let looked = self.run(IoClass::Read, move |inner| inner.newest_batch(end)).await??;
        let Some(candidate) = looked else { return Ok(None) };
        let timestamp = candidate.batch.header.max_timestamp;
        self.record_at_least(candidate, timestamp, end).await
    }

    /// Walks a batch, within the memory that there is for unpacking.
    async fn record_at_least(
        &self,
        candidate: Candidate,
        timestamp: i64,
        end: i64,
    ) -> Result<Option<TimestampOffset>, LogError> {
        let memory = candidate.batch.walk_memory(DECOMPRESSED_LIMIT);
        let permit = self.inner.unpacking.take(memory).await.map_err(|BudgetClosed| LogError::Closed)?;
        let walk = move |inner: &Arc<Inner>| {
            let _permit = permit;
            let Candidate { segment, batch } = candidate;
            record_at_least(&batch, timestamp, inner.log_start(), end)
                .map_err(|error| Inner::read_failed(&segment, io::Error::new(io::ErrorKind::InvalidData, error)))
        };
        self.run(IoClass::Compute, walk).await?
    }
}

impl Inner {
    /// The first batch from offset `from` on whose largest timestamp is at least `timestamp`.
    fn batch_at_least(self: &Arc<Self>, timestamp: i64, from: i64, end: i64) -> Result<Option<Candidate>, LogError> {
        for segment in self.segments().iter() {
            let look = || -> io::Result<Option<Batch>> {
                if segment.max_timestamp()? < timestamp {
                    return Ok(None);
                }
                for found in segment.scan(segment.scan_start_for_timestamp(timestamp)?, segment.size())? {
                    let found = found?;
                    if found.header.base_offset >= end {
                        break;
                    }
                    if found.header.max_timestamp >= timestamp && found.header.last_offset() >= from {
                        return read_batch(segment, &found).map(Some);
                    }
                }
                Ok(None)
            };
            if let Some(batch) = look().map_err(|error| Self::read_failed(segment, error))? {
                return Ok(Some(Candidate { segment: Arc::clone(segment), batch }));
            }
        }
        Ok(None)
    }

    /// The first batch below `end` with the largest timestamp.
    fn newest_batch(self: &Arc<Self>, end: i64) -> Result<Option<Candidate>, LogError> {
        let start = self.log_start();
        let mut segments = Vec::new();
        for segment in self.segments().iter() {
            let newest = segment.max_timestamp().map_err(|error| Self::read_failed(segment, error))?;
            segments.push((newest, Arc::clone(segment)));
        }
        // The one that has it is mostly the first to be looked at, and the only one.
        segments.sort_by_key(|(newest, _)| Reverse(*newest));
        let rank = |found: &Found| (found.header.max_timestamp, Reverse(found.header.base_offset));
        let mut best: Option<(Arc<Segment>, Found)> = None;
        for (newest, segment) in segments {
            if newest < 0 || best.as_ref().is_some_and(|(_, best)| best.header.max_timestamp > newest) {
                break;
            }
            let found = newest_in(&segment, newest, start, end).map_err(|error| Self::read_failed(&segment, error))?;
            if let Some(found) = found
                && best.as_ref().is_none_or(|(_, best)| rank(&found) > rank(best))
            {
                best = Some((segment, found));
            }
        }
        let Some((segment, found)) = best else { return Ok(None) };
        let batch = read_batch(&segment, &found).map_err(|error| Self::read_failed(&segment, error))?;
        Ok(Some(Candidate { segment, batch }))
    }
}

/// The first batch of a segment with the largest timestamp of those that end between `start` and `end`. The segment's own largest is `newest`.
fn newest_in(segment: &Segment, newest: i64, start: i64, end: i64) -> io::Result<Option<Found>> {
    let is_within = |found: &Found| (start..end).contains(&found.header.last_offset());
    for found in segment.scan(segment.scan_start_for_timestamp(newest)?, segment.size())? {
        let found = found?;
        if found.header.max_timestamp >= newest {
            if is_within(&found) {
                return Ok(Some(found));
            }
            break;
        }
    }
    // It lies outside: one of the others then.
    let mut best: Option<Found> = None;
    for found in segment.scan(0, segment.size())? {
        let found = found?;
        let known = best.as_ref().map_or(-1, |best| best.header.max_timestamp);
        if is_within(&found) && found.header.max_timestamp > known {
            best = Some(found);
        }
    }
    Ok(best)
}

fn record_at_least(
    batch: &Batch,
    timestamp: i64,
    start: i64,
    end: i64,
) -> Result<Option<TimestampOffset>, RecordError> {
    for record in RecordScan::new(batch, DECOMPRESSED_LIMIT)? {
        let record = record?;
        let offset = batch.header.base_offset.saturating_add(i64::from(record.offset_delta));
        if record.timestamp >= timestamp && offset >= start && offset < end {
            return Ok(Some(TimestampOffset { timestamp: record.timestamp, offset }));
        }
    }
    Ok(None)
}

/// Reads a whole batch.
pub(super) fn read_batch(segment: &Segment, found: &Found) -> io::Result<Batch> {
    let mut content = vec![0; found.header.size()];
    segment.file()?.read_exact_at(&mut content, found.position)?;
    let mut bytes = bytes::Bytes::from(content);
    Batch::split_from(&mut bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

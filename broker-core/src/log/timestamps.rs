//! Look-ups by time (ListOffsets).

use std::io;
use std::sync::Arc;

use levada_env::IoClass;
use levada_wire::records::{Batch, RecordScan};

use super::LogError;
use super::partition_log::{Inner, PartitionLog};
use super::segment::{Found, Segment};

/// A record found by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampOffset {
    /// Its timestamp.
    pub timestamp: i64,
    /// Its offset.
    pub offset: i64,
    /// Leader epoch of its batch.
    pub leader_epoch: i32,
}

/// Most bytes of a batch that are unpacked, piece by piece, to look for a record's time.
const DECOMPRESSED_LIMIT: usize = 128 << 20;

impl PartitionLog {
    /// The first record with at least `timestamp`, below offset `end`.
    pub async fn offset_for_timestamp(&self, timestamp: i64, end: i64) -> Result<Option<TimestampOffset>, LogError> {
        self.run(IoClass::Read, move |inner| inner.offset_for_timestamp(timestamp, end)).await?
    }

    /// The first record with the largest timestamp, below offset `end`.
    pub async fn max_timestamp(&self, end: i64) -> Result<Option<TimestampOffset>, LogError> {
        self.run(IoClass::Read, move |inner| inner.max_timestamp(end)).await?
    }
}

impl Inner {
    fn offset_for_timestamp(self: &Arc<Self>, timestamp: i64, end: i64) -> Result<Option<TimestampOffset>, LogError> {
        let start = self.log_start();
        for segment in self.segments().iter() {
            let look = || -> io::Result<Option<TimestampOffset>> {
                if segment.max_timestamp()? < timestamp {
                    return Ok(None);
                }
                let from = segment.scan_start_for_timestamp(timestamp)?;
                for found in segment.scan(from, segment.size())? {
                    let found = found?;
                    if found.header.base_offset >= end {
                        break;
                    }
                    if found.header.max_timestamp >= timestamp
                        && let Some(record) = record_at_least(segment, &found, timestamp, start, end)?
                    {
                        return Ok(Some(record));
                    }
                }
                Ok(None)
            };
            let found = look().map_err(|error| Self::read_failed(segment, error))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn max_timestamp(self: &Arc<Self>, end: i64) -> Result<Option<TimestampOffset>, LogError> {
        let mut best: Option<(Arc<Segment>, Found)> = None;
        for segment in self.segments().iter() {
            let mut look = || -> io::Result<()> {
                let at_least = best.as_ref().map_or(-1, |(_, found)| found.header.max_timestamp);
                if segment.max_timestamp()? <= at_least {
                    return Ok(());
                }
                for found in segment.scan(0, segment.size())? {
                    let found = found?;
                    let known = best.as_ref().map_or(-1, |(_, best)| best.header.max_timestamp);
                    let (start, header) = (self.log_start(), found.header);
                    if header.last_offset() < end && header.last_offset() >= start && header.max_timestamp > known {
                        best = Some((Arc::clone(segment), found));
                    }
                }
                Ok(())
            };
            look().map_err(|error| Self::read_failed(segment, error))?;
        }
        let Some((segment, found)) = best else { return Ok(None) };
        let timestamp = found.header.max_timestamp;
        record_at_least(&segment, &found, timestamp, self.log_start(), end)
            .map_err(|error| Self::read_failed(&segment, error))
    }
}

fn record_at_least(
    segment: &Segment,
    found: &Found,
    timestamp: i64,
    start: i64,
    end: i64,
) -> io::Result<Option<TimestampOffset>> {
    let batch = read_batch(segment, found)?;
    let damaged = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    for record in RecordScan::new(&batch, DECOMPRESSED_LIMIT).map_err(damaged)? {
        let record = record.map_err(damaged)?;
        let offset = batch.header.base_offset.saturating_add(i64::from(record.offset_delta));
        if record.timestamp >= timestamp && offset >= start && offset < end {
            let (timestamp, leader_epoch) = (record.timestamp, batch.header.leader_epoch);
            return Ok(Some(TimestampOffset { timestamp, offset, leader_epoch }));
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

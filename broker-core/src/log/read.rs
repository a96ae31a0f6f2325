//! The read path: the tail cache if it has the offset, else a range of a segment file.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use levada_env::{DiskFile, IoClass};

use super::LogError;
use super::partition_log::{Inner, PartitionLog};
use super::segment::Segment;

/// How much to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// Bytes wanted at most.
    pub max_bytes: usize,
    /// Only batches that end before this offset: the high watermark, the last stable offset, or the log end for followers.
    pub end_offset: i64,
    /// The first batch even if it is larger than `max_bytes`, so that a reader always gets on.
    pub at_least_one: bool,
}

/// A part of a segment file that holds whole batches. The file stays readable after the segment is deleted; truncation may cut it short.
#[derive(Debug, Clone)]
pub struct FileRange {
    /// The file.
    pub file: Arc<dyn DiskFile>,
    /// Where the range begins.
    pub position: u64,
    /// Its length in bytes.
    pub len: usize,
}

/// Batches read, in memory or on disk.
#[derive(Debug, Clone)]
pub enum ReadData {
    /// Pieces in order; a piece may end after a batch header ([`levada_wire::records::BatchIter::of_chunks`] takes them).
    Slices(Vec<Bytes>),
    /// A range to be sent from the file, or read by [`PartitionLog::materialise`].
    File(FileRange),
}

impl ReadData {
    /// Bytes of all batches.
    pub fn len(&self) -> usize {
        match self {
            Self::Slices(slices) => slices.iter().map(Bytes::len).sum(),
            Self::File(range) => range.len,
        }
    }

    /// Whether there is no batch.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What [`PartitionLog::read`] gives.
#[derive(Debug, Clone)]
pub struct LogRead {
    /// The batches.
    pub data: ReadData,
    /// Base offset of the first batch, at most the offset asked for unless compaction removed that; the offset asked for where there is
    /// no batch.
    pub first_offset: i64,
    /// The log's first offset.
    pub log_start_offset: i64,
    /// The log's end at the time.
    pub log_end_offset: i64,
    /// Whether batches below the end were left out for [`ReadLimits::max_bytes`].
    pub more: bool,
}

impl PartitionLog {
    /// Reads whole batches from the one that holds `start_offset` on.
    pub async fn read(&self, start_offset: i64, limits: ReadLimits) -> Result<LogRead, LogError> {
        if let Some(read) = self.read_cached(start_offset, limits)? {
            return Ok(read);
        }
        self.read_from_files(start_offset, limits).await
    }

    /// The same from the segment files alone: what it answers holds no memory.
    pub async fn read_from_files(&self, start_offset: i64, limits: ReadLimits) -> Result<LogRead, LogError> {
        if self.inner.is_closed() {
            return Err(LogError::Closed);
        }
        self.run(IoClass::Read, move |inner| inner.read_files(start_offset, limits)).await?
    }

    /// The same from memory alone; `None` where files would have to be read.
    pub fn read_cached(&self, start_offset: i64, limits: ReadLimits) -> Result<Option<LogRead>, LogError> {
        let inner = &self.inner;
        let (log_start_offset, log_end_offset) = (inner.log_start(), inner.log_end());
        if inner.is_closed() {
            return Err(LogError::Closed);
        }
        if start_offset < log_start_offset || start_offset > log_end_offset {
            return Err(LogError::OffsetOutOfRange { offset: start_offset, log_start_offset, log_end_offset });
        }
        let answer = |slices, first_offset, more| {
            Ok(Some(LogRead { data: ReadData::Slices(slices), first_offset, log_start_offset, log_end_offset, more }))
        };
        let end = limits.end_offset.min(log_end_offset);
        if start_offset >= end || (limits.max_bytes == 0 && !limits.at_least_one) {
            return answer(Vec::new(), start_offset, start_offset < end);
        }
        match inner.tail.read(start_offset, end, limits.max_bytes, limits.at_least_one) {
            None => Ok(None),
            Some(batches) => {
                let first_offset = batches.first().map_or(start_offset, |batch| batch.base_offset);
                let more = batches.last().map_or(start_offset, |batch| batch.next_offset) < end;
                let mut slices = Vec::with_capacity(batches.len() * 2);
                for batch in batches {
                    slices.push(batch.header);
                    if !batch.records.is_empty() {
                        slices.push(batch.records);
                    }
                }
                answer(slices, first_offset, more)
            }
        }
    }

    /// Brings data that is on disk into pooled memory.
    pub async fn materialise(&self, data: ReadData) -> Result<Vec<Bytes>, LogError> {
        match data {
            ReadData::Slices(slices) => Ok(slices),
            ReadData::File(range) if range.len == 0 => Ok(Vec::new()),
            ReadData::File(range) => {
                let read = move |inner: &Arc<Inner>| {
                    let mut buffer = inner.pool.take(range.len);
                    buffer.resize(range.len, 0);
                    range.file.read_exact_at(&mut buffer, range.position).map_err(LogError::io("read"))?;
                    Ok(vec![buffer.freeze()])
                };
                self.run(IoClass::Read, read).await?
            }
        }
    }
}

impl Inner {
    /// Turns an error of reading a segment into one of the log: damage found is not an I/O error, and takes nothing offline.
    pub(super) fn read_failed(segment: &Segment, error: io::Error) -> LogError {
        match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                LogError::corrupt(segment.path(super::segment::LOG_SUFFIX), error.to_string())
            }
            _ => LogError::io("read")(error),
        }
    }

    pub(super) fn read_files(self: &Arc<Self>, start_offset: i64, limits: ReadLimits) -> Result<LogRead, LogError> {
        let (log_start_offset, log_end_offset) = (self.log_start(), self.log_end());
        let end = limits.end_offset.min(log_end_offset);
        let segments = self.segments();
        let first = segments.partition_point(|segment| segment.base_offset <= start_offset).saturating_sub(1);
        for (i, segment) in segments.iter().enumerate().skip(first) {
            let next_base = segments.get(i + 1).map(|next| next.base_offset);
            let found = read_segment(segment, next_base, start_offset, end, limits);
            if let Some((range, first_offset, cut)) = found.map_err(|error| Self::read_failed(segment, error))? {
                let (data, more) = (ReadData::File(range), cut || next_base.is_some_and(|next| next < end));
                return Ok(LogRead { data, first_offset, log_start_offset, log_end_offset, more });
            }
            if next_base.is_none_or(|next| next >= end) {
                break;
            }
        }
        let data = ReadData::Slices(Vec::new());
        Ok(LogRead { data, first_offset: start_offset, log_start_offset, log_end_offset, more: false })
    }
}

/// The range of `segment` to answer with, its first offset, and whether more of the segment was left out than hidden; `None` where it has
/// no batch at or after `start`.
fn read_segment(
    segment: &Segment,
    next_base: Option<i64>,
    start: i64,
    end: i64,
    limits: ReadLimits,
) -> io::Result<Option<(FileRange, i64, bool)>> {
    let size = segment.size();
    let Some(found) = segment.find_offset(start, size)? else { return Ok(None) };
    // Every batch of a segment that ends below `end` may be given; else the one that holds `end` is the limit.
    let visible = if next_base.is_some_and(|next| next <= end) {
        size
    } else {
        segment.find_offset(end, size)?.map_or(size, |first_hidden| first_hidden.position)
    };
    let wanted = found.position.saturating_add(limits.max_bytes as u64);
    let mut stop = segment.last_batch_end_before(found.position, visible.min(wanted))?;
    if stop == found.position && limits.at_least_one && found.end() <= visible {
        stop = found.end();
    }
    let len = (stop - found.position) as usize;
    let range = FileRange { file: segment.file()?, position: found.position, len };
    Ok(Some((range, found.header.base_offset, stop < visible)))
}

//! One segment: a `.log` file of batches with its offset and time index. Files are opened when first needed.
//!
//! Readers use the published `size` and never see a batch being written. Only the holder of the partition's writer lock appends, truncates
//! or closes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use levada_env::{Disk, DiskFile, OpenOptions};
use levada_wire::records::{BatchHeader, HEADER_LEN};
use parking_lot::Mutex;

use super::offset_index::OffsetIndex;
use super::time_index::TimeIndex;

/// Index entries gathered in memory before they are written out.
const INDEX_WRITE_BATCH: usize = 256;
/// Largest index file read.
const INDEX_LIMIT: u64 = 256 << 20;

pub(super) const LOG_SUFFIX: &str = ".log";
pub(super) const INDEX_SUFFIX: &str = ".index";
pub(super) const TIME_INDEX_SUFFIX: &str = ".timeindex";
pub(super) const TXN_INDEX_SUFFIX: &str = ".txnindex";
pub(super) const SNAPSHOT_SUFFIX: &str = ".snapshot";
pub(super) const DELETED_SUFFIX: &str = ".deleted";
pub(super) const CLEANED_SUFFIX: &str = ".cleaned";
pub(super) const SWAP_SUFFIX: &str = ".swap";

/// Suffixes of all files of a segment but the producer snapshot.
pub(super) const SEGMENT_SUFFIXES: [&str; 4] = [LOG_SUFFIX, INDEX_SUFFIX, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX];

/// `00000000000000000042.log` and the like.
pub(super) fn file_name(base_offset: i64, suffix: &str) -> String {
    format!("{base_offset:020}{suffix}")
}

/// Offset and suffix of a file name made by [`file_name`].
pub(super) fn parse_file_name(name: &str) -> Option<(i64, &str)> {
    let (digits, suffix) = name.split_at_checked(20)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((digits.parse().ok()?, suffix))
}

#[derive(Debug, Clone, Default)]
struct Indexes {
    offset: OffsetIndex,
    time: TimeIndex,
    /// The files have content that was not synced.
    unsynced: bool,
}

/// A batch found by scanning a log file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) header: BatchHeader,
    pub(super) position: u64,
}

impl Found {
    pub(super) fn end(&self) -> u64 {
        self.position + self.header.size() as u64
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) base_offset: i64,
    dir: Arc<PathBuf>,
    disk: Arc<dyn Disk>,
    file: Mutex<Option<Arc<dyn DiskFile>>>,
    used: AtomicBool,
    size: AtomicU64,
    /// `None` until first needed, for a segment found on disk.
    indexes: Mutex<Option<Indexes>>,
    /// Largest timestamp and the last offset of its batch; `i64::MIN` until known.
    max_timestamp: AtomicI64,
    /// Timestamp of the first batch, `i64::MIN` until there is one.
    first_timestamp: AtomicI64,
    /// Replaced by a cleaned segment of the same name: readers may still use it, but its files' names are not its own any more.
    detached: AtomicBool,
    /// Wall time at which the segment was made or found.
    pub(super) created_ms: i64,
}

impl Segment {
    /// A new, empty segment with its log file.
    pub(super) fn create(disk: &Arc<dyn Disk>, dir: &Arc<PathBuf>, base_offset: i64, now_ms: i64) -> io::Result<Self> {
        let segment = Self::found(disk, dir, base_offset, 0, now_ms);
        *segment.indexes.lock() = Some(Indexes::default());
        segment.max_timestamp.store(-1, Ordering::Relaxed);
        // Left-overs of a segment that was cut off or never acknowledged.
        for suffix in [INDEX_SUFFIX, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX] {
            match disk.remove_file(&segment.path(suffix)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let file = disk.open(&segment.path(LOG_SUFFIX), OpenOptions::REPLACE)?;
        *segment.file.lock() = Some(file);
        Ok(segment)
    }

    /// A segment whose files are on disk.
    pub(super) fn found(disk: &Arc<dyn Disk>, dir: &Arc<PathBuf>, base_offset: i64, size: u64, now_ms: i64) -> Self {
        Self {
            base_offset,
            dir: Arc::clone(dir),
            disk: Arc::clone(disk),
            file: Mutex::new(None),
            used: AtomicBool::new(true),
            size: AtomicU64::new(size),
            indexes: Mutex::new(None),
            max_timestamp: AtomicI64::new(i64::MIN),
            first_timestamp: AtomicI64::new(i64::MIN),
            detached: AtomicBool::new(false),
            created_ms: now_ms,
        }
    }

    pub(super) fn path(&self, suffix: &str) -> PathBuf {
        self.dir.join(file_name(self.base_offset, suffix))
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Bytes that readers may see.
    pub(super) fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    pub(super) fn publish_size(&self, size: u64) {
        self.size.store(size, Ordering::Release);
    }

    /// The open log file.
    pub(super) fn file(&self) -> io::Result<Arc<dyn DiskFile>> {
        self.used.store(true, Ordering::Relaxed);
        let mut slot = self.file.lock();
        if let Some(file) = slot.as_ref() {
            return Ok(Arc::clone(file));
        }
        let file = self.disk.open(&self.path(LOG_SUFFIX), OpenOptions::WRITE)?;
        *slot = Some(Arc::clone(&file));
        Ok(file)
    }

    /// Closes the file and forgets the indexes if nothing used them since the last call. Not for the active segment.
    pub(super) fn release_if_idle(&self) {
        if !self.used.swap(false, Ordering::Relaxed) {
            *self.file.lock() = None;
            let mut indexes = self.indexes.lock();
            let saved =
                |i: &Indexes| !i.unsynced && i.offset.written == i.offset.len() && i.time.written == i.time.len();
            if indexes.as_ref().is_some_and(saved) {
                *indexes = None;
            }
        }
    }

    fn relative(&self, offset: i64) -> u32 {
        u32::try_from(offset.saturating_sub(self.base_offset).max(0)).unwrap_or(u32::MAX)
    }

    /// Whether a batch ending at `last_offset` can be in this segment.
    pub(super) fn can_hold_offset(&self, last_offset: i64) -> bool {
        last_offset.checked_sub(self.base_offset).is_some_and(|delta| delta <= i64::from(i32::MAX))
    }

    /// Notes timestamps of an appended batch.
    pub(super) fn note_timestamps(&self, header: &BatchHeader) {
        if self.first_timestamp.load(Ordering::Relaxed) == i64::MIN {
            self.first_timestamp.store(header.max_timestamp, Ordering::Relaxed);
        }
        self.max_timestamp.fetch_max(header.max_timestamp, Ordering::Relaxed);
    }

    /// Notes the time of the first batch of a segment found on disk.
    pub(super) fn note_first_timestamp(&self, header: &BatchHeader) {
        self.first_timestamp.store(header.max_timestamp, Ordering::Relaxed);
    }

    /// The offset after the last batch, found by looking behind the last index entry.
    pub(super) fn end_offset(&self) -> io::Result<i64> {
        let from = self.with_indexes(|indexes| indexes.offset.last().map_or(0, |(_, position)| u64::from(position)))?;
        let mut end = self.base_offset;
        for found in self.scan(from, self.size())? {
            end = found?.header.next_offset();
        }
        Ok(end)
    }

    /// Timestamp of the first batch appended since the segment was opened.
    pub(super) fn first_timestamp(&self) -> Option<i64> {
        Some(self.first_timestamp.load(Ordering::Relaxed)).filter(|timestamp| *timestamp >= 0)
    }

    /// Largest timestamp; -1 where no record has one.
    pub(super) fn max_timestamp(&self) -> io::Result<i64> {
        if self.max_timestamp.load(Ordering::Relaxed) == i64::MIN {
            self.with_indexes(|_| ())?;
        }
        Ok(self.max_timestamp.load(Ordering::Relaxed).max(-1))
    }

    /// Adds index entries for a batch just written at `position`. The offset entry only when `sparse` says it is time.
    pub(super) fn index_batch(&self, header: &BatchHeader, position: u64) -> io::Result<()> {
        let (offset, max_timestamp) = (self.relative(header.last_offset()), self.max_timestamp()?);
        let mut slot = self.indexes.lock();
        let indexes = slot.get_or_insert_default();
        indexes.offset.push(offset, position as u32);
        indexes.time.push(max_timestamp, offset);
        if indexes.offset.len() - indexes.offset.written >= INDEX_WRITE_BATCH {
            self.write_indexes(indexes)?;
        }
        Ok(())
    }

    /// Bytes of the offset index.
    pub(super) fn index_size(&self) -> u64 {
        self.indexes.lock().as_ref().map_or(0, |indexes| (indexes.offset.len() * super::offset_index::ENTRY_LEN) as u64)
    }

    fn write_indexes(&self, indexes: &mut Indexes) -> io::Result<()> {
        if self.detached.load(Ordering::Acquire) {
            return Ok(());
        }
        let (bytes, at) = indexes.offset.unwritten();
        if !bytes.is_empty() {
            self.disk.open(&self.path(INDEX_SUFFIX), OpenOptions::CREATE)?.write_all_at(&bytes, at)?;
            indexes.offset.written = indexes.offset.len();
            indexes.unsynced = true;
        }
        let (bytes, at) = indexes.time.unwritten();
        if !bytes.is_empty() {
            self.disk.open(&self.path(TIME_INDEX_SUFFIX), OpenOptions::CREATE)?.write_all_at(&bytes, at)?;
            indexes.time.written = indexes.time.len();
            indexes.unsynced = true;
        }
        Ok(())
    }

    /// Completes the indexes of a segment that gets no more batches: the last time entry is its largest timestamp.
    pub(super) fn finish_indexes(&self, next_offset: i64) -> io::Result<()> {
        let max_timestamp = self.max_timestamp()?;
        let mut slot = self.indexes.lock();
        if let Some(indexes) = slot.as_mut() {
            indexes.time.push(max_timestamp, self.relative(next_offset - 1));
            self.write_indexes(indexes)?;
        }
        Ok(())
    }

    /// Makes the index files durable if they have anything new; the log file is synced apart. Below the recovery point and after an orderly
    /// stop index files are trusted, so they must never be there half-written.
    pub(super) fn sync_indexes(&self) -> io::Result<()> {
        match self.indexes.lock().as_mut() {
            Some(indexes) => self.write_and_sync_indexes(indexes),
            None => Ok(()),
        }
    }

    fn write_and_sync_indexes(&self, indexes: &mut Indexes) -> io::Result<()> {
        self.write_indexes(indexes)?;
        if !indexes.unsynced {
            return Ok(());
        }
        for suffix in [INDEX_SUFFIX, TIME_INDEX_SUFFIX] {
            match self.disk.open(&self.path(suffix), OpenOptions::WRITE) {
                Ok(file) => file.sync_all()?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        indexes.unsynced = false;
        Ok(())
    }

    /// Runs `look` on the indexes, reading or rebuilding them first if need be.
    fn with_indexes<T>(&self, look: impl FnOnce(&Indexes) -> T) -> io::Result<T> {
        self.used.store(true, Ordering::Relaxed);
        let mut slot = self.indexes.lock();
        if let Some(indexes) = slot.as_ref() {
            return Ok(look(indexes));
        }
        let indexes = match self.read_indexes()? {
            Some(indexes) => indexes,
            None => self.rebuild_indexes()?,
        };
        Ok(look(slot.insert(indexes)))
    }

    fn read_indexes(&self) -> io::Result<Option<Indexes>> {
        let read = |suffix| match self.disk.read_file(&self.path(suffix), INDEX_LIMIT) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        let (offset, time) = (read(INDEX_SUFFIX)?, read(TIME_INDEX_SUFFIX)?);
        let (Some(offset), Some(time)) = (offset, time) else { return Ok(None) };
        let Some(offset) = OffsetIndex::decode(&offset, self.size()) else { return Ok(None) };
        let Some(time) = TimeIndex::decode(&time) else { return Ok(None) };
        let indexes = Indexes { offset, time, unsynced: false };
        // Entries are sparse: what follows the last one is looked at in the log itself, which also shows whether the index belongs to it.
        let from = u64::from(indexes.offset.last().map_or(0, |(_, position)| position));
        let mut max_timestamp = indexes.time.last().map_or(-1, |(timestamp, _)| timestamp);
        let mut end = from;
        for found in self.scan(from, self.size())? {
            let found = found?;
            max_timestamp = max_timestamp.max(found.header.max_timestamp);
            end = found.end();
        }
        if end != self.size() {
            return Ok(None);
        }
        self.max_timestamp.store(max_timestamp, Ordering::Relaxed);
        Ok(Some(indexes))
    }

    /// Makes the indexes anew from the batch headers, as damage or a crash made them useless, and writes them.
    fn rebuild_indexes(&self) -> io::Result<Indexes> {
        let mut rebuilt = IndexBuilder::new(4096);
        for found in self.scan(0, self.size())? {
            match found {
                Ok(found) => rebuilt.add(self, &found),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    // What is in front of the damage stays readable.
                    tracing::error!(path = %self.path(LOG_SUFFIX).display(), %error, "segment is damaged");
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        let mut indexes = rebuilt.indexes;
        self.max_timestamp.store(rebuilt.max_timestamp, Ordering::Relaxed);
        self.remove_index_files()?;
        self.write_and_sync_indexes(&mut indexes)?;
        Ok(indexes)
    }

    /// Has the segment hold on to its open file and indexes, before another takes its name.
    pub(super) fn detach(&self) -> io::Result<()> {
        self.file()?;
        self.with_indexes(|_| ())?;
        self.detached.store(true, Ordering::Release);
        Ok(())
    }

    pub(super) fn remove_index_files(&self) -> io::Result<()> {
        if self.detached.load(Ordering::Acquire) {
            return Ok(());
        }
        for suffix in [INDEX_SUFFIX, TIME_INDEX_SUFFIX] {
            match self.disk.remove_file(&self.path(suffix)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes over indexes built while recovering.
    pub(super) fn set_indexes(&self, builder: IndexBuilder) -> io::Result<()> {
        self.max_timestamp.store(builder.max_timestamp, Ordering::Relaxed);
        self.first_timestamp.store(builder.first_timestamp, Ordering::Relaxed);
        self.remove_index_files()?;
        *self.indexes.lock() = Some(builder.indexes);
        Ok(())
    }

    /// Cuts the segment to `position`, where a batch with base offset `next_offset` began.
    pub(super) fn truncate(&self, position: u64, next_offset: i64) -> io::Result<()> {
        self.publish_size(position);
        self.file()?.truncate(position)?;
        // The largest timestamp may have gone with the cut; the indexes are cheap to make again.
        *self.indexes.lock() = None;
        self.remove_index_files()?;
        self.max_timestamp.store(i64::MIN, Ordering::Relaxed);
        if position == 0 {
            self.first_timestamp.store(i64::MIN, Ordering::Relaxed);
        }
        debug_assert!(next_offset >= self.base_offset);
        self.with_indexes(|_| ())
    }

    /// Position of a batch at or before the one that holds `offset`.
    fn scan_start_for_offset(&self, offset: i64) -> io::Result<u64> {
        let relative = self.relative(offset);
        self.with_indexes(|indexes| u64::from(indexes.offset.position_for_offset(relative)))
    }

    /// Runs a look-up again after making the indexes anew, if they led astray: a damaged index must not hide records.
    fn distrusting_indexes<T>(&self, look: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match look() {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let mut slot = self.indexes.lock();
                *slot = Some(self.rebuild_indexes().map_err(|_| error)?);
                drop(slot);
                look()
            }
            result => result,
        }
    }

    /// The batch that holds `offset`, or the first after it. `size` is what the caller saw published, so that several look-ups see the same
    /// segment.
    pub(super) fn find_offset(&self, offset: i64, size: u64) -> io::Result<Option<Found>> {
        self.distrusting_indexes(|| {
            let from = self.scan_start_for_offset(offset)?;
            for (i, found) in self.scan(from, size)?.enumerate() {
                let found = found?;
                if i == 0 && from > 0 && found.header.base_offset > offset {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "the offset index points past the offset"));
                }
                if found.header.last_offset() >= offset {
                    return Ok(Some(found));
                }
            }
            Ok(None)
        })
    }

    /// The end of the last whole batch that ends at or before `limit`, looked for from `from`, where a batch begins. Ends in front of damage.
    pub(super) fn last_batch_end_before(&self, from: u64, limit: u64) -> io::Result<u64> {
        let near = self.distrusting_indexes(|| {
            let known = limit.min(u64::from(u32::MAX)) as u32;
            let near = self.with_indexes(|indexes| u64::from(indexes.offset.position_before(known)))?;
            self.batches_end(from.max(near.min(limit)), limit)
        });
        match near {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let mut end = from;
                for found in self.scan(from, self.size())? {
                    match found {
                        Ok(found) if found.end() <= limit => end = found.end(),
                        _ => break,
                    }
                }
                Ok(end)
            }
            near => near,
        }
    }

    fn batches_end(&self, from: u64, limit: u64) -> io::Result<u64> {
        let mut end = from;
        for found in self.scan(from, self.size())? {
            let found = found?;
            if found.end() > limit {
                break;
            }
            end = found.end();
        }
        Ok(end)
    }

    /// Where to scan from for a timestamp of at least `timestamp`.
    pub(super) fn scan_start_for_timestamp(&self, timestamp: i64) -> io::Result<u64> {
        let offset = self.with_indexes(|indexes| indexes.time.offset_for_timestamp(timestamp))?;
        self.with_indexes(|indexes| u64::from(indexes.offset.position_for_offset(offset)))
    }

    /// Batch headers from position `from`, where a batch begins, up to `to`.
    pub(super) fn scan(&self, from: u64, to: u64) -> io::Result<HeaderScan> {
        Ok(HeaderScan { file: self.file()?, position: from, end: to, buffer: Vec::new(), buffer_at: 0, failed: false })
    }

    /// Removes all files of the segment at once.
    pub(super) fn remove_files(&self) -> io::Result<()> {
        for suffix in SEGMENT_SUFFIXES {
            match self.disk.remove_file(&self.path(suffix)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Gives all files of the segment another suffix at their end, as Kafka marks what is to be deleted.
    pub(super) fn mark_deleted(&self) -> io::Result<Vec<PathBuf>> {
        let mut renamed = Vec::new();
        for suffix in SEGMENT_SUFFIXES {
            let (from, to) = (self.path(suffix), self.path(&format!("{suffix}{DELETED_SUFFIX}")));
            match self.disk.rename(&from, &to) {
                Ok(()) => renamed.push(to),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(renamed)
    }
}

/// Builds indexes from batches in order.
#[derive(Debug)]
pub(super) struct IndexBuilder {
    indexes: Indexes,
    interval: u64,
    since_entry: u64,
    max_timestamp: i64,
    first_timestamp: i64,
}

impl IndexBuilder {
    pub(super) fn new(interval: u64) -> Self {
        Self { indexes: Indexes::default(), interval, since_entry: 0, max_timestamp: -1, first_timestamp: i64::MIN }
    }

    pub(super) fn add(&mut self, segment: &Segment, found: &Found) {
        self.max_timestamp = self.max_timestamp.max(found.header.max_timestamp);
        if self.first_timestamp == i64::MIN {
            self.first_timestamp = found.header.max_timestamp;
        }
        if self.since_entry > self.interval {
            let offset = segment.relative(found.header.last_offset());
            self.indexes.offset.push(offset, found.position as u32);
            self.indexes.time.push(self.max_timestamp, offset);
            self.since_entry = 0;
        }
        self.since_entry += found.header.size() as u64;
    }
}

/// Walks batch headers through a log file, reading a little at a time. Ends at the end of the range or after an error.
#[derive(Debug)]
pub(super) struct HeaderScan {
    file: Arc<dyn DiskFile>,
    position: u64,
    end: u64,
    buffer: Vec<u8>,
    buffer_at: u64,
    failed: bool,
}

const SCAN_READ: usize = 4096;

impl HeaderScan {
    fn header_bytes(&mut self) -> io::Result<&[u8]> {
        let inside = self.position.checked_sub(self.buffer_at).map(|skip| skip as usize);
        if inside.is_none_or(|skip| skip + HEADER_LEN > self.buffer.len()) {
            let length = (self.end - self.position).min(SCAN_READ as u64) as usize;
            self.buffer.resize(length, 0);
            self.buffer_at = self.position;
            self.file.read_exact_at(&mut self.buffer, self.position)?;
        }
        let skip = (self.position - self.buffer_at) as usize;
        Ok(self.buffer.get(skip..).unwrap_or_default())
    }

    fn read(&mut self) -> io::Result<Found> {
        let (position, end) = (self.position, self.end);
        let damaged = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
        let header = BatchHeader::parse(self.header_bytes()?)
            .map_err(|error| damaged(format!("at position {position}: {error}")))?;
        let found = Found { header, position };
        if found.end() > end {
            return Err(damaged(format!("the batch at position {position} reaches past the end")));
        }
        if header.last_offset_delta < 0 {
            return Err(damaged(format!("the batch at position {position} ends before it begins")));
        }
        self.position = found.end();
        Ok(found)
    }
}

impl Iterator for HeaderScan {
    type Item = io::Result<Found>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.position >= self.end {
            return None;
        }
        let found = self.read();
        self.failed = found.is_err();
        Some(found)
    }
}

//! One segment: a `.log` file of batches with its offset and time index. Files are opened when first needed.
//!
//! Readers use the published `size` and never see a batch being written. Only the holder of the partition's writer lock appends, truncates
//! or closes.

mod indexes;
mod names;
mod scan;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use levada_env::{Disk, DiskFile, OpenOptions};
use levada_wire::records::BatchHeader;
use parking_lot::Mutex;

pub(super) use indexes::IndexBuilder;
use indexes::{IndexFiles, Indexes, relative};
pub(super) use names::{
    CLEANED_SUFFIX, DELETED_SUFFIX, INDEX_SUFFIX, LOG_SUFFIX, SEGMENT_SUFFIXES, SNAPSHOT_SUFFIX, SWAP_SUFFIX,
    TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX, file_name, parse_file_name,
};
pub(super) use scan::{Found, HeaderScan};

/// Distance of the entries of indexes made anew.
const REBUILD_INTERVAL: u64 = 4096;

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
        segment.index_files().remove()?;
        ignore_missing(disk.remove_file(&segment.path(TXN_INDEX_SUFFIX)))?;
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
        if self.detached.load(Ordering::Acquire) || self.used.swap(false, Ordering::Relaxed) {
            return;
        }
        *self.file.lock() = None;
        let mut indexes = self.indexes.lock();
        if indexes.as_ref().is_some_and(Indexes::may_be_forgotten) {
            *indexes = None;
        }
    }

    fn relative(&self, offset: i64) -> u32 {
        relative(self.base_offset, offset)
    }

    fn index_files(&self) -> IndexFiles<'_> {
        IndexFiles::new(&self.disk, self.path(INDEX_SUFFIX), self.path(TIME_INDEX_SUFFIX))
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

    /// Adds index entries for a batch just written at `position`. Memory has them even where writing them out fails.
    pub(super) fn index_batch(&self, header: &BatchHeader, position: u64) -> io::Result<()> {
        let (offset, max_timestamp) = (self.relative(header.last_offset()), self.max_timestamp()?);
        let mut slot = self.indexes.lock();
        let indexes = slot.get_or_insert_default();
        indexes.push(offset, position as u32, max_timestamp);
        if indexes.wants_write() { self.while_attached(|files| indexes.write(files)) } else { Ok(()) }
    }

    /// Bytes of the offset index.
    pub(super) fn index_size(&self) -> u64 {
        self.indexes.lock().as_ref().map_or(0, |indexes| indexes.offset_bytes() as u64)
    }

    /// Completes the indexes of a segment that gets no more batches: the last time entry is its largest timestamp.
    pub(super) fn finish_indexes(&self, next_offset: i64) -> io::Result<()> {
        let max_timestamp = self.max_timestamp()?;
        let mut slot = self.indexes.lock();
        if let Some(indexes) = slot.as_mut() {
            indexes.push_time(max_timestamp, self.relative(next_offset - 1));
            self.while_attached(|files| indexes.write(files))?;
        }
        Ok(())
    }

    /// Makes the index files complete and durable if memory has anything that they have not; the log file is synced apart.
    pub(super) fn sync_indexes(&self) -> io::Result<()> {
        match self.indexes.lock().as_mut() {
            Some(indexes) => self.while_attached(|files| indexes.store(files)),
            None => Ok(()),
        }
    }

    /// Touches the index files unless their names are another segment's by now. Call it with `indexes` locked.
    fn while_attached(&self, work: impl FnOnce(&IndexFiles<'_>) -> io::Result<()>) -> io::Result<()> {
        if self.detached.load(Ordering::Acquire) { Ok(()) } else { work(&self.index_files()) }
    }

    /// Runs `look` on the indexes, reading or rebuilding them first if need be.
    fn with_indexes<T>(&self, look: impl FnOnce(&Indexes) -> T) -> io::Result<T> {
        self.used.store(true, Ordering::Relaxed);
        let mut slot = self.indexes.lock();
        Ok(look(self.load_indexes(&mut slot)?))
    }

    fn load_indexes<'a>(&self, slot: &'a mut Option<Indexes>) -> io::Result<&'a Indexes> {
        if slot.is_none() {
            *slot = Some(match self.read_indexes()? {
                Some(indexes) => indexes,
                None => self.rebuild_indexes()?,
            });
        }
        Ok(slot.get_or_insert_default())
    }

    fn read_indexes(&self) -> io::Result<Option<Indexes>> {
        let Some(indexes) = self.index_files().read(self.size())? else { return Ok(None) };
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

    /// Makes the indexes anew from the batch headers, as damage or a crash made the files useless. In memory: this answers reads, which
    /// go on when nothing can be written ([`Segment::sync_indexes`] does that later).
    fn rebuild_indexes(&self) -> io::Result<Indexes> {
        let mut rebuilt = IndexBuilder::new(self.base_offset, REBUILD_INTERVAL);
        for found in self.scan(0, self.size())? {
            match found {
                Ok(found) => rebuilt.add(&found),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    // What is in front of the damage stays readable.
                    tracing::error!(path = %self.path(LOG_SUFFIX).display(), %error, "segment is damaged");
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        self.max_timestamp.store(rebuilt.max_timestamp, Ordering::Relaxed);
        if let Err(error) = self.while_attached(|files| files.remove()) {
            // They are found to be useless again by whoever reads them next, and replaced when these are written.
            tracing::debug!(path = %self.path(INDEX_SUFFIX).display(), %error, "cannot remove useless index files");
        }
        Ok(rebuilt.indexes)
    }

    /// Has the segment hold on to its open file and indexes and removes the index files, before another takes its name.
    pub(super) fn detach(&self) -> io::Result<()> {
        self.file()?;
        let mut slot = self.indexes.lock();
        self.load_indexes(&mut slot)?;
        self.index_files().remove()?;
        self.detached.store(true, Ordering::Release);
        Ok(())
    }

    /// The name was not taken after all.
    pub(super) fn reattach(&self) {
        self.detached.store(false, Ordering::Release);
    }

    /// Takes over indexes built while recovering.
    pub(super) fn set_indexes(&self, builder: IndexBuilder) -> io::Result<()> {
        self.max_timestamp.store(builder.max_timestamp, Ordering::Relaxed);
        self.first_timestamp.store(builder.first_timestamp, Ordering::Relaxed);
        self.index_files().remove()?;
        *self.indexes.lock() = Some(builder.indexes);
        Ok(())
    }

    /// Cuts the segment to `position`, where a batch with base offset `next_offset` began.
    pub(super) fn truncate(&self, position: u64, next_offset: i64) -> io::Result<()> {
        self.publish_size(position);
        self.file()?.truncate(position)?;
        // The largest timestamp may have gone with the cut; the indexes are cheap to make again.
        *self.indexes.lock() = None;
        self.index_files().remove()?;
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
        Ok(HeaderScan::new(self.file()?, from, to))
    }

    /// Removes all files of the segment at once.
    pub(super) fn remove_files(&self) -> io::Result<()> {
        for suffix in SEGMENT_SUFFIXES {
            ignore_missing(self.disk.remove_file(&self.path(suffix)))?;
        }
        Ok(())
    }

    /// Gives all files of the segment another suffix at their end, as Kafka marks what is to be deleted.
    /// `renamed` gets their new names, also those before an error.
    pub(super) fn mark_deleted(&self, renamed: &mut Vec<PathBuf>) -> io::Result<()> {
        for suffix in SEGMENT_SUFFIXES {
            let (from, to) = (self.path(suffix), self.path(&format!("{suffix}{DELETED_SUFFIX}")));
            match self.disk.rename(&from, &to) {
                Ok(()) => renamed.push(to),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

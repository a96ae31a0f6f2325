//! The offset and the time index of a segment as a pair: in memory, and as files.
//!
//! Index files are derived: whatever is wrong with them, they are made again from the batch headers, in memory. Writing them out waits for
//! the segment's roll, the orderly stop or the next upkeep, so that a read needs no space on the disk. What is found in files is trusted
//! below the recovery point and after an orderly stop; a pair of files is therefore complete or recognisably not: the time index is there
//! and synced before the offset index gets its name, and of the offset index any front part is right.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use levada_env::{Disk, OpenOptions};

use super::scan::Found;
use crate::log::offset_index::{ENTRY_LEN, OffsetIndex};
use crate::log::time_index::TimeIndex;

/// Entries gathered in memory before they are written out.
const WRITE_BATCH: usize = 256;
/// Largest index file read.
const FILE_LIMIT: u64 = 256 << 20;

/// Both indexes in memory.
#[derive(Debug, Clone, Default)]
pub(super) struct Indexes {
    pub(super) offset: OffsetIndex,
    pub(super) time: TimeIndex,
    /// The files hold exactly this, durably.
    stored: bool,
}

/// Where the files of a pair are.
pub(super) struct IndexFiles<'a> {
    disk: &'a Arc<dyn Disk>,
    offset: PathBuf,
    time: PathBuf,
}

impl<'a> IndexFiles<'a> {
    pub(super) fn new(disk: &'a Arc<dyn Disk>, offset: PathBuf, time: PathBuf) -> Self {
        Self { disk, offset, time }
    }

    /// Removes what is there.
    pub(super) fn remove(&self) -> io::Result<()> {
        for path in [&self.offset, &self.time] {
            match self.disk.remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// The pair in the files of a log of `log_size` bytes; `None` where a file is missing or is not an index of such a log.
    pub(super) fn read(&self, log_size: u64) -> io::Result<Option<Indexes>> {
        let read = |path: &Path| match self.disk.read_file(path, FILE_LIMIT) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::FileTooLarge) => Ok(None),
            Err(error) => Err(error),
        };
        let (Some(offset), Some(time)) = (read(&self.offset)?, read(&self.time)?) else { return Ok(None) };
        let Some(offset) = OffsetIndex::decode(&offset, log_size) else { return Ok(None) };
        let Some(time) = TimeIndex::decode(&time) else { return Ok(None) };
        Ok(Some(Indexes { offset, time, stored: true }))
    }

    /// Writes at `at`; what a file had before its first entry was written is not this index's.
    fn write(&self, path: &Path, bytes: &[u8], at: u64) -> io::Result<()> {
        let options = if at == 0 { OpenOptions::REPLACE } else { OpenOptions::CREATE };
        self.disk.open(path, options)?.write_all_at(bytes, at)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.disk.open(path, OpenOptions::CREATE)?.sync_all()
    }
}

impl Indexes {
    /// Adds the entries of a batch at `position`.
    pub(super) fn push(&mut self, relative_offset: u32, position: u32, max_timestamp: i64) {
        self.offset.push(relative_offset, position);
        self.push_time(max_timestamp, relative_offset);
    }

    /// Adds an entry to the time index only.
    pub(super) fn push_time(&mut self, max_timestamp: i64, relative_offset: u32) {
        self.time.push(max_timestamp, relative_offset);
        self.stored = false;
    }

    /// Bytes of the offset index.
    pub(super) fn offset_bytes(&self) -> usize {
        self.offset.len() * ENTRY_LEN
    }

    /// Whether enough has gathered to be written out.
    pub(super) fn wants_write(&self) -> bool {
        self.offset.len() - self.offset.written >= WRITE_BATCH
    }

    /// Whether memory may forget it: the files have all of it, or nothing, and then it is made again when needed.
    pub(super) fn may_be_forgotten(&self) -> bool {
        self.stored || (self.offset.written == 0 && self.time.written == 0)
    }

    /// Whether there is something that the files do not have.
    pub(super) fn wants_store(&self) -> bool {
        !self.stored && self.offset.len() + self.time.len() > 0
    }

    /// Writes the entries the files do not have yet, without syncing.
    pub(super) fn write(&mut self, files: &IndexFiles<'_>) -> io::Result<()> {
        self.write_time(files)?;
        self.write_offset(files)
    }

    fn write_time(&mut self, files: &IndexFiles<'_>) -> io::Result<()> {
        let (bytes, at) = self.time.unwritten();
        if !bytes.is_empty() {
            files.write(&files.time, &bytes, at)?;
            self.time.written = self.time.len();
        }
        Ok(())
    }

    fn write_offset(&mut self, files: &IndexFiles<'_>) -> io::Result<()> {
        let (bytes, at) = self.offset.unwritten();
        if !bytes.is_empty() {
            files.write(&files.offset, &bytes, at)?;
            self.offset.written = self.offset.len();
        }
        Ok(())
    }

    /// Makes the files complete and durable, if there is anything they should have.
    pub(super) fn store(&mut self, files: &IndexFiles<'_>) -> io::Result<()> {
        if !self.wants_store() {
            return Ok(());
        }
        self.write_time(files)?;
        files.sync(&files.time)?;
        self.write_offset(files)?;
        files.sync(&files.offset)?;
        self.stored = true;
        Ok(())
    }
}

/// Builds indexes from batches in order.
#[derive(Debug)]
pub(in crate::log) struct IndexBuilder {
    pub(super) indexes: Indexes,
    base_offset: i64,
    interval: u64,
    since_entry: u64,
    pub(super) max_timestamp: i64,
    pub(super) first_timestamp: i64,
}

impl IndexBuilder {
    /// Of a segment that begins at `base_offset`, with an entry every `interval` bytes.
    pub(in crate::log) fn new(base_offset: i64, interval: u64) -> Self {
        let indexes = Indexes::default();
        Self { indexes, base_offset, interval, since_entry: 0, max_timestamp: -1, first_timestamp: i64::MIN }
    }

    pub(in crate::log) fn add(&mut self, found: &Found) {
        self.max_timestamp = self.max_timestamp.max(found.header.max_timestamp);
        if self.first_timestamp == i64::MIN {
            self.first_timestamp = found.header.max_timestamp;
        }
        if self.since_entry > self.interval {
            let offset = relative(self.base_offset, found.header.last_offset());
            self.indexes.push(offset, found.position as u32, self.max_timestamp);
            self.since_entry = 0;
        }
        self.since_entry += found.header.size() as u64;
    }
}

/// An offset as indexes keep it: relative to the segment's base offset.
pub(super) fn relative(base_offset: i64, offset: i64) -> u32 {
    u32::try_from(offset.saturating_sub(base_offset).max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use levada_env::sim::SimEnv;

    use super::*;

    #[test]
    fn without_room_for_both_files_there_is_no_pair_that_misleads() {
        for room in 0..2200 {
            let sim = SimEnv::new(1);
            let disk: Arc<dyn Disk> = sim.disk.clone();
            disk.create_dir_all(Path::new("/d")).unwrap();
            let files = IndexFiles::new(&disk, "/d/0.index".into(), "/d/0.timeindex".into());
            let mut indexes = Indexes::default();
            (0..100).for_each(|i| indexes.push(i, i * 100, i64::from(i)));
            sim.disk.faults(|faults| faults.capacity = Some(room));
            let stored = indexes.store(&files);
            assert_eq!(stored.is_ok(), room >= 2000);
            if let Some(found) = files.read(10_000).unwrap() {
                assert_eq!(found.time.len(), 100, "with room for {room}");
                assert!(found.offset.len() <= 100);
            }
            sim.disk.faults(|faults| faults.capacity = None);
            indexes.store(&files).unwrap();
            let found = files.read(10_000).unwrap().unwrap();
            assert_eq!((found.offset.len(), found.time.len()), (100, 100));
        }
    }
}

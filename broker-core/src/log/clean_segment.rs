//! Writing one segment again without the records that compaction drops.
//!
//! The new file is `.cleaned` until it is durable, then it is renamed over the old one: one atomic step per segment, so a crash at any point
//! leaves a readable log. Batches of transactions are kept whole.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use levada_env::{DiskFile, OpenOptions};
use levada_wire::records::{
    Batch, BatchHeader, RecordBatchBuilder, RecordError, RecordRef, RecordRefIter, TimestampType,
};

use super::LogError;
use super::cleaner::{DECOMPRESSED_LIMIT, KeyMap};
use super::partition_log::Inner;
use super::segment::{CLEANED_SUFFIX, LOG_SUFFIX, Segment};
use super::timestamps::read_batch;

/// Output gathered before it is written.
const WRITE_BYTES: usize = 1 << 20;

impl Inner {
    /// Writes the segment again if anything in it goes. True if it changed. Leaves no file behind where it did not.
    pub(super) fn clean_segment(
        self: &Arc<Self>,
        segment: &Arc<Segment>,
        map: &KeyMap,
        now_ms: i64,
    ) -> Result<bool, LogError> {
        // For a while both files are there.
        self.log_dir.admit_rewrite(segment.size(), self.config.load().internal)?;
        let path = segment.path(&format!("{LOG_SUFFIX}{CLEANED_SUFFIX}"));
        let cleaned = self.write_cleaned(segment, &path, map, now_ms).and_then(|size| match size {
            Some(size) => self
                .swap(segment, &path, size, map.truncations)
                .map_err(|error| self.write_failed("compaction", &error)),
            None => Ok(false),
        });
        if !matches!(cleaned, Ok(true)) && self.check_usable().is_ok() {
            // What stays all the same, the next start removes.
            let _ = self.env.disk.remove_file(&path);
        }
        self.log_dir.space_changed();
        cleaned
    }

    /// Writes what stays of the segment to `path`. The size, if that is not everything.
    fn write_cleaned(
        &self,
        segment: &Arc<Segment>,
        path: &Path,
        map: &KeyMap,
        now_ms: i64,
    ) -> Result<Option<u64>, LogError> {
        let write_failed = |error: io::Error| self.write_failed("compaction", &error);
        let output = self.env.disk.open(path, OpenOptions::REPLACE).map_err(write_failed)?;
        let mut output = Output { file: output, buffer: Vec::new(), written: 0 };
        let mut changed = false;
        for found in segment.scan(0, segment.size()).map_err(|error| Self::read_failed(segment, error))? {
            let cleaned = found.and_then(|found| {
                let batch = read_batch(segment, &found)?;
                batch.verify_crc().map_err(damaged)?;
                self.clean_batch(&batch, map, now_ms)
            });
            let cleaned = cleaned.map_err(|error| Self::read_failed(segment, error))?;
            changed |= cleaned.changed;
            output.push(&cleaned.bytes).map_err(write_failed)?;
        }
        if changed { output.finish().map(Some).map_err(write_failed) } else { Ok(None) }
    }

    /// Puts the cleaned file in the place of the segment's, unless the segment left the log or was cut meanwhile.
    fn swap(&self, segment: &Arc<Segment>, cleaned: &Path, size: u64, truncations: u64) -> io::Result<bool> {
        let _writer = self.writer.lock();
        if self.is_closed() || self.truncations.load(Ordering::Acquire) != truncations {
            return Ok(false);
        }
        let mut segments = self.segments().to_vec();
        let Some(place) = segments.iter_mut().find(|have| Arc::ptr_eq(have, segment)) else { return Ok(false) };
        // The old indexes must be gone for good before the new file has the name.
        segment.detach()?;
        let renamed =
            self.env.disk.sync_dir(&self.dir).and_then(|()| self.env.disk.rename(cleaned, &segment.path(LOG_SUFFIX)));
        if let Err(error) = renamed {
            segment.reattach();
            return Err(error);
        }
        self.env.disk.sync_dir(&self.dir)?;
        *place = Arc::new(Segment::found(&self.env.disk, &self.dir, segment.base_offset, size, segment.created_ms));
        self.set_segments(segments);
        Ok(true)
    }

    fn clean_batch(&self, batch: &Batch, map: &KeyMap, now_ms: i64) -> io::Result<CleanedBatch> {
        let header = batch.header;
        let unchanged = || Ok(CleanedBatch { bytes: batch.to_bytes(), changed: false });
        if kept_whole(&header) || header.base_offset >= map.end {
            return unchanged();
        }
        let block = batch.decompressed(DECOMPRESSED_LIMIT).map_err(damaged)?;
        // A flag per record, for a batch may hold millions of small ones.
        let (mut stays, mut kept, mut tombstone) = (Vec::new(), 0, false);
        for record in RecordRefIter::new(&block, header.records_count) {
            let record = record.map_err(damaged)?;
            let keep = keeps(&header, &record, map, now_ms);
            // One past the map has not been held against the records before it: its time begins with a later pass.
            let is_mapped = header.base_offset.saturating_add(i64::from(record.offset_delta)) < map.end;
            tombstone |= keep && record.value.is_none() && is_mapped;
            kept += i32::from(keep);
            stays.push(keep);
        }
        let horizon = header.delete_horizon_ms();
        let new_horizon = tombstone && horizon.is_none();
        if kept == header.records_count && !new_horizon {
            return unchanged();
        }
        if kept == 0 && !self.is_last_of_producer(&header) {
            return Ok(CleanedBatch { bytes: Bytes::new(), changed: true });
        }
        let horizon = if new_horizon {
            Some(now_ms.saturating_add(self.config.load().delete_retention_ms))
        } else {
            horizon.filter(|_| tombstone)
        };
        let bytes = rebuild(&header, &block, &stays, horizon).map_err(damaged)?;
        Ok(CleanedBatch { bytes: bytes.into(), changed: true })
    }

    /// The batch a producer's next sequence number is held against stays, if without records: rebuilding state from the log needs it.
    fn is_last_of_producer(&self, header: &BatchHeader) -> bool {
        header.has_producer_id() && {
            let writer = self.writer.lock();
            let entry = writer.producers.entries.get(&header.producer_id);
            let last = entry.and_then(|entry| entry.batches.back());
            last.is_some_and(|last| last.last_offset == header.last_offset())
        }
    }
}

struct CleanedBatch {
    bytes: Bytes,
    changed: bool,
}

/// A batch that does not parse, as an error of reading.
pub(super) fn damaged(error: RecordError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Batches the cleaner does not look into: what became of a transaction is not in them.
pub(super) fn kept_whole(header: &BatchHeader) -> bool {
    header.is_control() || header.is_transactional()
}

/// Whether a record stays: the newest of its key, and no tombstone whose time is over. Past the map's end nothing is known of older
/// records with the key, so everything stays.
fn keeps(header: &BatchHeader, record: &RecordRef<'_>, map: &KeyMap, now_ms: i64) -> bool {
    let offset = header.base_offset.saturating_add(i64::from(record.offset_delta));
    // Records without a key came before the topic was compacted; nothing outdates them.
    let Some(key) = record.key.filter(|_| offset < map.end) else { return true };
    let expired = record.value.is_none() && header.delete_horizon_ms().is_some_and(|horizon| horizon <= now_ms);
    !expired && !map.outdates(key, offset)
}

/// The batch with only the records in it that stay: same offsets, same range, same producer.
fn rebuild(header: &BatchHeader, block: &[u8], stays: &[bool], horizon: Option<i64>) -> Result<Vec<u8>, RecordError> {
    let mut builder = RecordBatchBuilder::new(Vec::with_capacity(header.size()));
    builder.set_position(header.base_offset, header.leader_epoch);
    builder.set_producer(header.producer_id, header.producer_epoch, header.base_sequence);
    builder.set_delete_horizon_ms(horizon);
    if header.timestamp_type() == TimestampType::LogAppendTime {
        builder.set_log_append_time_ms(Some(header.max_timestamp));
    }
    for (record, _) in RecordRefIter::new(block, header.records_count).zip(stays).filter(|(_, stays)| **stays) {
        let record = record?;
        let timestamp = header.base_timestamp.saturating_add(record.timestamp_delta);
        builder.append_at(record.offset_delta, timestamp, record.key, record.value, record.headers())?;
    }
    builder.set_last_offset_delta(header.last_offset_delta);
    builder.finish_with(header.compression()?, None, &mut Vec::new())
}

/// The file being written.
struct Output {
    file: Arc<dyn DiskFile>,
    buffer: Vec<u8>,
    written: u64,
}

impl Output {
    fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, self.written)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<u64> {
        self.flush()?;
        self.file.sync_all()?;
        Ok(self.written)
    }
}

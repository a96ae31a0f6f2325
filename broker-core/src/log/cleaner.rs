//! Compaction: of closed segments, each record is dropped whose key has a later one. Offsets never change, and the active segment is never
//! touched (invariant 4).
//!
//! Two passes: the newest offset per key of the dirty part goes into a map; then every segment in front of the map's end is written again
//! without what the map outdates, as `.cleaned`, made durable and renamed over the old file. Each segment is swapped by itself in one atomic
//! rename, so a crash at any point leaves a readable log. Only what the recovery-point checkpoint covers is cleaned, since recovery takes
//! gaps past it for losses. Batches of transactions are kept whole.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use levada_env::{DiskFile, OpenOptions};
use levada_wire::records::{Batch, BatchHeader, RecordBatchBuilder, RecordRef, RecordRefIter, TimestampType};

use super::LogError;
use super::partition_log::{Inner, PartitionLog};
use super::segment::{CLEANED_SUFFIX, LOG_SUFFIX, Segment};
use super::timestamps::read_batch;

/// Keys one pass holds; what does not fit waits for the next.
const MAP_KEYS: usize = 1 << 20;
const DECOMPRESSED_LIMIT: usize = 128 << 20;
/// Output gathered before it is written.
const WRITE_BYTES: usize = 1 << 20;

impl PartitionLog {
    /// Compacts now if anything is dirty, whatever the dirty ratio. The number of segments rewritten is the answer.
    pub async fn compact(&self) -> Result<usize, LogError> {
        self.run(levada_env::IoClass::Maintenance, |inner| inner.clean(0.0)).await?
    }
}

/// Newest offset per key, keys as 128-bit hashes under random keys.
struct KeyMap {
    hashers: (RandomState, RandomState),
    offsets: HashMap<u128, i64>,
    /// Records from here on are not in the map.
    end: i64,
}

impl KeyMap {
    fn hash(&self, key: &[u8]) -> u128 {
        (u128::from(self.hashers.0.hash_one(key)) << 64) | u128::from(self.hashers.1.hash_one(key))
    }

    fn outdates(&self, key: &[u8], offset: i64) -> bool {
        self.offsets.get(&self.hash(key)).is_some_and(|newest| *newest > offset)
    }
}

/// What is to be done: segments up to `end` are candidates, those from `dirty_from` on are not cleaned yet.
struct Plan {
    dirty_from: i64,
    end: i64,
    dirty_bytes: u64,
    clean_bytes: u64,
    oldest_dirty_ms: i64,
}

impl Inner {
    /// Compacts if the topic's settings say it is time.
    pub(super) fn clean_if_due(self: &Arc<Self>) -> Result<usize, LogError> {
        self.clean(self.config.load().min_cleanable_dirty_ratio)
    }

    fn clean(self: &Arc<Self>, min_ratio: f64) -> Result<usize, LogError> {
        self.check_usable()?;
        let config = self.config.load();
        let now_ms = self.env.clock.wall_ms();
        if self.sync.flushed() > self.checkpointed.load(Ordering::Acquire) {
            self.log_dir.checkpoint_now();
        }
        let Some(plan) = self.plan(now_ms).map_err(LogError::io("compaction"))? else { return Ok(0) };
        let ratio = plan.dirty_bytes as f64 / (plan.dirty_bytes + plan.clean_bytes).max(1) as f64;
        let overdue = now_ms.saturating_sub(plan.oldest_dirty_ms) > config.max_compaction_lag_ms;
        if ratio < min_ratio && !overdue {
            return Ok(0);
        }
        let map = self.build_map(&plan)?;
        let mut rewritten = 0;
        for segment in self.segments().iter().filter(|segment| segment.base_offset < map.end) {
            self.check_usable()?;
            if segment.base_offset < self.active().base_offset && self.clean_segment(segment, &map, now_ms)? {
                rewritten += 1;
            }
        }
        self.cleaned_to.store(map.end, Ordering::Release);
        tracing::debug!(partition = %self.topic_partition, rewritten, cleaned_to = map.end, "compacted");
        Ok(rewritten)
    }

    fn plan(&self, now_ms: i64) -> io::Result<Option<Plan>> {
        let config = self.config.load();
        let segments = self.segments();
        let bound = [&self.high_watermark, &self.checkpointed].map(|offset| offset.load(Ordering::Acquire));
        let unstable = Some(self.first_unstable.load(Ordering::Acquire)).filter(|offset| *offset >= 0);
        let bound = bound.into_iter().chain(unstable).min().unwrap_or(0);
        let dirty_from = self.cleaned_to.load(Ordering::Acquire).max(self.log_start());
        let mut plan = Plan { dirty_from, end: 0, dirty_bytes: 0, clean_bytes: 0, oldest_dirty_ms: i64::MAX };
        for pair in segments.windows(2) {
            let [segment, next] = pair else { continue };
            let newest_ms = segment.max_timestamp()?;
            if next.base_offset > bound || newest_ms > now_ms.saturating_sub(config.min_compaction_lag_ms) {
                break;
            }
            if next.base_offset <= dirty_from {
                plan.clean_bytes += segment.size();
            } else {
                plan.dirty_bytes += segment.size();
                plan.oldest_dirty_ms = plan.oldest_dirty_ms.min(newest_ms);
            }
            plan.end = next.base_offset;
        }
        Ok((plan.dirty_bytes > 0).then_some(plan))
    }

    fn build_map(&self, plan: &Plan) -> Result<KeyMap, LogError> {
        let hashers = (RandomState::new(), RandomState::new());
        let mut map = KeyMap { hashers, offsets: HashMap::new(), end: plan.dirty_from };
        let segments = self.segments();
        let first = segments.partition_point(|segment| segment.base_offset <= plan.dirty_from).saturating_sub(1);
        for segment in segments.iter().skip(first).take_while(|segment| segment.base_offset < plan.end) {
            let failed = |error| Self::read_failed(segment, error);
            for found in segment.scan(0, segment.size()).map_err(failed)? {
                let found = found.map_err(failed)?;
                if found.header.next_offset() <= plan.dirty_from {
                    continue;
                }
                if map.offsets.len() >= MAP_KEYS && map.end > plan.dirty_from {
                    return Ok(map);
                }
                if !kept_whole(&found.header) {
                    let batch = read_batch(segment, &found).map_err(failed)?;
                    add_keys(&mut map, &batch).map_err(failed)?;
                }
                map.end = found.header.next_offset();
            }
        }
        map.end = plan.end;
        Ok(map)
    }

    /// Writes the segment again if anything in it goes. True if it changed.
    fn clean_segment(self: &Arc<Self>, segment: &Arc<Segment>, map: &KeyMap, now_ms: i64) -> Result<bool, LogError> {
        let path = segment.path(&format!("{LOG_SUFFIX}{CLEANED_SUFFIX}"));
        let write_failed = |error: io::Error| self.write_failed("compaction", &error);
        let output = self.env.disk.open(&path, OpenOptions::REPLACE).map_err(write_failed)?;
        let mut output = Output { file: output, buffer: Vec::new(), written: 0 };
        let mut changed = false;
        for found in segment.scan(0, segment.size()).map_err(|error| Self::read_failed(segment, error))? {
            let cleaned = found.and_then(|found| {
                let batch = read_batch(segment, &found)?;
                batch.verify_crc().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                self.clean_batch(batch, map, now_ms)
            });
            let cleaned = cleaned.map_err(|error| {
                let _ = self.env.disk.remove_file(&path);
                Self::read_failed(segment, error)
            })?;
            changed |= cleaned.changed;
            output.push(&cleaned.bytes).map_err(write_failed)?;
        }
        if !changed {
            self.env.disk.remove_file(&path).map_err(write_failed)?;
            return Ok(false);
        }
        let size = output.finish().map_err(write_failed)?;
        self.swap(segment, size).map_err(write_failed)
    }

    /// Puts the cleaned file in the place of the segment's, unless the segment left the log meanwhile.
    fn swap(self: &Arc<Self>, segment: &Arc<Segment>, size: u64) -> io::Result<bool> {
        let _writer = self.writer.lock();
        let cleaned = segment.path(&format!("{LOG_SUFFIX}{CLEANED_SUFFIX}"));
        let mut segments = self.segments().to_vec();
        let Some(place) = segments.iter_mut().find(|have| Arc::ptr_eq(have, segment)).filter(|_| !self.is_closed())
        else {
            self.env.disk.remove_file(&cleaned)?;
            return Ok(false);
        };
        // The old indexes must be gone for good before the new file has the name.
        segment.detach()?;
        let renamed =
            self.env.disk.sync_dir(&self.dir).and_then(|()| self.env.disk.rename(&cleaned, &segment.path(LOG_SUFFIX)));
        if let Err(error) = renamed {
            segment.reattach();
            return Err(error);
        }
        self.env.disk.sync_dir(&self.dir)?;
        *place = Arc::new(Segment::found(&self.env.disk, &self.dir, segment.base_offset, size, segment.created_ms));
        self.set_segments(segments);
        Ok(true)
    }

    fn clean_batch(&self, batch: Batch, map: &KeyMap, now_ms: i64) -> io::Result<CleanedBatch> {
        let header = batch.header;
        if kept_whole(&header) || header.base_offset >= map.end {
            return Ok(CleanedBatch { bytes: batch.to_bytes().to_vec(), changed: false });
        }
        let block = batch.decompressed(DECOMPRESSED_LIMIT).map_err(damaged)?;
        let (mut kept, mut tombstone) = (Vec::new(), false);
        for record in RecordRefIter::new(&block, header.records_count) {
            let record = record.map_err(damaged)?;
            if keeps(&header, &record, map, now_ms) {
                tombstone |= record.value.is_none();
                kept.push(record);
            }
        }
        let horizon = header.delete_horizon_ms();
        let new_horizon = tombstone && horizon.is_none();
        if kept.len() == header.records_count as usize && !new_horizon {
            return Ok(CleanedBatch { bytes: batch.to_bytes().to_vec(), changed: false });
        }
        if kept.is_empty() && !self.is_last_of_producer(&header) {
            return Ok(CleanedBatch { bytes: Vec::new(), changed: true });
        }
        let horizon = if new_horizon {
            Some(now_ms.saturating_add(self.config.load().delete_retention_ms))
        } else {
            horizon.filter(|_| tombstone)
        };
        let bytes = rebuild(&header, &kept, horizon).map_err(damaged)?;
        Ok(CleanedBatch { bytes, changed: true })
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
    bytes: Vec<u8>,
    changed: bool,
}

fn damaged(error: levada_wire::records::RecordError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Batches the cleaner does not look into: what became of a transaction is not in them.
fn kept_whole(header: &BatchHeader) -> bool {
    header.is_control() || header.is_transactional()
}

fn add_keys(map: &mut KeyMap, batch: &Batch) -> io::Result<()> {
    let block = batch.decompressed(DECOMPRESSED_LIMIT).map_err(damaged)?;
    for record in RecordRefIter::new(&block, batch.header.records_count) {
        let record = record.map_err(damaged)?;
        if let Some(key) = record.key {
            let hash = map.hash(key);
            map.offsets.insert(hash, batch.header.base_offset + i64::from(record.offset_delta));
        }
    }
    Ok(())
}

/// Whether a record stays: the newest of its key, and no tombstone whose time is over.
fn keeps(header: &BatchHeader, record: &RecordRef<'_>, map: &KeyMap, now_ms: i64) -> bool {
    let offset = header.base_offset + i64::from(record.offset_delta);
    // Records without a key came before the topic was compacted; nothing outdates them.
    let Some(key) = record.key else { return true };
    let expired = record.value.is_none() && header.delete_horizon_ms().is_some_and(|horizon| horizon <= now_ms);
    !expired && !map.outdates(key, offset)
}

/// The batch with only `kept` in it: same offsets, same range, same producer.
fn rebuild(
    header: &BatchHeader,
    kept: &[RecordRef<'_>],
    horizon: Option<i64>,
) -> Result<Vec<u8>, levada_wire::records::RecordError> {
    let mut builder = RecordBatchBuilder::new(Vec::with_capacity(header.size()));
    builder.set_position(header.base_offset, header.leader_epoch);
    builder.set_producer(header.producer_id, header.producer_epoch, header.base_sequence);
    builder.set_delete_horizon_ms(horizon);
    if header.timestamp_type() == TimestampType::LogAppendTime {
        builder.set_log_append_time_ms(Some(header.max_timestamp));
    }
    for record in kept {
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

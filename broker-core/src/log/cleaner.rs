//! Compaction: of closed segments, each record is dropped whose key has a later one. Offsets never change, and the active segment is never
//! touched (invariant 4).
//!
//! Two passes: the newest offset per key of the dirty part goes into a map; then every segment in front of the map's end is written again
//! without what the map outdates (`clean_segment`). Only what the recovery-point checkpoint covers is cleaned, since recovery takes gaps
//! past it for losses. One log of a directory is cleaned at a time: the map and one unpacked batch are all the memory it takes.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use levada_wire::records::{Batch, RecordRefIter};

use super::LogError;
use super::clean_segment::{damaged, kept_whole};
use super::partition_log::{Inner, PartitionLog};
use super::timestamps::read_batch;

/// Keys one pass holds, some 70 bytes each; what does not fit waits for the next.
const MAP_KEYS: usize = 1 << 19;
/// Most bytes a batch may unpack to, as at the produce path.
pub(super) const DECOMPRESSED_LIMIT: usize = 128 << 20;

impl PartitionLog {
    /// Compacts now if anything is dirty, whatever the dirty ratio. The number of segments rewritten is the answer.
    pub async fn compact(&self) -> Result<usize, LogError> {
        self.run(levada_env::IoClass::Maintenance, |inner| inner.clean(0.0, MAP_KEYS)).await?
    }
}

/// Newest offset per key, keys as 128-bit hashes under random keys.
pub(super) struct KeyMap {
    hashers: (RandomState, RandomState),
    offsets: HashMap<u128, i64>,
    /// Records from here on are not in the map.
    pub(super) end: i64,
    /// Most keys it may hold.
    room: usize,
    /// Of the log when the work began.
    pub(super) truncations: u64,
}

impl KeyMap {
    fn hash(&self, key: &[u8]) -> u128 {
        (u128::from(self.hashers.0.hash_one(key)) << 64) | u128::from(self.hashers.1.hash_one(key))
    }

    /// Adds the keys of the batch's records from the map's end on; false when there is no room for more.
    fn add_keys(&mut self, batch: &Batch) -> io::Result<bool> {
        let block = batch.decompressed(DECOMPRESSED_LIMIT).map_err(damaged)?;
        for record in RecordRefIter::new(&block, batch.header.records_count) {
            let record = record.map_err(damaged)?;
            let offset = batch.header.base_offset.saturating_add(i64::from(record.offset_delta));
            let Some(key) = record.key.filter(|_| offset >= self.end) else { continue };
            if self.offsets.len() >= self.room {
                return Ok(false);
            }
            let hash = self.hash(key);
            self.offsets.insert(hash, offset);
            self.end = offset.saturating_add(1);
        }
        Ok(true)
    }

    /// Whether there is a later record with the key.
    pub(super) fn outdates(&self, key: &[u8], offset: i64) -> bool {
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
        self.clean(self.config.load().min_cleanable_dirty_ratio, MAP_KEYS)
    }

    /// Compacts where at least `min_ratio` of the log is dirty, as far as `room` keys reach.
    pub(super) fn clean(self: &Arc<Self>, min_ratio: f64, room: usize) -> Result<usize, LogError> {
        let _one_at_a_time = self.log_dir.cleaning.lock();
        self.check_usable()?;
        let truncations = self.truncations.load(Ordering::Acquire);
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
        let map = self.build_map(&plan, room, truncations)?;
        let mut rewritten = 0;
        for segment in self.segments().iter().filter(|segment| segment.base_offset < map.end) {
            self.check_usable()?;
            if segment.base_offset < self.active().base_offset && self.clean_segment(segment, &map, now_ms)? {
                rewritten += 1;
            }
        }
        let _writer = self.writer.lock();
        if self.truncations.load(Ordering::Acquire) == truncations {
            self.cleaned_to.store(map.end, Ordering::Release);
        }
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
            let lag = config.min_compaction_lag_ms;
            // Without a lag timestamps say nothing: they may lie in the future.
            let is_young = lag > 0 && newest_ms > now_ms.saturating_sub(lag);
            if next.base_offset > bound || is_young {
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

    fn build_map(&self, plan: &Plan, room: usize, truncations: u64) -> Result<KeyMap, LogError> {
        let hashers = (RandomState::new(), RandomState::new());
        let mut map = KeyMap { hashers, offsets: HashMap::new(), end: plan.dirty_from, room, truncations };
        let segments = self.segments();
        let first = segments.partition_point(|segment| segment.base_offset <= plan.dirty_from).saturating_sub(1);
        for segment in segments.iter().skip(first).take_while(|segment| segment.base_offset < plan.end) {
            let failed = |error| Self::read_failed(segment, error);
            for found in segment.scan(0, segment.size()).map_err(failed)? {
                let found = found.map_err(failed)?;
                if found.header.next_offset() <= plan.dirty_from {
                    continue;
                }
                if !kept_whole(&found.header) {
                    let batch = read_batch(segment, &found).map_err(failed)?;
                    if !map.add_keys(&batch).map_err(failed)? {
                        return Ok(map);
                    }
                }
                map.end = found.header.next_offset();
            }
        }
        map.end = plan.end;
        Ok(map)
    }
}

//! Removing old segments by age, size and log start offset, as Kafka does; runs on maintenance threads.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use levada_env::Instant;
use levada_env::time::Duration;

use super::LogError;
use super::partition_log::Inner;
use super::segment::{LOG_SUFFIX, SNAPSHOT_SUFFIX, Segment, file_name};

#[cfg(test)]
impl super::PartitionLog {
    /// Removes what retention allows, as the manager has it done regularly; the number of segments removed is the answer.
    pub(super) async fn enforce_retention(&self) -> Result<usize, LogError> {
        self.run(levada_env::IoClass::Maintenance, |inner| inner.delete_old_segments()).await?
    }
}

impl Inner {
    pub(super) fn delete_old_segments(self: &Arc<Self>) -> Result<usize, LogError> {
        self.check_usable()?;
        let mut writer = self.writer.lock();
        let segments = self.segments();
        let mut count = self.deletable(&segments).map_err(LogError::io("retention"))?;
        let ends = |i: usize| segments.get(i + 1).map_or_else(|| self.log_end(), |next| next.base_offset);
        let covered = |count: usize| count == 0 || ends(count - 1) <= self.checkpointed.load(Ordering::Acquire);
        if !covered(count) {
            // Recovery takes a log that begins past the recovery point for one that lost its front.
            self.log_dir.checkpoint_now();
        }
        while !covered(count) {
            count -= 1;
        }
        if count == 0 {
            return Ok(0);
        }
        if count == segments.len() {
            // The log end must survive the last record: offsets are never reused (invariant 4).
            self.roll(&mut writer, self.log_end())?;
            self.env
                .disk
                .sync_dir(&self.dir)
                .map_err(|error| self.write_failed("fsync of the partition directory", &error))?;
        }
        let segments = self.segments();
        let (gone, kept) = segments.split_at(count);
        self.set_segments(kept.to_vec());
        let new_start = kept.first().map_or(0, |segment| segment.base_offset);
        self.log_start_offset.fetch_max(new_start, Ordering::AcqRel);
        self.epochs.lock().truncate_from_start(self.log_start());
        drop(writer);
        // The first one that can't go holds back those behind it, so that what the next start finds has no hole.
        for segment in gone {
            self.discard(segment).map_err(|error| self.write_failed("deleting a segment", &error))?;
        }
        tracing::info!(partition = %self.topic_partition, segments = count, log_start_offset = new_start, "deleted old segments");
        Ok(count)
    }

    /// Marks the files of a segment that left the list as deleted and has them removed after `file.delete.delay.ms`.
    pub(super) fn discard(&self, segment: &Segment) -> io::Result<()> {
        let mut files = Vec::new();
        let marked = segment.mark_deleted(&mut files);
        let snapshot = segment.dir().join(file_name(segment.base_offset, SNAPSHOT_SUFFIX));
        if self.env.disk.exists(&snapshot) {
            files.push(snapshot);
        }
        let delay = Duration::from_millis(self.config.load().file_delete_delay_ms.max(0) as u64);
        self.log_dir.remove_later(files, self.env.clock.now() + delay);
        marked
    }

    /// How many segments from the front may go. Only what is below the high watermark ever goes.
    fn deletable(&self, segments: &[Arc<Segment>]) -> io::Result<usize> {
        let config = self.config.load();
        let high_watermark = self.high_watermark.load(Ordering::Acquire);
        let log_start = self.log_start();
        let now_ms = self.env.clock.wall_ms();
        let mut excess = if config.delete && config.retention_bytes >= 0 {
            segments.iter().map(|segment| segment.size() as i64).sum::<i64>() - config.retention_bytes
        } else {
            -1
        };
        for (i, segment) in segments.iter().enumerate() {
            let next = segments.get(i + 1).map(|next| next.base_offset);
            if next.unwrap_or(self.log_end()) > high_watermark || (next.is_none() && segment.size() == 0) {
                return Ok(i);
            }
            let below_start = next.is_some_and(|next| next <= log_start);
            // The active segment is not dropped for size: it is what keeps the topic's newest records.
            let too_much = next.is_some() && excess >= segment.size() as i64;
            let too_old = config.delete && config.retention_ms >= 0 && {
                let newest = match segment.max_timestamp()? {
                    -1 => self.env.disk.metadata(&segment.path(LOG_SUFFIX))?.modified_ms,
                    newest => newest,
                };
                now_ms.saturating_sub(newest) > config.retention_ms
            };
            if !(below_start || too_much || too_old) {
                return Ok(i);
            }
            excess -= segment.size() as i64;
        }
        Ok(segments.len())
    }
}

/// Files to remove when their time has come.
#[derive(Debug, Default)]
pub(super) struct Trash {
    files: Vec<(Instant, PathBuf)>,
}

impl Trash {
    pub(super) fn add(&mut self, path: PathBuf, at: Instant) {
        self.files.push((at, path));
    }

    /// Takes out what is due.
    pub(super) fn due(&mut self, now: Instant) -> Vec<PathBuf> {
        let (due, later) = std::mem::take(&mut self.files).into_iter().partition(|(at, _)| *at <= now);
        self.files = later;
        let due: Vec<(Instant, PathBuf)> = due;
        due.into_iter().map(|(_, path)| path).collect()
    }
}

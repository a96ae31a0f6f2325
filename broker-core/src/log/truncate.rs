//! Cutting the log: at the end (a follower gives up what its leader does not have), at the start (DeleteRecords), and closing it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use levada_env::IoClass;

use super::LogError;
use super::loader::load_producers;
use super::partition_log::{Inner, PartitionLog, Writer};
use super::segment::Segment;

impl PartitionLog {
    /// Removes every record from `offset` on. A batch that holds `offset` goes whole. The new log end is the answer. For
    /// followers, which replication brings.
    pub async fn truncate_to(&self, offset: i64) -> Result<i64, LogError> {
        let lane = self.inner.log_dir.lane;
        self.run(IoClass::Append { lane }, move |inner| inner.truncate_to(offset)).await?
    }

    /// Empties the log and has it begin at `offset`: a follower that fell behind its leader's log start.
    pub async fn truncate_fully_and_start_at(&self, offset: i64) -> Result<(), LogError> {
        let lane = self.inner.log_dir.lane;
        self.run(IoClass::Append { lane }, move |inner| inner.restart_at(&mut inner.writer.lock(), offset)).await?
    }

    /// Makes records below `offset` unreadable; -1 means the high watermark. Their segments go with the next retention run, started here.
    /// The answer is the new log start offset.
    pub async fn delete_records_before(&self, offset: i64) -> Result<i64, LogError> {
        self.inner.check_usable()?;
        let high_watermark = self.high_watermark();
        let offset = if offset == -1 { high_watermark } else { offset };
        if offset < 0 || offset > high_watermark {
            let (log_start_offset, log_end_offset) = (self.log_start_offset(), high_watermark);
            return Err(LogError::OffsetOutOfRange { offset, log_start_offset, log_end_offset });
        }
        self.inner.log_start_offset.fetch_max(offset, Ordering::AcqRel);
        self.inner.epochs.lock().truncate_from_start(offset);
        self.run(IoClass::Maintenance, |inner| inner.delete_old_segments()).await??;
        Ok(self.log_start_offset())
    }
}

impl Inner {
    fn truncate_to(self: &Arc<Self>, offset: i64) -> Result<i64, LogError> {
        self.check_usable()?;
        let mut writer = self.writer.lock();
        let log_end = self.log_end();
        if offset >= log_end {
            return Ok(log_end);
        }
        let last = self.active();
        writer.cut_torn(&last, last.size()).map_err(|error| self.write_failed("truncate", &error))?;
        let segments = self.segments();
        let holder = segments.partition_point(|segment| segment.base_offset < offset);
        let Some(active) = holder.checked_sub(1).and_then(|holder| segments.get(holder)) else {
            self.restart_at(&mut writer, offset.max(0))?;
            return Ok(offset.max(0));
        };
        let found = active.find_offset(offset, active.size()).map_err(|error| Self::read_failed(active, error))?;
        let new_end = found.map_or(offset, |found| found.header.base_offset.min(offset));
        self.lower_end(new_end);
        let (kept, gone) = segments.split_at(holder);
        self.set_segments(kept.to_vec());
        let cut = found.map_or(Ok(()), |found| active.truncate(found.position, new_end));
        cut.and_then(|()| remove_segments(gone)).map_err(|error| self.write_failed("truncate", &error))?;
        self.finish_truncation(&mut writer, new_end)?;
        Ok(new_end)
    }

    fn restart_at(self: &Arc<Self>, writer: &mut Writer, offset: i64) -> Result<(), LogError> {
        self.check_usable()?;
        let gone = self.segments();
        self.lower_end(offset);
        let made = remove_segments(&gone)
            .and_then(|()| Segment::create(&self.env.disk, &self.dir, offset, self.env.clock.wall_ms()));
        let segment = made.map_err(|error| self.write_failed("truncate", &error))?;
        self.set_segments(vec![Arc::new(segment)]);
        writer.torn = false;
        self.log_end_offset.store(offset, Ordering::Release);
        self.log_start_offset.store(offset, Ordering::Release);
        self.high_watermark.store(offset, Ordering::Release);
        self.epochs.lock().truncate_from_end(0);
        self.sync.restarted(offset);
        self.env
            .disk
            .sync_dir(&self.dir)
            .map_err(|error| self.write_failed("fsync of the partition directory", &error))?;
        self.finish_truncation(writer, offset)
    }

    /// Readers and waiters learn first that the tail is gone.
    fn lower_end(&self, end: i64) {
        let log_start_offset = self.log_start();
        self.truncations.fetch_add(1, Ordering::AcqRel);
        self.log_end_offset.store(end, Ordering::Release);
        self.log_start_offset.fetch_min(end, Ordering::AcqRel);
        self.high_watermark.fetch_min(end, Ordering::AcqRel);
        self.checkpointed.fetch_min(end, Ordering::AcqRel);
        self.cleaned_to.fetch_min(end, Ordering::AcqRel);
        self.tail.clear();
        self.sync.truncated(end, &LogError::OffsetOutOfRange { offset: end, log_start_offset, log_end_offset: end });
    }

    fn finish_truncation(self: &Arc<Self>, writer: &mut Writer, end: i64) -> Result<(), LogError> {
        {
            let mut epochs = self.epochs.lock();
            epochs.truncate_from_end(end);
        }
        let segments = self.segments();
        writer.producers = load_producers(&*self.env.disk, &self.dir, &segments, end, self.env.clock.now())
            .map_err(|error| self.write_failed("reading producer state", &error))?;
        writer.since_index_entry = self.active().size();
        self.first_unstable.store(writer.producers.first_unstable_offset().unwrap_or(-1), Ordering::Release);
        self.sync.segment_rolled(None);
        // The cut is made durable before anything is appended behind it; half of it surviving a power loss would mix two histories.
        let durable =
            self.active().file().and_then(|file| file.sync_all()).and_then(|()| self.env.disk.sync_dir(&self.dir));
        durable.map_err(|error| self.write_failed("fsync of a truncation", &error))?;
        // A recovery point above the new end would have recovery trust what is appended there next.
        self.log_dir.checkpoint_now();
        Ok(())
    }

    /// No more appends, reads or syncs; whoever waits is told.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.tail.clear();
        self.sync.fail_waiters(&LogError::Closed);
    }
}

fn remove_segments(segments: &[Arc<Segment>]) -> std::io::Result<()> {
    for segment in segments {
        segment.remove_files()?;
    }
    Ok(())
}

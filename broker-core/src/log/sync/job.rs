//! One sync of one partition: what it covers, how the files get to the disk, and what is told afterwards.

use std::io;
use std::sync::Arc;

use levada_env::{DiskFile, IoClass, OpenOptions};
use parking_lot::MutexGuard;

use super::state::{Dirty, PanicGuard};
use crate::log::LogError;
use crate::log::checkpoint::PARTITION_METADATA_FILE;
use crate::log::partition_log::Inner;
use crate::log::segment::{SNAPSHOT_SUFFIX, Segment, file_name};

/// A job gives its thread back after so many syncs in a row.
const ROUNDS: usize = 16;

/// What a sync covers, looked at before it begins. As long as this lives no other sync of the partition begins.
pub(super) struct Covered<'a> {
    _serial: MutexGuard<'a, ()>,
    from: i64,
    dirty: Dirty,
    /// Batches, for the rhythm.
    batches: u64,
}

impl Covered<'_> {
    /// Batches written that it covers.
    pub(super) fn batches(&self) -> u64 {
        self.batches
    }

    /// Segments were closed, whose index files are to be synced too.
    pub(super) fn has_closed_segments(&self) -> bool {
        !self.dirty.rolled.is_empty()
    }
}

impl Inner {
    /// The job of a partition that is synced by itself, on a disk thread.
    pub(super) fn run_sync(self: &Arc<Self>) {
        let _guard = PanicGuard(&self.log_dir, std::slice::from_ref(self));
        let queue = &self.log_dir.syncs;
        for _ in 0..ROUNDS {
            if queue.may_hold_a_thread() {
                self.sync.gather.wait(&self.env);
            }
            if let Err(error) = self.sync_once() {
                self.sync_ended(&error);
                queue.alone_ended();
                return;
            }
            let now = self.env.clock.now();
            queue.durable_alone(self.sync.waited(now));
            if !self.sync.still_wanted(now) {
                queue.alone_ended();
                return;
            }
            if queue.moved_together(self) {
                return;
            }
        }
        self.submit_sync();
    }

    pub(super) fn submit_sync(self: &Arc<Self>) {
        let inner = Arc::clone(self);
        self.env.disk.submit(IoClass::Sync, Box::new(move || inner.run_sync()));
    }

    /// A sync failed: none is in flight any more, and whoever waits is told.
    pub(super) fn sync_ended(&self, error: &LogError) {
        self.sync.none_in_flight();
        self.sync.fail_waiters(error);
    }

    /// Syncs, on the calling disk thread, all that was written before, and moves the durable end.
    pub(in crate::log) fn sync_once(self: &Arc<Self>) -> Result<(), LogError> {
        let covered = self.cover(self.sync.serial.lock())?;
        let began = self.env.clock.now();
        self.sync_files(&covered).map_err(|error| self.sync_failed(&error))?;
        let ended = self.env.clock.now();
        self.sync.gather.ended(covered.batches, began, ended);
        self.log_dir.syncs.covered_alone(covered.batches);
        self.covered(covered);
        Ok(())
    }

    /// What a sync of the whole file system that begins after this covers; `None` when another sync of the partition is going on.
    pub(super) fn cover_together(&self) -> Option<Result<Covered<'_>, LogError>> {
        Some(self.cover(self.sync.serial.try_lock()?))
    }

    /// The whole file system was synced since `covered` was looked at.
    pub(super) fn synced_together(self: &Arc<Self>, covered: Covered<'_>) -> Result<(), LogError> {
        // Index entries still in memory were on no disk. The rest of this costs little: the files are clean.
        self.sync_closed(&covered.dirty.rolled).map_err(|error| self.sync_failed(&error))?;
        self.covered(covered);
        Ok(())
    }

    /// Who takes the dirty flags must have synced before anyone else acknowledges what they cover: hence the lock.
    fn cover<'a>(&self, serial: MutexGuard<'a, ()>) -> Result<Covered<'a>, LogError> {
        self.check_usable()?;
        let batches = self.sync.gather.pending();
        let dirty = self.sync.take_dirty(|| self.log_end());
        Ok(Covered { _serial: serial, from: self.sync.flushed(), dirty, batches })
    }

    fn covered(&self, covered: Covered<'_>) {
        if self.sync.flushed_to(covered.dirty.target, covered.dirty.generation) {
            self.advance_durable(covered.dirty.target);
        }
    }

    fn sync_failed(&self, error: &io::Error) -> LogError {
        if self.is_closed() {
            return LogError::Closed;
        }
        self.log_dir.fail("fsync", error)
    }

    /// Syncs what is covered: directory entries first, so that what is acknowledged can be found again, then closed segments, then the
    /// active one.
    fn sync_files(&self, covered: &Covered<'_>) -> io::Result<()> {
        let dirty = &covered.dirty;
        if dirty.new_partition {
            self.sync_small_file(PARTITION_METADATA_FILE)?;
            self.env.disk.sync_dir(self.log_dir.path())?;
        }
        let segments = self.segments();
        for (i, segment) in segments.iter().enumerate() {
            let next = segments.get(i + 1).map_or(i64::MAX, |next| next.base_offset);
            if segment.base_offset < dirty.target && next > covered.from {
                self.sync_segment(segment)?;
            }
        }
        self.sync_closed(&dirty.rolled)?;
        if dirty.entries {
            self.env.disk.sync_dir(&self.dir)?;
        }
        Ok(())
    }

    /// Index files and producer snapshots of closed segments.
    fn sync_closed(&self, rolled: &[Arc<Segment>]) -> io::Result<()> {
        for segment in rolled {
            let segments = self.segments();
            let Some(at) = segments.iter().position(|have| Arc::ptr_eq(have, segment)) else { continue };
            ignore_missing(segment.sync_indexes())?;
            // The snapshot outlives the batches it was made of, when retention takes those.
            if let Some(next) = segments.get(at + 1) {
                self.sync_small_file(&file_name(next.base_offset, SNAPSHOT_SUFFIX))?;
            }
        }
        Ok(())
    }

    fn sync_segment(&self, segment: &Arc<Segment>) -> io::Result<()> {
        match segment.file().and_then(|file| file.sync_data()) {
            // Retention may have removed a segment that page-cache policy had not flushed yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.has_segment(segment) => Ok(()),
            result => result,
        }
    }

    fn has_segment(&self, segment: &Arc<Segment>) -> bool {
        self.segments().iter().any(|have| Arc::ptr_eq(have, segment))
    }

    fn sync_small_file(&self, name: &str) -> io::Result<()> {
        let open =
            |path: &std::path::Path| -> io::Result<Arc<dyn DiskFile>> { self.env.disk.open(path, OpenOptions::WRITE) };
        ignore_missing(open(&self.dir.join(name)).and_then(|file| file.sync_all()))
    }
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

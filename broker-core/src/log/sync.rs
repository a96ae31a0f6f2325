//! Making appended records durable: one sync job in flight per partition; while it runs, the next group of appends gathers behind it
//! (group commit). Invariant 1 stands and falls here.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use levada_env::{DiskFile, Instant, IoClass, OpenOptions};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::LogError;
use super::checkpoint::PARTITION_METADATA_FILE;
use super::partition_log::{Inner, PartitionLog};
use super::segment::{SNAPSHOT_SUFFIX, Segment, file_name};
use crate::config::AckDurability;

type Waiter = oneshot::Sender<Result<(), LogError>>;

/// What is durable, who waits for it.
#[derive(Debug)]
pub(super) struct SyncState {
    inner: Mutex<SyncInner>,
    serial: Mutex<()>,
    /// Told to clients as durable, by the topic's policy.
    durable_end: AtomicI64,
    /// On disk for sure.
    flushed: AtomicI64,
}

#[derive(Debug, Default)]
struct SyncInner {
    in_flight: bool,
    /// Sync at least to here.
    wanted: i64,
    /// Changes when the log is truncated: a sync that began before knows nothing of what came after.
    generation: u64,
    waiters: BTreeMap<(i64, u64), Waiter>,
    next_waiter: u64,
    /// Entries of the partition's directory that are not durable.
    dir_dirty: bool,
    /// The partition's directory itself and its `partition.metadata` are not durable.
    new_partition: bool,
    /// Rolled segments whose index files are not durable.
    rolled: Vec<Arc<Segment>>,
    /// When the oldest record that is not flushed was written.
    unflushed_since: Option<Instant>,
}

impl SyncState {
    pub(super) fn new(end: i64, new_partition: bool) -> Self {
        let inner = SyncInner { dir_dirty: new_partition, new_partition, wanted: end, ..SyncInner::default() };
        Self {
            inner: Mutex::new(inner),
            serial: Mutex::new(()),
            durable_end: AtomicI64::new(end),
            flushed: AtomicI64::new(end),
        }
    }

    pub(super) fn durable_end(&self) -> i64 {
        self.durable_end.load(Ordering::Acquire)
    }

    pub(super) fn flushed(&self) -> i64 {
        self.flushed.load(Ordering::Acquire)
    }

    /// A segment was made; the one before, if any, gets no more batches.
    pub(super) fn segment_rolled(&self, before: Option<Arc<Segment>>) {
        let mut inner = self.inner.lock();
        inner.dir_dirty = true;
        inner.rolled.extend(before);
    }

    /// How long the oldest unflushed record has waited.
    pub(super) fn unflushed_since(&self) -> Option<Instant> {
        self.inner.lock().unflushed_since
    }

    fn take_waiters(&self, upto: i64) -> Vec<Waiter> {
        let mut inner = self.inner.lock();
        let later = inner.waiters.split_off(&(upto, u64::MAX));
        std::mem::replace(&mut inner.waiters, later).into_values().collect()
    }

    /// Fails everyone who waits: the log is closed or its directory offline.
    pub(super) fn fail_waiters(&self, error: &LogError) {
        for waiter in self.take_waiters(i64::MAX) {
            let _ = waiter.send(Err(error.clone()));
        }
    }

    /// The log was cut to `end`: nothing above is durable any more, and those who wait for it never get it.
    pub(super) fn truncated(&self, end: i64, error: &LogError) {
        let failed = {
            let mut inner = self.inner.lock();
            inner.generation += 1;
            inner.wanted = inner.wanted.min(end);
            self.durable_end.fetch_min(end, Ordering::AcqRel);
            self.flushed.fetch_min(end, Ordering::AcqRel);
            inner.waiters.split_off(&(end, u64::MAX))
        };
        for waiter in failed.into_values() {
            let _ = waiter.send(Err(error.clone()));
        }
    }

    /// The log was emptied and begins at `end`: there is nothing to sync below.
    pub(super) fn restarted(&self, end: i64) {
        self.flushed.fetch_max(end, Ordering::AcqRel);
        self.durable_end.fetch_max(end, Ordering::AcqRel);
    }
}

impl Inner {
    fn syncs_before_ack(&self) -> bool {
        self.config.load().ack_durability == AckDurability::Fsync
    }

    /// After records were written up to `end`, on the append thread: starts a sync, or has the records count as durable at once.
    pub(super) fn after_append(self: &Arc<Self>, end: i64) {
        if self.syncs_before_ack() {
            self.request_sync(end);
            return;
        }
        {
            let mut sync = self.sync.inner.lock();
            sync.unflushed_since.get_or_insert_with(|| self.env.clock.now());
        }
        self.advance_durable(end);
        let config = self.config.load();
        if end - self.sync.flushed() >= config.flush_messages {
            self.request_sync(end);
        }
    }

    /// Moves the durable end and tells everyone.
    fn advance_durable(&self, end: i64) {
        if self.sync.durable_end.fetch_max(end, Ordering::AcqRel) >= end {
            return;
        }
        for waiter in self.sync.take_waiters(end) {
            let _ = waiter.send(Ok(()));
        }
        self.observe(|observer| observer.on_durable(end));
    }

    /// The topic's policy may have changed: under page-cache all that is written counts, under fsync the rest is synced now.
    pub(super) fn after_policy_change(self: &Arc<Self>) {
        let end = self.log_end();
        if self.syncs_before_ack() {
            if self.sync.flushed() < end {
                self.request_sync(end);
            }
        } else {
            self.advance_durable(end);
        }
    }

    /// Has everything up to `end` synced, starting a job unless one is in flight.
    pub(super) fn request_sync(self: &Arc<Self>, end: i64) {
        let mut sync = self.sync.inner.lock();
        sync.wanted = sync.wanted.max(end);
        if sync.in_flight {
            return;
        }
        sync.in_flight = true;
        drop(sync);
        self.submit_sync();
    }

    fn submit_sync(self: &Arc<Self>) {
        let inner = Arc::clone(self);
        self.env.disk.submit(IoClass::Sync, Box::new(move || inner.run_sync()));
    }

    fn run_sync(self: &Arc<Self>) {
        let _guard = PanicGuard(self);
        match self.sync_once() {
            Ok(()) => {
                let mut sync = self.sync.inner.lock();
                let again = sync.wanted > self.sync.flushed();
                sync.in_flight = again;
                drop(sync);
                if again {
                    self.submit_sync();
                }
            }
            Err(error) => {
                self.sync.inner.lock().in_flight = false;
                self.sync.fail_waiters(&error);
            }
        }
    }

    /// Syncs, on the calling disk thread, all that was written before, and moves the durable end.
    pub(super) fn sync_once(self: &Arc<Self>) -> Result<(), LogError> {
        // One at a time: who takes the dirty flags below must have synced before anyone else acknowledges what they cover.
        let _serial = self.sync.serial.lock();
        self.check_usable()?;
        let (generation, target, dir_dirty, new_partition, rolled) = {
            let mut sync = self.sync.inner.lock();
            // The end is read before the flags are taken: a segment's flag is set before the log end moves into it, so every segment below
            // `target` has its directory entry and its predecessor's indexes covered here.
            let target = self.log_end();
            sync.unflushed_since = None;
            let dirty = (std::mem::take(&mut sync.dir_dirty), std::mem::take(&mut sync.new_partition));
            (sync.generation, target, dirty.0, dirty.1, std::mem::take(&mut sync.rolled))
        };
        let from = self.sync.flushed();
        self.sync_files(from, target, dir_dirty, new_partition, &rolled).map_err(|error| self.sync_failed(&error))?;
        let valid = {
            let sync = self.sync.inner.lock();
            if sync.generation == generation {
                self.sync.flushed.fetch_max(target, Ordering::AcqRel);
            }
            sync.generation == generation
        };
        if valid {
            self.advance_durable(target);
        }
        Ok(())
    }

    fn sync_failed(&self, error: &io::Error) -> LogError {
        if self.is_closed() {
            return LogError::Closed;
        }
        self.log_dir.fail("fsync", error)
    }

    /// Syncs what lies between `from` and `target`: directory entries first, so that what is acknowledged can be found again, then closed
    /// segments, then the active one.
    fn sync_files(
        &self,
        from: i64,
        target: i64,
        dir_dirty: bool,
        new_partition: bool,
        rolled: &[Arc<Segment>],
    ) -> io::Result<()> {
        if new_partition {
            self.sync_small_file(PARTITION_METADATA_FILE)?;
            self.env.disk.sync_dir(self.log_dir.path())?;
        }
        let segments = self.segments();
        for (i, segment) in segments.iter().enumerate() {
            let next = segments.get(i + 1).map_or(i64::MAX, |next| next.base_offset);
            if segment.base_offset < target && next > from {
                self.sync_segment(segment)?;
            }
        }
        for segment in rolled {
            let segments = self.segments();
            let Some(at) = segments.iter().position(|have| Arc::ptr_eq(have, segment)) else { continue };
            ignore_missing(segment.sync_indexes())?;
            // The snapshot outlives the batches it was made of, when retention takes those.
            if let Some(next) = segments.get(at + 1) {
                self.sync_small_file(&file_name(next.base_offset, SNAPSHOT_SUFFIX))?;
            }
        }
        if dir_dirty {
            self.env.disk.sync_dir(&self.dir)?;
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

/// A panic while syncing is a defect; it must not leave callers waiting, nor count as a sync.
struct PanicGuard<'a>(&'a Inner);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let failed = self.0.log_dir.fail("sync", &io::Error::other("the sync thread panicked"));
            self.0.sync.fail_waiters(&failed);
        }
    }
}

/// Takes a waiter off the list when its caller goes away.
struct Registered<'a> {
    sync: &'a SyncState,
    key: (i64, u64),
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.sync.inner.lock().waiters.remove(&self.key);
    }
}

impl PartitionLog {
    /// Waits until every record below `end_offset` is durable as the topic's policy has it. Fails when the log is closed, cut below
    /// `end_offset`, or its directory goes offline.
    pub async fn wait_durable(&self, end_offset: i64) -> Result<(), LogError> {
        let sync = &self.inner.sync;
        if sync.durable_end() >= end_offset {
            return Ok(());
        }
        let (tx, rx) = oneshot::channel();
        let _registered = {
            let mut inner = sync.inner.lock();
            if sync.durable_end() >= end_offset {
                return Ok(());
            }
            self.inner.check_usable()?;
            inner.next_waiter += 1;
            let key = (end_offset, inner.next_waiter);
            inner.waiters.insert(key, tx);
            Registered { sync, key }
        };
        rx.await.unwrap_or(Err(LogError::Closed))
    }

    /// Has everything written so far made durable and waits for it, whatever the policy.
    pub async fn flush(&self) -> Result<(), LogError> {
        loop {
            let end = self.inner.log_end();
            if self.inner.sync.flushed() >= end {
                return Ok(());
            }
            self.run(IoClass::Sync, Inner::sync_once).await??;
        }
    }
}

//! What of a partition is durable, what is not, and who waits for it.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use levada_env::time::Duration;
use levada_env::{Instant, IoClass};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::gather::Gather;
use crate::config::AckDurability;
use crate::log::partition_log::{Inner, PartitionLog};
use crate::log::segment::Segment;
use crate::log::{LogDir, LogError};

type Waiter = oneshot::Sender<Result<(), LogError>>;

/// What is durable, who waits for it.
#[derive(Debug)]
pub(in crate::log) struct SyncState {
    inner: Mutex<SyncInner>,
    /// Held by the sync that is going on.
    pub(super) serial: Mutex<()>,
    /// When the next one begins.
    pub(super) gather: Gather,
    /// Whether the partition's files are on the file system of its log directory, once that was looked at.
    pub(super) on_shared_file_system: OnceLock<bool>,
    /// Told to clients as durable, by the topic's policy.
    durable_end: AtomicI64,
    /// On disk for sure.
    flushed: AtomicI64,
}

/// What a sync has to cover.
#[derive(Debug)]
pub(super) struct Dirty {
    pub(super) generation: u64,
    /// Everything below was written.
    pub(super) target: i64,
    /// Entries of the partition's directory.
    pub(super) entries: bool,
    /// The partition's directory itself and its `partition.metadata`.
    pub(super) new_partition: bool,
    /// Closed segments whose index files are not durable.
    pub(super) rolled: Vec<Arc<Segment>>,
}

#[derive(Debug, Default)]
struct SyncInner {
    /// A sync was asked for and has not ended.
    in_flight: bool,
    /// When it was asked for.
    asked: Option<Instant>,
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
    pub(in crate::log) fn new(end: i64, new_partition: bool) -> Self {
        let inner = SyncInner { dir_dirty: new_partition, new_partition, wanted: end, ..SyncInner::default() };
        Self {
            inner: Mutex::new(inner),
            serial: Mutex::new(()),
            gather: Gather::default(),
            on_shared_file_system: OnceLock::new(),
            durable_end: AtomicI64::new(end),
            flushed: AtomicI64::new(end),
        }
    }

    pub(in crate::log) fn durable_end(&self) -> i64 {
        self.durable_end.load(Ordering::Acquire)
    }

    pub(in crate::log) fn flushed(&self) -> i64 {
        self.flushed.load(Ordering::Acquire)
    }

    /// A segment was made; the one before, if any, gets no more batches.
    pub(in crate::log) fn segment_rolled(&self, before: Option<Arc<Segment>>) {
        let mut inner = self.inner.lock();
        inner.dir_dirty = true;
        inner.rolled.extend(before);
    }

    /// How long the oldest unflushed record has waited.
    pub(in crate::log) fn unflushed_since(&self) -> Option<Instant> {
        self.inner.lock().unflushed_since
    }

    /// Takes what is dirty, for a sync that begins now.
    pub(super) fn take_dirty(&self, log_end: impl FnOnce() -> i64) -> Dirty {
        let mut inner = self.inner.lock();
        // The end is read before the flags are taken: a segment's flag is set before the log end moves into it, so every segment below
        // `target` has its directory entry and its predecessor's indexes covered here.
        let target = log_end();
        inner.unflushed_since = None;
        Dirty {
            generation: inner.generation,
            target,
            entries: std::mem::take(&mut inner.dir_dirty),
            new_partition: std::mem::take(&mut inner.new_partition),
            rolled: std::mem::take(&mut inner.rolled),
        }
    }

    /// Everything below `target` as it was in `generation` is on disk. False when the log was cut since: then it counts for nothing.
    pub(super) fn flushed_to(&self, target: i64, generation: u64) -> bool {
        let inner = self.inner.lock();
        if inner.generation == generation {
            self.flushed.fetch_max(target, Ordering::AcqRel);
        }
        inner.generation == generation
    }

    /// Notes that a sync is wanted up to `end`; whether it has to be asked for, because none is in flight.
    fn want(&self, end: i64, now: impl FnOnce() -> Instant) -> bool {
        let mut inner = self.inner.lock();
        inner.wanted = inner.wanted.max(end);
        if inner.in_flight {
            return false;
        }
        inner.in_flight = true;
        inner.asked = Some(now());
        true
    }

    /// How long ago the sync was asked for that is in flight.
    pub(super) fn waited(&self, now: Instant) -> Duration {
        self.inner.lock().asked.map_or(Duration::ZERO, |asked| now.saturating_duration_since(asked))
    }

    /// After a sync that did not fail: whether more was written that is to be synced. If not, none is in flight any more.
    pub(super) fn still_wanted(&self, now: Instant) -> bool {
        let mut inner = self.inner.lock();
        inner.in_flight &= inner.wanted > self.flushed();
        inner.asked = Some(now);
        inner.in_flight
    }

    /// After a failed sync.
    pub(super) fn none_in_flight(&self) {
        self.inner.lock().in_flight = false;
    }

    fn take_waiters(&self, upto: i64) -> Vec<Waiter> {
        let mut inner = self.inner.lock();
        let later = inner.waiters.split_off(&(upto, u64::MAX));
        std::mem::replace(&mut inner.waiters, later).into_values().collect()
    }

    /// Fails everyone who waits: the log is closed or its directory offline.
    pub(in crate::log) fn fail_waiters(&self, error: &LogError) {
        for waiter in self.take_waiters(i64::MAX) {
            let _ = waiter.send(Err(error.clone()));
        }
    }

    /// The log was cut to `end`: nothing above is durable any more, and those who wait for it never get it.
    pub(in crate::log) fn truncated(&self, end: i64, error: &LogError) {
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
    pub(in crate::log) fn restarted(&self, end: i64) {
        self.flushed.fetch_max(end, Ordering::AcqRel);
        self.durable_end.fetch_max(end, Ordering::AcqRel);
    }
}

impl Inner {
    fn syncs_before_ack(&self) -> bool {
        self.config.load().ack_durability == AckDurability::Fsync
    }

    /// After `batches` of `bytes` were written up to `end`, on the append thread: starts a sync, or has the records count as durable at once.
    pub(in crate::log) fn after_append(self: &Arc<Self>, end: i64, batches: usize, bytes: u64) {
        if self.syncs_before_ack() {
            self.sync.gather.written(batches as u64);
            self.log_dir.syncs.written(batches as u64);
            self.request_sync(end);
            return;
        }
        self.log_dir.syncs.written_without_sync(bytes);
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
    pub(super) fn advance_durable(&self, end: i64) {
        if self.sync.durable_end.fetch_max(end, Ordering::AcqRel) >= end {
            return;
        }
        for waiter in self.sync.take_waiters(end) {
            let _ = waiter.send(Ok(()));
        }
        self.observe(|observer| observer.on_durable(end));
    }

    /// The topic's policy may have changed: under page-cache all that is written counts, under fsync the rest is synced now.
    pub(in crate::log) fn after_policy_change(self: &Arc<Self>) {
        let end = self.log_end();
        if self.syncs_before_ack() {
            if self.sync.flushed() < end {
                self.request_sync(end);
            }
        } else {
            self.advance_durable(end);
        }
    }

    /// Has everything up to `end` synced, starting a sync unless one is in flight.
    pub(in crate::log) fn request_sync(self: &Arc<Self>, end: i64) {
        if self.sync.want(end, || self.env.clock.now()) {
            self.log_dir.syncs.ask(self);
        }
    }
}

/// A panic while syncing is a defect; it must not leave callers waiting, nor count as a sync.
pub(super) struct PanicGuard<'a>(pub(super) &'a LogDir, pub(super) &'a [Arc<Inner>]);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let failed = self.0.fail("sync", &io::Error::other("the sync thread panicked"));
            for log in self.1.iter().chain(&self.0.syncs.abandon()) {
                log.sync.fail_waiters(&failed);
            }
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

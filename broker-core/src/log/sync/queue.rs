//! Which syncs of a log directory run: each file by itself, or all that wait at once by one sync of the file system.
//!
//! The rule. A file that gets dirty is synced at once and by itself, as long as fewer than `min_files` are being synced. From then on files
//! wait, and one sync of the whole file system serves all that wait; while it runs, the next ones gather. When fewer than `min_files` are
//! found waiting, each is synced by itself again. The number of threads and jobs does not grow with the number of partitions.
//!
//! A sync of the file system writes what others left dirty there as well: `pace` tells when that does not pay.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use levada_env::disk::FileSystem;
use levada_env::time::Duration;
use levada_env::{Env, Instant, IoClass};
use parking_lot::{Mutex, MutexGuard};

use super::gather::Gather;
use super::job::Covered;
use super::pace::{Pace, Way};
use super::state::PanicGuard;
use crate::log::LogDir;
use crate::log::partition_log::Inner;

/// `log.syncfs.min.files`, if nothing else is said: measured in docs/adr/0002.
pub const DEFAULT_SYNCFS_MIN_FILES: usize = 16;
/// As many files being synced by themselves may hold back their threads to gather; more would hold up others.
const MAY_HOLD: usize = 4;
/// A job gives its thread back after so many syncs in a row.
const ROUNDS: usize = 16;
/// After a sync together the next files are expected to come together for so long.
const EXPECTED: Duration = super::gather::LONGEST;

/// How records of a log directory were made durable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SyncCounts {
    /// Syncs of one partition by itself.
    pub alone: u64,
    /// Syncs of the whole file system.
    pub together: u64,
    /// Syncs of a partition that those stood for.
    pub covered: u64,
}

/// See the module. One per log directory.
#[derive(Debug)]
pub(in crate::log) struct SyncQueue {
    env: Env,
    shared: Option<Shared>,
    state: Mutex<State>,
    alone: AtomicU64,
    together: AtomicU64,
    covered: AtomicU64,
}

/// Where files can be synced together.
#[derive(Debug)]
struct Shared {
    file_system: Arc<dyn FileSystem>,
    min_files: usize,
    gather: Gather,
    pace: Mutex<Pace>,
}

#[derive(Debug, Default)]
struct State {
    /// Wait for the next sync of the file system.
    waiting: Vec<Arc<Inner>>,
    /// Being synced by themselves.
    alone: usize,
    /// The job that syncs the file system has been submitted and has not ended.
    running: bool,
    /// When it last served enough files.
    served: Option<Instant>,
}

impl State {
    fn expects_more(&self, env: &Env) -> bool {
        self.served.is_some_and(|at| env.clock.now().duration_since(at) < EXPECTED)
    }
}

impl SyncQueue {
    /// For the log directory `dir`, in which nothing has been written yet. `min_files` as in `log.syncfs.min.files`.
    pub(in crate::log) fn open(env: &Env, dir: &Path, min_files: usize) -> Self {
        let shared = if min_files == 0 { None } else { Shared::open(env, dir, min_files) };
        Self {
            env: env.clone(),
            shared,
            state: Mutex::default(),
            alone: AtomicU64::new(0),
            together: AtomicU64::new(0),
            covered: AtomicU64::new(0),
        }
    }

    pub(in crate::log) fn counts(&self) -> SyncCounts {
        let [alone, together, covered] =
            [&self.alone, &self.together, &self.covered].map(|count| count.load(Ordering::Relaxed));
        SyncCounts { alone, together, covered }
    }

    /// Batches were written whose acknowledgement waits for a sync.
    pub(super) fn written(&self, batches: u64) {
        if let Some(shared) = &self.shared {
            shared.gather.written(batches);
        }
    }

    /// Bytes were written whose acknowledgement does not wait for a sync.
    pub(super) fn written_without_sync(&self, bytes: u64) {
        let Some(shared) = &self.shared else { return };
        shared.pace.lock().written_without_sync(bytes, || self.env.clock.now());
    }

    /// Has a partition synced of which no sync is in flight.
    pub(super) fn ask(&self, log: &Arc<Inner>) {
        let min_files = self.shared_by(log).map(|shared| shared.min_files);
        let mut state = self.state.lock();
        let together = min_files
            .is_some_and(|min_files| state.running || state.alone + 1 >= min_files || state.expects_more(&self.env));
        if together {
            wait_for_others(state, log);
        } else {
            state.alone += 1;
            drop(state);
            log.submit_sync();
        }
    }

    /// Where `log` may be synced together with others, if that pays at the moment.
    fn shared_by(&self, log: &Inner) -> Option<&Shared> {
        let shared = self.shared.as_ref()?;
        (shared.holds(log) && shared.pays(&self.env)).then_some(shared)
    }

    /// A partition's job may block its thread for a moment.
    pub(super) fn may_hold_a_thread(&self) -> bool {
        self.state.lock().alone <= MAY_HOLD
    }

    /// A partition was synced by itself.
    pub(super) fn covered_alone(&self, batches: u64) {
        self.alone.fetch_add(1, Ordering::Relaxed);
        if let Some(shared) = &self.shared {
            shared.gather.covered_elsewhere(batches);
        }
    }

    /// What had been asked for `waited` ago for a partition is durable, by a sync of its own.
    pub(super) fn durable_alone(&self, waited: Duration) {
        let Some(shared) = &self.shared else { return };
        // With few files there is nothing to compare.
        if self.state.lock().alone >= shared.min_files {
            shared.pace.lock().durable(Way::Apart, 1, waited, self.env.clock.now());
        }
    }

    /// A partition's job has nothing more to do.
    pub(super) fn alone_ended(&self) {
        self.state.lock().alone -= 1;
    }

    /// The partition's job has more to do: whether that is done together with others from now on.
    pub(super) fn moved_together(&self, log: &Arc<Inner>) -> bool {
        if self.shared_by(log).is_none() {
            return false;
        }
        let mut state = self.state.lock();
        if !state.running {
            return false;
        }
        state.alone -= 1;
        wait_for_others(state, log);
        true
    }

    /// The files for the next sync of the file system; none when each is to be synced by itself.
    fn take_batch(&self, shared: &Shared) -> Option<Vec<Arc<Inner>>> {
        let mut state = self.state.lock();
        let batch = std::mem::take(&mut state.waiting);
        if !batch.is_empty() && batch.len() + state.alone >= shared.min_files && shared.pays(&self.env) {
            return Some(batch);
        }
        state.running = false;
        state.served = None;
        state.alone += batch.len();
        drop(state);
        batch.iter().for_each(Inner::submit_sync);
        None
    }

    /// The directory is out of service by a defect: whoever waits is to be told.
    pub(super) fn abandon(&self) -> Vec<Arc<Inner>> {
        std::mem::take(&mut self.state.lock().waiting)
    }

    /// After a sync of the file system: whether more wait for the next.
    fn next_waits(&self, again: Vec<Arc<Inner>>) -> bool {
        let mut state = self.state.lock();
        state.served = Some(self.env.clock.now());
        state.waiting.extend(again);
        state.running = !state.waiting.is_empty();
        state.running
    }
}

/// Has `log` wait for the next sync of the file system.
fn wait_for_others(mut state: MutexGuard<'_, State>, log: &Arc<Inner>) {
    state.waiting.push(Arc::clone(log));
    if !std::mem::replace(&mut state.running, true) {
        drop(state);
        submit(&log.log_dir);
    }
}

impl Shared {
    fn open(env: &Env, dir: &Path, min_files: usize) -> Option<Self> {
        match env.disk.file_system(dir) {
            Ok(file_system) => Some(Self { file_system, min_files, gather: Gather::default(), pace: Mutex::default() }),
            Err(error) => {
                tracing::debug!(log_dir = %dir.display(), %error, "syncfs is not used, each file is synced by itself");
                None
            }
        }
    }

    /// Who asks for it from the first file on gets it always.
    fn pays(&self, env: &Env) -> bool {
        self.min_files == 1 || self.pace.lock().way(|| env.clock.now()) == Way::Together
    }

    /// A partition's directory may be the root of another file system.
    fn holds(&self, log: &Inner) -> bool {
        *log.sync.on_shared_file_system.get_or_init(|| self.file_system.holds(&log.dir).unwrap_or(false))
    }
}

fn submit(dir: &Arc<LogDir>) {
    let job_dir = Arc::clone(dir);
    dir.syncs.env.disk.submit(IoClass::Sync, Box::new(move || run(&job_dir)));
}

/// The job that syncs the file system, on a disk thread.
fn run(dir: &Arc<LogDir>) {
    let queue = &dir.syncs;
    let Some(shared) = &queue.shared else { return };
    for _ in 0..ROUNDS {
        shared.gather.wait(&queue.env);
        let Some(batch) = queue.take_batch(shared) else { return };
        let _guard = PanicGuard(dir, &batch);
        sync_together(dir, shared, &batch);
        let again: Vec<_> =
            batch.iter().filter(|log| log.sync.still_wanted(queue.env.clock.now())).map(Arc::clone).collect();
        if !queue.next_waits(again) {
            return;
        }
    }
    submit(dir);
}

/// Syncs the file system once and releases what was written to the partitions before.
fn sync_together(dir: &LogDir, shared: &Shared, batch: &[Arc<Inner>]) {
    let (queue, clock) = (&dir.syncs, &dir.syncs.env.clock);
    let mut parts: Vec<(&Arc<Inner>, Covered<'_>)> = Vec::with_capacity(batch.len());
    for log in batch {
        match log.cover_together() {
            Some(Ok(covered)) => parts.push((log, covered)),
            Some(Err(error)) => log.sync_ended(&error),
            // Someone syncs it right now; what that does not cover is still wanted afterwards.
            None => {}
        }
    }
    let began = clock.now();
    // Only now: what is covered was looked at before, so that all of it was written before the sync began.
    let synced = shared.file_system.sync();
    let ended = clock.now();
    let batches = parts.iter().map(|(_, covered)| covered.batches()).sum();
    shared.gather.ended(batches, began, ended);
    let waited = parts.iter().map(|(log, _)| log.sync.waited(ended)).sum();
    {
        let mut pace = shared.pace.lock();
        pace.durable(Way::Together, parts.len() as u32, waited, ended);
        pace.synced_together(ended.duration_since(began), ended);
    }
    queue.together.fetch_add(1, Ordering::Relaxed);
    queue.covered.fetch_add(parts.len() as u64, Ordering::Relaxed);
    // Those with closed segments have more to do; the others need not wait for that.
    parts.sort_by_key(|(_, covered)| covered.has_closed_segments());
    for (log, covered) in parts {
        log.sync.gather.ended(covered.batches(), began, ended);
        let outcome = match &synced {
            Ok(()) => log.synced_together(covered),
            Err(error) => Err(dir.fail("syncfs", error)),
        };
        if let Err(error) = outcome {
            log.sync_ended(&error);
        }
    }
}

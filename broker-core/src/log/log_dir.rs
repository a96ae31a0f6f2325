//! A log directory: its lock, its identity, its health, its free space.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use levada_env::disk::{DiskLock, FileKind};
use levada_env::process::is_out_of_descriptors;
use levada_env::{Env, Instant, time::Duration};
use parking_lot::{Mutex, RwLock};

use super::byte_budget::ByteBudget;
use super::retention::Trash;
use super::sync::{SyncCounts, SyncQueue};
use super::{LogError, LogManagerOptions};

/// Free space is asked for again after this many bytes were appended, however much there was.
const RECHECK_BYTES: i64 = 64 << 20;
/// How often a full disk is asked again.
const RECHECK_FULL: Duration = Duration::from_millis(200);
/// A disk that stays full is told of so often.
const TELL_FULL: Duration = Duration::from_secs(60);
/// One that has space again after so long is told of: near the limit small records fit while large ones do not.
const TELL_AGAIN: Duration = Duration::from_secs(1);

/// Of the append queue's bytes, one part in so many comes on top for the broker's own topics.
const RESERVED_QUEUE: usize = 4;

/// Tells the directory's partitions why it is out of service.
type OfflineListener = Box<dyn Fn(&str) + Send + Sync>;
/// Writes the directory's recovery points.
type Checkpointer = Box<dyn Fn() + Send + Sync>;

/// See the module. One per directory, shared by its partitions.
pub struct LogDir {
    /// Where it is.
    path: Arc<PathBuf>,
    /// Number among the node's log directories; its append thread.
    pub(super) lane: u16,
    env: Env,
    /// Kept back for internal topics and the metadata log.
    reserve: u64,
    /// Cached free bytes minus what was appended since; may go negative.
    available: AtomicI64,
    /// When free space was last asked for, and whether there was too little.
    checked: Mutex<Option<(Instant, bool)>>,
    offline: RwLock<Option<Arc<str>>>,
    offline_listener: OnceLock<OfflineListener>,
    refused: AtomicU64,
    /// When a full disk was last told of; `None` while there is space.
    told_full: Mutex<Option<Instant>>,
    /// Bytes of batches that wait to be written: of ordinary topics, and of those that may use the reserve.
    queue: ByteBudget,
    reserved_queue: ByteBudget,
    /// Held by the one log being compacted.
    pub(super) cleaning: Mutex<()>,
    trash: Mutex<Trash>,
    pub(super) syncs: SyncQueue,
    checkpointer: OnceLock<Checkpointer>,
    lock: Mutex<Option<Box<dyn DiskLock>>>,
}

impl fmt::Debug for LogDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogDir").field("path", &self.path).field("offline", &self.offline).finish_non_exhaustive()
    }
}

impl LogDir {
    pub(super) fn new(
        env: Env,
        path: PathBuf,
        lane: u16,
        options: &LogManagerOptions,
        lock: Option<Box<dyn DiskLock>>,
    ) -> Self {
        let syncs = SyncQueue::open(&env, &path, options.syncfs_min_files);
        Self {
            path: Arc::new(path),
            lane,
            env,
            reserve: options.reserve_bytes,
            queue: ByteBudget::new(options.append_queue_bytes),
            reserved_queue: ByteBudget::new((options.append_queue_bytes / RESERVED_QUEUE).max(1 << 20)),
            available: AtomicI64::new(0),
            checked: Mutex::new(None),
            offline: RwLock::new(None),
            offline_listener: OnceLock::new(),
            refused: AtomicU64::new(0),
            told_full: Mutex::new(None),
            cleaning: Mutex::default(),
            trash: Mutex::default(),
            syncs,
            checkpointer: OnceLock::new(),
            lock: Mutex::new(lock),
        }
    }

    /// Its path.
    pub fn path(&self) -> &Arc<PathBuf> {
        &self.path
    }

    /// Why it is out of service, if it is.
    pub fn offline_cause(&self) -> Option<Arc<str>> {
        self.offline.read().clone()
    }

    /// Sets who is told, once, when the directory goes out of service: on the disk thread that saw the failure, under whatever locks of
    /// its partition that holds.
    pub(super) fn set_offline_listener(&self, listener: OfflineListener) {
        let _ = self.offline_listener.set(listener);
    }

    pub(super) fn check_online(&self) -> Result<(), LogError> {
        match self.offline_cause() {
            Some(cause) => Err(LogError::LogDirOffline { cause }),
            None => Ok(()),
        }
    }

    /// Takes the directory out of service: an fsync that failed may have lost what it covered, and asking again would hide it. Only a
    /// restart, which verifies what is on disk, brings it back.
    pub(super) fn fail(&self, operation: &str, error: &io::Error) -> LogError {
        let mut offline = self.offline.write();
        if let Some(cause) = offline.as_ref() {
            return LogError::LogDirOffline { cause: Arc::clone(cause) };
        }
        let cause: Arc<str> = format!("{operation} failed in {}: {error}", self.path.display()).into();
        *offline = Some(Arc::clone(&cause));
        drop(offline);
        self.queue.close();
        self.reserved_queue.close();
        tracing::error!(log_dir = %self.path.display(), %cause, "log directory is offline until restart");
        if let Some(listener) = self.offline_listener.get() {
            listener(&cause);
        }
        LogError::LogDirOffline { cause }
    }

    /// Whether `bytes` more may be written. Ordinary topics leave the reserve alone.
    pub(super) fn admit(&self, bytes: usize, internal: bool) -> Result<(), LogError> {
        let floor = if internal { 0 } else { self.reserve as i64 };
        let left = self.available.fetch_sub(bytes as i64, Ordering::Relaxed) - bytes as i64;
        if left >= floor {
            return Ok(());
        }
        // The allowance is used up, or was never asked for. A disk found full is not asked at each append.
        let mut checked = self.checked.lock();
        let now = self.env.clock.now();
        let found_full_lately = checked.is_some_and(|(at, full)| full && now.duration_since(at) < RECHECK_FULL);
        if !found_full_lately && let Ok(free) = self.env.disk.available_space(&self.path) {
            let free = i64::try_from(free).unwrap_or(i64::MAX);
            // Only a part of plenty is handed out before asking again, since others write to the disk too.
            let allowance = free.min(self.reserve as i64 + RECHECK_BYTES + bytes as i64);
            self.available.store(allowance - bytes as i64, Ordering::Relaxed);
            let fits = allowance - bytes as i64 >= floor;
            *checked = Some((now, !fits));
            if fits {
                if !internal && self.told_full.lock().take_if(|at| now.duration_since(*at) >= TELL_AGAIN).is_some() {
                    tracing::info!(dir = %self.path.display(), "there is disk space again, records are taken");
                }
                return Ok(());
            }
        }
        self.available.fetch_add(bytes as i64, Ordering::Relaxed);
        Err(self.storage_full())
    }

    /// The share of the append queue that topics of this kind have.
    pub(super) fn queue_share(&self, internal: bool) -> &ByteBudget {
        if internal { &self.reserved_queue } else { &self.queue }
    }

    /// Bytes of batches that wait to be written.
    pub fn queued_bytes(&self) -> usize {
        self.queue.used() + self.reserved_queue.used()
    }

    /// Whether a file of `bytes` may be written beside the one that it will replace. Half of the reserve is open to the broker's own
    /// topics, which shrink by it; the other half is left to their appends. Say [`LogDir::space_changed`] when it is over.
    pub(super) fn admit_rewrite(&self, bytes: u64, internal: bool) -> Result<(), LogError> {
        let floor = if internal { self.reserve / 2 } else { self.reserve };
        match self.env.disk.available_space(&self.path) {
            Ok(free) if free < bytes.saturating_add(floor) => {
                Err(LogError::StorageFull { dir: Arc::clone(&self.path) })
            }
            Ok(free) => {
                // Appends meanwhile have what is left.
                let left = i64::try_from(free - bytes).unwrap_or(i64::MAX);
                self.available.fetch_min(left, Ordering::Relaxed);
                Ok(())
            }
            Err(_) => Ok(()),
        }
    }

    /// Files went or came: the next append asks for free space again.
    pub(super) fn space_changed(&self) {
        self.available.store(0, Ordering::Relaxed);
        *self.checked.lock() = None;
    }

    pub(super) fn storage_full(&self) -> LogError {
        let refused = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        let now = self.env.clock.now();
        let mut told = self.told_full.lock();
        if told.is_none_or(|at| now.duration_since(at) >= TELL_FULL) {
            *told = Some(now);
            let (dir, reserve) = (self.path.display(), self.reserve);
            tracing::warn!(%dir, reserve, refused, "no disk space left beside the reserve, records are refused until there is some");
        }
        LogError::StorageFull { dir: Arc::clone(&self.path) }
    }

    /// An error of a write or a directory change: a full disk and too many open files pass, anything else takes the directory out of service.
    pub(super) fn write_failed(&self, operation: &str, error: &io::Error) -> LogError {
        if LogError::is_full(error) {
            return self.storage_full();
        }
        if is_out_of_descriptors(error) {
            tracing::warn!(operation, %error, "too many open files; raise the limit of open files (ulimit -n)");
            let code = error.raw_os_error().unwrap_or_default();
            return LogError::io("opening a file")(io::Error::from_raw_os_error(code));
        }
        self.fail(operation, error)
    }

    /// How records were made durable so far.
    pub fn sync_counts(&self) -> SyncCounts {
        self.syncs.counts()
    }

    /// Writes refused for lack of space so far.
    pub fn refused_writes(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(super) fn set_checkpointer(&self, checkpointer: Checkpointer) {
        let _ = self.checkpointer.set(checkpointer);
    }

    /// Writes the recovery points now, on the calling disk thread: before files go that recovery would otherwise miss.
    pub(super) fn checkpoint_now(&self) {
        if let Some(checkpointer) = self.checkpointer.get() {
            checkpointer();
        }
    }

    /// Lets another process, or a new manager in this one, have the directory. Nothing may be written afterwards.
    pub(super) fn release(&self) {
        *self.lock.lock() = None;
    }

    /// Has files or directories removed once it is `at`.
    pub(super) fn remove_later(&self, paths: Vec<PathBuf>, at: Instant) {
        let mut trash = self.trash.lock();
        for path in paths {
            trash.add(path, at);
        }
    }

    /// Removes what is due. What cannot be removed is left to the next start.
    pub(super) fn empty_trash(&self) {
        let due = self.trash.lock().due(self.env.clock.now());
        for path in due {
            let removed = match self.env.disk.metadata(&path) {
                Ok(found) if found.kind == FileKind::Dir => self.env.disk.remove_dir_all(&path),
                Ok(_) => self.env.disk.remove_file(&path),
                Err(_) => continue,
            };
            if let Err(error) = removed {
                tracing::warn!(path = %path.display(), %error, "cannot remove a deleted file");
            }
        }
    }
}

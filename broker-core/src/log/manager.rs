//! All partitions of a node: opening the log directories, making and deleting partitions, checkpoints, orderly stop.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use levada_env::disk::{DiskLock, FileKind};
use levada_env::time::Duration;
use levada_env::{Disk, Env, IoClass};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::checkpoint::{
    self, CLEANER_FILE, HIGH_WATERMARK_FILE, LOG_START_FILE, META_FILE, Offsets, RECOVERY_POINT_FILE,
};
use super::loader::{Checkpointed, LoadContext, load};
use super::partition_log::Inner;
use super::{
    BufPool, LogConfig, LogDir, LogError, OpenError, PartitionLog, TailCache, TopicPartition, background, encode_uuid,
};

const LOCK_FILE: &str = ".lock";
const CLEAN_MARK_FILE: &str = ".levada_clean_shutdown";
const DELETE_SUFFIX: &str = "-delete";
const STRAY_SUFFIX: &str = "-stray";
/// Version of `meta.properties` written.
const META_VERSION: &str = "1";

/// How to open the log directories.
#[derive(Debug, Clone)]
pub struct LogManagerOptions {
    /// The log directories; made if missing. A partition lives in one of them.
    pub dirs: Vec<PathBuf>,
    /// This node's id, held against what the directories say.
    pub node_id: i32,
    /// The cluster's id; `None` takes the directories' own, or a new one.
    pub cluster_id: Option<String>,
    /// Settings of partitions found on disk until [`PartitionLog::update_config`].
    pub default_config: LogConfig,
    /// Disk space that ordinary topics leave free.
    pub reserve_bytes: u64,
    /// Budget of the tail cache.
    pub tail_cache_bytes: usize,
    /// Unused buffers kept.
    pub idle_buffer_bytes: usize,
    /// How often retention is enforced.
    pub retention_check: Duration,
}

impl LogManagerOptions {
    /// Usual settings for one directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dirs: vec![dir.into()],
            node_id: 1,
            cluster_id: None,
            default_config: LogConfig::default(),
            reserve_bytes: 16 << 20,
            tail_cache_bytes: 16 << 20,
            idle_buffer_bytes: 16 << 20,
            retention_check: Duration::from_secs(300),
        }
    }
}

#[derive(Debug)]
struct DirState {
    context: LoadContext,
    /// What the checkpoint files hold, so that they are written only when that changes.
    written: Mutex<BTreeMap<&'static str, Offsets>>,
    directory_id: String,
}

/// See the module. Shared by everything that touches logs.
#[derive(Debug)]
pub struct LogManager {
    pub(super) env: Env,
    pub(super) options: LogManagerOptions,
    cluster_id: String,
    dirs: Vec<DirState>,
    partitions: RwLock<BTreeMap<TopicPartition, PartitionLog>>,
    creating: Mutex<()>,
    tail_cache: Arc<TailCache>,
    pool: Arc<BufPool>,
    background: Mutex<Option<JoinHandle<()>>>,
    pub(super) stop: watch::Sender<bool>,
}

fn io_error(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    move |error| OpenError::Io { operation, path, error }
}

impl LogManager {
    /// Opens the log directories and every partition in them, verifying what an unclean stop left.
    pub async fn open(env: Env, options: LogManagerOptions) -> Result<Arc<Self>, OpenError> {
        let (tail_cache, pool) = (TailCache::new(options.tail_cache_bytes), BufPool::new(options.idle_buffer_bytes));
        let mut cluster_id = options.cluster_id.clone();
        let mut dirs = Vec::new();
        for (lane, path) in options.dirs.iter().enumerate() {
            let (lock, directory_id) = open_dir(&env, path, options.node_id, &mut cluster_id)?;
            let log_dir = LogDir::new(env.clone(), path.clone(), lane as u16, options.reserve_bytes, Some(lock));
            let context = LoadContext {
                env: env.clone(),
                log_dir: Arc::new(log_dir),
                tail_cache: Arc::clone(&tail_cache),
                pool: Arc::clone(&pool),
            };
            dirs.push(DirState { context, written: Mutex::default(), directory_id });
        }
        let manager = Self {
            env,
            options,
            cluster_id: cluster_id.unwrap_or_default(),
            dirs,
            partitions: RwLock::default(),
            creating: Mutex::new(()),
            tail_cache,
            pool,
            background: Mutex::new(None),
            stop: watch::Sender::new(false),
        };
        for dir in &manager.dirs {
            manager.load_dir(dir).await?;
        }
        let manager = Arc::new(manager);
        for dir in &manager.dirs {
            let weak = Arc::downgrade(&manager);
            dir.context.log_dir.set_checkpointer(Box::new(move || {
                if let Some(manager) = weak.upgrade() {
                    manager.write_checkpoints(&[RECOVERY_POINT_FILE, LOG_START_FILE]);
                }
            }));
            let (weak, lane) = (Arc::downgrade(&manager), dir.context.log_dir.lane);
            dir.context.log_dir.set_offline_listener(Box::new(move |cause| {
                if let Some(manager) = weak.upgrade() {
                    manager.tell_offline(lane, cause);
                }
            }));
        }
        Ok(manager)
    }

    async fn load_dir(&self, dir: &DirState) -> Result<(), OpenError> {
        let (disk, path) = (&self.env.disk, dir.context.log_dir.path());
        let mark = path.join(CLEAN_MARK_FILE);
        let clean = disk.exists(&mark);
        let checkpoints = DirCheckpoints::read(&**disk, path, clean)?;
        *dir.written.lock() = checkpoints.as_written();
        if clean {
            // From here on a stop is unclean until shutdown says otherwise.
            let removed = disk.remove_file(&mark).and_then(|()| disk.sync_dir(path));
            removed.map_err(io_error("remove", &mark))?;
        }
        let mut loading = Vec::new();
        for entry in disk.read_dir(path).map_err(io_error("list", path))? {
            let partition_dir = path.join(&entry.name);
            if entry.kind != FileKind::Dir {
                continue;
            }
            if entry.name.ends_with(DELETE_SUFFIX) {
                dir.context.log_dir.remove_later(vec![partition_dir], self.env.clock.now());
                continue;
            }
            let Some(partition) = TopicPartition::from_dir_name(&entry.name) else {
                if !entry.name.ends_with(STRAY_SUFFIX) {
                    tracing::warn!(path = %partition_dir.display(), "passing over a directory that is no partition's");
                }
                continue;
            };
            let (known, context, config) =
                (checkpoints.of(&partition), dir.context.clone(), self.options.default_config.clone());
            let (tx, rx) = oneshot::channel();
            let name = entry.name;
            let job = move || {
                let _ = tx.send(load(&context, partition, partition_dir, known, config, None));
            };
            disk.submit(IoClass::Read, Box::new(job));
            loading.push((name, rx));
        }
        let mut outdated = false;
        for (partition, loaded) in loading {
            let loaded = loaded.await.unwrap_or(Err(LogError::Closed));
            let log = loaded.map_err(|error| OpenError::Partition { partition: partition.clone(), error })?;
            outdated |= checkpoints.of(log.topic_partition()).is_past(log.log_end_offset());
            self.partitions.write().insert(log.topic_partition().clone(), log);
        }
        if outdated {
            // Now, before the log grows to where they would look right again.
            for file in [RECOVERY_POINT_FILE, LOG_START_FILE, CLEANER_FILE] {
                self.write_checkpoint(dir, file).map_err(io_error("write", &path.join(file)))?;
            }
        }
        Ok(())
    }

    /// The cluster's id: given, found, or made at first start.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The log directories with their ids.
    pub fn log_dirs(&self) -> Vec<(Arc<LogDir>, String)> {
        self.dirs.iter().map(|dir| (Arc::clone(&dir.context.log_dir), dir.directory_id.clone())).collect()
    }

    /// The environment everything of this node runs in.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// The process-wide tail cache.
    pub fn tail_cache(&self) -> &Arc<TailCache> {
        &self.tail_cache
    }

    /// The process-wide pool of buffers.
    pub fn buf_pool(&self) -> &Arc<BufPool> {
        &self.pool
    }

    /// The log of a partition.
    pub fn get(&self, partition: &TopicPartition) -> Option<PartitionLog> {
        self.partitions.read().get(partition).cloned()
    }

    /// All logs, ordered by topic and partition.
    pub fn partitions(&self) -> Vec<PartitionLog> {
        self.partitions.read().values().cloned().collect()
    }

    /// The log of a partition, made if it does not exist. Nothing is synced: that comes with the first record.
    pub async fn create(
        self: &Arc<Self>,
        partition: TopicPartition,
        topic_id: Option<Uuid>,
        config: LogConfig,
    ) -> Result<PartitionLog, LogError> {
        if let Some(log) = self.get(&partition) {
            return Ok(log);
        }
        let manager = Arc::clone(self);
        let work = move || manager.create_now(partition, topic_id, config);
        levada_env::disk::run(&*self.env.disk, IoClass::Maintenance, work).await.map_err(|_| LogError::Closed)?
    }

    fn create_now(
        &self,
        partition: TopicPartition,
        topic_id: Option<Uuid>,
        config: LogConfig,
    ) -> Result<PartitionLog, LogError> {
        let _creating = self.creating.lock();
        if let Some(log) = self.get(&partition) {
            return Ok(log);
        }
        let dir_state = self.emptiest_dir()?;
        self.forget_deleted(dir_state, &partition)?;
        let context = &dir_state.context;
        let dir = context.log_dir.path().join(partition.dir_name());
        let fresh = Checkpointed { clean: true, certain: true, ..Checkpointed::default() };
        let log = load(context, partition.clone(), dir, fresh, config, topic_id)?;
        self.partitions.write().insert(partition, log.clone());
        Ok(log)
    }

    /// Takes a deleted partition of this name out of the checkpoint files: its offsets must never be taken for the new one's.
    fn forget_deleted(&self, dir: &DirState, partition: &TopicPartition) -> Result<(), LogError> {
        for file in [RECOVERY_POINT_FILE, LOG_START_FILE, HIGH_WATERMARK_FILE, CLEANER_FILE] {
            let listed = dir.written.lock().get(file).is_some_and(|offsets| offsets.contains_key(partition));
            if listed && let Err(error) = self.write_checkpoint(dir, file) {
                if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
                    return Err(dir.context.log_dir.storage_full());
                }
                return Err(dir.context.log_dir.fail("writing a checkpoint", &error));
            }
        }
        Ok(())
    }

    fn emptiest_dir(&self) -> Result<&DirState, LogError> {
        let partitions = self.partitions.read();
        let count = |dir: &DirState| {
            partitions.values().filter(|log| Arc::ptr_eq(&log.inner.log_dir, &dir.context.log_dir)).count()
        };
        let online = self.dirs.iter().filter(|dir| dir.context.log_dir.offline_cause().is_none());
        match online.min_by_key(|dir| count(dir)) {
            Some(dir) => Ok(dir),
            None => {
                let cause = self.dirs.iter().find_map(|dir| dir.context.log_dir.offline_cause());
                Err(LogError::LogDirOffline { cause: cause.unwrap_or_else(|| "no log directory".into()) })
            }
        }
    }

    /// Takes a partition away: at once for its users, its files after `file.delete.delay.ms`.
    pub async fn delete(&self, partition: &TopicPartition) -> Result<(), LogError> {
        let Some(log) = self.partitions.write().remove(partition) else { return Ok(()) };
        log.inner.close();
        let id = self.env.rng.next_u64();
        log.run(IoClass::Maintenance, move |inner| rename_deleted(inner, id)).await?
    }

    /// Tells every partition of a log directory that it is out of service: none of them becomes durable any more, whosever write it was
    /// that failed.
    fn tell_offline(&self, lane: u16, cause: &str) {
        for log in self.partitions() {
            if log.inner.log_dir.lane == lane {
                log.inner.observe(|observer| observer.on_offline(cause));
            }
        }
    }

    /// Writes the offset checkpoints that changed. Runs on a disk thread.
    pub(super) fn write_checkpoints(&self, files: &[&'static str]) {
        for dir in &self.dirs {
            if dir.context.log_dir.offline_cause().is_some() {
                continue;
            }
            for file in files {
                if let Err(error) = self.write_checkpoint(dir, file) {
                    if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
                        tracing::warn!(file, %error, "no space for a checkpoint, keeping the old one");
                    } else {
                        dir.context.log_dir.fail("writing a checkpoint", &error);
                    }
                }
            }
        }
    }

    fn write_checkpoint(&self, dir: &DirState, file: &'static str) -> io::Result<()> {
        // Before the logs are looked at: one deleted in between must not come back with a write that began earlier.
        let mut written = dir.written.lock();
        let logs = self.partitions().into_iter().filter(|log| Arc::ptr_eq(&log.inner.log_dir, &dir.context.log_dir));
        let logs: Vec<PartitionLog> = logs.collect();
        let offsets: Offsets =
            logs.iter().filter_map(|log| Some((log.topic_partition().clone(), offset_for(file, log)?))).collect();
        if written.get(file) == Some(&offsets) {
            return Ok(());
        }
        if file == RECOVERY_POINT_FILE {
            // Recovery takes epochs from the batches past the recovery point only.
            for log in &logs {
                log.inner.flush_epochs()?;
            }
        }
        checkpoint::write_offsets(&*self.env.disk, &dir.context.log_dir.path().join(file), &offsets)?;
        if file == RECOVERY_POINT_FILE {
            for log in &logs {
                if let Some(offset) = offsets.get(log.topic_partition()) {
                    log.inner.checkpointed.store(*offset, Ordering::Release);
                }
            }
        }
        written.insert(file, offsets);
        Ok(())
    }

    /// Starts retention, checkpoints, cleaning and timed flushes. Call it once, on the runtime.
    pub fn start_background(self: &Arc<Self>) {
        let mut background = self.background.lock();
        if background.is_none() {
            *background = Some(tokio::spawn(background::run(Arc::clone(self))));
        }
    }

    /// Orderly stop: everything synced, state and checkpoints written, the directories marked clean. Stop appending before. Logs are closed
    /// afterwards.
    pub async fn shutdown(self: &Arc<Self>) {
        self.stop.send_replace(true);
        let background = self.background.lock().take();
        if let Some(background) = background {
            let _ = background.await;
        }
        let mut stopping = Vec::new();
        for log in self.partitions() {
            let (tx, rx) = oneshot::channel();
            let inner = Arc::clone(&log.inner);
            let job = move || {
                let _ = tx.send(inner.stop());
            };
            self.env.disk.submit(IoClass::Sync, Box::new(job));
            stopping.push((log, rx));
        }
        let mut unclean: BTreeSet<u16> = BTreeSet::new();
        for (log, stopped) in stopping {
            if let Err(error) = stopped.await.unwrap_or(Err(LogError::Closed)) {
                tracing::error!(partition = %log.topic_partition(), %error, "the partition was not stopped cleanly");
                unclean.insert(log.inner.log_dir.lane);
            }
        }
        let manager = Arc::clone(self);
        let finish = move || manager.finish_shutdown(&unclean);
        let _ = levada_env::disk::run(&*self.env.disk, IoClass::Maintenance, finish).await;
        for log in self.partitions() {
            log.inner.close();
        }
        for dir in &self.dirs {
            dir.context.log_dir.release();
        }
    }

    fn finish_shutdown(&self, unclean: &BTreeSet<u16>) {
        self.write_checkpoints(&[RECOVERY_POINT_FILE, LOG_START_FILE, HIGH_WATERMARK_FILE, CLEANER_FILE]);
        for dir in &self.dirs {
            let log_dir = &dir.context.log_dir;
            if unclean.contains(&log_dir.lane) || log_dir.offline_cause().is_some() {
                continue;
            }
            let mark = log_dir.path().join(CLEAN_MARK_FILE);
            if let Err(error) = self.env.disk.write_file_atomic(&mark, b"version=1\n") {
                tracing::error!(path = %mark.display(), %error, "cannot mark the log directory clean, the next start verifies it");
            }
        }
    }

    /// Runs what the background task does at its slowest rhythm, now: for tests and for `shutdown`-like moments.
    pub async fn checkpoint(self: &Arc<Self>) {
        let manager = Arc::clone(self);
        let write = move || {
            manager.write_checkpoints(&[RECOVERY_POINT_FILE, LOG_START_FILE, HIGH_WATERMARK_FILE, CLEANER_FILE]);
        };
        let _ = levada_env::disk::run(&*self.env.disk, IoClass::Maintenance, write).await;
    }

    /// Removes deleted files whose time has come. Runs on a disk thread.
    pub(super) fn empty_trash(&self) {
        for dir in &self.dirs {
            dir.context.log_dir.empty_trash();
        }
    }
}

fn offset_for(file: &str, log: &PartitionLog) -> Option<i64> {
    match file {
        RECOVERY_POINT_FILE => Some(log.recovery_point()),
        HIGH_WATERMARK_FILE => Some(log.high_watermark()),
        CLEANER_FILE => Some(log.inner.cleaned_to.load(Ordering::Acquire)).filter(|offset| *offset > 0),
        _ => {
            let first = log.inner.segments().first().map_or(0, |segment| segment.base_offset);
            Some(log.log_start_offset()).filter(|start| *start > first)
        }
    }
}

fn rename_deleted(inner: &Arc<Inner>, id: u64) -> Result<(), LogError> {
    let _writer = inner.writer.lock();
    let suffix = format!("-{}.{id:016x}{DELETE_SUFFIX}", inner.topic_partition.partition());
    // A file name has at most 255 bytes; topic names are ASCII.
    let topic: String = inner.topic_partition.topic().chars().take(255 - suffix.len()).collect();
    let to = inner.log_dir.path().join(format!("{topic}{suffix}"));
    let renamed = inner.env.disk.rename(&inner.dir, &to).and_then(|()| inner.env.disk.sync_dir(inner.log_dir.path()));
    renamed.map_err(|error| inner.write_failed("deleting a partition", &error))?;
    let delay = Duration::from_millis(inner.config.load().file_delete_delay_ms.max(0) as u64);
    inner.log_dir.remove_later(vec![to], inner.env.clock.now() + delay);
    Ok(())
}

impl Inner {
    /// Writes the leader epochs if they changed.
    pub(super) fn flush_epochs(&self) -> io::Result<()> {
        let entries = {
            let mut epochs = self.epochs.lock();
            if !std::mem::take(&mut epochs.dirty) {
                return Ok(());
            }
            epochs.entries().to_vec()
        };
        if self.is_closed() {
            return Ok(());
        }
        let written =
            checkpoint::write_epochs(&*self.env.disk, &self.dir.join(checkpoint::LEADER_EPOCH_FILE), &entries);
        if written.is_err() {
            self.epochs.lock().dirty = true;
        }
        written
    }

    /// The partition's part of an orderly stop.
    fn stop(self: &Arc<Self>) -> Result<(), LogError> {
        if self.is_closed() {
            return Ok(());
        }
        self.sync_once()?;
        let writer = self.writer.lock();
        let end = self.log_end();
        let write = || -> io::Result<()> {
            for segment in self.segments().iter() {
                segment.sync_indexes()?;
            }
            let snapshot = self.dir.join(super::segment::file_name(end, super::segment::SNAPSHOT_SUFFIX));
            if !self.env.disk.exists(&snapshot) {
                self.write_snapshot(&writer, end)?;
            }
            self.flush_epochs()
        };
        write().map_err(|error| self.write_failed("stopping", &error))
    }
}

/// The checkpoint files of one log directory.
struct DirCheckpoints {
    clean: bool,
    certain: bool,
    /// The files that are there and readable.
    found: Vec<&'static str>,
    recovery_points: Offsets,
    log_starts: Offsets,
    high_watermarks: Offsets,
    cleaned: Offsets,
}

impl DirCheckpoints {
    /// A damaged file is as good as none: verification then covers everything.
    fn read(disk: &dyn Disk, path: &Path, clean: bool) -> Result<Self, OpenError> {
        let mut found = Vec::new();
        let mut read = |name: &'static str| {
            let path = path.join(name);
            match checkpoint::read_offsets(disk, &path) {
                Ok(offsets) => {
                    found.extend(disk.exists(&path).then_some(name));
                    Ok(offsets)
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    tracing::warn!(path = %path.display(), %error, "unreadable checkpoint, verifying everything it covers");
                    Ok(Offsets::new())
                }
                Err(error) => Err(io_error("read", &path)(error)),
            }
        };
        let recovery_points = read(RECOVERY_POINT_FILE)?;
        let (log_starts, high_watermarks) = (read(LOG_START_FILE)?, read(HIGH_WATERMARK_FILE)?);
        let cleaned = read(CLEANER_FILE)?;
        // Written when the directory was made, so a missing one was lost.
        let certain = found.contains(&RECOVERY_POINT_FILE);
        Ok(Self { clean: clean && certain, certain, found, recovery_points, log_starts, high_watermarks, cleaned })
    }

    /// What the files hold, by file.
    fn as_written(&self) -> BTreeMap<&'static str, Offsets> {
        let files = [
            (RECOVERY_POINT_FILE, &self.recovery_points),
            (LOG_START_FILE, &self.log_starts),
            (HIGH_WATERMARK_FILE, &self.high_watermarks),
            (CLEANER_FILE, &self.cleaned),
        ];
        let found = files.into_iter().filter(|(file, _)| self.found.contains(file));
        found.map(|(file, offsets)| (file, offsets.clone())).collect()
    }

    fn of(&self, partition: &TopicPartition) -> Checkpointed {
        let offset = |offsets: &Offsets| offsets.get(partition).copied().unwrap_or(0).max(0);
        Checkpointed {
            clean: self.clean,
            certain: self.certain,
            recovery_point: offset(&self.recovery_points),
            log_start_offset: offset(&self.log_starts),
            high_watermark: offset(&self.high_watermarks),
            cleaned_to: offset(&self.cleaned),
        }
    }
}

/// Makes, locks and identifies a log directory. Gives the lock and the directory's id.
fn open_dir(
    env: &Env,
    path: &Path,
    node_id: i32,
    cluster_id: &mut Option<String>,
) -> Result<(Box<dyn DiskLock>, String), OpenError> {
    let disk = &env.disk;
    disk.create_dir_all(path).map_err(io_error("create", path))?;
    let lock = disk.lock_exclusive(&path.join(LOCK_FILE)).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => OpenError::Locked(path.to_owned()),
        _ => io_error("lock", &path.join(LOCK_FILE))(error),
    })?;
    let meta = path.join(META_FILE);
    let identity = |reason: String| OpenError::Identity { path: meta.clone(), reason };
    let found = checkpoint::read_properties(&**disk, &meta).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => identity(format!("{error}; restore the file or start with an empty directory")),
        _ => io_error("read", &meta)(error),
    })?;
    if let Some(properties) = found {
        let get = |key: &str| properties.get(key).cloned().unwrap_or_default();
        if get("version") != META_VERSION {
            return Err(identity(format!(
                "version {:?} is not known to this build, which knows {META_VERSION}",
                get("version")
            )));
        }
        if get("node.id") != node_id.to_string() {
            return Err(identity(format!("belongs to node.id {}, this node has {node_id}", get("node.id"))));
        }
        let expected = cluster_id.get_or_insert_with(|| get("cluster.id"));
        if *expected != get("cluster.id") {
            return Err(identity(format!("belongs to cluster {}, this node is of {expected}", get("cluster.id"))));
        }
        return Ok((lock, get("directory.id")));
    }
    // The directory's own entry first: a file in it is not durable before it is.
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        disk.sync_dir(parent).map_err(io_error("sync", parent))?;
    }
    let new_id = || encode_uuid(Uuid::from_bytes(env.rng.uuid_bytes()));
    let directory_id = new_id();
    let properties = BTreeMap::from([
        ("version".to_owned(), META_VERSION.to_owned()),
        ("cluster.id".to_owned(), cluster_id.get_or_insert_with(new_id).clone()),
        ("node.id".to_owned(), node_id.to_string()),
        ("directory.id".to_owned(), directory_id.clone()),
    ]);
    // First the checkpoint: once the directory has its identity, a missing recovery point means damage.
    let recovery_point = path.join(RECOVERY_POINT_FILE);
    if !disk.exists(&recovery_point) {
        checkpoint::write_offsets(&**disk, &recovery_point, &Offsets::new())
            .map_err(io_error("write", &recovery_point))?;
    }
    checkpoint::write_properties(&**disk, &meta, &properties).map_err(io_error("write", &meta))?;
    Ok((lock, directory_id))
}

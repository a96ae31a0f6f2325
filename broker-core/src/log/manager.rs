//! All partitions of a node: opening the log directories, making and deleting partitions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use levada_env::time::Duration;
use levada_env::{Env, IoClass};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::checkpoint::{self, LOG_START_FILE, Offsets, PARTITION_METADATA_FILE, RECOVERY_POINT_FILE};
use super::dir_identity::open_dir;
use super::loader::{Checkpointed, LoadContext, load};
use super::partition_log::Inner;
use super::{
    BufPool, ByteBudget, LogConfig, LogDir, LogError, OpenError, PartitionLog, TailCache, TopicPartition, background,
    encode_uuid,
};

/// Ends the name of the directory of a deleted partition.
pub(super) const DELETE_SUFFIX: &str = "-delete";
/// Ends the name of a directory that belongs to no known topic; it is left for the operator to look at.
pub(super) const STRAY_SUFFIX: &str = "-stray";

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
    /// Bytes of batches that may wait to be written, per log directory; the broker's own topics have a quarter of it on top.
    pub append_queue_bytes: usize,
    /// Memory for unpacking compressed batches while they are checked. One batch may take more, alone.
    pub unpack_bytes: usize,
    /// Budget of the tail cache.
    pub tail_cache_bytes: usize,
    /// Unused buffers kept.
    pub idle_buffer_bytes: usize,
    /// From so many files of a log directory that wait for a sync at once, one `syncfs` serves them all; 0 never uses it.
    pub syncfs_min_files: usize,
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
            append_queue_bytes: 32 << 20,
            unpack_bytes: 64 << 20,
            tail_cache_bytes: 16 << 20,
            idle_buffer_bytes: 16 << 20,
            syncfs_min_files: super::DEFAULT_SYNCFS_MIN_FILES,
            retention_check: Duration::from_secs(300),
        }
    }
}

/// A log directory and what belongs to it.
#[derive(Debug)]
pub(super) struct DirState {
    pub(super) context: LoadContext,
    /// What the checkpoint files hold, so that they are written only when that changes.
    pub(super) written: Mutex<BTreeMap<&'static str, Offsets>>,
    pub(super) directory_id: String,
}

/// See the module. Shared by everything that touches logs.
#[derive(Debug)]
pub struct LogManager {
    pub(super) env: Env,
    pub(super) options: LogManagerOptions,
    cluster_id: String,
    pub(super) dirs: Vec<DirState>,
    pub(super) partitions: RwLock<BTreeMap<TopicPartition, PartitionLog>>,
    creating: Mutex<()>,
    tail_cache: Arc<TailCache>,
    pool: Arc<BufPool>,
    pub(super) background: Mutex<Option<JoinHandle<()>>>,
    pub(super) stop: watch::Sender<bool>,
}

impl LogManager {
    /// Opens the log directories and every partition in them, verifying what an unclean stop left.
    pub async fn open(env: Env, options: LogManagerOptions) -> Result<Arc<Self>, OpenError> {
        let (tail_cache, pool) = (TailCache::new(options.tail_cache_bytes), BufPool::new(options.idle_buffer_bytes));
        let unpacking = ByteBudget::new(options.unpack_bytes);
        let mut cluster_id = options.cluster_id.clone();
        let mut dirs = Vec::new();
        for (lane, path) in options.dirs.iter().enumerate() {
            let (lock, directory_id) = open_dir(&env, path, options.node_id, &mut cluster_id)?;
            let log_dir = LogDir::new(env.clone(), path.clone(), lane as u16, &options, Some(lock));
            let context = LoadContext {
                env: env.clone(),
                log_dir: Arc::new(log_dir),
                tail_cache: Arc::clone(&tail_cache),
                pool: Arc::clone(&pool),
                unpacking: unpacking.clone(),
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

    /// Called once a second: gives memory back that a node at rest does not need.
    pub(super) fn rest(&self) {
        if self.tail_cache.rest() {
            self.pool.release();
            levada_env::memory::give_back();
        }
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
        self.set_former_aside(&context.log_dir, &partition, topic_id)?;
        let dir = context.log_dir.path().join(partition.dir_name());
        let fresh = Checkpointed { clean: true, certain: true, ..Checkpointed::default() };
        let log = load(context, partition.clone(), dir, fresh, config, topic_id)?;
        self.partitions.write().insert(partition, log.clone());
        Ok(log)
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
        let Some((log, to)) = self.take_away(partition, DELETE_SUFFIX) else { return Ok(()) };
        log.run(IoClass::Maintenance, move |inner| {
            rename_dir(inner, &to)?;
            let delay = Duration::from_millis(inner.config.load().file_delete_delay_ms.max(0) as u64);
            inner.log_dir.remove_later(vec![to], inner.env.clock.now() + delay);
            sync_names(inner)
        })
        .await?
    }

    /// Takes a partition away that belongs to no known topic: its directory gets the suffix `-stray`, as Kafka's do, and stays for the
    /// operator to decide.
    pub async fn set_aside(&self, partition: &TopicPartition) -> Result<(), LogError> {
        let Some((log, to)) = self.take_away(partition, STRAY_SUFFIX) else { return Ok(()) };
        let id = log.topic_id().map_or_else(|| "unknown".to_owned(), encode_uuid);
        tracing::warn!(
            path = %to.display(), topic_id = %id, records = log.log_end_offset() - log.log_start_offset(),
            "set aside a partition of a topic that the cluster's metadata does not know; remove the directory when its records are not needed"
        );
        log.run(IoClass::Maintenance, move |inner| rename_dir(inner, &to).and_then(|()| sync_names(inner))).await?
    }

    /// Ends a partition's use; gives the name its directory gets.
    fn take_away(&self, partition: &TopicPartition, suffix: &str) -> Option<(PartitionLog, PathBuf)> {
        let log = self.partitions.write().remove(partition)?;
        log.inner.close();
        let to = self.name_aside(&log.inner.log_dir, partition, suffix);
        Some((log, to))
    }

    /// A name that no other directory has, for one that is no partition's any more.
    fn name_aside(&self, log_dir: &LogDir, partition: &TopicPartition, suffix: &str) -> PathBuf {
        let suffix = format!("-{}.{:016x}{suffix}", partition.partition(), self.env.rng.next_u64());
        // A file name has at most 255 bytes; topic names are ASCII.
        let topic: String = partition.topic().chars().take(255 - suffix.len()).collect();
        log_dir.path().join(format!("{topic}{suffix}"))
    }

    /// Sets aside what a former topic of the same name has left, where its directory could not be renamed when it was deleted: its records
    /// are none of the new topic's.
    fn set_former_aside(
        &self,
        log_dir: &LogDir,
        partition: &TopicPartition,
        topic_id: Option<Uuid>,
    ) -> Result<(), LogError> {
        let disk = &*self.env.disk;
        let dir = log_dir.path().join(partition.dir_name());
        let found = checkpoint::read_topic_id(disk, &dir.join(PARTITION_METADATA_FILE)).ok().flatten();
        if topic_id.is_none() || found.is_none() || found == topic_id {
            return Ok(());
        }
        let to = self.name_aside(log_dir, partition, STRAY_SUFFIX);
        tracing::warn!(path = %to.display(), "set aside what a former topic of the same name has left");
        let renamed = disk.rename(&dir, &to).and_then(|()| disk.sync_dir(log_dir.path()));
        renamed.map_err(|error| log_dir.write_failed("setting a partition aside", &error))
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

    /// Starts retention, checkpoints, cleaning and timed flushes. Call it once, on the runtime.
    pub fn start_background(self: &Arc<Self>) {
        let mut background = self.background.lock();
        if background.is_none() {
            *background = Some(tokio::spawn(background::run(Arc::clone(self))));
        }
    }

    /// Removes deleted files whose time has come. Runs on a disk thread.
    pub(super) fn empty_trash(&self) {
        for dir in &self.dirs {
            dir.context.log_dir.empty_trash();
        }
    }
}

/// Gives a closed partition's directory another name.
fn rename_dir(inner: &Inner, to: &Path) -> Result<(), LogError> {
    let _writer = inner.writer.lock();
    inner.env.disk.rename(&inner.dir, to).map_err(|error| inner.write_failed("deleting a partition", &error))
}

/// Makes the names in the log directory durable.
fn sync_names(inner: &Inner) -> Result<(), LogError> {
    inner.env.disk.sync_dir(inner.log_dir.path()).map_err(|error| inner.write_failed("deleting a partition", &error))
}

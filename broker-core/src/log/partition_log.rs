//! The log of one partition: what is shared by its append, sync, read and maintenance paths.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use levada_env::{Env, IoClass};
use parking_lot::{Mutex, RwLock};
use uuid::Uuid;

use super::append_queue::Pending;
use super::checkpoint::{self, PARTITION_METADATA_FILE};
use super::leader_epochs::LeaderEpochs;
use super::producer_state::ProducerStates;
use super::segment::Segment;
use super::sync::SyncState;
use super::tail_cache::{PartitionTail, TailCache};
use super::{BufPool, ByteBudget, EpochEndOffset, EpochEntry, LogConfig, LogDir, LogError};

/// A topic and a partition number. Ordered by topic, then number.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    topic: Arc<str>,
    partition: i32,
}

impl TopicPartition {
    /// Names a partition.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }

    /// The topic's name.
    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// The partition's number.
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// The name of its directory.
    pub fn dir_name(&self) -> String {
        format!("{}-{}", self.topic, self.partition)
    }

    /// The partition whose directory has this name.
    pub fn from_dir_name(name: &str) -> Option<Self> {
        let (topic, partition) = name.rsplit_once('-')?;
        let digits = !partition.is_empty() && partition.bytes().all(|byte| byte.is_ascii_digit());
        if topic.is_empty() || !digits {
            return None;
        }
        Some(Self::new(topic, partition.parse().ok()?))
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

impl fmt::Debug for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Told when a log moves. Called on disk threads with the partition's writer lock held; must return quickly, must not block, and sees each
/// end only grow, except after a truncation.
pub trait LogObserver: Send + Sync {
    /// Records up to `log_end_offset` (exclusive) are written and readable.
    fn on_append(&self, log_end_offset: i64);
    /// Records up to `durable_end_offset` (exclusive) are durable as the topic's policy has it.
    fn on_durable(&self, durable_end_offset: i64);
    /// The log directory went out of service.
    fn on_offline(&self, cause: &str) {
        let _ = cause;
    }
}

/// What only the holder of the writer lock touches.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) producers: ProducerStates,
    /// Log bytes since the last entry of the active segment's index.
    pub(super) since_index_entry: u64,
    /// Taken off `segment.ms` for the active segment.
    pub(super) jitter_ms: i64,
    /// The active segment's file has part of a failed write behind its last batch.
    pub(super) torn: bool,
}

impl Writer {
    /// After a failed write: the active segment's file ends with its last whole batch again, at `position`. Where a full disk refuses that
    /// too, the next write does it first: what is left behind a shorter write could be taken for batches of the log after a crash.
    pub(super) fn cut_torn(&mut self, segment: &Segment, position: u64) -> io::Result<()> {
        if self.torn {
            segment.file()?.truncate(position)?;
            self.torn = false;
        }
        Ok(())
    }
}

pub(super) struct Inner {
    pub(super) env: Env,
    pub(super) log_dir: Arc<LogDir>,
    pub(super) topic_partition: TopicPartition,
    pub(super) dir: Arc<PathBuf>,
    pub(super) topic_id: Mutex<Option<Uuid>>,
    pub(super) config: ArcSwap<LogConfig>,
    pub(super) pending: Mutex<Pending>,
    pub(super) writer: Mutex<Writer>,
    pub(super) epochs: Mutex<LeaderEpochs>,
    /// Ordered by base offset; never empty; the last is the active one.
    pub(super) segments: RwLock<Arc<Vec<Arc<Segment>>>>,
    pub(super) log_start_offset: AtomicI64,
    pub(super) log_end_offset: AtomicI64,
    pub(super) high_watermark: AtomicI64,
    pub(super) first_unstable: AtomicI64,
    pub(super) sync: SyncState,
    pub(super) tail: Arc<PartitionTail>,
    pub(super) tail_cache: Arc<TailCache>,
    pub(super) pool: Arc<BufPool>,
    /// Memory for unpacking compressed batches, the process over.
    pub(super) unpacking: ByteBudget,
    pub(super) observer: RwLock<Option<Arc<dyn LogObserver>>>,
    pub(super) closed: AtomicBool,
    /// How often the log was cut at its end: what began before knows nothing of what was appended since.
    pub(super) truncations: AtomicU64,
    /// Cleaned up to here; owned by the cleaner.
    pub(super) cleaned_to: AtomicI64,
    /// Recovery point in the log directory's checkpoint file.
    pub(super) checkpointed: AtomicI64,
    /// Bytes appended since open, for metrics.
    pub(super) appended_bytes: AtomicU64,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionLog")
            .field("topic_partition", &self.topic_partition)
            .field("log_start_offset", &self.log_start_offset)
            .field("log_end_offset", &self.log_end_offset)
            .finish_non_exhaustive()
    }
}

impl Inner {
    pub(super) fn log_end(&self) -> i64 {
        self.log_end_offset.load(Ordering::Acquire)
    }

    pub(super) fn log_start(&self) -> i64 {
        self.log_start_offset.load(Ordering::Acquire)
    }

    pub(super) fn segments(&self) -> Arc<Vec<Arc<Segment>>> {
        Arc::clone(&self.segments.read())
    }

    pub(super) fn active(&self) -> Arc<Segment> {
        let segments = self.segments.read();
        // The list is never empty: every change of it keeps an active segment.
        Arc::clone(segments.last().unwrap_or_else(|| unreachable!("a log without a segment")))
    }

    pub(super) fn set_segments(&self, segments: Vec<Arc<Segment>>) {
        assert!(!segments.is_empty(), "a log keeps an active segment");
        *self.segments.write() = Arc::new(segments);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(super) fn check_usable(&self) -> Result<(), LogError> {
        if self.is_closed() { Err(LogError::Closed) } else { self.log_dir.check_online() }
    }

    pub(super) fn observe(&self, tell: impl FnOnce(&dyn LogObserver)) {
        let observer = self.observer.read().clone();
        if let Some(observer) = observer {
            tell(&*observer);
        }
    }

    fn write_topic_id(&self, topic_id: Uuid) -> Result<(), LogError> {
        let _writer = self.writer.lock();
        self.check_usable()?;
        let path = self.dir.join(PARTITION_METADATA_FILE);
        let written = self.env.disk.write_file_atomic(&path, checkpoint::encode_topic_id(topic_id).as_bytes());
        written.map_err(|error| self.write_failed("writing partition metadata", &error))?;
        *self.topic_id.lock() = Some(topic_id);
        Ok(())
    }

    /// [`LogDir::write_failed`], but names that are gone because the partition is deleted pass too.
    pub(super) fn write_failed(&self, operation: &str, error: &io::Error) -> LogError {
        if error.kind() == io::ErrorKind::NotFound && self.is_closed() {
            return LogError::Closed;
        }
        self.log_dir.write_failed(operation, error)
    }
}

/// The log of one partition; a cheap clone. See [`super`] for how it is used.
#[derive(Clone, Debug)]
pub struct PartitionLog {
    pub(super) inner: Arc<Inner>,
}

impl PartitionLog {
    /// Which partition it is.
    pub fn topic_partition(&self) -> &TopicPartition {
        &self.inner.topic_partition
    }

    /// The id of the topic it was made for, where `partition.metadata` tells.
    pub fn topic_id(&self) -> Option<Uuid> {
        *self.inner.topic_id.lock()
    }

    /// Gives a log whose `partition.metadata` was lost or damaged its topic's id, durable when this returns. A known id stays.
    pub async fn adopt_topic_id(&self, topic_id: Uuid) -> Result<(), LogError> {
        if self.topic_id().is_some() {
            return Ok(());
        }
        self.run(IoClass::Maintenance, move |inner| inner.write_topic_id(topic_id)).await?
    }

    /// The log directory it is in.
    pub fn log_dir(&self) -> &Arc<LogDir> {
        &self.inner.log_dir
    }

    /// The partition's own directory.
    pub fn dir(&self) -> &Arc<PathBuf> {
        &self.inner.dir
    }

    /// First offset there.
    pub fn log_start_offset(&self) -> i64 {
        self.inner.log_start()
    }

    /// Offset the next record gets.
    pub fn log_end_offset(&self) -> i64 {
        self.inner.log_end()
    }

    /// Offset after the last durable record (invariant 1); under page-cache policy the log end.
    pub fn durable_end_offset(&self) -> i64 {
        self.inner.sync.durable_end()
    }

    /// Offset up to which everything is on disk whatever the policy: what recovery need not check.
    pub fn recovery_point(&self) -> i64 {
        self.inner.sync.flushed()
    }

    /// The high watermark last told, from the checkpoint at first.
    pub fn high_watermark(&self) -> i64 {
        self.inner.high_watermark.load(Ordering::Acquire)
    }

    /// Tells the high watermark, which bounds retention and cleaning and goes into the checkpoint. The replica layer owns its meaning.
    /// It only grows (invariant 2), in whatever order it is told; truncation alone takes it back.
    pub fn set_high_watermark(&self, high_watermark: i64) {
        self.inner.high_watermark.fetch_max(high_watermark, Ordering::AcqRel);
    }

    /// First offset of the oldest open transaction, if there is one.
    pub fn first_unstable_offset(&self) -> Option<i64> {
        Some(self.inner.first_unstable.load(Ordering::Acquire)).filter(|offset| *offset >= 0)
    }

    /// Sets who is told of progress.
    pub fn set_observer(&self, observer: Arc<dyn LogObserver>) {
        *self.inner.observer.write() = Some(observer);
    }

    /// Settings in force.
    pub fn config(&self) -> Arc<LogConfig> {
        self.inner.config.load_full()
    }

    /// Changes the settings.
    pub fn update_config(&self, config: LogConfig) {
        self.inner.config.store(Arc::new(config));
        self.inner.after_policy_change();
    }

    /// Bytes of all segments.
    pub fn size(&self) -> u64 {
        self.inner.segments().iter().map(|segment| segment.size()).sum()
    }

    /// Number of segments.
    #[cfg(test)]
    pub(super) fn segment_count(&self) -> usize {
        self.inner.segments().len()
    }

    /// Bytes appended since it was opened.
    pub fn appended_bytes(&self) -> u64 {
        self.inner.appended_bytes.load(Ordering::Relaxed)
    }

    /// The newest leader epoch and where it starts.
    pub fn latest_epoch(&self) -> Option<EpochEntry> {
        self.inner.epochs.lock().latest()
    }

    /// Says that a new leader epoch starts at the log end. Durable with the next checkpoint; batches carry it too.
    pub fn assign_leader_epoch(&self, epoch: i32) {
        let end = self.inner.log_end();
        self.inner.epochs.lock().assign(epoch, end);
    }

    /// The end of the largest leader epoch not above `epoch` (OffsetForLeaderEpoch).
    pub fn end_offset_for_epoch(&self, epoch: i32) -> EpochEndOffset {
        let end = self.inner.log_end();
        self.inner.epochs.lock().end_offset_for(epoch, end)
    }

    /// The leader epoch of the record at `offset`.
    pub fn epoch_of(&self, offset: i64) -> Option<i32> {
        self.inner.epochs.lock().epoch_of(offset)
    }

    /// Runs `work` on the disk threads of `class`.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        class: IoClass,
        work: impl FnOnce(&Arc<Inner>) -> T + Send + 'static,
    ) -> Result<T, LogError> {
        let inner = Arc::clone(&self.inner);
        levada_env::disk::run(&*self.inner.env.disk, class, move || work(&inner)).await.map_err(|_| LogError::Closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_names_round_trip_and_others_are_refused() {
        let partition = TopicPartition::new("a-b.c", 12);
        assert_eq!(TopicPartition::from_dir_name(&partition.dir_name()), Some(partition));
        for name in ["a", "a-", "-1", "a-b", "a-0.123-delete", "a--1x", "a-+1"] {
            assert_eq!(TopicPartition::from_dir_name(name), None, "{name}");
        }
    }
}

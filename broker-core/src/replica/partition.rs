//! One partition this broker leads.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicI64, Ordering};

use bytes::Bytes;
use uuid::Uuid;

use super::ReplicaError;
use super::fetch_signal::{FetchSignal, GrowthMark, Watch, Watchers};
use super::growth::Growth;
use super::waits::OffsetWaits;
use crate::config::AckDurability;
use crate::log::{
    AppendInfo, AppendOrigin, AppendRequest, FrameRoom, LogError, LogObserver, LogRead, PartitionLog, ReadLimits,
    ValidationRules,
};

/// A leader's view of its partition. The in-sync replicas are this broker alone until followers exist; then the high
/// watermark becomes the minimum of their durable ends.
pub struct Partition {
    topic: Arc<str>,
    topic_id: Uuid,
    index: i32,
    log: PartitionLog,
    leader_epoch: AtomicI32,
    high_watermark: AtomicI64,
    watermark_waits: OffsetWaits,
    growth: Growth,
    watchers: Arc<Watchers>,
}

/// How much to read.
#[derive(Debug, Clone, Copy)]
pub struct ReadWish {
    /// Bytes wanted at most.
    pub max_bytes: usize,
    /// The first batch even if it is larger.
    pub at_least_one: bool,
    /// Ranges of segment files only: they hold no memory.
    pub from_files: bool,
}

/// Where the offsets of a partition are at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchPosition {
    /// Exclusive: consumers see what is below.
    pub high_watermark: i64,
    /// First offset there is.
    pub log_start_offset: i64,
    /// Exclusive: below it no transaction is open. The high watermark until transactions exist.
    pub last_stable_offset: i64,
}

/// An append that has been handed to the log.
pub struct PendingAppend {
    partition: Arc<Partition>,
    written: std::pin::Pin<Box<dyn Future<Output = Result<AppendInfo, LogError>> + Send>>,
}

impl PendingAppend {
    /// Wait for what `acks` asks for: -1 until the high watermark has passed the batch, 1 until this broker has it on
    /// disk (a duplicate waits too, invariant 1), 0 until it is written.
    pub async fn acknowledged(self, acks: i16) -> Result<AppendInfo, ReplicaError> {
        let info = self.written.await?;
        let end = info.last_offset + 1;
        match acks {
            -1 => self.partition.wait_high_watermark(end).await?,
            1 => self.partition.log.wait_durable(end).await?,
            _ => {}
        }
        Ok(info)
    }
}

impl Partition {
    /// Take over leadership of `log` in `leader_epoch`. Everything in the log counts as committed: the in-sync replicas
    /// are this broker alone, and recovery has made what it kept durable.
    pub(super) async fn lead(
        topic: Arc<str>,
        topic_id: Uuid,
        index: i32,
        log: PartitionLog,
        leader_epoch: i32,
    ) -> Result<Arc<Self>, LogError> {
        log.wait_durable(log.log_end_offset()).await?;
        let partition = Arc::new(Self {
            topic,
            topic_id,
            index,
            leader_epoch: AtomicI32::new(leader_epoch),
            high_watermark: AtomicI64::new(log.log_end_offset()),
            watermark_waits: OffsetWaits::default(),
            growth: Growth::new(log.appended_bytes()),
            watchers: Arc::default(),
            log,
        });
        partition.log.assign_leader_epoch(leader_epoch);
        partition.log.set_high_watermark(partition.high_watermark());
        partition.log.set_observer(Arc::new(Observer(Arc::downgrade(&partition))));
        if let Some(cause) = partition.log.log_dir().offline_cause() {
            // It went before there was an observer to tell.
            partition.went_offline(&cause);
        }
        Ok(partition)
    }

    /// The topic's name.
    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// The topic's id.
    pub fn topic_id(&self) -> Uuid {
        self.topic_id
    }

    /// The partition's number.
    pub fn index(&self) -> i32 {
        self.index
    }

    /// The log, for offsets by time, epochs and sizes.
    pub fn log(&self) -> &PartitionLog {
        &self.log
    }

    /// The epoch this broker leads in.
    pub fn leader_epoch(&self) -> i32 {
        self.leader_epoch.load(Ordering::Acquire)
    }

    /// Exclusive: consumers see what is below (invariant 2).
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark.load(Ordering::Acquire)
    }

    /// Offsets as a fetch answer has them.
    pub fn position(&self) -> FetchPosition {
        let high_watermark = self.high_watermark();
        FetchPosition {
            high_watermark,
            last_stable_offset: high_watermark,
            log_start_offset: self.log.log_start_offset(),
        }
    }

    /// Compare the leader epoch a client knows with the current one (KIP-320); -1 is "does not know".
    pub fn check_epoch(&self, given: i32) -> Result<(), ReplicaError> {
        let current = self.leader_epoch();
        match given {
            -1 => Ok(()),
            got if got < current => Err(ReplicaError::FencedEpoch { got, current }),
            got if got > current => Err(ReplicaError::UnknownEpoch { got, current }),
            _ => Ok(()),
        }
    }

    /// Check batches and hand them to the log, once it has room for them: a slow disk pushes back here. They are queued
    /// when this resolves, in the order in which a caller makes and awaits its calls, and are then written whatever
    /// happens to the caller.
    pub async fn append(
        self: &Arc<Self>,
        batches: Bytes,
        rules: AppendRules,
        frame: &mut FrameRoom,
    ) -> Result<PendingAppend, ReplicaError> {
        let config = self.log.config();
        if rules.acks == -1 && rules.min_insync_replicas > 1 {
            let wanted = rules.min_insync_replicas;
            return Err(ReplicaError::NotEnoughReplicas { in_sync: 1, wanted });
        }
        let validation = ValidationRules {
            zstd_allowed: rules.zstd_allowed,
            full: rules.full_validation,
            ..ValidationRules::new(&config, rules.now_ms, rules.origin)
        };
        let validated = self.log.validate(batches, &validation).await??.received_in(frame.frame_bytes());
        let permit = self.log.reserve_in(frame, validated.size()).await?;
        let request = match rules.origin {
            AppendOrigin::Coordinator => AppendRequest::coordinator(validated, self.leader_epoch()),
            _ => AppendRequest::leader(validated, self.leader_epoch()),
        };
        let written = self.log.append(request, permit);
        Ok(PendingAppend { partition: self.clone(), written: Box::pin(written) })
    }

    /// Wait until consumers may see everything below `end_offset`.
    pub async fn wait_high_watermark(&self, end_offset: i64) -> Result<(), ReplicaError> {
        if self.high_watermark() >= end_offset {
            return Ok(());
        }
        let passed = self.watermark_waits.register(end_offset);
        // It may have moved between the look and the registration.
        if self.high_watermark() >= end_offset {
            return Ok(());
        }
        passed.passed().await
    }

    /// Read whole batches from `offset` on, below the high watermark. An offset between the high watermark and the log's
    /// end gives nothing yet.
    pub async fn read(&self, offset: i64, wish: ReadWish) -> Result<Option<LogRead>, ReplicaError> {
        let position = self.position();
        if offset < position.log_start_offset || offset > self.log.log_end_offset() {
            return Err(LogError::OffsetOutOfRange {
                offset,
                log_start_offset: position.log_start_offset,
                log_end_offset: self.log.log_end_offset(),
            }
            .into());
        }
        if offset >= position.high_watermark {
            return Ok(None);
        }
        let ReadWish { max_bytes, at_least_one, from_files } = wish;
        let limits = ReadLimits { max_bytes, end_offset: position.high_watermark, at_least_one };
        let read = if from_files {
            self.log.read_from_files(offset, limits).await
        } else {
            self.log.read(offset, limits).await
        };
        Ok(Some(read?))
    }

    /// How far the partition has grown, for [`Self::watch`]. To be taken before it is read.
    pub fn growth_mark(&self) -> GrowthMark {
        self.watchers.mark()
    }

    /// Add to `signal` what consumers can see since `since` and from now on, up to `room` bytes; it is woken in any case
    /// when the partition goes. Ends when the answer is dropped.
    pub fn watch(&self, signal: &FetchSignal, since: GrowthMark, room: u64) -> Watch {
        self.watchers.add(signal, since, room)
    }

    /// Drop records below `offset` (-1: all that consumers can see) and answer the new log start offset.
    pub async fn delete_records(&self, offset: i64) -> Result<i64, ReplicaError> {
        let config = self.log.config();
        if config.compact && !config.delete {
            return Err(ReplicaError::Policy("records of a topic that is only compacted cannot be deleted"));
        }
        let high_watermark = self.high_watermark();
        let offset = if offset == -1 { high_watermark } else { offset };
        if offset < 0 || offset > high_watermark {
            return Err(LogError::OffsetOutOfRange {
                offset,
                log_start_offset: self.log.log_start_offset(),
                log_end_offset: self.log.log_end_offset(),
            }
            .into());
        }
        Ok(self.log.delete_records_before(offset).await?)
    }

    /// How many requests wait here: for the high watermark, and for more to fetch.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.watermark_waits.len(), self.watchers.len())
    }

    /// The topic is deleted: whoever waits hears that it is gone.
    pub(super) fn close(&self) {
        self.watermark_waits.fail(&ReplicaError::UnknownPartition);
        self.watchers.changed();
    }

    fn went_offline(&self, cause: &str) {
        self.watermark_waits.fail(&ReplicaError::Log(LogError::LogDirOffline { cause: cause.into() }));
        self.watchers.changed();
    }

    /// Move the high watermark to `end`. Observer calls come from several disk threads and may overtake each other:
    /// it never goes back (invariant 2), here and in the log, which keeps it for the checkpoint.
    pub(super) fn advance(&self, end: i64) {
        assert!(end <= self.log.log_end_offset(), "invariant 2: high watermark {end} is beyond the log's end");
        if self.high_watermark.fetch_max(end, Ordering::AcqRel) >= end {
            return;
        }
        self.log.set_high_watermark(end);
        self.watermark_waits.advance(end);
        let shown = self.growth.seen(end);
        self.watchers.grown(shown);
    }
}

/// How an append is to be checked.
#[derive(Debug, Clone, Copy)]
pub struct AppendRules {
    /// Wall time.
    pub now_ms: i64,
    /// Whose batches they are.
    pub origin: AppendOrigin,
    /// What the producer waits for.
    pub acks: i16,
    /// `min.insync.replicas` of the topic.
    pub min_insync_replicas: usize,
    /// Whether the request's version knows zstd.
    pub zstd_allowed: bool,
    /// `record.validation=full`.
    pub full_validation: bool,
}

/// Moves the high watermark. Holds the partition weakly: the log must not keep it alive.
struct Observer(std::sync::Weak<Partition>);

impl LogObserver for Observer {
    fn on_append(&self, end: i64) {
        let Some(partition) = self.0.upgrade() else { return };
        partition.growth.appended(end, partition.log.appended_bytes());
        if partition.log.config().ack_durability == AckDurability::PageCache {
            partition.advance(end);
        }
    }

    fn on_durable(&self, end: i64) {
        if let Some(partition) = self.0.upgrade() {
            partition.advance(end);
        }
    }

    fn on_offline(&self, cause: &str) {
        if let Some(partition) = self.0.upgrade() {
            partition.went_offline(cause);
        }
    }
}

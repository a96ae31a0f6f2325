//! The queue in front of a partition's append job: callers queue validated batches, one job per partition writes all that is queued.
//!
//! What waits here is done whatever becomes of its caller, so it can't live on memory that the caller answers for: every batch brings
//! room in its log directory's queue ([`PartitionLog::reserve`]) and holds it until it is written. Who gets no room waits before queueing.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Weak};

use levada_env::IoClass;
use tokio::sync::oneshot;

use super::LogError;
use super::append_write::Chunk;
use super::byte_budget::{BudgetClosed, BytePermit};
use super::partition_log::{Inner, PartitionLog};
use super::validate::{AppendOrigin, ValidatedBatches};

/// One group takes at most this much from the queue, so that partitions of a log directory take turns.
const GROUP_BYTES: usize = 4 << 20;
/// Two slices a batch; one pwritev takes 1024.
const GROUP_BATCHES: usize = 500;

/// Batches to append.
#[derive(Debug)]
pub struct AppendRequest {
    pub(super) batches: ValidatedBatches,
    pub(super) leader_epoch: i32,
    pub(super) origin: AppendOrigin,
}

impl AppendRequest {
    /// Batches of a producer, appended under `leader_epoch`.
    pub fn leader(batches: ValidatedBatches, leader_epoch: i32) -> Self {
        Self { batches, leader_epoch, origin: AppendOrigin::Client }
    }

    /// Batches of the broker itself (coordinators, metadata), control records included.
    pub fn coordinator(batches: ValidatedBatches, leader_epoch: i32) -> Self {
        Self { batches, leader_epoch, origin: AppendOrigin::Coordinator }
    }

    /// Batches fetched from the leader, which keep their offsets and epochs.
    pub fn replica(batches: ValidatedBatches) -> Self {
        Self { batches, leader_epoch: -1, origin: AppendOrigin::Replica }
    }
}

/// Where batches went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendInfo {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Offset of the last record.
    pub last_offset: i64,
    /// The broker's time if the topic uses it, else -1.
    pub log_append_time_ms: i64,
    /// The log's first offset.
    pub log_start_offset: i64,
    /// It was there already; the offsets are those it had then (invariant 5). Its durability is to be waited for all the same.
    pub duplicate: bool,
}

/// Room in the append queue of a log directory; given back when the batch is written or refused.
#[derive(Debug, Clone)]
pub struct AppendPermit {
    _room: Arc<BytePermit>,
}

/// Room for batches that are slices of one buffer: each of them keeps all of it in memory, so they share one permit of its size.
#[derive(Debug, Default)]
pub struct FrameRoom {
    frame_bytes: usize,
    /// By log directory and share. Held by what is queued alone: this must not hold one share while it waits for another.
    shared: Vec<(u16, bool, Weak<BytePermit>)>,
}

impl FrameRoom {
    /// Room for batches out of a buffer of `frame_bytes`; 0 where each batch has a buffer of its own.
    pub fn new(frame_bytes: usize) -> Self {
        Self { frame_bytes, shared: Vec::new() }
    }

    /// Bytes of the buffer.
    pub fn frame_bytes(&self) -> usize {
        self.frame_bytes
    }

    fn held(&self, lane: u16, internal: bool) -> Option<Arc<BytePermit>> {
        let held = self.shared.iter().find(|held| (held.0, held.1) == (lane, internal));
        held.and_then(|(.., permit)| permit.upgrade())
    }
}

pub(super) type Reply = oneshot::Sender<Result<AppendInfo, LogError>>;

#[derive(Debug)]
pub(super) struct Queued {
    pub(super) request: AppendRequest,
    pub(super) reply: Reply,
    pub(super) permit: AppendPermit,
}

/// Appends that wait for the job.
#[derive(Debug, Default)]
pub(super) struct Pending {
    queue: VecDeque<Queued>,
    running: bool,
}

impl PartitionLog {
    /// Room for `bytes` in the append queue of the log directory. Waits while it is full: that is how a slow disk pushes back. The
    /// broker's own topics have a share of their own.
    pub async fn reserve(&self, bytes: usize) -> Result<AppendPermit, LogError> {
        self.reserve_in(&mut FrameRoom::default(), bytes).await
    }

    /// The same for a batch of `bytes` out of the buffer that `frame` is for.
    pub async fn reserve_in(&self, frame: &mut FrameRoom, bytes: usize) -> Result<AppendPermit, LogError> {
        self.inner.check_usable()?;
        let (lane, internal) = (self.inner.log_dir.lane, self.inner.config.load().internal);
        if let Some(permit) = frame.held(lane, internal) {
            return Ok(AppendPermit { _room: permit });
        }
        let taken = self.inner.log_dir.queue_share(internal).take(bytes.max(frame.frame_bytes)).await;
        // Only a log directory that goes offline closes its shares.
        let permit = taken.map_err(|BudgetClosed| self.inner.check_usable().err().unwrap_or(LogError::Closed))?;
        let permit = Arc::new(permit);
        if frame.frame_bytes > 0 {
            frame.shared.retain(|held| (held.0, held.1) != (lane, internal));
            frame.shared.push((lane, internal, Arc::downgrade(&permit)));
        }
        Ok(AppendPermit { _room: permit })
    }

    /// Queues the batches; the answer comes when they are written and readable. Queued when called, and done even if the answer is dropped.
    /// Appends of one caller keep their order.
    pub fn append(
        &self,
        request: AppendRequest,
        permit: AppendPermit,
    ) -> impl Future<Output = Result<AppendInfo, LogError>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        match self.inner.check_usable() {
            Err(error) => {
                let _ = reply.send(Err(error));
            }
            Ok(()) => self.inner.enqueue(Queued { request, reply, permit }),
        }
        async move { answer.await.unwrap_or(Err(LogError::Closed)) }
    }
}

/// A panic while appending is a defect; it must not leave callers waiting, nor let more be written after a half-known state.
struct PanicGuard<'a>(&'a Inner);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = std::io::Error::other("the append thread panicked");
            let failed = self.0.log_dir.fail("append", &error);
            for queued in std::mem::take(&mut self.0.pending.lock().queue) {
                let _ = queued.reply.send(Err(failed.clone()));
            }
        }
    }
}

impl Inner {
    fn enqueue(self: &Arc<Self>, queued: Queued) {
        let mut pending = self.pending.lock();
        pending.queue.push_back(queued);
        if !std::mem::replace(&mut pending.running, true) {
            drop(pending);
            self.submit_append_job();
        }
    }

    fn submit_append_job(self: &Arc<Self>) {
        let inner = Arc::clone(self);
        self.env.disk.submit(IoClass::Append { lane: self.log_dir.lane }, Box::new(move || inner.run_append_job()));
    }

    fn take_group(&self) -> Vec<Queued> {
        let mut pending = self.pending.lock();
        let (mut bytes, mut batches, mut count) = (0, 0, 0);
        for queued in &pending.queue {
            bytes += queued.request.batches.size();
            batches += queued.request.batches.headers.len();
            if count > 0 && (bytes > GROUP_BYTES || batches > GROUP_BATCHES) {
                break;
            }
            count += 1;
        }
        pending.queue.drain(..count).collect()
    }

    fn run_append_job(self: &Arc<Self>) {
        let _guard = PanicGuard(self);
        let group = self.take_group();
        {
            let mut writer = self.writer.lock();
            let mut chunk = Chunk::default();
            for queued in group {
                if let Err((reply, error)) = self.stage(&mut writer, &mut chunk, queued) {
                    let _ = reply.send(Err(error));
                }
            }
            self.write_chunk(&mut writer, &mut chunk);
        }
        let mut pending = self.pending.lock();
        pending.running = !pending.queue.is_empty();
        if pending.running {
            drop(pending);
            self.submit_append_job();
        }
    }
}

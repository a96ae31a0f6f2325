//! The append path: callers queue validated batches; one job per partition writes all that is queued with one vectored write, then answers.
//!
//! Records are never copied: patched headers go out as slices of their own. Producer state changes are taken back if the write fails, and
//! the file is cut back to its last whole batch.

use std::collections::VecDeque;
use std::future::Future;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use levada_env::IoClass;
use levada_wire::records::{BatchHeader, HEADER_LEN};
use tokio::sync::oneshot;

use super::partition_log::{Inner, PartitionLog, Writer};
use super::producer_snapshot;
use super::producer_state::{BatchMetadata, SequenceCheck, Undo};
use super::segment::{SNAPSHOT_SUFFIX, Segment, file_name};
use super::tail_cache::{COPY_BELOW, CachedBatch};
use super::validate::{AppendOrigin, ValidatedBatches};
use super::{LogError, OpenOptions};

/// One group takes at most this much from the queue, so that partitions of a log directory take turns.
const GROUP_BYTES: usize = 4 << 20;
/// Two slices a batch; one pwritev takes 1024.
const GROUP_BATCHES: usize = 500;

/// Batches to append.
#[derive(Debug)]
pub struct AppendRequest {
    batches: ValidatedBatches,
    leader_epoch: i32,
    origin: AppendOrigin,
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

type Reply = oneshot::Sender<Result<AppendInfo, LogError>>;

#[derive(Debug)]
struct Queued {
    request: AppendRequest,
    reply: Reply,
}

/// Appends that wait for the job.
#[derive(Debug, Default)]
pub(super) struct Pending {
    queue: VecDeque<Queued>,
    running: bool,
}

impl PartitionLog {
    /// Queues the batches; the answer comes when they are written and readable. Queued when called, and done even if the answer is dropped.
    /// Appends of one caller keep their order. The queue holds memory the callers have permits for.
    pub fn append(&self, request: AppendRequest) -> impl Future<Output = Result<AppendInfo, LogError>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        match self.inner.check_usable() {
            Err(error) => {
                let _ = reply.send(Err(error));
            }
            Ok(()) => self.inner.enqueue(Queued { request, reply }),
        }
        async move { answer.await.unwrap_or(Err(LogError::Closed)) }
    }
}

/// Batches staged for one write.
#[derive(Default)]
struct Chunk {
    headers: Vec<u8>,
    batches: Vec<Staged>,
    size: u64,
    undo: Vec<Undo>,
    replies: Vec<(Reply, AppendInfo)>,
}

struct Staged {
    header: BatchHeader,
    records: Bytes,
    frame_bytes: usize,
}

impl Staged {
    /// Copied for the tail cache: little, or so small a part of what it came in that keeping it by reference would hold more than twice
    /// the memory that the cache accounts for.
    fn is_copied(&self) -> bool {
        let size = self.header.size();
        size < COPY_BELOW || size < self.frame_bytes / 2
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

    /// Checks one request against the log and adds it to the chunk, writing the chunk first if a new segment has to begin.
    fn stage(
        self: &Arc<Self>,
        writer: &mut Writer,
        chunk: &mut Chunk,
        queued: Queued,
    ) -> Result<(), (Reply, LogError)> {
        let Queued { request, reply } = queued;
        match self.try_stage(writer, chunk, &request) {
            Ok(info) => {
                chunk.replies.push((reply, info));
                Ok(())
            }
            Err(error) => Err((reply, error)),
        }
    }

    fn try_stage(
        self: &Arc<Self>,
        writer: &mut Writer,
        chunk: &mut Chunk,
        request: &AppendRequest,
    ) -> Result<AppendInfo, LogError> {
        self.check_usable()?;
        self.check_epoch(request)?;
        if let Some(duplicate) = Self::check_producers(writer, request)? {
            return Ok(self.duplicate_info(&duplicate));
        }
        let size = request.batches.size();
        let config = self.config.load();
        self.log_dir.admit(size, config.internal)?;
        let next = chunk.batches.last().map_or_else(|| self.log_end(), |staged| staged.header.next_offset());
        let headers = assign_offsets(request, next)?;
        let (Some(first), Some(last)) = (headers.first(), headers.last()) else {
            return Err(LogError::NotContiguous { expected: next, got: -1 });
        };
        let (base_offset, last_offset) = (first.base_offset, last.last_offset());
        if self.must_roll(writer, chunk, size as u64, &headers, last_offset) {
            self.write_chunk(writer, chunk);
            // If that write failed, offsets would be out of step with what was assigned above.
            if self.log_end() != next {
                return Err(self.log_dir.check_online().err().unwrap_or_else(|| self.log_dir.storage_full()));
            }
            // The new segment begins at the log end even where a follower's batch leaves a gap: recovery relies on it.
            self.roll(writer, next)?;
        }
        let mut rest = request.batches.bytes.clone();
        for header in headers {
            let mut records = rest.split_to(header.size().min(rest.len()));
            chunk.undo.extend(writer.producers.update(&header));
            chunk.headers.extend_from_slice(&header.to_bytes());
            chunk.size += header.size() as u64;
            chunk.batches.push(Staged {
                header,
                records: records.split_off(HEADER_LEN),
                frame_bytes: request.batches.frame_bytes,
            });
        }
        Ok(AppendInfo {
            base_offset,
            last_offset,
            log_append_time_ms: request.batches.log_append_time_ms.unwrap_or(-1),
            log_start_offset: self.log_start(),
            duplicate: false,
        })
    }

    fn check_epoch(&self, request: &AppendRequest) -> Result<(), LogError> {
        if request.origin == AppendOrigin::Replica {
            return Ok(());
        }
        let current = self.epochs.lock().latest().map_or(-1, |entry| entry.epoch);
        if request.leader_epoch < current {
            return Err(LogError::FencedLeaderEpoch { current, got: request.leader_epoch });
        }
        Ok(())
    }

    /// The batch this request repeats, if it does. Followers take what the leader has decided.
    fn check_producers(writer: &Writer, request: &AppendRequest) -> Result<Option<BatchMetadata>, LogError> {
        if request.origin == AppendOrigin::Replica {
            return Ok(None);
        }
        match request.batches.headers.as_slice() {
            [header] => match writer.producers.check(header)? {
                SequenceCheck::Append => Ok(None),
                SequenceCheck::Duplicate(batch) => Ok(Some(batch)),
            },
            headers => {
                // Several batches come from coordinators, which are not idempotent producers.
                for header in headers {
                    if let SequenceCheck::Duplicate(batch) = writer.producers.check(header)? {
                        return Ok(Some(batch));
                    }
                }
                Ok(None)
            }
        }
    }

    fn duplicate_info(&self, batch: &BatchMetadata) -> AppendInfo {
        AppendInfo {
            base_offset: batch.first_offset(),
            last_offset: batch.last_offset,
            log_append_time_ms: -1,
            log_start_offset: self.log_start(),
            duplicate: true,
        }
    }

    fn must_roll(&self, writer: &Writer, chunk: &Chunk, size: u64, headers: &[BatchHeader], last_offset: i64) -> bool {
        let (segment, config) = (self.active(), self.config.load());
        let current = segment.size() + chunk.size;
        if !segment.can_hold_offset(last_offset) {
            return true;
        }
        if current == 0 {
            return false;
        }
        let limit = config.segment_bytes.min(i32::MAX as u64);
        if current + size > limit || segment.index_size() + 16 > config.segment_index_bytes {
            return true;
        }
        let newest = headers.iter().map(|header| header.max_timestamp).max().unwrap_or(-1);
        let age = match segment.first_timestamp() {
            Some(first) => newest.saturating_sub(first),
            None => self.env.clock.wall_ms().saturating_sub(segment.created_ms),
        };
        age > config.segment_ms.saturating_sub(writer.jitter_ms)
    }

    /// Begins a new segment at `base_offset`, which is the log end.
    pub(super) fn roll(self: &Arc<Self>, writer: &mut Writer, base_offset: i64) -> Result<(), LogError> {
        let before = self.active();
        if before.size() == 0 && before.base_offset == base_offset {
            return Ok(());
        }
        let made = before.finish_indexes(base_offset).and_then(|()| {
            self.write_snapshot(writer, base_offset)?;
            Segment::create(&self.env.disk, &self.dir, base_offset, self.env.clock.wall_ms())
        });
        let segment = made.map_err(|error| self.write_failed("starting a segment", &error))?;
        let mut segments = self.segments().to_vec();
        segments.push(Arc::new(segment));
        self.set_segments(segments);
        self.sync.segment_rolled(Some(before));
        writer.since_index_entry = 0;
        writer.jitter_ms = self.env.rng.below(self.config.load().segment_jitter_ms.max(0) as u64) as i64;
        // Whatever the policy, a closed segment is flushed, so that recovery never has to read it.
        self.request_sync(base_offset);
        Ok(())
    }

    /// Writes the producer state as it is at `offset`. Not synced: it has a checksum, and a start does without a damaged one.
    pub(super) fn write_snapshot(&self, writer: &Writer, offset: i64) -> std::io::Result<()> {
        let bytes = producer_snapshot::encode(&writer.producers);
        let path = self.dir.join(file_name(offset, SNAPSHOT_SUFFIX));
        self.env.disk.open(&path, OpenOptions::REPLACE)?.write_all_at(&bytes, 0)
    }

    /// Writes what is staged, publishes it, and answers.
    fn write_chunk(self: &Arc<Self>, writer: &mut Writer, chunk: &mut Chunk) {
        let mut chunk = std::mem::take(chunk);
        if chunk.batches.is_empty() {
            // Only duplicates: they are in the log already.
            answer(chunk.replies, None);
            return;
        }
        let segment = self.active();
        let position = segment.size();
        let (first, end) = match (chunk.batches.first(), chunk.batches.last()) {
            (Some(first), Some(last)) => (first.header.base_offset, last.header.next_offset()),
            _ => return,
        };
        assert!(first >= self.log_end(), "invariant 4: offset {first} is used already");
        match write_batches(&segment, position, &chunk) {
            Ok(()) => {
                let headers = Bytes::from(std::mem::take(&mut chunk.headers));
                self.publish(writer, &segment, position, &chunk, headers, end);
                answer(chunk.replies, None);
            }
            Err(error) => {
                for undo in chunk.undo.into_iter().rev() {
                    writer.producers.restore(undo);
                }
                let error = self.cut_back(&segment, position, &error);
                answer(chunk.replies, Some(&error));
            }
        }
    }

    /// After a failed write: the file ends with its last whole batch again.
    fn cut_back(&self, segment: &Segment, position: u64, error: &std::io::Error) -> LogError {
        let failed = self.write_failed("write", error);
        if let Err(error) = segment.file().and_then(|file| file.truncate(position)) {
            return self.write_failed("cutting back after a failed write", &error);
        }
        failed
    }

    fn publish(
        self: &Arc<Self>,
        writer: &mut Writer,
        segment: &Segment,
        position: u64,
        chunk: &Chunk,
        headers: Bytes,
        end: i64,
    ) {
        let interval = self.config.load().index_interval_bytes;
        let mut at = position;
        for staged in &chunk.batches {
            segment.note_timestamps(&staged.header);
            if writer.since_index_entry > interval {
                // Memory has the entry in any case; writing it out can wait for the roll or the next start.
                if let Err(error) = segment.index_batch(&staged.header, at) {
                    tracing::warn!(partition = %self.topic_partition, %error, "cannot write an index file");
                }
                writer.since_index_entry = 0;
            }
            writer.since_index_entry += staged.header.size() as u64;
            at += staged.header.size() as u64;
        }
        {
            let mut epochs = self.epochs.lock();
            for staged in &chunk.batches {
                epochs.assign(staged.header.leader_epoch, staged.header.base_offset);
            }
        }
        segment.publish_size(at);
        self.log_end_offset.store(end, Ordering::Release);
        self.first_unstable.store(writer.producers.first_unstable_offset().unwrap_or(-1), Ordering::Release);
        self.appended_bytes.fetch_add(chunk.size, Ordering::Relaxed);
        self.tail_cache.insert(&self.tail, cached(&chunk.batches, &headers));
        self.observe(|observer| observer.on_append(end));
        self.after_append(end);
    }
}

/// Gives the batches their offsets; those from the leader keep theirs and must continue the log.
fn assign_offsets(request: &AppendRequest, mut next: i64) -> Result<Vec<BatchHeader>, LogError> {
    let mut headers = request.batches.headers.clone();
    for header in &mut headers {
        if request.origin == AppendOrigin::Replica {
            // A compacted leader leaves gaps; going back is never right.
            if header.base_offset < next || header.last_offset_delta < 0 {
                return Err(LogError::NotContiguous { expected: next, got: header.base_offset });
            }
        } else {
            header.base_offset = next;
            header.leader_epoch = request.leader_epoch;
        }
        next = header.next_offset();
    }
    Ok(headers)
}

fn write_batches(segment: &Segment, position: u64, chunk: &Chunk) -> std::io::Result<()> {
    let mut slices = Vec::with_capacity(chunk.batches.len() * 2);
    for (header, staged) in chunk.headers.chunks(HEADER_LEN).zip(&chunk.batches) {
        slices.push(IoSlice::new(header));
        slices.push(IoSlice::new(&staged.records));
    }
    segment.file()?.write_all_vectored_at(&mut slices, position)
}

/// The batches as the tail cache keeps them: those that are most of what they came in by reference, others copied together.
fn cached(batches: &[Staged], headers: &Bytes) -> Vec<CachedBatch> {
    let small = |staged: &&Staged| staged.is_copied();
    let mut copied = Vec::with_capacity(batches.iter().filter(small).map(|staged| staged.header.size()).sum());
    for (i, staged) in batches.iter().enumerate().filter(|(_, staged)| small(staged)) {
        copied.extend_from_slice(headers.get(i * HEADER_LEN..(i + 1) * HEADER_LEN).unwrap_or_default());
        copied.extend_from_slice(&staged.records);
    }
    let mut copied = Bytes::from(copied);
    let keep = |(i, staged): (usize, &Staged)| {
        let (header, records) = if small(&staged) {
            // One piece: readers parse it without looking for the rest elsewhere.
            (copied.split_to(staged.header.size()), Bytes::new())
        } else {
            (headers.slice(i * HEADER_LEN..(i + 1) * HEADER_LEN), staged.records.clone())
        };
        CachedBatch {
            base_offset: staged.header.base_offset,
            next_offset: staged.header.next_offset(),
            header,
            records,
        }
    };
    batches.iter().enumerate().map(keep).collect()
}

fn answer(replies: Vec<(Reply, AppendInfo)>, error: Option<&LogError>) {
    for (reply, info) in replies {
        // A duplicate in a group whose write failed may repeat a batch of that very group.
        let _ = reply.send(error.map_or(Ok(info), |error| Err(error.clone())));
    }
}

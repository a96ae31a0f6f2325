//! An idempotent producer of ready-built batches.
//!
//! Driven by its owner: [`Producer::send`] submits at once what may be in flight, and
//! [`Producer::poll`] takes in answers, tries again, and submits more. Nothing runs in the
//! background, so an owner that stops polling stops writing.
//!
//! - Batches of a partition reach the log in the order of their sends, without loss and without
//!   doubles, through retries too: sequences are assigned at the send and kept ([`PartitionQueue`]).
//! - Every submission runs inside the owner's [`Gate`], which can be shut for good. A batch may have an
//!   owner of its own, whose gate is passed too ([`Producer::send_owned`]).
//! - `acks=all` always.

mod partition;
pub mod partitioner;
mod producer_id;
mod stamp;
mod submit;

use crate::{BoxFuture, ClientError, Transport, metadata::Topic};
use bytes::Bytes;
use levada_env::Instant;
use levada_wire::{
    ErrorCode,
    records::{Compression, RecordBatchBuilder},
};
use partition::{Outcome, PartitionQueue};
use producer_id::ProducerId;
use std::{
    collections::HashMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

/// Bytes that a batch may leave unused of its buffer, besides as many as it uses.
const MOST_UNUSED: usize = 4096;

/// Runs a submission unless the owner's right to write has ended; says whether it ran.
pub trait Gate: Send + Sync {
    /// Calls `submit` while nobody can shut the gate, or not at all.
    fn pass(&self, submit: &mut dyn FnMut()) -> bool;
}

/// Polls `future` inside `gate` only; `None` once the gate is shut.
pub(crate) async fn gated<F: Future + Unpin>(gate: &dyn Gate, mut future: F) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        let mut polled = Poll::Pending;
        let passed = gate.pass(&mut || polled = Pin::new(&mut future).poll(context));
        if passed { polled.map(Some) } else { Poll::Ready(None) }
    })
    .await
}

/// A gate that is always open.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenGate;

impl Gate for OpenGate {
    fn pass(&self, submit: &mut dyn FnMut()) -> bool {
        submit();
        true
    }
}

/// How a producer behaves.
#[derive(Clone, Debug)]
pub struct ProducerOptions {
    /// Codec of the batches.
    pub compression: Compression,
    /// How long one request may take before it is sent again.
    pub request_timeout: Duration,
    /// How long a batch is tried; `None` for ever.
    pub delivery_timeout: Option<Duration>,
    /// Batches of one partition in flight together, at most 5 (what a broker remembers).
    pub max_in_flight: usize,
    /// Whether a topic that is gone may be made anew by looking it up, where the broker allows that. Not for topics
    /// that need configs of their own.
    pub create_topics: bool,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self {
            compression: Compression::None,
            request_timeout: Duration::from_secs(30),
            delivery_timeout: None,
            max_in_flight: 5,
            create_topics: true,
        }
    }
}

/// A partition that a producer has opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(usize);

impl Slot {
    /// Its number: slots are counted from 0 in the order they were opened.
    pub fn index(self) -> usize {
        self.0
    }
}

/// What became of a batch.
#[derive(Debug)]
pub struct Completion {
    /// The number that the owner gave the batch.
    pub tag: u64,
    /// The partition it was for.
    pub slot: Slot,
    /// How many records it holds.
    pub records: usize,
    /// The number of bytes it counted for in [`Producer::in_flight_bytes`].
    pub bytes: usize,
    /// Offset of its first record, or why the broker refused it for good.
    pub result: Result<i64, ClientError>,
    /// The batch's buffer, if nobody else holds it.
    pub buffer: Option<Vec<u8>>,
}

struct Partition {
    topic: Arc<str>,
    topic_id: uuid::Uuid,
    index: i32,
    queue: PartitionQueue,
}

struct InFlight {
    slot: usize,
    batch: u64,
    answer: BoxFuture<'static, Outcome>,
}

/// The producer. See the module's documentation.
pub struct Producer {
    transport: Arc<dyn Transport>,
    gate: Arc<dyn Gate>,
    runtime: tokio::runtime::Handle,
    options: ProducerOptions,
    id: ProducerId,
    partitions: Vec<Partition>,
    in_flight: Vec<InFlight>,
    in_flight_bytes: usize,
    /// Gates of batches that have owners of their own, by the batch's number.
    owners: HashMap<u64, Arc<dyn Gate>>,
    retry: Option<BoxFuture<'static, ()>>,
    refresh: Option<BoxFuture<'static, Vec<Topic>>>,
    completed: Vec<Completion>,
    next_batch: u64,
    scratch: Vec<u8>,
    revoked: bool,
}

impl Producer {
    /// Gets a producer id from the broker, waiting up to `deadline`. Timers run on `runtime`.
    pub async fn connect(
        transport: Arc<dyn Transport>,
        gate: Arc<dyn Gate>,
        runtime: tokio::runtime::Handle,
        options: ProducerOptions,
        deadline: Duration,
    ) -> Result<Self, ClientError> {
        let id = ProducerId::init(&*transport, deadline).await?;
        Ok(Self {
            transport,
            gate,
            runtime,
            options,
            id,
            partitions: Vec::new(),
            in_flight: Vec::new(),
            in_flight_bytes: 0,
            owners: HashMap::new(),
            retry: None,
            refresh: None,
            completed: Vec::new(),
            next_batch: 0,
            scratch: Vec::new(),
            revoked: false,
        })
    }

    /// Makes a partition known. The same one again gives the same slot.
    pub fn open(&mut self, topic: &Topic, partition: i32) -> Slot {
        let known = |open: &Partition| open.index == partition && open.topic == topic.name;
        if let Some(index) = self.partitions.iter().position(known) {
            return Slot(index);
        }
        self.partitions.push(Partition {
            topic: topic.name.clone(),
            topic_id: topic.id,
            index: partition,
            queue: PartitionQueue::new(self.options.max_in_flight.clamp(1, 5)),
        });
        Slot(self.partitions.len() - 1)
    }

    /// Takes a batch and submits it, now or when its turn comes. `tag` comes back with the answer. A buffer that is much larger
    /// than its batch is given back at once: whoever keeps the batch would keep all of it.
    pub fn send(&mut self, slot: Slot, builder: RecordBatchBuilder, tag: u64) -> Result<Option<Vec<u8>>, ClientError> {
        self.send_owned(slot, builder, tag, None)
    }

    /// As [`Producer::send`] for an owner of the batch alone: each of its submissions, retries included, passes `owner`
    /// too. Once that is shut the batch ends with [`ClientError::Revoked`], and the producer goes on.
    pub fn send_owned(
        &mut self,
        slot: Slot,
        mut builder: RecordBatchBuilder,
        tag: u64,
        owner: Option<Arc<dyn Gate>>,
    ) -> Result<Option<Vec<u8>>, ClientError> {
        let Some(partition) = self.partitions.get_mut(slot.0) else { return Ok(None) };
        let records = builder.count().max(0) as usize;
        let sequence = partition.queue.reserve(records);
        builder.set_producer(self.id.id, self.id.epoch, stamp::wire_sequence(sequence));
        let bytes = builder.finish_with(self.options.compression, None, &mut self.scratch).map_err(|error| {
            ClientError::CorruptRecords {
                topic: partition.topic.to_string(),
                partition: partition.index,
                offset: -1,
                cause: error.to_string(),
            }
        })?;
        let (bytes, spare) = if bytes.capacity() > 2 * bytes.len() + MOST_UNUSED {
            (Bytes::copy_from_slice(&bytes), Some(bytes))
        } else {
            (Bytes::from(bytes), None)
        };
        self.in_flight_bytes += bytes.len();
        self.next_batch += 1;
        self.owners.extend(owner.map(|owner| (self.next_batch, owner)));
        partition.queue.push(partition::Batch {
            id: self.next_batch,
            tag,
            bytes,
            sequence,
            records,
            attempts: 0,
            ambiguous: false,
            stale: false,
            first_sent: None,
        });
        self.submit_all();
        Ok(spare)
    }

    /// Bytes sent and not completed.
    pub fn in_flight_bytes(&self) -> usize {
        self.in_flight_bytes
    }

    /// Whether every batch sent is completed.
    pub fn is_idle(&self) -> bool {
        self.in_flight_bytes == 0
    }

    /// Whether the partition has nothing submitted or waiting.
    pub fn is_slot_idle(&self, slot: Slot) -> bool {
        self.partitions.get(slot.0).is_none_or(|partition| partition.queue.is_empty())
    }

    /// Lets go of memory that only busy times need.
    pub fn rest(&mut self) {
        self.scratch = Vec::new();
    }

    /// What has become of batches since the last call.
    pub fn take_completed(&mut self) -> Vec<Completion> {
        std::mem::take(&mut self.completed)
    }

    /// Takes in what has been answered, without waiting.
    pub fn try_progress(&mut self) {
        let _ = self.poll(&mut Context::from_waker(Waker::noop()));
    }

    /// Takes in answers and submits what has become possible. Ready when something is completed (or
    /// nothing can be, for the gate is shut).
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let runtime = self.runtime.clone();
        let _entered = runtime.enter();
        loop {
            let mut moved = self.poll_answers(context);
            moved |= self.poll_timers(context);
            moved |= self.id.poll(context, &self.transport, &mut self.partitions, self.in_flight.is_empty());
            if moved {
                self.submit_all();
            } else {
                break;
            }
        }
        if self.completed.is_empty() && !self.revoked { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Waits until something is completed; at once when nothing is in flight.
    pub async fn progress(&mut self) {
        if self.is_idle() && self.completed.is_empty() {
            return;
        }
        std::future::poll_fn(|context| self.poll(context)).await;
    }

    /// Whether the gate was found shut. Nothing is sent any more.
    pub fn is_revoked(&self) -> bool {
        self.revoked
    }

    /// Polls what is in flight, inside the gate: a transport may hand a request over only at a later
    /// poll than the first (invariant 8).
    fn poll_answers(&mut self, context: &mut Context<'_>) -> bool {
        let mut answers = Vec::new();
        let gate = self.gate.clone();
        let passed = gate.pass(&mut || {
            self.in_flight.retain_mut(|flight| match flight.answer.as_mut().poll(context) {
                Poll::Pending => true,
                Poll::Ready(outcome) => {
                    answers.push((flight.slot, flight.batch, outcome));
                    false
                }
            });
        });
        self.revoked |= !passed;
        let moved = !answers.is_empty();
        for (slot, batch, outcome) in answers {
            self.answered(slot, batch, outcome);
        }
        moved
    }

    fn poll_timers(&mut self, context: &mut Context<'_>) -> bool {
        let mut moved = false;
        if let Some(retry) = &mut self.retry
            && retry.as_mut().poll(context).is_ready()
        {
            self.retry = None;
            moved = true;
        }
        if let Some(refresh) = &mut self.refresh
            && let Poll::Ready(topics) = refresh.as_mut().poll(context)
        {
            self.refresh = None;
            for topic in topics {
                let same = self.partitions.iter_mut().filter(|partition| partition.topic == topic.name);
                same.for_each(|partition| partition.topic_id = topic.id);
            }
            moved = true;
        }
        moved
    }

    fn answered(&mut self, slot: usize, batch: u64, outcome: Outcome) {
        let Some(partition) = self.partitions.get_mut(slot) else { return };
        let outcome = match (outcome, self.options.delivery_timeout) {
            (Outcome::Retry { error, ambiguous }, Some(timeout))
                if partition.queue.age(batch).is_some_and(|age| age >= timeout) =>
            {
                Outcome::Refused { error, ambiguous }
            }
            (outcome, _) => outcome,
        };
        if let Outcome::Retry { error, .. } = &outcome {
            let (topic, number, attempts) = (&partition.topic, partition.index, partition.queue.attempts(batch));
            if attempts % 10 == 5 {
                tracing::warn!(%topic, partition = number, attempts, %error, "produce still fails and is tried again");
            } else {
                tracing::debug!(%topic, partition = number, attempts, %error, "produce is tried again");
            }
            if matches!(
                error.code(),
                Some(
                    ErrorCode::UnknownTopicOrPartition
                        | ErrorCode::UnknownTopicId
                        | ErrorCode::InconsistentTopicId
                        | ErrorCode::NotLeaderOrFollower
                )
            ) {
                self.refresh =
                    Some(submit::refresh(self.transport.clone(), partition.topic.clone(), self.options.create_topics));
            }
            let wait = submit::backoff(partition.queue.attempts(batch));
            self.retry = Some(Box::pin(levada_env::time::sleep(wait)));
        }
        let answer = partition.queue.answered(batch, outcome);
        if answer.needs_new_producer {
            self.id.renew();
        }
        if let Some((batch, result)) = answer.finished {
            self.owners.remove(&batch.id);
            let bytes = batch.bytes.len();
            self.in_flight_bytes = self.in_flight_bytes.saturating_sub(bytes);
            self.completed.push(Completion {
                tag: batch.tag,
                slot: Slot(slot),
                records: batch.records,
                bytes,
                result,
                buffer: batch.bytes.is_unique().then(|| Vec::from(batch.bytes)),
            });
        }
    }

    fn submit_all(&mut self) {
        if self.retry.is_some() || self.refresh.is_some() || self.id.is_renewing() || self.revoked {
            return;
        }
        for index in 0..self.partitions.len() {
            while !self.revoked && self.submit_one(index) {}
        }
    }

    fn submit_one(&mut self, index: usize) -> bool {
        let Some(partition) = self.partitions.get_mut(index) else { return false };
        let (topic, id, number) = (partition.topic.clone(), partition.topic_id, partition.index);
        let stamp = |bytes: &Bytes, sequence| stamp::restamped(bytes, self.id.id, self.id.epoch, sequence);
        let Some(batch) = partition.queue.next(Instant::now(), stamp) else { return false };
        let request = submit::request(&topic, id, number, batch.bytes.clone(), self.options.request_timeout);
        let (batch, timeout) = (batch.id, self.options.request_timeout);
        let runtime = self.runtime.clone();
        let _entered = runtime.enter();
        let mut answer = submit::submit(self.transport.clone(), request, topic, number, timeout);
        let mut ready = None;
        // This poll hands the request over; a later one by the owner registers the real waker.
        let mut hand_over = || {
            let mut context = Context::from_waker(Waker::noop());
            if let Poll::Ready(outcome) = answer.as_mut().poll(&mut context) {
                ready = Some(outcome);
            }
        };
        let owner = self.owners.get(&batch).cloned();
        let mut owned = true;
        let passed = self.gate.pass(&mut || match &owner {
            Some(owner) => owned = owner.pass(&mut hand_over),
            None => hand_over(),
        });
        if !passed {
            self.revoked = true;
            return false;
        }
        if !owned {
            ready = Some(Outcome::Refused { error: ClientError::Revoked, ambiguous: false });
        }
        match ready {
            Some(outcome) => self.answered(index, batch, outcome),
            None => self.in_flight.push(InFlight { slot: index, batch, answer }),
        }
        self.retry.is_none()
    }
}

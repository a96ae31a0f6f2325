//! The stores' writer: small appends of many callers, gathered into one batch for each partition, so
//! that they share a disk sync.
//!
//! One background task owns the producer. A round takes everything that is queued, sends it, and
//! waits for all of it; what comes meanwhile is the next round. It ends when the bus is dropped.
//! Every batch carries its owner's token down to each submission (invariant 8): what waits for its
//! turn when the owner is revoked is not written any more.

use super::{CALL_DEADLINE, error_map::bus_error};
use crate::connect::bus::{BusError, OwnerToken, Result, WriteRecord};
use levada_client::{
    ClientError, Producer, Transport,
    metadata::{self, Topic},
    producer::{Completion, Gate, OpenGate, Slot, partitioner},
};
use levada_env::Clock;
use levada_wire::records::RecordBatchBuilder;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot};

/// Requests that may wait.
const QUEUE: usize = 1024;
/// Bytes that one round takes at most, beside its first request.
const ROUND_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of a batch after which another is begun.
const BATCH_BYTES: usize = 512 * 1024;
/// How long a write is tried before it is given up.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(60);

struct Request {
    topic: String,
    records: Vec<WriteRecord>,
    owner: Option<OwnerToken>,
    done: oneshot::Sender<Result<()>>,
}

/// Handle of the background task.
pub(super) struct Writer {
    queue: mpsc::Sender<Request>,
}

impl Writer {
    pub(super) fn start(
        runtime: &tokio::runtime::Handle,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (queue, requests) = mpsc::channel(QUEUE);
        runtime.spawn(Round { transport, clock, producer: None, topics: HashMap::new() }.run(requests));
        Self { queue }
    }

    pub(super) async fn write(
        &self,
        topic: String,
        records: Vec<WriteRecord>,
        owner: Option<OwnerToken>,
    ) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let (done, answer) = oneshot::channel();
        let request = Request { topic, records, owner, done };
        self.queue.send(request).await.map_err(|_| BusError::Closed)?;
        answer.await.unwrap_or(Err(BusError::Closed))
    }
}

struct Round {
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    producer: Option<Producer>,
    topics: HashMap<String, Topic>,
}

/// A request that is on its way.
struct Sent {
    topic: String,
    batches: usize,
    failed: Option<BusError>,
    done: oneshot::Sender<Result<()>>,
}

impl Round {
    async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(first) = requests.recv().await {
            let mut bytes = 0;
            let mut round = vec![first];
            while bytes < ROUND_BYTES
                && let Ok(next) = requests.try_recv()
            {
                bytes += next.records.iter().map(size).sum::<usize>();
                round.push(next);
            }
            self.round(round).await;
        }
    }

    async fn round(&mut self, round: Vec<Request>) {
        let mut ready = Vec::new();
        for request in round {
            match self.prepare(&request.topic).await {
                Ok(topic) => ready.push((request, topic)),
                Err(error) => drop(request.done.send(Err(error))),
            }
        }
        if ready.is_empty() {
            return;
        }
        let Some(mut producer) = self.producer.take() else { return };
        let mut sent = self.send(&mut producer, ready);
        while !producer.is_idle() {
            producer.progress().await;
            for completion in producer.take_completed() {
                self.completed(completion, &mut sent);
            }
        }
        for completion in producer.take_completed() {
            self.completed(completion, &mut sent);
        }
        for sent in sent {
            let result = match sent.failed {
                Some(error) => Err(error),
                None if sent.batches == 0 => Ok(()),
                None => Err(BusError::Closed),
            };
            let _ = sent.done.send(result);
        }
        self.producer = Some(producer);
    }

    /// Looks up what a request needs: the producer and the topic.
    async fn prepare(&mut self, topic: &str) -> Result<Topic> {
        let failed = |error| bus_error(format!("write to topic {topic}"), error);
        if self.producer.is_none() {
            let options = levada_client::ProducerOptions {
                delivery_timeout: Some(DELIVERY_TIMEOUT),
                // Made by a look-up, an internal topic would not be compacted.
                create_topics: false,
                ..levada_client::ProducerOptions::default()
            };
            let runtime = tokio::runtime::Handle::current();
            let producer =
                Producer::connect(self.transport.clone(), Arc::new(OpenGate), runtime, options, CALL_DEADLINE).await;
            self.producer = Some(producer.map_err(failed)?);
        }
        if let Some(known) = self.topics.get(topic) {
            return Ok(known.clone());
        }
        let found = metadata::topics(&*self.transport, &[topic], false, CALL_DEADLINE).await.map_err(failed)?;
        let found = found.into_iter().next().ok_or_else(|| BusError::UnknownTopic { topic: topic.to_owned() })?;
        self.topics.insert(topic.to_owned(), found.clone());
        Ok(found)
    }

    /// Sends each request's records, one batch for each partition (more when it is large). Requests
    /// of one round keep their order in each partition.
    fn send(&self, producer: &mut Producer, ready: Vec<(Request, Topic)>) -> Vec<Sent> {
        let mut sent = Vec::with_capacity(ready.len());
        for (index, (request, topic)) in ready.into_iter().enumerate() {
            let mut entry = Sent { topic: request.topic, batches: 0, failed: None, done: request.done };
            let owner = request.owner.map(|owner| Arc::new(owner) as Arc<dyn Gate>);
            let sending =
                self.send_one(producer, &topic, request.records, index as u64, owner.as_ref(), &mut entry.batches);
            if let Err(error) = sending {
                entry.failed = Some(bus_error(format!("write to topic {}", entry.topic), error));
            }
            sent.push(entry);
        }
        sent
    }

    fn send_one(
        &self,
        producer: &mut Producer,
        topic: &Topic,
        records: Vec<WriteRecord>,
        tag: u64,
        owner: Option<&Arc<dyn Gate>>,
        batches: &mut usize,
    ) -> Result<(), ClientError> {
        let now = self.clock.wall_ms();
        let mut open: Vec<(Slot, RecordBatchBuilder)> = Vec::new();
        for record in records {
            let chosen = record.partition.filter(|partition| (0..topic.partitions).contains(partition));
            let partition = chosen.unwrap_or_else(|| partitioner::partition_of(&record.key, topic.partitions));
            let slot = producer.open(topic, partition);
            let place = match open.iter().position(|(known, _)| *known == slot) {
                Some(place) => place,
                None => {
                    open.push((slot, RecordBatchBuilder::new(Vec::new())));
                    open.len() - 1
                }
            };
            let Some((_, builder)) = open.get_mut(place) else { continue };
            if !builder.is_empty() && builder.size() + size(&record) > BATCH_BYTES {
                let full = std::mem::replace(builder, RecordBatchBuilder::new(Vec::new()));
                producer.send_owned(slot, full, tag, owner.cloned())?;
                *batches += 1;
            }
            let added = builder.append(now, Some(&record.key), record.value.as_deref(), []);
            added.map_err(|error| ClientError::CorruptRecords {
                topic: topic.name.to_string(),
                partition,
                offset: -1,
                cause: error.to_string(),
            })?;
        }
        for (slot, builder) in open {
            producer.send_owned(slot, builder, tag, owner.cloned())?;
            *batches += 1;
        }
        Ok(())
    }

    fn completed(&mut self, completion: Completion, sent: &mut [Sent]) {
        let index = usize::try_from(completion.tag).unwrap_or(usize::MAX);
        let Some(request) = sent.get_mut(index) else { return };
        request.batches = request.batches.saturating_sub(1);
        if let Err(error) = completion.result {
            // The topic may have been made anew.
            self.topics.remove(&request.topic);
            request.failed = Some(bus_error(format!("write to topic {}", request.topic), error));
        }
    }
}

fn size(record: &WriteRecord) -> usize {
    record.key.len() + record.value.as_ref().map_or(0, |value| value.len()) + 32
}

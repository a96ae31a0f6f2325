//! A source task's producer: builds record batches and hands them to the client.

use super::{CALL_DEADLINE, error_map::bus_error};
use crate::connect::bus::{
    AckReport, AckTracker, BoxFuture, BusError, BusProducer, OwnerToken, ProduceFailure, ProducerOptions,
    ProducerRecord, Result,
};
use levada_client::{
    Admin, Producer, Transport,
    metadata::{self, Topic},
    producer::{Slot, partitioner},
};
use levada_connector_api::TopicPartition;
use levada_env::{Clock, Instant};
use levada_wire::records::{Compression, RecordBatchBuilder};
use std::{pin::pin, sync::Arc};

/// Buffers kept for the next batches.
const SPARE_BUFFERS: usize = 16;

/// Bytes of a header beside its key and value, at most.
const HEADER_OVERHEAD: usize = 10;

struct OpenBatch {
    builder: RecordBatchBuilder,
    first: u64,
    /// When it may go though it is not full; `None` at once.
    due: Option<Instant>,
}

impl OpenBatch {
    fn is_due(&self) -> bool {
        self.due.is_none_or(|due| due <= Instant::now())
    }
}

struct Partition {
    slot: Slot,
    open: Option<OpenBatch>,
}

struct TopicState {
    name: Arc<str>,
    /// Largest batch that the topic takes, or that the task wants.
    batch_bytes: usize,
    /// Largest batch that the topic takes.
    limit: usize,
    partitions: Vec<Partition>,
    /// Where records without a key go until the batch is full.
    sticky: usize,
}

/// See the module's documentation.
pub(super) struct EmbeddedProducer {
    transport: Arc<dyn Transport>,
    admin: Admin,
    clock: Arc<dyn Clock>,
    options: ProducerOptions,
    producer: Producer,
    topics: Vec<TopicState>,
    last_topic: usize,
    tracker: AckTracker,
    /// What the next report tells; its prefix is filled in then.
    report: AckReport,
    open_bytes: usize,
    spare: Vec<Vec<u8>>,
    /// Largest batch that any of the topics usually has.
    usual_bytes: usize,
    slots: Vec<TopicPartition>,
}

impl EmbeddedProducer {
    pub(super) async fn connect(
        transport: Arc<dyn Transport>,
        runtime: tokio::runtime::Handle,
        clock: Arc<dyn Clock>,
        options: ProducerOptions,
        owner: OwnerToken,
    ) -> Result<Self> {
        let compression =
            Compression::ALL.into_iter().find(|codec| codec.name() == options.compression).unwrap_or(Compression::None);
        let client = levada_client::ProducerOptions { compression, ..Default::default() };
        let producer = Producer::connect(transport.clone(), Arc::new(owner), runtime, client, CALL_DEADLINE).await;
        Ok(Self {
            admin: Admin::new(transport.clone(), CALL_DEADLINE),
            transport,
            clock,
            options,
            producer: producer.map_err(|error| bus_error("start of the producer", error))?,
            topics: Vec::new(),
            last_topic: 0,
            tracker: AckTracker::default(),
            report: AckReport::default(),
            open_bytes: 0,
            spare: Vec::new(),
            usual_bytes: 0,
            slots: Vec::new(),
        })
    }

    async fn load(&mut self, topic: &Arc<str>, create: bool) -> Result<Option<i32>> {
        let failed = |error| bus_error(format!("look-up of topic {topic}"), error);
        if let Some(known) = self.topics.iter().find(|known| known.name == *topic) {
            return Ok(Some(known.partitions.len() as i32));
        }
        let (transport, admin) = (self.transport.clone(), self.admin.clone());
        let look_up = async {
            let found = metadata::topics(&*transport, &[topic], create, CALL_DEADLINE).await?;
            let Some(found) = found.into_iter().next() else { return Ok(None) };
            Ok(Some((found, admin.topic_configs(topic, &["max.message.bytes"]).await?)))
        };
        let Some((found, configs)) = self.beside(look_up).await.map_err(failed)? else { return Ok(None) };
        let limit = configs.iter().find_map(|(_, value)| value.parse::<usize>().ok()).unwrap_or(1_000_000);
        self.add(found, topic.clone(), limit);
        Ok(self.topics.last().map(|topic| topic.partitions.len() as i32))
    }

    /// Waits for `work` while what was submitted goes on: nobody else drives it.
    async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            let moves = !self.producer.is_idle() && !self.producer.is_revoked();
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = self.producer.progress(), if moves => self.collect(),
            }
        }
    }

    fn add(&mut self, topic: Topic, name: Arc<str>, limit: usize) {
        let mut partitions = Vec::new();
        for partition in 0..topic.partitions {
            let slot = self.producer.open(&topic, partition);
            self.slots.push(TopicPartition { topic: name.clone(), partition });
            partitions.push(Partition { slot, open: None });
        }
        let batch_bytes = self.options.batch_bytes.min(limit);
        self.usual_bytes = self.usual_bytes.max(batch_bytes);
        let start = self.topics.len();
        let sticky = start % partitions.len().max(1);
        self.topics.push(TopicState { name, batch_bytes, limit, partitions, sticky });
    }

    /// Index of a loaded topic; the last one asked about is found without comparing text.
    fn topic_index(&mut self, topic: &Arc<str>) -> Result<usize> {
        if self.topics.get(self.last_topic).is_some_and(|last| Arc::ptr_eq(&last.name, topic)) {
            return Ok(self.last_topic);
        }
        let found = self.topics.iter_mut().position(|known| {
            let same = known.name == *topic;
            if same {
                known.name = topic.clone();
            }
            same
        });
        self.last_topic = found.ok_or_else(|| BusError::UnknownTopic { topic: topic.to_string() })?;
        Ok(self.last_topic)
    }

    fn submit(&mut self, topic: usize, partition: usize) -> Result<()> {
        let Some(state) = self.topics.get_mut(topic) else { return Ok(()) };
        let count = state.partitions.len();
        let Some(place) = state.partitions.get_mut(partition) else { return Ok(()) };
        let Some(open) = place.open.take() else { return Ok(()) };
        let (slot, first) = (place.slot, open.first);
        if state.sticky == partition {
            state.sticky = (partition + 1) % count;
        }
        self.open_bytes = self.open_bytes.saturating_sub(open.builder.size());
        let sent = self.producer.send(slot, open.builder, first);
        let buffer = sent.map_err(|error| bus_error("produce", error))?;
        self.keep(buffer);
        if self.producer.is_revoked() { Err(BusError::Revoked) } else { Ok(()) }
    }

    fn submit_where(&mut self, wanted: impl Fn(&Producer, &Partition) -> bool) -> Result<()> {
        for topic in 0..self.topics.len() {
            let count = self.topics.get(topic).map_or(0, |topic| topic.partitions.len());
            for partition in 0..count {
                let place = self.topics.get(topic).and_then(|topic| topic.partitions.get(partition));
                if place.is_some_and(|place| place.open.is_some() && wanted(&self.producer, place)) {
                    self.submit(topic, partition)?;
                }
            }
        }
        Ok(())
    }

    /// Keeps a buffer for a batch to come.
    fn keep(&mut self, buffer: Option<Vec<u8>>) {
        let fits = |buffer: &Vec<u8>| (self.usual_bytes / 2..=self.usual_bytes * 2).contains(&buffer.capacity());
        if self.spare.len() < SPARE_BUFFERS {
            self.spare.extend(buffer.filter(fits));
        }
    }

    fn collect(&mut self) {
        for completion in self.producer.take_completed() {
            self.keep(completion.buffer);
            match completion.result {
                Ok(_) => {
                    self.tracker.done(completion.tag);
                    self.report.done.push(completion.tag);
                    self.report.written += completion.records as u64;
                }
                Err(error) => {
                    let partition = self.slots.get(completion.slot.index()).cloned();
                    let partition =
                        partition.unwrap_or_else(|| TopicPartition { topic: "unknown".into(), partition: -1 });
                    let action = format!("produce to {}-{}", partition.topic, partition.partition);
                    self.report.failures.push(ProduceFailure {
                        first: completion.tag,
                        records: completion.records,
                        partition,
                        error: bus_error(action, error),
                    });
                }
            }
        }
    }
}

impl BusProducer for EmbeddedProducer {
    fn load_topic<'a>(&'a mut self, topic: &'a Arc<str>, create: bool) -> BoxFuture<'a, Result<Option<i32>>> {
        Box::pin(self.load(topic, create))
    }

    fn append(&mut self, record: ProducerRecord<'_>) -> Result<u64> {
        let topic = self.topic_index(record.topic)?;
        let unknown = || BusError::UnknownTopic { topic: record.topic.to_string() };
        let state = self.topics.get(topic).ok_or_else(unknown)?;
        let count = state.partitions.len();
        let partition = match (record.partition, record.key) {
            (Some(partition), _) => usize::try_from(partition)
                .ok()
                .filter(|index| *index < count)
                .ok_or_else(|| BusError::UnknownPartition { topic: record.topic.to_string(), partition })?,
            (None, Some(key)) => partitioner::partition_of(key, count as i32) as usize,
            (None, None) => state.sticky,
        };
        let headers: usize = record
            .headers
            .iter()
            .map(|header| HEADER_OVERHEAD + header.key.len() + header.value.as_ref().map_or(0, |value| value.len()))
            .sum();
        let (key_len, value_len) = (record.key.map_or(0, <[u8]>::len) + headers, record.value.map_or(0, <[u8]>::len));
        let open = state.partitions.get(partition).and_then(|partition| partition.open.as_ref());
        if open.is_some_and(|open| open.builder.size_with(key_len, value_len) > state.batch_bytes) {
            self.submit(topic, partition)?;
        }
        let timestamp = record.timestamp.unwrap_or_else(|| self.clock.wall_ms());
        let next = self.tracker.next();
        let state = self.topics.get_mut(topic).ok_or_else(unknown)?;
        let (limit, batch_bytes, linger) = (state.limit, state.batch_bytes, self.options.linger);
        let place = state.partitions.get_mut(partition).ok_or_else(unknown)?;
        let opened = place.open.is_none();
        let open = place.open.get_or_insert_with(|| OpenBatch {
            builder: RecordBatchBuilder::new(self.spare.pop().unwrap_or_else(|| Vec::with_capacity(batch_bytes))),
            first: next,
            due: (!linger.is_zero()).then(|| Instant::now() + linger),
        });
        let before = if opened { 0 } else { open.builder.size() };
        if opened && open.builder.size_with(key_len, value_len) > limit {
            place.open = None;
            let size = key_len + value_len;
            return Err(BusError::RecordTooLarge { topic: record.topic.to_string(), size, limit });
        }
        let headers = record.headers.iter().map(|header| (header.key.as_bytes().as_ref(), header.value.as_deref()));
        if open.builder.append(timestamp, record.key, record.value, headers).is_err() {
            if opened {
                place.open = None;
            }
            let size = key_len + value_len;
            return Err(BusError::RecordTooLarge { topic: record.topic.to_string(), size, limit });
        }
        self.open_bytes += open.builder.size() - before;
        self.tracker.appended(opened);
        Ok(open.first)
    }

    fn has_room(&self) -> bool {
        self.bytes_in_flight() < self.options.max_in_flight_bytes
    }

    fn room(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            while !self.has_room() {
                if self.producer.is_revoked() {
                    return Err(BusError::Revoked);
                }
                if self.producer.is_idle() {
                    self.flush()?;
                }
                self.producer.progress().await;
                self.collect();
            }
            Ok(())
        })
    }

    fn submit_idle(&mut self) -> Result<()> {
        self.producer.try_progress();
        self.submit_where(|producer, partition| {
            producer.is_slot_idle(partition.slot) && partition.open.as_ref().is_some_and(OpenBatch::is_due)
        })
    }

    fn submit_lingered(&mut self) -> Result<()> {
        self.submit_where(|_, partition| partition.open.as_ref().is_some_and(OpenBatch::is_due))
    }

    fn flush(&mut self) -> Result<()> {
        self.submit_where(|_, _| true)
    }

    fn acks(&mut self) -> AckReport {
        self.producer.try_progress();
        self.collect();
        AckReport { acknowledged: self.tracker.acknowledged(), ..std::mem::take(&mut self.report) }
    }

    fn progress(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.producer.progress().await;
            self.collect();
        })
    }

    fn accept_failure(&mut self, first: u64) {
        self.tracker.done(first);
        self.report.done.push(first);
    }

    fn bytes_in_flight(&self) -> usize {
        self.open_bytes + self.producer.in_flight_bytes()
    }

    fn rest(&mut self) {
        self.spare = Vec::new();
        self.producer.rest();
    }
}

//! A bus with faults to order, for tests of the task runners: acknowledgements can be held back,
//! let go in any order, or be refusals; a rebalance can be called; commits can fail.

use crate::connect::bus::{
    self, AckReport, AckTracker, BoxFuture, Bus, BusAdmin, BusConsumer, BusError, BusProducer, ConsumedRecord,
    ConsumerEvent, ConsumerOptions, GroupDescription, NewTopic, OwnerToken, PartitionRecords, ProduceFailure,
    ProducerOptions, ProducerRecord, TopicDescription, TopicReader, WriteRecord,
};
use bytes::Bytes;
use levada_connector_api::{Committed, TimestampType, TopicPartition};
use levada_env::time;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::sync::Notify;

/// What happens to a submitted batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acks {
    /// It is stored and acknowledged at once.
    #[default]
    Immediate,
    /// It waits for [`TaskBus::release`].
    Held,
    /// It is refused for good.
    Refused,
}

#[derive(Clone, Debug)]
struct Batch {
    first: u64,
    topic: String,
    values: Vec<String>,
}

#[derive(Default)]
struct State {
    acks: Acks,
    topics: BTreeMap<String, Vec<String>>,
    created: Vec<NewTopic>,
    held: Vec<Batch>,
    done: Vec<(u64, Option<BusError>)>,
    commits: Vec<Vec<(TopicPartition, i64, String)>>,
    commit_errors: VecDeque<BusError>,
    rebalances: VecDeque<bool>,
    polls: usize,
    left: bool,
}

/// One source or sink task's log. Topics have one partition.
#[derive(Default)]
pub struct TaskBus {
    state: Mutex<State>,
    changed: Notify,
}

impl TaskBus {
    /// With these topics, each holding these values.
    pub fn new(topics: &[(&str, &[&str])]) -> Arc<Self> {
        let bus = Self::default();
        for (topic, values) in topics {
            let values = values.iter().map(|value| (*value).to_owned()).collect();
            bus.state.lock().topics.insert((*topic).to_owned(), values);
        }
        Arc::new(bus)
    }

    /// Changes what happens to batches from now on.
    pub fn set_acks(&self, acks: Acks) {
        self.state.lock().acks = acks;
    }

    /// Batches that are held back.
    pub fn held(&self) -> usize {
        self.state.lock().held.len()
    }

    /// Stores and acknowledges the held batch at `index`.
    pub fn release(&self, index: usize) {
        let mut state = self.state.lock();
        let batch = state.held.remove(index);
        state.store(batch);
        drop(state);
        self.changed.notify_waiters();
    }

    /// Values of a topic.
    pub fn values(&self, topic: &str) -> Vec<String> {
        self.state.lock().topics.get(topic).cloned().unwrap_or_default()
    }

    /// Adds a value to a topic that a sink reads.
    pub fn add(&self, topic: &str, value: &str) {
        self.state.lock().topics.entry(topic.to_owned()).or_default().push(value.to_owned());
    }

    /// Topics that were created.
    pub fn created(&self) -> Vec<NewTopic> {
        self.state.lock().created.clone()
    }

    /// Commits so far, each a request.
    pub fn commits(&self) -> Vec<Vec<(TopicPartition, i64, String)>> {
        self.state.lock().commits.clone()
    }

    /// Lets the next commit fail.
    pub fn fail_commit(&self, error: BusError) {
        self.state.lock().commit_errors.push_back(error);
    }

    /// Takes all partitions away at the next poll and gives them back at the one after.
    pub fn rebalance(&self, lost: bool) {
        self.state.lock().rebalances.push_back(lost);
    }

    /// How often the consumer was polled.
    pub fn polls(&self) -> usize {
        self.state.lock().polls
    }

    /// Whether the consumer has left its group.
    pub fn left(&self) -> bool {
        self.state.lock().left
    }
}

impl State {
    fn store(&mut self, batch: Batch) {
        self.topics.entry(batch.topic).or_default().extend(batch.values);
        self.done.push((batch.first, None));
    }
}

struct Producer {
    bus: Arc<TaskBus>,
    owner: OwnerToken,
    options: ProducerOptions,
    open: Option<Batch>,
    tracker: AckTracker,
    in_flight: BTreeMap<u64, (usize, String, usize)>,
    failures: Vec<ProduceFailure>,
}

impl Producer {
    fn collect(&mut self) {
        for (first, error) in std::mem::take(&mut self.bus.state.lock().done) {
            let Some((_, topic, records)) = self.in_flight.remove(&first) else { continue };
            match error {
                None => self.tracker.done(first),
                Some(error) => {
                    let partition = TopicPartition { topic: topic.into(), partition: 0 };
                    self.failures.push(ProduceFailure { first, records, partition, error });
                }
            }
        }
    }
}

impl BusProducer for Producer {
    fn load_topic<'a>(&'a mut self, topic: &'a Arc<str>, _: bool) -> BoxFuture<'a, bus::Result<Option<i32>>> {
        let known = self.bus.state.lock().topics.contains_key(&**topic);
        Box::pin(async move { Ok(known.then_some(1)) })
    }

    fn append(&mut self, record: ProducerRecord<'_>) -> bus::Result<()> {
        if !self.bus.state.lock().topics.contains_key(&**record.topic) {
            return Err(BusError::UnknownTopic { topic: record.topic.to_string() });
        }
        if self.open.as_ref().is_some_and(|open| *open.topic != **record.topic) {
            self.flush()?;
        }
        let opened = self.open.is_none();
        let next = self.tracker.next();
        let open =
            self.open.get_or_insert_with(|| Batch { first: next, topic: record.topic.to_string(), values: Vec::new() });
        open.values.push(String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned());
        self.tracker.appended(opened);
        Ok(())
    }

    fn has_room(&self) -> bool {
        self.bytes_in_flight() < self.options.max_in_flight_bytes
    }

    fn room(&mut self) -> BoxFuture<'_, bus::Result<()>> {
        Box::pin(async move {
            while !self.has_room() {
                self.flush()?;
                self.progress().await;
            }
            Ok(())
        })
    }

    fn submit_idle(&mut self) -> bus::Result<()> {
        self.flush()
    }

    fn flush(&mut self) -> bus::Result<()> {
        let Some(batch) = self.open.take() else { return Ok(()) };
        let _held = self.owner.hold()?;
        let bytes = batch.values.iter().map(String::len).sum();
        self.in_flight.insert(batch.first, (bytes, batch.topic.clone(), batch.values.len()));
        let mut state = self.bus.state.lock();
        match state.acks {
            Acks::Immediate => state.store(batch),
            Acks::Held => state.held.push(batch),
            Acks::Refused => {
                let error =
                    BusError::Refused { action: "produce".into(), code: "InvalidRecord", detail: String::new() };
                state.done.push((batch.first, Some(error)));
            }
        }
        Ok(())
    }

    fn acks(&mut self) -> AckReport {
        self.collect();
        AckReport { acknowledged: self.tracker.acknowledged(), failures: std::mem::take(&mut self.failures) }
    }

    fn progress(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            while !self.in_flight.is_empty() {
                let bus = self.bus.clone();
                let changed = bus.changed.notified();
                let before = self.in_flight.len();
                self.collect();
                if self.in_flight.len() < before {
                    return;
                }
                changed.await;
            }
        })
    }

    fn accept_failure(&mut self, first: u64) {
        self.tracker.done(first);
    }

    fn bytes_in_flight(&self) -> usize {
        let open = self.open.as_ref().map_or(0, |open| open.values.iter().map(String::len).sum());
        open + self.in_flight.values().map(|(bytes, ..)| bytes).sum::<usize>()
    }
}

struct Consumer {
    bus: Arc<TaskBus>,
    owner: OwnerToken,
    options: ConsumerOptions,
    waker: Arc<Notify>,
    joined: bool,
    paused: bool,
    position: usize,
}

impl Consumer {
    fn partition(&self) -> TopicPartition {
        TopicPartition { topic: self.options.topics[0].as_str().into(), partition: 0 }
    }

    fn event(&mut self) -> Option<ConsumerEvent> {
        let partition = self.partition();
        let mut state = self.bus.state.lock();
        state.polls += 1;
        if !self.joined {
            self.joined = true;
            let last = state.commits.iter().flatten().next_back().cloned();
            self.position = last.as_ref().map_or(0, |(_, offset, _)| *offset as usize);
            let metadata = last.as_ref().map(|(.., metadata)| metadata.clone()).unwrap_or_default();
            let offset = last.map(|(_, offset, _)| offset);
            let added = vec![Committed { partition: partition.clone(), offset, metadata }];
            return Some(ConsumerEvent::Assigned { added, owned: vec![partition] });
        }
        if let Some(lost) = state.rebalances.pop_front() {
            self.joined = false;
            return Some(ConsumerEvent::Revoked { partitions: vec![partition], lost });
        }
        if self.paused {
            return None;
        }
        let values = state.topics.get(&*partition.topic)?;
        let records: Vec<ConsumedRecord> = values
            .iter()
            .enumerate()
            .skip(self.position)
            .take(self.options.max_poll_records)
            .map(|(offset, value)| ConsumedRecord {
                offset: offset as i64,
                timestamp: 0,
                timestamp_type: TimestampType::CreateTime,
                key: None,
                value: Some(Bytes::copy_from_slice(value.as_bytes())),
                headers: Vec::new(),
            })
            .collect();
        if records.is_empty() {
            return None;
        }
        self.position += records.len();
        Some(ConsumerEvent::Records(vec![PartitionRecords { partition, records, next_offset: self.position as i64 }]))
    }
}

impl BusConsumer for Consumer {
    fn poll(&mut self, max_wait: Duration) -> BoxFuture<'_, bus::Result<ConsumerEvent>> {
        Box::pin(async move {
            if let Some(event) = self.event() {
                return Ok(event);
            }
            let _ = time::timeout(max_wait.min(Duration::from_millis(20)), self.waker.notified()).await;
            Ok(ConsumerEvent::Idle)
        })
    }

    fn waker(&self) -> Arc<Notify> {
        self.waker.clone()
    }

    fn commit(&mut self, offsets: Vec<(TopicPartition, i64, String)>) -> BoxFuture<'_, bus::Result<()>> {
        let result = self.owner.hold().and_then(|_held| {
            let mut state = self.bus.state.lock();
            match state.commit_errors.pop_front() {
                Some(error) => Err(error),
                None => {
                    state.commits.push(offsets);
                    Ok(())
                }
            }
        });
        Box::pin(async move { result })
    }

    fn seek(&mut self, _: &TopicPartition, offset: i64) -> bus::Result<()> {
        self.position = offset as usize;
        Ok(())
    }

    fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    fn lag(&self) -> u64 {
        (self.bus.values(&self.options.topics[0]).len() - self.position) as u64
    }

    fn close(&mut self) -> BoxFuture<'_, bus::Result<()>> {
        self.bus.state.lock().left = true;
        Box::pin(async { Ok(()) })
    }
}

/// The bus that a task gets: the shared state behind the trait.
pub struct Shared(pub Arc<TaskBus>);

impl Bus for Shared {
    fn producer(
        &self,
        options: ProducerOptions,
        owner: OwnerToken,
    ) -> BoxFuture<'_, bus::Result<Box<dyn BusProducer>>> {
        let producer = Producer {
            bus: self.0.clone(),
            owner,
            options,
            open: None,
            tracker: AckTracker::default(),
            in_flight: BTreeMap::new(),
            failures: Vec::new(),
        };
        Box::pin(async move { Ok(Box::new(producer) as Box<dyn BusProducer>) })
    }

    fn consumer(
        &self,
        options: ConsumerOptions,
        owner: OwnerToken,
    ) -> BoxFuture<'_, bus::Result<Box<dyn BusConsumer>>> {
        let (bus, waker) = (self.0.clone(), Arc::new(Notify::new()));
        let consumer = Consumer { bus, owner, options, waker, joined: false, paused: false, position: 0 };
        Box::pin(async move { Ok(Box::new(consumer) as Box<dyn BusConsumer>) })
    }

    fn reader(&self, _: &str) -> BoxFuture<'_, bus::Result<Box<dyn TopicReader>>> {
        Box::pin(async { Err(BusError::Closed) })
    }

    fn write_as(&self, _: &str, _: Vec<WriteRecord>, _: Option<&OwnerToken>) -> BoxFuture<'_, bus::Result<()>> {
        Box::pin(async { Err(BusError::Closed) })
    }
}

impl BusAdmin for Shared {
    fn create_topic(&self, topic: NewTopic) -> BoxFuture<'_, bus::Result<bool>> {
        let mut state = self.0.state.lock();
        state.topics.entry(topic.name.clone()).or_default();
        state.created.push(topic);
        Box::pin(async { Ok(true) })
    }

    fn describe_topic(&self, _: &str, _: &[&str]) -> BoxFuture<'_, bus::Result<Option<TopicDescription>>> {
        Box::pin(async { Ok(None) })
    }

    fn list_topics(&self) -> BoxFuture<'_, bus::Result<Vec<String>>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn end_offsets(&self, _: &[TopicPartition]) -> BoxFuture<'_, bus::Result<Vec<i64>>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn group_offsets(&self, _: &str) -> BoxFuture<'_, bus::Result<Vec<Committed>>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn describe_group(&self, _: &str) -> BoxFuture<'_, bus::Result<Option<GroupDescription>>> {
        Box::pin(async { Ok(None) })
    }

    fn alter_group_offsets(&self, _: &str, _: Vec<(TopicPartition, Option<i64>)>) -> BoxFuture<'_, bus::Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn delete_group(&self, _: &str) -> BoxFuture<'_, bus::Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

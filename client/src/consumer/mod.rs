//! A consumer that is a member of a group: assignment, positions, fetches, commits.
//!
//! Driven by [`Consumer::poll`]; only heartbeats run in the background, so a caller may take its
//! time between polls. A rebalance is told as an event and acted upon by the next poll, so that the
//! caller can finish and commit what it holds in between (eager rebalancing).

pub mod assignor;
pub(crate) mod fetch;
mod heartbeat;
mod membership;
mod positions;
mod protocol;

use crate::{
    ClientError, Transport,
    admin::{Admin, EARLIEST, LATEST},
    call::call,
    error::check,
    metadata::{self, Topic},
    offsets::{self, Committer, TopicName},
    producer::{Gate, gated},
};
use assignor::TopicPartition;
use fetch::{Fetched, Position};
use heartbeat::Verdict;
use levada_env::{Instant, time};
use levada_wire::{
    ErrorCode,
    messages::fetch::PartitionData,
    records::{Record, TimestampType},
};
use membership::Membership;
use positions::Owned;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};
use tokio::sync::{Notify, watch};

/// Where to start without a committed offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OffsetReset {
    /// At the log start.
    #[default]
    Earliest,
    /// At the end.
    Latest,
    /// Nowhere: an error.
    None,
}

/// Which topics.
#[derive(Clone)]
pub enum Subscription {
    /// These.
    Topics(Vec<String>),
    /// All whose name fits, the broker's own excepted.
    Matching(Arc<dyn Fn(&str) -> bool + Send + Sync>),
}

/// How a consumer behaves.
#[derive(Clone)]
pub struct ConsumerOptions {
    /// `group.id`.
    pub group: String,
    /// `group.instance.id` (KIP-345): a member that comes back under it takes its old place at once, and
    /// whoever held that place is fenced. `None` for a dynamic member.
    pub instance_id: Option<String>,
    /// Topics.
    pub subscription: Subscription,
    /// `auto.offset.reset`.
    pub offset_reset: OffsetReset,
    /// `isolation.level`.
    pub read_committed: bool,
    /// `fetch.max.bytes`.
    pub fetch_bytes: usize,
    /// `session.timeout.ms`.
    pub session_timeout: Duration,
    /// `heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `max.poll.interval.ms`.
    pub rebalance_timeout: Duration,
    /// How often partition counts are looked up again; every second while a topic is missing.
    pub metadata_max_age: Duration,
    /// Deadline of a request that has none of its own.
    pub request_timeout: Duration,
}

/// A partition that came, with its last commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
    /// Committed offset.
    pub committed: Option<i64>,
    /// Its metadata.
    pub metadata: String,
}

/// What a poll found.
#[derive(Debug)]
pub enum Event {
    /// Nothing within the wait.
    Idle,
    /// These partitions go away with the next poll, or, with `lost`, are gone.
    Revoked {
        /// Partitions.
        partitions: Vec<TopicPartition>,
        /// Whether another member may have them already.
        lost: bool,
    },
    /// These partitions are now owned (all of them, since rebalancing is eager).
    Assigned(Vec<Added>),
    /// There are records: [`Consumer::take`] them.
    Records,
}

/// Records taken of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
    /// Position after them.
    pub next_offset: i64,
}

/// The consumer. See the module's documentation.
pub struct Consumer {
    transport: Arc<dyn Transport>,
    gate: Arc<dyn Gate>,
    admin: Admin,
    options: ConsumerOptions,
    membership: Membership,
    waker: Arc<Notify>,
    joined: bool,
    topics: BTreeMap<String, Topic>,
    topics_checked: Option<Instant>,
    owned: Vec<Owned>,
    fetched: VecDeque<Fetched>,
    next_first: usize,
    paused: bool,
}

impl Consumer {
    /// A consumer that will join with its first poll. Heartbeats run on `runtime`; when `abandoned`
    /// becomes true the member leaves its group in the background. Commits pass `gate`.
    pub fn new(
        transport: Arc<dyn Transport>,
        gate: Arc<dyn Gate>,
        runtime: tokio::runtime::Handle,
        options: ConsumerOptions,
        abandoned: watch::Receiver<bool>,
    ) -> Self {
        let waker = Arc::new(Notify::new());
        Self {
            membership: Membership::new(transport.clone(), runtime, waker.clone(), abandoned),
            admin: Admin::new(transport.clone(), options.request_timeout),
            transport,
            gate,
            options,
            waker,
            joined: false,
            topics: BTreeMap::new(),
            topics_checked: None,
            owned: Vec::new(),
            fetched: VecDeque::new(),
            next_first: 0,
            paused: false,
        }
    }

    /// Makes a running poll return early.
    pub fn waker(&self) -> Arc<Notify> {
        self.waker.clone()
    }

    /// The next event. Errors that a retry may mend are waited out within `max_wait`.
    pub async fn poll(&mut self, max_wait: Duration) -> Result<Event, ClientError> {
        let deadline = Instant::now() + max_wait;
        match self.step(deadline).await {
            Err(error) if error.is_retriable() => {
                tracing::debug!(group = self.options.group, %error, "consumer tries again");
                let wait = max_wait.min(Duration::from_millis(100));
                self.wait(Instant::now() + wait).await;
                Ok(Event::Idle)
            }
            result => result,
        }
    }

    async fn step(&mut self, deadline: Instant) -> Result<Event, ClientError> {
        if self.membership.verdict() == Some(Verdict::Fenced) {
            // Joining again would only fence the newer owner (invariant 8).
            let group = format!("group {}", self.options.group);
            return Err(ClientError::refused(group, ErrorCode::FencedInstanceId.code(), None));
        }
        if self.joined {
            if let Some(event) = self.rebalance_event() {
                return Ok(event);
            }
            self.check_topics().await?;
            if let Some(event) = self.rebalance_event() {
                return Ok(event);
            }
        }
        if !self.joined {
            return self.join().await;
        }
        if self.paused {
            self.wait(deadline).await;
            return Ok(Event::Idle);
        }
        if self.fetched.is_empty() {
            self.fetch(deadline).await?;
        }
        Ok(if self.fetched.is_empty() { Event::Idle } else { Event::Records })
    }

    async fn wait(&self, deadline: Instant) {
        let _ = time::timeout_at(deadline, self.waker.notified()).await;
    }

    /// Tells of a rebalance, once; the poll after it joins again.
    fn rebalance_event(&mut self) -> Option<Event> {
        let lost = match self.membership.verdict() {
            None if self.joined => return None,
            None | Some(Verdict::Rebalance | Verdict::Fenced) => false,
            Some(Verdict::Lost(cause)) => {
                tracing::info!(group = self.options.group, cause, "membership lost");
                self.membership.reset();
                true
            }
        };
        self.joined = false;
        self.fetched.clear();
        let partitions: Vec<TopicPartition> = self.owned.drain(..).map(|owned| owned.key()).collect();
        (!partitions.is_empty()).then_some(Event::Revoked { partitions, lost })
    }

    async fn join(&mut self) -> Result<Event, ClientError> {
        self.load_topics().await?;
        let topics = self.subscribed();
        let waker = self.waker.clone();
        // A wake-up that nobody waited for (the heartbeat's news of this very rebalance) must not end
        // the join: its request would be left behind at the broker, in front of the next one.
        let _ = std::pin::pin!(waker.notified()).poll(&mut Context::from_waker(Waker::noop()));
        let partitions = tokio::select! {
            partitions = self.membership.join(&self.options, &topics) => partitions?,
            () = waker.notified() => return Ok(Event::Idle),
        };
        self.assigned(partitions).await
    }

    async fn assigned(&mut self, partitions: Vec<TopicPartition>) -> Result<Event, ClientError> {
        let unknown: Vec<&str> = partitions
            .iter()
            .filter(|(topic, _)| !self.topics.contains_key(&**topic))
            .map(|(topic, _)| &**topic)
            .collect();
        if !unknown.is_empty() {
            for topic in metadata::topics(&*self.transport, &unknown, false, self.options.request_timeout).await? {
                self.topics.insert(topic.name.to_string(), topic);
            }
        }
        let named: Vec<(TopicName, i32)> =
            partitions.iter().map(|(topic, partition)| (self.name(topic), *partition)).collect();
        let committed = if named.is_empty() {
            Vec::new()
        } else {
            let (transport, group) = (&*self.transport, &self.options.group);
            offsets::fetch(transport, group, Some(&named), &[], self.options.request_timeout).await?
        };
        let mut added = Vec::with_capacity(named.len());
        self.owned.clear();
        for (topic, partition) in named {
            let found = committed.iter().find(|found| found.topic == topic.name && found.partition == partition);
            added.push(Added {
                topic: topic.name.clone(),
                partition,
                committed: found.map(|found| found.offset),
                metadata: found.map(|found| found.metadata.clone()).unwrap_or_default(),
            });
            self.owned.push(Owned::new(topic, partition, found.map(|found| found.offset)));
        }
        self.joined = true;
        Ok(Event::Assigned(added))
    }

    fn name(&self, topic: &Arc<str>) -> TopicName {
        match self.topics.get(&**topic) {
            Some(known) => TopicName { name: known.name.clone(), id: known.id },
            None => TopicName { name: topic.clone(), id: uuid::Uuid::nil() },
        }
    }

    fn subscribed(&self) -> Vec<String> {
        match &self.options.subscription {
            Subscription::Topics(topics) => topics.clone(),
            Subscription::Matching(_) => self.topics.keys().cloned().collect(),
        }
    }

    /// Looks topics up now and then; a change that this member has to act upon ends the generation.
    async fn check_topics(&mut self) -> Result<(), ClientError> {
        let complete = match &self.options.subscription {
            Subscription::Topics(topics) => topics.iter().all(|topic| self.topics.contains_key(topic)),
            Subscription::Matching(_) => !self.topics.is_empty(),
        };
        let age = if complete { self.options.metadata_max_age } else { Duration::from_secs(1) };
        if self.topics_checked.is_some_and(|checked| checked.elapsed() < age) {
            return Ok(());
        }
        let before = self.subscribed();
        self.load_topics().await?;
        let led = self.membership.led.as_ref();
        let changed = led.is_some_and(|led| {
            let grown = |(name, topic): (&String, &Topic)| led.get(name).is_none_or(|count| *count != topic.partitions);
            let gone = |name: &String| led.contains_key(name) && !self.topics.contains_key(name);
            self.topics.iter().any(grown) || before.iter().any(gone)
        });
        if changed || before != self.subscribed() {
            self.joined = false;
        }
        Ok(())
    }

    async fn load_topics(&mut self) -> Result<(), ClientError> {
        let timeout = self.options.request_timeout;
        let found = match &self.options.subscription {
            Subscription::Topics(topics) => {
                let names: Vec<&str> = topics.iter().map(String::as_str).collect();
                metadata::topics(&*self.transport, &names, true, timeout).await?
            }
            Subscription::Matching(matches) => {
                let all = metadata::topics(&*self.transport, &[], false, timeout).await?;
                all.into_iter().filter(|topic| !topic.internal && matches(&topic.name)).collect()
            }
        };
        self.topics = found.into_iter().map(|topic| (topic.name.to_string(), topic)).collect();
        for owned in &mut self.owned {
            if let Some(topic) = self.topics.get(&*owned.topic.name) {
                owned.topic.id = topic.id;
            }
        }
        self.topics_checked = Some(Instant::now());
        Ok(())
    }

    /// Finds positions for partitions that have none.
    async fn reset_positions(&mut self) -> Result<(), ClientError> {
        let missing: Vec<TopicPartition> =
            self.owned.iter().filter(|owned| owned.position.is_none()).map(Owned::key).collect();
        let Some((topic, partition)) = missing.first() else { return Ok(()) };
        let timestamp = match self.options.offset_reset {
            OffsetReset::Earliest => EARLIEST,
            OffsetReset::Latest => LATEST,
            OffsetReset::None => {
                return Err(ClientError::NoOffset { topic: topic.to_string(), partition: *partition });
            }
        };
        let offsets = self.admin.list_offsets(&missing, timestamp, self.options.read_committed).await?;
        for (key, offset) in missing.iter().zip(offsets) {
            if let Some(owned) = self.owned.iter_mut().find(|owned| owned.is(key)) {
                owned.position = Some(offset);
            }
        }
        Ok(())
    }

    async fn fetch(&mut self, deadline: Instant) -> Result<(), ClientError> {
        self.reset_positions().await?;
        if self.owned.is_empty() {
            self.wait(deadline).await;
            return Ok(());
        }
        // Who is first in a request is served first; the place moves on, so that nobody starves.
        self.next_first = (self.next_first + 1) % self.owned.len();
        let rotated = self.owned.iter().cycle().skip(self.next_first).take(self.owned.len());
        let positions = rotated.filter_map(|owned| {
            let offset = owned.position?;
            Some(Position { topic: owned.topic.clone(), partition: owned.partition, offset })
        });
        let max_wait = deadline.saturating_duration_since(Instant::now());
        let request = fetch::request(positions, max_wait, self.options.fetch_bytes, self.options.read_committed);
        let limit = max_wait + self.options.request_timeout;
        let answer = tokio::select! {
            answer = call(&*self.transport, request, limit) => answer?,
            () = self.waker.notified() => return Ok(()),
        };
        check(|| "fetch".to_owned(), answer.error_code, None)?;
        let mut failed = None;
        for topic in answer.responses {
            for data in topic.partitions {
                let is = |owned: &Owned| {
                    owned.partition == data.partition_index
                        && (*owned.topic.name == *topic.topic || owned.topic.id == topic.topic_id)
                };
                if let Some(index) = self.owned.iter().position(is)
                    && let Err(error) = self.fetched_partition(index, data)
                {
                    failed = Some(error);
                }
            }
        }
        // Records of other partitions come first; an error stays and will be seen again.
        if self.fetched.is_empty() { failed.map_or(Ok(()), Err) } else { Ok(()) }
    }

    fn fetched_partition(&mut self, index: usize, data: PartitionData) -> Result<(), ClientError> {
        let Some(owned) = self.owned.get_mut(index) else { return Ok(()) };
        match ErrorCode::from_code(data.error_code) {
            Some(ErrorCode::None) => {}
            Some(ErrorCode::OffsetOutOfRange) => {
                tracing::warn!(
                    topic = %owned.topic.name, partition = owned.partition, offset = owned.position,
                    "position is out of range and is reset"
                );
                owned.position = None;
                return Ok(());
            }
            _ => {
                self.topics_checked = None;
                return Err(ClientError::refused(owned.to_string(), data.error_code, None));
            }
        }
        owned.end = Some(if self.options.read_committed { data.last_stable_offset } else { data.high_watermark });
        let Some(position) = owned.position else { return Ok(()) };
        if data.records.as_ref().is_some_and(|records| !records.is_empty()) {
            self.fetched.push_back(Fetched::new(owned.topic.clone(), data, position));
        }
        Ok(())
    }

    /// Takes up to `max` fetched records in order; says for each partition where it is after them.
    pub fn take(
        &mut self,
        max: usize,
        mut each: impl FnMut(&Arc<str>, i32, TimestampType, Record),
    ) -> Result<Vec<Taken>, ClientError> {
        let mut left = max;
        let mut taken = Vec::new();
        while left > 0
            && let Some(fetched) = self.fetched.front_mut()
        {
            let Some(owned) = self.owned.iter_mut().find(|owned| fetched.is_of(&owned.topic.name, owned.partition))
            else {
                self.fetched.pop_front();
                continue;
            };
            let (topic, partition) = (owned.topic.name.clone(), owned.partition);
            let count = fetched.deliver(left, &mut |kind, record| each(&topic, partition, kind, record))?;
            owned.position = Some(fetched.position);
            taken.push(Taken { topic, partition, next_offset: fetched.position });
            if count < left {
                self.fetched.pop_front();
            }
            left -= count;
        }
        Ok(taken)
    }

    /// Commits all offsets by one request, as the member of the current generation.
    pub async fn commit(&mut self, entries: Vec<(Arc<str>, i32, i64, String)>) -> Result<(), ClientError> {
        let named =
            entries.into_iter().map(|(topic, partition, offset, text)| (self.name(&topic), partition, offset, text));
        let named: Vec<_> = named.collect();
        let committer = Committer {
            group: self.options.group.clone(),
            member: self.membership.member.clone(),
            generation: self.membership.generation,
        };
        let end = Instant::now() + self.options.request_timeout;
        loop {
            match self.commit_once(&committer, &named).await {
                Err(error) if error.is_retriable() && Instant::now() < end => {
                    time::sleep(Duration::from_millis(50)).await;
                }
                result => return result,
            }
        }
    }

    async fn commit_once(
        &self,
        committer: &Committer,
        named: &[(TopicName, i32, i64, String)],
    ) -> Result<(), ClientError> {
        let commit = Box::pin(offsets::commit(&*self.transport, committer, named, self.options.request_timeout));
        // Never handed over after the gate is shut (invariant 8).
        gated(&*self.gate, commit).await.unwrap_or(Err(ClientError::Revoked))
    }

    /// Moves the position of an owned partition; what was fetched for it is dropped.
    pub fn seek(&mut self, topic: &str, partition: i32, offset: i64) -> bool {
        self.fetched.retain(|fetched| !fetched.is_of(topic, partition));
        match self.owned.iter_mut().find(|owned| owned.partition == partition && *owned.topic.name == *topic) {
            Some(owned) => {
                owned.position = Some(offset);
                true
            }
            None => false,
        }
    }

    /// Stops or starts fetching; membership goes on.
    pub fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Records between the positions and the known ends.
    pub fn lag(&self) -> u64 {
        self.owned.iter().map(Owned::lag).sum()
    }

    /// The owned partitions.
    pub fn owned(&self) -> Vec<TopicPartition> {
        self.owned.iter().map(Owned::key).collect()
    }

    /// Leaves the group.
    pub async fn close(&mut self) {
        self.joined = false;
        self.owned.clear();
        self.fetched.clear();
        self.membership.leave(&self.options).await;
    }
}

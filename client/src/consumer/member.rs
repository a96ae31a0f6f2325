//! The consumer.

use super::{
    Added, ConsumerOptions, Event, OffsetReset, Taken, assignor::TopicPartition, commit::commit, heartbeat::Verdict,
    membership::Membership, topics::Topics,
};
use crate::{
    ClientError, TopicName, Transport,
    admin::{Admin, EARLIEST, LATEST},
    fetch::{Fetcher, Position},
    offsets::{self, CommittedOffset, Committer},
    producer::Gate,
};
use levada_env::{Instant, time};
use levada_wire::{
    ErrorCode,
    records::{Record, TimestampType},
};
use std::{
    collections::HashMap,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};
use tokio::sync::{Notify, watch};

/// The consumer. See the module's documentation.
pub struct Consumer {
    transport: Arc<dyn Transport>,
    gate: Arc<dyn Gate>,
    admin: Admin,
    options: ConsumerOptions,
    membership: Membership,
    waker: Arc<Notify>,
    joined: bool,
    topics: Topics,
    fetcher: Fetcher,
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
            topics: Topics::new(transport.clone(), options.subscription.clone(), options.request_timeout),
            fetcher: Fetcher::new(transport.clone(), options.fetch_bytes, options.read_committed),
            transport,
            gate,
            options,
            waker,
            joined: false,
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
        let deadline = self.topics.due(self.options.metadata_max_age).map_or(deadline, |due| deadline.min(due));
        if self.paused {
            self.wait(deadline).await;
            return Ok(Event::Idle);
        }
        if !self.fetcher.has_records() {
            self.fetch(deadline).await?;
        }
        Ok(if self.fetcher.has_records() { Event::Records } else { Event::Idle })
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
        let partitions = self.owned();
        self.fetcher.assign(Vec::new());
        (!partitions.is_empty()).then_some(Event::Revoked { partitions, lost })
    }

    async fn join(&mut self) -> Result<Event, ClientError> {
        self.load_topics().await?;
        let topics = self.topics.subscribed();
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
        self.topics.learn(partitions.iter().map(|(topic, _)| topic)).await?;
        let named: Vec<(TopicName, i32)> =
            partitions.iter().map(|(topic, partition)| (self.topics.name(topic), *partition)).collect();
        let committed = if named.is_empty() {
            Vec::new()
        } else {
            let (transport, group) = (&*self.transport, &self.options.group);
            offsets::fetch(transport, group, Some(&named), &[], self.options.request_timeout).await?
        };
        let committed: HashMap<TopicPartition, CommittedOffset> =
            committed.into_iter().map(|found| ((found.topic.clone(), found.partition), found)).collect();
        let (mut added, mut positions) = (Vec::with_capacity(named.len()), Vec::with_capacity(named.len()));
        for (topic, partition) in named {
            let found = committed.get(&(topic.name.clone(), partition));
            added.push(Added {
                topic: topic.name.clone(),
                partition,
                committed: found.map(|found| found.offset),
                metadata: found.map(|found| found.metadata.clone()).unwrap_or_default(),
            });
            positions.push(Position::new(topic, partition, found.map(|found| found.offset)));
        }
        self.fetcher.assign(positions);
        self.joined = true;
        Ok(Event::Assigned(added))
    }

    /// Looks topics up now and then; a change that this member has to act upon ends the generation.
    async fn check_topics(&mut self) -> Result<(), ClientError> {
        if !self.topics.is_due(self.options.metadata_max_age) {
            return Ok(());
        }
        let before = self.topics.subscribed();
        self.load_topics().await?;
        let changed = self.membership.led.as_ref().is_some_and(|led| self.topics.differ_from(led, &before));
        if changed || before != self.topics.subscribed() {
            self.joined = false;
        }
        Ok(())
    }

    async fn load_topics(&mut self) -> Result<(), ClientError> {
        self.topics.load().await?;
        self.fetcher.rename(|topic| self.topics.id(topic));
        Ok(())
    }

    /// Finds positions for partitions that have none.
    async fn reset_positions(&mut self) -> Result<(), ClientError> {
        let timestamp = match (self.options.offset_reset, self.fetcher.missing().into_iter().next()) {
            (_, None) => return Ok(()),
            (OffsetReset::Earliest, _) => EARLIEST,
            (OffsetReset::Latest, _) => LATEST,
            (OffsetReset::None, Some((topic, partition))) => {
                return Err(ClientError::NoOffset { topic: topic.to_string(), partition });
            }
        };
        self.fetcher.look_up(&self.admin, timestamp).await
    }

    async fn fetch(&mut self, deadline: Instant) -> Result<(), ClientError> {
        self.reset_positions().await?;
        if self.fetcher.positions().is_empty() {
            self.wait(deadline).await;
            return Ok(());
        }
        let max_wait = deadline.saturating_duration_since(Instant::now());
        let failed = tokio::select! {
            failed = self.fetcher.fetch(max_wait, self.options.request_timeout) => failed?,
            () = self.waker.notified() => return Ok(()),
        };
        if failed.is_some() {
            self.topics.expire();
        }
        // Records of other partitions come first; an error stays and will be seen again.
        failed.filter(|_| !self.fetcher.has_records()).map_or(Ok(()), Err)
    }

    /// Takes up to `max` fetched records in order, and no more than `fetch_bytes` of them; says for each
    /// partition where it is after them. Records are decompressed here, so call it where that may take its
    /// time.
    pub fn take(
        &mut self,
        max: usize,
        each: impl FnMut(&Arc<str>, i32, TimestampType, Record),
    ) -> Result<Vec<Taken>, ClientError> {
        self.fetcher.take(max, each)
    }

    /// Commits all offsets by one request, as the member of the current generation.
    pub async fn commit(&mut self, entries: Vec<(Arc<str>, i32, i64, String)>) -> Result<(), ClientError> {
        let named = entries
            .into_iter()
            .map(|(topic, partition, offset, text)| (self.topics.name(&topic), partition, offset, text));
        let named: Vec<_> = named.collect();
        let committer = Committer {
            group: self.options.group.clone(),
            member: self.membership.member.clone(),
            generation: self.membership.generation,
        };
        commit(&*self.transport, &*self.gate, &committer, &named, self.options.request_timeout).await
    }

    /// Moves the position of an owned partition; what was fetched for it is dropped.
    pub fn seek(&mut self, topic: &str, partition: i32, offset: i64) -> bool {
        self.fetcher.seek(topic, partition, offset)
    }

    /// Stops or starts fetching; membership goes on.
    pub fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Records between the positions and the known ends.
    pub fn lag(&self) -> u64 {
        self.fetcher.positions().iter().map(Position::lag).sum()
    }

    /// The owned partitions.
    pub fn owned(&self) -> Vec<TopicPartition> {
        self.fetcher.positions().iter().map(Position::key).collect()
    }

    /// Leaves the group.
    pub async fn close(&mut self) {
        self.joined = false;
        self.fetcher.assign(Vec::new());
        self.membership.leave(&self.options).await;
    }
}

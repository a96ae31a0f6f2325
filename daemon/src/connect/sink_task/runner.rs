//! The loop of a sink task's thread.

use super::{
    SinkTaskSpec,
    commit::{Round, commit},
    context::{Context, Reports},
    dead_letters::DeadLetters,
    offsets::Offsets,
    record::{SharedDeadLetters, convert},
};
use crate::connect::{
    bus::{BusConsumer, ConsumerEvent, PartitionRecords},
    task::{
        BUS_RETRY, CommitTimer, MIN_RETRY_DELAY, Shared, StartError, TargetState, TaskFailure, TaskHandle, TaskMetrics,
        TaskRuntime, TaskStatus, ThreadKind, start_thread,
    },
};
use levada_connector_api::{Committed, ConnectorError, ErrorKind, SinkRecord, SinkTask, TopicPartition};
use levada_env::{Instant, memory};
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};

/// How long a poll waits for records while nothing else is to be done; whatever is to be done ends it early.
const IDLE_POLL: Duration = Duration::from_secs(10);
/// The wait of the first polls without records, so that memory is given back soon.
const FIRST_IDLE_POLL: Duration = Duration::from_secs(1);
/// Polls without records after which memory is given back: at rest, and again later for what other threads have let go
/// of since.
const RESTS: [u32; 5] = [2, 5, 6, 7, 11];

/// Starts the thread.
pub(super) fn spawn(
    spec: SinkTaskSpec,
    runtime: TaskRuntime,
    task: Box<dyn SinkTask>,
    target: TargetState,
) -> Result<TaskHandle, StartError> {
    let (id, timeout) = (spec.id.clone(), spec.options.times.call_timeout);
    start_thread(id, runtime, target, timeout, ThreadKind::Sink, move |shared| run(shared, spec, task))
}

fn run(shared: &Arc<Shared>, mut spec: SinkTaskSpec, mut task: Box<dyn SinkTask>) -> Result<(), TaskFailure> {
    if !shared.wait_to_begin() {
        return Ok(());
    }
    let open = || shared.runtime.bus.consumer(spec.options.consumer.clone(), shared.owner.clone());
    let Some(consumer) = shared.open_bus("consumer", open)? else { return Ok(()) };
    shared.set_bus_waker(consumer.waker());
    let dead_letters = match &spec.options.dead_letters {
        None => None,
        Some(options) => match DeadLetters::open(shared, options)? {
            None => return Ok(()),
            opened => opened,
        },
    };
    let dead_letters: SharedDeadLetters = Arc::new(Mutex::new(dead_letters));
    let context = Arc::new(Context::new(
        shared.clone(),
        Reports {
            errors: spec.options.errors,
            dead_letters: Arc::clone(&dead_letters),
            key_converter: Arc::clone(&spec.key_converter),
            value_converter: Arc::clone(&spec.value_converter),
            timeout: spec.options.times.call_timeout,
        },
    ));
    let started = {
        let _call = shared.calling("start");
        task.start(context.clone(), std::mem::take(&mut spec.config))
    };
    let timer = CommitTimer::new(spec.options.times, Instant::now());
    let mut runner = Runner {
        shared,
        spec,
        task,
        consumer,
        context,
        dead_letters,
        offsets: Offsets::default(),
        timer,
        records: Vec::new(),
        pending: None,
        paused: false,
        idle_polls: 0,
    };
    let result = match started {
        Ok(()) => {
            shared.report(TaskStatus::Running);
            runner.work().and_then(|()| runner.finish())
        }
        Err(error) => Err(TaskFailure::call("start", &error)),
    };
    // After a failure nothing more is committed: what the task holds is in no known state, and the
    // next incarnation starts at the last commit.
    if let Err(error) = shared.block_on(runner.consumer.close()) {
        tracing::debug!(connector = %shared.id.connector, task = shared.id.task, %error, "could not leave the group");
    }
    let _call = shared.calling("stop");
    runner.task.stop();
    result
}

/// A batch that the task could not take yet.
struct Pending {
    ends: Vec<(TopicPartition, i64)>,
    attempts: u32,
    retry_at: Instant,
}

struct Runner<'a> {
    shared: &'a Arc<Shared>,
    spec: SinkTaskSpec,
    task: Box<dyn SinkTask>,
    consumer: Box<dyn BusConsumer>,
    context: Arc<Context>,
    dead_letters: SharedDeadLetters,
    offsets: Offsets,
    timer: CommitTimer,
    /// The batch being put; its memory is used again for the next.
    records: Vec<SinkRecord>,
    pending: Option<Pending>,
    paused: bool,
    /// Polls without records in a row, with nothing left to do.
    idle_polls: u32,
}

impl Runner<'_> {
    fn work(&mut self) -> Result<(), TaskFailure> {
        while !self.shared.stopping() {
            self.follow_target()?;
            let event = self.poll()?;
            let settled = matches!(event, ConsumerEvent::Idle) && self.pending.is_none();
            match event {
                ConsumerEvent::Idle => {}
                ConsumerEvent::Revoked { partitions, lost } => self.revoked(&partitions, lost)?,
                ConsumerEvent::Assigned { added, owned } => self.assigned(&added, &owned)?,
                ConsumerEvent::Records(fetched) => self.fetched(fetched)?,
            }
            self.retry()?;
            self.note_lag();
            let requested = self.context.take_commit_request();
            if self.offsets.is_dirty() && (requested || self.timer.is_due(Instant::now(), settled)) {
                self.commit()?;
            }
            self.rest(settled);
        }
        Ok(())
    }

    /// Lets go of what only busy times need.
    fn rest(&mut self, settled: bool) {
        if !settled || self.offsets.is_dirty() {
            self.idle_polls = 0;
            return;
        }
        self.idle_polls = self.idle_polls.saturating_add(1);
        if RESTS.contains(&self.idle_polls) {
            self.records = Vec::new();
            memory::give_back();
        }
    }

    /// Pause and resume. The membership goes on either way.
    fn follow_target(&mut self) -> Result<(), TaskFailure> {
        let paused = self.shared.target() == TargetState::Paused;
        if paused == self.paused {
            return Ok(());
        }
        self.paused = paused;
        if paused {
            if self.offsets.is_dirty() {
                self.commit()?;
            }
            self.shared.report(TaskStatus::Paused);
        } else {
            self.shared.report(TaskStatus::Running);
        }
        Ok(())
    }

    /// The next event. While a batch waits for its retry, or the task is paused, nothing is fetched,
    /// but rebalances are still taken part in.
    fn poll(&mut self) -> Result<ConsumerEvent, TaskFailure> {
        self.consumer.set_paused(self.paused || self.pending.is_some());
        let mut wait = match self.idle_polls {
            _ if self.offsets.is_dirty() => self.spec.options.times.idle_commit_delay,
            0..=4 => FIRST_IDLE_POLL,
            _ => IDLE_POLL,
        };
        if let Some(pending) = &self.pending
            && !self.paused
        {
            wait = wait.min(pending.retry_at.saturating_duration_since(Instant::now()));
        }
        match self.shared.block_on(self.consumer.poll(wait)) {
            Ok(event) => Ok(event),
            Err(error) if error.is_retriable() => {
                tracing::warn!(connector = %self.shared.id.connector, task = self.shared.id.task, %error, "poll is tried again");
                self.shared.wait_stop(BUS_RETRY);
                Ok(ConsumerEvent::Idle)
            }
            Err(error) => Err(TaskFailure::bus("could not consume", &error)),
        }
    }

    fn assigned(&mut self, added: &[Committed], owned: &[TopicPartition]) -> Result<(), TaskFailure> {
        self.offsets.add(added);
        self.note_partitions();
        {
            let _call = self.shared.calling("open");
            self.task.open(added, owned).map_err(|error| TaskFailure::call("open", &error))?;
        }
        for (partition, offset) in self.context.take_seeks() {
            tracing::info!(
                connector = %self.shared.id.connector, task = self.shared.id.task, topic = %partition.topic,
                partition = partition.partition, offset, "the task reads on where it says"
            );
            let sought = self.consumer.seek(&partition, offset);
            sought.map_err(|error| TaskFailure::bus("could not read from where the task says", &error))?;
        }
        Ok(())
    }

    fn revoked(&mut self, partitions: &[TopicPartition], lost: bool) -> Result<(), TaskFailure> {
        // A batch that was never taken is fetched again by whoever owns its partitions next.
        self.pending = None;
        self.records.clear();
        if !lost && self.offsets.is_dirty() {
            self.commit()?;
        }
        self.offsets.remove(partitions);
        self.note_partitions();
        let _call = self.shared.calling("close");
        self.task.close(partitions, lost).map_err(|error| TaskFailure::call("close", &error))
    }

    fn fetched(&mut self, fetched: Vec<PartitionRecords>) -> Result<(), TaskFailure> {
        self.records.clear();
        let mut ends = Vec::with_capacity(fetched.len());
        let mut read = 0;
        for partition in fetched {
            ends.push((partition.partition.clone(), partition.next_offset));
            let count = partition.records.len() as u64;
            read += count;
            if count > 0 && self.shared.metrics.count_topic(&partition.partition.topic, count) {
                self.shared.topic_active(&partition.partition.topic);
            }
            if !convert(self.shared, &mut self.spec, &self.dead_letters, partition, &mut self.records)? {
                self.records.clear();
                return Ok(());
            }
        }
        let metrics = &self.shared.metrics;
        TaskMetrics::add(&metrics.sink_record_read, read);
        self.timer.touch(Instant::now());
        self.put(ends, 0)
    }

    /// Puts the batch again when its time has come.
    fn retry(&mut self) -> Result<(), TaskFailure> {
        let now = Instant::now();
        if self.paused || self.pending.as_ref().is_none_or(|pending| pending.retry_at > now) {
            return Ok(());
        }
        let Some(Pending { ends, attempts, .. }) = self.pending.take() else { return Ok(()) };
        self.put(ends, attempts)
    }

    /// Commits where the task begins in partitions that have no committed offset, before anything of them is put: a
    /// sink that keeps state beside its offsets must find that state after a crash before its first regular commit.
    /// False when that can't be done now.
    fn commit_start(&mut self, ends: &[(TopicPartition, i64)]) -> Result<bool, TaskFailure> {
        let mut begun = false;
        for (partition, next) in ends {
            let first = self
                .records
                .iter()
                .find(|record| record.partition == partition.partition && *record.original_topic() == partition.topic);
            begun |= self.offsets.begin(partition, first.map_or(*next, |record| record.offset));
        }
        if !begun {
            return Ok(true);
        }
        // A task that wants nothing committed keeps its own offsets.
        let done = self.commit()? != Round::Later;
        if !done {
            self.offsets.unbegin();
        }
        Ok(done)
    }

    fn put(&mut self, ends: Vec<(TopicPartition, i64)>, attempts: u32) -> Result<(), TaskFailure> {
        if !self.commit_start(&ends)? {
            self.pending = Some(Pending { ends, attempts, retry_at: Instant::now() + Duration::from_millis(300) });
            return Ok(());
        }
        let started = Instant::now();
        let result = if self.records.is_empty() {
            Ok(())
        } else {
            let _call = self.shared.calling("put");
            self.task.put(&self.records)
        };
        let metrics = &self.shared.metrics;
        match result {
            Ok(()) => {
                TaskMetrics::add(&metrics.sink_put_time_micros, started.elapsed().as_micros() as u64);
                TaskMetrics::add(&metrics.batch_count, 1);
                TaskMetrics::add(&metrics.sink_record_send, self.records.len() as u64);
                TaskMetrics::add(&metrics.sink_record_active_count, self.records.len() as u64);
                self.shared.progressed();
                if attempts > 0 {
                    self.shared.set_retrying(None);
                }
                self.records.clear();
                for (partition, next) in &ends {
                    self.offsets.put(partition, *next);
                }
                Ok(())
            }
            Err(error) if error.kind == ErrorKind::Retriable => {
                self.retry_later(ends, attempts + 1, &error);
                Ok(())
            }
            Err(error) => Err(TaskFailure::put(&error)),
        }
    }

    /// As Connect, the same batch is put again for as long as its errors are retriable.
    fn retry_later(&mut self, ends: Vec<(TopicPartition, i64)>, attempts: u32, error: &ConnectorError) {
        let metrics = &self.shared.metrics;
        TaskMetrics::add(&metrics.record_errors, 1);
        TaskMetrics::add(&metrics.retries, 1);
        let growing = self.spec.options.errors.endless_delay(attempts);
        let delay = self.context.take_retry_backoff().map_or(growing, |asked| asked.max(MIN_RETRY_DELAY));
        self.shared.set_retrying(Some(error.to_string()));
        tracing::warn!(
            connector = %self.shared.id.connector, task = self.shared.id.task, %error,
            delay_ms = delay.as_millis() as u64, "put failed and is tried again"
        );
        self.pending = Some(Pending { ends, attempts, retry_at: Instant::now() + delay });
    }

    fn commit(&mut self) -> Result<Round, TaskFailure> {
        let (letters, timeout) = (&self.dead_letters, self.spec.options.times.call_timeout);
        let settle = || match &mut *letters.lock() {
            Some(letters) => letters.settle(self.shared, timeout),
            None => Ok(()),
        };
        let result = commit(self.shared, &mut self.offsets, &mut *self.consumer, &mut *self.task, settle);
        self.timer.committed(Instant::now());
        if !self.offsets.is_dirty() {
            if let Some(letters) = &mut *self.dead_letters.lock() {
                letters.forget();
            }
            TaskMetrics::set(&self.shared.metrics.sink_record_active_count, 0);
        }
        result
    }

    fn note_partitions(&self) {
        TaskMetrics::set(&self.shared.metrics.partition_count, self.offsets.len() as u64);
    }

    fn note_lag(&self) {
        self.shared.set_lag(self.consumer.lag());
    }

    /// An orderly end: commit, close.
    fn finish(&mut self) -> Result<(), TaskFailure> {
        if self.offsets.is_dirty() {
            self.commit()?;
        }
        let partitions = self.offsets.partitions();
        if partitions.is_empty() {
            return Ok(());
        }
        let _call = self.shared.calling("close");
        self.task.close(&partitions, false).map_err(|error| TaskFailure::call("close", &error))
    }
}

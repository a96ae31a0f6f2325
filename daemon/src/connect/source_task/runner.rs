//! The loop of a source task's thread.

use super::{
    SourceTaskSpec,
    commit::commit,
    context::Context,
    record::{RecordSender, Sent},
};
use crate::connect::{
    bus::{AckReport, BusProducer, ProduceFailure},
    submitted_records::SubmittedRecords,
    task::{
        CommitTimer, FailedRecord, Shared, Stage, StartError, TargetState, TaskFailure, TaskHandle, TaskMetrics,
        TaskRuntime, TaskStatus, ThreadKind, start_thread,
    },
};
use levada_connector_api::{ConnectorError, ErrorKind, SourceBatch, SourceTask};
use levada_env::{Instant, memory, time};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// How long a poll may wait for records while nothing else is to be done: a pause is seen between polls.
const IDLE_POLL: Duration = Duration::from_secs(1);
/// The same for a task whose waits end early for a pause; below what counts as a call that hangs.
const LONG_IDLE_POLL: Duration = Duration::from_secs(5);
/// Polls without records after which memory is given back: at rest, and again later for what other threads have let go
/// of since.
const RESTS: [u32; 5] = [2, 5, 6, 7, 11];

/// Starts the thread.
pub(super) fn spawn(
    spec: SourceTaskSpec,
    runtime: TaskRuntime,
    task: Box<dyn SourceTask>,
    target: TargetState,
) -> Result<TaskHandle, StartError> {
    let (id, timeout) = (spec.id.clone(), spec.options.times.call_timeout);
    start_thread(id, runtime, target, timeout, ThreadKind::Source, move |shared| run(shared, spec, task))
}

fn run(shared: &Arc<Shared>, mut spec: SourceTaskSpec, mut task: Box<dyn SourceTask>) -> Result<(), TaskFailure> {
    if !shared.wait_to_begin() {
        return Ok(());
    }
    let open = || shared.runtime.bus.producer(spec.options.producer.clone(), shared.owner.clone());
    let Some(producer) = shared.open_bus("producer", open)? else { return Ok(()) };
    let offsets = spec.offsets.clone();
    let context = Arc::new(Context { shared: shared.clone(), offsets, wakes: AtomicBool::new(false) });
    let started = {
        let _call = shared.calling("start");
        task.start(context.clone(), std::mem::take(&mut spec.config))
    };
    shared.inbox.started();
    let now = Instant::now();
    let mut runner = Runner {
        shared,
        timer: CommitTimer::new(spec.options.times, now),
        spec,
        task,
        producer,
        sender: RecordSender::default(),
        submitted: SubmittedRecords::default(),
        appended: 0,
        settled: 0,
        poll_failures: 0,
        context,
        idle_polls: 0,
    };
    let result = match started {
        Ok(()) => {
            shared.report(TaskStatus::Running);
            runner.work()
        }
        Err(error) => Err(TaskFailure::call("start", &error)),
    };
    let finished = runner.finish();
    let _call = shared.calling("stop");
    runner.task.stop();
    result.and(finished)
}

struct Runner<'a> {
    shared: &'a Arc<Shared>,
    spec: SourceTaskSpec,
    task: Box<dyn SourceTask>,
    producer: Box<dyn BusProducer>,
    sender: RecordSender,
    submitted: SubmittedRecords,
    timer: CommitTimer,
    /// Records handed to the producer.
    appended: u64,
    /// How many of them are acknowledged or given up.
    settled: u64,
    poll_failures: u32,
    context: Arc<Context>,
    /// Polls without records in a row, with nothing left to do.
    idle_polls: u32,
}

impl Runner<'_> {
    fn work(&mut self) -> Result<(), TaskFailure> {
        while !self.shared.stopping() {
            if self.shared.target() == TargetState::Paused {
                self.pause()?;
                continue;
            }
            if !self.producer.has_room() {
                match self.shared.wait_or_stop(self.producer.room()) {
                    None => break,
                    Some(Err(error)) => return Err(TaskFailure::bus("could not produce", &error)),
                    Some(Ok(())) => {}
                }
            }
            let Some(batch) = self.poll()? else { continue };
            let (records, checkpoints) = (batch.records.len(), batch.checkpoints.len());
            if records > 0 || checkpoints > 0 {
                self.timer.touch(Instant::now());
            }
            self.send(batch)?;
            // A source without more records for now: what is open waits for nothing.
            let submitted = if records == 0 { self.producer.submit_lingered() } else { self.producer.submit_idle() };
            submitted.map_err(|error| TaskFailure::bus("could not produce", &error))?;
            self.take_acks()?;
            if self.submitted.has_committable() && self.timer.is_due(Instant::now(), self.is_idle()) {
                self.commit()?;
            }
            self.rest();
        }
        Ok(())
    }

    /// Lets go of what only busy times need.
    fn rest(&mut self) {
        if !self.is_settled() {
            self.idle_polls = 0;
            return;
        }
        self.idle_polls = self.idle_polls.saturating_add(1);
        if RESTS.contains(&self.idle_polls) {
            self.producer.rest();
            self.sender.rest();
            memory::give_back();
        }
    }

    /// Whether all is acknowledged and committed.
    fn is_settled(&self) -> bool {
        self.is_idle() && !self.submitted.has_committable()
    }

    fn is_idle(&self) -> bool {
        self.appended == self.settled
    }

    /// The next batch; `None` when a retriable failure was waited out.
    fn poll(&mut self) -> Result<Option<SourceBatch>, TaskFailure> {
        // The first polls of a rest are short, so that memory is given back soon.
        let wait = match self.idle_polls {
            _ if !self.is_settled() => self.busy_wait(),
            0..=4 => IDLE_POLL,
            _ if self.context.wakes.load(Ordering::Acquire) => LONG_IDLE_POLL,
            _ => IDLE_POLL,
        };
        let started = Instant::now();
        let polled = {
            let _call = self.shared.calling("poll");
            self.task.poll(wait)
        };
        let metrics = &self.shared.metrics;
        match polled {
            Ok(batch) => {
                if self.poll_failures > 0 {
                    self.shared.set_retrying(None);
                }
                self.poll_failures = 0;
                if !batch.records.is_empty() {
                    TaskMetrics::add(&metrics.source_poll_time_micros, started.elapsed().as_micros() as u64);
                    TaskMetrics::add(&metrics.source_record_poll, batch.records.len() as u64);
                    TaskMetrics::add(&metrics.batch_count, 1);
                    self.shared.progressed();
                }
                Ok(Some(batch))
            }
            Err(error) if error.kind == ErrorKind::Retriable => {
                self.retry_poll(&error);
                Ok(None)
            }
            Err(error) if error.kind == ErrorKind::Cancelled && self.shared.stopping() => Ok(None),
            Err(error) => Err(TaskFailure::call("poll", &error)),
        }
    }

    /// How long a poll may wait while there is something to submit or commit.
    fn busy_wait(&self) -> Duration {
        let (wait, linger) = (self.spec.options.times.idle_commit_delay / 2, self.spec.options.producer.linger);
        if linger.is_zero() { wait } else { wait.min(linger) }
    }

    /// As Connect, a poll is tried again for as long as its errors are retriable; ours backs off.
    fn retry_poll(&mut self, error: &ConnectorError) {
        let metrics = &self.shared.metrics;
        TaskMetrics::add(&metrics.record_errors, 1);
        TaskMetrics::add(&metrics.retries, 1);
        self.poll_failures = self.poll_failures.saturating_add(1);
        let delay = self.spec.options.errors.endless_delay(self.poll_failures);
        self.shared.set_retrying(Some(error.to_string()));
        tracing::warn!(
            connector = %self.shared.id.connector, task = self.shared.id.task, %error,
            delay_ms = delay.as_millis() as u64, "poll failed and is tried again"
        );
        self.shared.wait_stop(delay);
    }

    /// Hands a batch to the producer, and its checkpoints to [`SubmittedRecords`] between the records that they stand
    /// between. Records that were skipped count as acknowledged.
    fn send(&mut self, batch: SourceBatch) -> Result<(), TaskFailure> {
        let now = self.shared.runtime.clock.wall_ms();
        let mut checkpoints = batch.checkpoints.into_iter().peekable();
        for (index, record) in batch.records.into_iter().enumerate() {
            while let Some(checkpoint) = checkpoints.next_if(|checkpoint| checkpoint.after <= index) {
                self.submitted.checkpoint(checkpoint.partition, checkpoint.offset, checkpoint.reach);
            }
            match self.sender.send(self.shared, &mut self.spec, &mut *self.producer, record, now)? {
                Sent::Appended(batch) => {
                    self.appended += 1;
                    self.submitted.appended(batch);
                }
                Sent::Skipped => {}
                // The rest of the batch is not handed over, so its checkpoints must not count.
                Sent::Stopping => return Ok(()),
            }
        }
        for checkpoint in checkpoints {
            self.submitted.checkpoint(checkpoint.partition, checkpoint.offset, checkpoint.reach);
        }
        self.sender.count_topics(self.shared);
        Ok(())
    }

    fn take_acks(&mut self) -> Result<(), TaskFailure> {
        loop {
            let AckReport { acknowledged, done, written, failures } = self.producer.acks();
            self.settled += written;
            TaskMetrics::add(&self.shared.metrics.source_record_write, written);
            // A stuck batch shows as a stall even while others move (invariant 11).
            if self.submitted.acknowledged(acknowledged, &done) {
                self.shared.progressed();
            }
            if failures.is_empty() {
                break;
            }
            // What is accepted as lost here is told as done by the next report.
            failures.into_iter().map(|failure| self.refused(failure)).fold(Ok(()), Result::and)?;
        }
        let active = self.appended.saturating_sub(self.settled);
        TaskMetrics::set(&self.shared.metrics.source_record_active_count, active);
        self.shared.set_in_flight_bytes(self.producer.bytes_in_flight());
        Ok(())
    }

    /// A batch that the log refused for good: skipped where errors are tolerated. Either way nothing waits for it.
    fn refused(&mut self, failure: ProduceFailure) -> Result<(), TaskFailure> {
        self.settled += failure.records as u64;
        let place = format!("topic {}, partition {}", failure.partition.topic, failure.partition.partition);
        let error = ConnectorError::data(format!("{} records were refused by the log", failure.records));
        let failed = FailedRecord { stage: Stage::KafkaProduce, class: "producer", place };
        let (shared, now) = (self.shared, self.shared.runtime.clock.wall_ms());
        let error = error.caused_by(failure.error);
        self.spec.options.errors.give_up(&shared.id, &shared.metrics, failed, &error, now)?;
        self.producer.accept_failure(failure.first);
        Ok(())
    }

    fn commit(&mut self) -> Result<(), TaskFailure> {
        let result = commit(self.shared, &self.spec, &mut self.submitted, &mut *self.task);
        self.timer.committed(Instant::now());
        result
    }

    /// Waits, up to the flush timeout, until everything handed over is acknowledged.
    fn drain(&mut self) -> Result<(), TaskFailure> {
        self.producer.flush().map_err(|error| TaskFailure::bus("could not produce", &error))?;
        let deadline = Instant::now() + self.spec.options.times.offset_flush_timeout;
        loop {
            self.take_acks()?;
            if self.is_idle() || self.shared.owner.is_revoked() {
                return Ok(());
            }
            let progress = self.producer.progress();
            let waited = self.shared.block_on(async { time::timeout_at(deadline, progress).await });
            // A producer with nothing in flight does not wait, and the timeout would never be looked at.
            if waited.is_err() || Instant::now() >= deadline {
                tracing::warn!(
                    connector = %self.shared.id.connector, task = self.shared.id.task,
                    records = self.appended - self.settled, "not all records were acknowledged in time"
                );
                return Ok(());
            }
        }
    }

    fn pause(&mut self) -> Result<(), TaskFailure> {
        self.drain()?;
        self.commit()?;
        self.shared.report(TaskStatus::Paused);
        self.shared.wait_unpaused();
        if !self.shared.stopping() {
            self.shared.report(TaskStatus::Running);
        }
        Ok(())
    }

    /// The end, also after a failure: what was acknowledged is true and is committed.
    fn finish(&mut self) -> Result<(), TaskFailure> {
        if self.shared.owner.is_revoked() {
            return Ok(());
        }
        let drained = self.drain();
        drained.and(self.commit())
    }
}

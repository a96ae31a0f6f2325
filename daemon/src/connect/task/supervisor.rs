//! The state a task's thread shares with the world outside, and the watch from outside.
//!
//! Invariant 10: a call past its deadline makes the task FAILED, its handles revoked, its thread
//! abandoned and counted. Invariant 8: nothing is reported for an incarnation after its end.

use super::{
    StartError, StopOutcome, TargetState, TaskFailure, TaskHandle, TaskHealth, TaskId, TaskMetrics, TaskRuntime,
    TaskStatus,
    call::{CallGuard, CallWatch},
    signals::{SignalError, Signals as TaskSignals},
    wait::block_on,
};
use crate::{connect::bus::OwnerToken, telemetry::secrets};
use levada_connector_api::{Progress, TaskSignal};
use levada_env::Instant;
use parking_lot::{Condvar, Mutex};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;

/// How an incarnation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Returned,
    Abandoned,
}

#[derive(Debug, Default)]
struct Signals {
    stop: bool,
    target: TargetState,
    /// The task's own [`Shared::nudge`], until a wait has seen it.
    nudged: bool,
}

/// Shared between a task's thread, its supervisor and its handles.
pub(in crate::connect) struct Shared {
    pub(in crate::connect) id: TaskId,
    pub(in crate::connect) metrics: Arc<TaskMetrics>,
    pub(in crate::connect) owner: OwnerToken,
    pub(in crate::connect) runtime: TaskRuntime,
    in_flight_bytes: AtomicU64,
    has_lag: bool,
    started: Instant,
    progress_micros: AtomicU64,
    retrying: Mutex<Option<String>>,
    told: Mutex<Option<(i64, Progress)>>,
    /// What the task is asked from outside.
    pub(in crate::connect) inbox: TaskSignals,
    signals: Mutex<Signals>,
    signalled: Condvar,
    signal: Notify,
    /// Lets a sink's blocking poll return when the task is signalled.
    bus_waker: Mutex<Option<Arc<Notify>>>,
    call: CallWatch,
    /// `None` while it runs; the lock also orders status reports.
    end: Mutex<Option<End>>,
    ended: Notify,
    thread_done: AtomicBool,
}

impl Shared {
    fn new(id: TaskId, runtime: TaskRuntime, target: TargetState, has_lag: bool) -> Self {
        Self {
            id,
            metrics: Arc::default(),
            owner: OwnerToken::new(),
            runtime,
            in_flight_bytes: AtomicU64::new(0),
            has_lag,
            started: Instant::now(),
            progress_micros: AtomicU64::new(0),
            retrying: Mutex::new(None),
            told: Mutex::new(None),
            inbox: TaskSignals::default(),
            signals: Mutex::new(Signals { target, ..Signals::default() }),
            signalled: Condvar::new(),
            signal: Notify::new(),
            bus_waker: Mutex::new(None),
            call: CallWatch::default(),
            end: Mutex::new(None),
            ended: Notify::new(),
            thread_done: AtomicBool::new(false),
        }
    }

    /// Whether the task shall stop.
    pub(in crate::connect) fn stopping(&self) -> bool {
        self.signals.lock().stop
    }

    /// What the task shall do while it isn't stopped.
    pub(in crate::connect) fn target(&self) -> TargetState {
        self.signals.lock().target
    }

    pub(super) fn set_target(&self, target: TargetState) {
        self.signals.lock().target = target;
        self.wake();
    }

    pub(super) fn request_stop(&self) {
        self.signals.lock().stop = true;
        self.wake();
    }

    fn wake(&self) {
        self.signalled.notify_all();
        self.signal.notify_waiters();
        self.wake_bus();
    }

    /// Makes a sink's poll of the bus return early.
    pub(in crate::connect) fn wake_bus(&self) {
        if let Some(waker) = &*self.bus_waker.lock() {
            waker.notify_one();
        }
    }

    pub(in crate::connect) fn set_bus_waker(&self, waker: Arc<Notify>) {
        *self.bus_waker.lock() = Some(waker);
    }

    /// Blocks up to `timeout`; true, and early, once the task shall stop.
    pub(in crate::connect) fn wait_stop(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout.min(Duration::from_secs(3600));
        let mut signals = self.signals.lock();
        while !signals.stop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.signalled.wait_for(&mut signals, left);
        }
        true
    }

    /// As [`Shared::wait_stop`], but early too when the task nudges itself, or shall pause or go on.
    pub(in crate::connect) fn wait_nudged(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout.min(Duration::from_secs(3600));
        let mut signals = self.signals.lock();
        let target = signals.target;
        while !signals.stop && !std::mem::take(&mut signals.nudged) && signals.target == target {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.signalled.wait_for(&mut signals, left);
        }
        signals.stop
    }

    /// Ends a running [`Shared::wait_nudged`], or the next one.
    pub(in crate::connect) fn nudge(&self) {
        self.signals.lock().nudged = true;
        self.signalled.notify_all();
    }

    /// Blocks while the task is paused and not stopped.
    pub(in crate::connect) fn wait_unpaused(&self) {
        let mut signals = self.signals.lock();
        while !signals.stop && signals.target == TargetState::Paused {
            self.signalled.wait(&mut signals);
        }
    }

    /// Waits for `future` on the task's thread; `None` when the task was asked to stop first.
    pub(in crate::connect) fn wait_or_stop<F: Future>(&self, future: F) -> Option<F::Output> {
        self.block_on(async {
            let mut future = std::pin::pin!(future);
            loop {
                let signal = self.signal.notified();
                if self.stopping() {
                    return None;
                }
                tokio::select! {
                    output = &mut future => return Some(output),
                    () = signal => {}
                }
            }
        })
    }

    /// Waits for `future` on the task's thread.
    pub(in crate::connect) fn block_on<F: Future>(&self, future: F) -> F::Output {
        block_on(&self.runtime.tokio, future)
    }

    /// Marks a call into the connector for the watch.
    pub(in crate::connect) fn calling(&self, call: &'static str) -> CallGuard<'_> {
        self.call.begin(call)
    }

    /// Notes how much is open or in flight.
    pub(in crate::connect) fn set_in_flight_bytes(&self, bytes: usize) {
        self.set_work(&self.in_flight_bytes, bytes as u64);
    }

    /// Notes how many records are behind the position.
    pub(in crate::connect) fn set_lag(&self, records: u64) {
        self.set_work(&self.metrics.sink_record_lag, records);
    }

    /// Work that comes after a rest waits from now on, not since the last work was done.
    fn set_work(&self, place: &AtomicU64, amount: u64) {
        if place.swap(amount, Ordering::Relaxed) == 0 && amount > 0 {
            self.progressed();
        }
    }

    /// Notes that records moved.
    pub(in crate::connect) fn progressed(&self) {
        self.progress_micros.store(self.started.elapsed().as_micros() as u64, Ordering::Relaxed);
    }

    /// Notes why a call is being tried again, or that it went well at last (invariant 11).
    pub(in crate::connect) fn set_retrying(&self, error: Option<String>) {
        *self.retrying.lock() = error.map(|error| secrets::masked(&error).into_owned());
    }

    /// Notes how far the task says it has come.
    pub(in crate::connect) fn set_progress(&self, progress: Progress) {
        let now = self.runtime.clock.wall_ms();
        *self.told.lock() = Some((now, progress.bounded()));
    }

    /// Asks something of the task.
    pub(super) fn signal_task(&self, signal: TaskSignal) -> Result<(), SignalError> {
        // Only sinks have a lag.
        if self.has_lag {
            return Err(SignalError::NotTaken);
        }
        if self.is_ended() || self.stopping() || self.target() == TargetState::Paused {
            return Err(SignalError::NotRunning);
        }
        self.inbox.push_checked(signal)?;
        self.nudge();
        Ok(())
    }

    pub(super) fn progress(&self) -> Option<(i64, Progress)> {
        self.told.lock().clone()
    }

    /// Reports a state of the live incarnation.
    pub(in crate::connect) fn report(&self, status: TaskStatus) {
        let end = self.end.lock();
        if end.is_none() {
            self.runtime.listener.task_status(&self.id, status);
        }
    }

    /// Tells of a first record from or to `topic`, as [`Shared::report`].
    pub(in crate::connect) fn topic_active(&self, topic: &str) {
        let end = self.end.lock();
        if end.is_none() {
            self.runtime.listener.topic_active(&self.id, topic);
        }
    }

    /// Ends the incarnation once: revokes its handles, then reports.
    fn finish(&self, how: End, status: Option<TaskStatus>) {
        // The revocation comes first: when the end is visible, nothing more can be written.
        self.owner.revoke();
        let mut end = self.end.lock();
        if end.is_some() {
            return;
        }
        *end = Some(how);
        if how == End::Abandoned && !self.thread_done.load(Ordering::Acquire) {
            self.runtime.abandoned.add();
        }
        if let Some(status) = status {
            self.runtime.listener.task_status(&self.id, status);
        }
        drop(end);
        self.ended.notify_waiters();
    }

    /// The last thing that the thread does.
    fn thread_returned(&self, result: Result<(), TaskFailure>) {
        let status = match result {
            Err(failure) if !failure.cancelled => {
                tracing::error!(connector = %self.id.connector, task = self.id.task, trace = failure.trace, "task failed");
                TaskStatus::Failed { trace: failure.trace }
            }
            Ok(()) | Err(_) => TaskStatus::Unassigned,
        };
        let was_abandoned = {
            let end = self.end.lock();
            self.thread_done.store(true, Ordering::Release);
            *end == Some(End::Abandoned)
        };
        if was_abandoned {
            self.runtime.abandoned.remove();
            tracing::info!(connector = %self.id.connector, task = self.id.task, "abandoned task thread has ended");
        } else {
            self.finish(End::Returned, Some(status));
        }
    }

    pub(in crate::connect) fn is_ended(&self) -> bool {
        self.end.lock().is_some()
    }

    pub(in crate::connect) async fn wait_ended(&self) {
        loop {
            let ended = self.ended.notified();
            if self.is_ended() {
                return;
            }
            ended.await;
        }
    }

    pub(super) async fn stop(&self, graceful: Duration) -> StopOutcome {
        self.request_stop();
        if levada_env::time::timeout(graceful, self.wait_ended()).await.is_err() {
            tracing::warn!(
                connector = %self.id.connector, task = self.id.task, call = self.call.current().map(|(call, _)| call),
                "task did not stop in time and is abandoned"
            );
            self.finish(End::Abandoned, None);
        }
        match *self.end.lock() {
            Some(End::Abandoned) => StopOutcome::Abandoned,
            _ => StopOutcome::Stopped,
        }
    }

    pub(super) fn health(&self) -> TaskHealth {
        let progress = Duration::from_micros(self.progress_micros.load(Ordering::Relaxed));
        TaskHealth {
            since_progress: self.started.elapsed().saturating_sub(progress),
            call: self.call.current(),
            in_flight_bytes: self.in_flight_bytes.load(Ordering::Relaxed),
            lag: self.has_lag.then(|| self.metrics.sink_record_lag.load(Ordering::Relaxed)),
            abandoned: *self.end.lock() == Some(End::Abandoned),
            retrying: self.retrying.lock().clone(),
        }
    }

    /// Watches the task's calls until it ends.
    async fn supervise(self: Arc<Self>, timeout: Duration) {
        loop {
            // A call that begins after this look has all of its time before the next one.
            let age = self.call.current().map_or(Duration::ZERO, |(_, age)| age);
            let next = timeout.saturating_sub(age).max(Duration::from_millis(1));
            if levada_env::time::timeout(next, self.wait_ended()).await.is_ok() {
                return;
            }
            let Some((call, age)) = self.call.current() else { continue };
            if age < timeout {
                continue;
            }
            let failure = TaskFailure::connect(format!(
                "{call} did not return within task.call.timeout.ms={}; its thread is left behind",
                timeout.as_millis()
            ));
            tracing::error!(connector = %self.id.connector, task = self.id.task, trace = failure.trace, "task failed");
            self.request_stop();
            self.finish(End::Abandoned, Some(TaskStatus::Failed { trace: failure.trace }));
        }
    }
}

/// Starts a task's thread around `body`, which gets the shared state, and its supervisor.
pub(in crate::connect) fn start_thread(
    id: TaskId,
    runtime: TaskRuntime,
    target: TargetState,
    call_timeout: Duration,
    kind: ThreadKind,
    body: impl FnOnce(&Arc<Shared>) -> Result<(), TaskFailure> + Send + 'static,
) -> Result<TaskHandle, StartError> {
    let abandoned = &runtime.abandoned;
    if abandoned.exhausted() {
        return Err(StartError::TooManyAbandoned { count: abandoned.count(), limit: abandoned.limit() });
    }
    let shared = Arc::new(Shared::new(id.clone(), runtime, target, kind == ThreadKind::Sink));
    let thread_shared = shared.clone();
    let name = match kind {
        ThreadKind::Source => format!("source-{id}"),
        ThreadKind::Sink => format!("sink-{id}"),
    };
    let thread = levada_env::thread::spawn(&name, move || {
        let shared = thread_shared;
        // Invariant 10: a panic, also one while the task is dropped, ends this task alone.
        let result = catch_unwind(AssertUnwindSafe(|| body(&shared)));
        let result = result.unwrap_or_else(|payload| {
            let failure = TaskFailure::panicked(shared.call.last(), &*payload);
            // Dropping the payload may panic too.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
            Err(failure)
        });
        shared.thread_returned(result);
    });
    thread.map_err(|cause| StartError::Thread { task: id, cause })?;
    shared.runtime.tokio.spawn(shared.clone().supervise(call_timeout));
    Ok(TaskHandle { shared })
}

/// Which loop a thread runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::connect) enum ThreadKind {
    /// A source task.
    Source,
    /// A sink task.
    Sink,
}

//! The herder's hold on a running task.

use super::{SignalError, TaskId, TaskMetrics, supervisor::Shared};
use crate::connect::bus::BoxFuture;
use levada_connector_api::{Progress, TaskSignal};
use std::{sync::Arc, time::Duration};

/// Whether a started task moves records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetState {
    /// It does.
    #[default]
    Started,
    /// It keeps its resources and moves nothing.
    Paused,
}

/// Why a task was not even started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Too many threads hang in connector code (invariant 10).
    #[error("{count} task threads hang in connector calls (limit {limit}); restart the worker to free them")]
    TooManyAbandoned {
        /// How many hang.
        count: usize,
        /// How many may.
        limit: usize,
    },
    /// The operating system gave no thread.
    #[error("could not start a thread for task {task}: {cause}")]
    Thread {
        /// Task.
        task: TaskId,
        /// Cause.
        cause: std::io::Error,
    },
}

/// How a stop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopOutcome {
    /// The task ended by itself within the time (or had ended before).
    Stopped,
    /// It did not; its handles are revoked and its thread is left behind.
    Abandoned,
}

/// Derived health, for `/v1` and metrics. Never a reason to change Connect's own states (invariant 11).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskHealth {
    /// Time since records last moved, or since the start.
    pub since_progress: Duration,
    /// The connector call that is running, and for how long.
    pub call: Option<(&'static str, Duration)>,
    /// Source: bytes not yet acknowledged.
    pub in_flight_bytes: u64,
    /// Sink: records between the position and the end of its partitions.
    pub lag: Option<u64>,
    /// Whether the task's thread was left behind.
    pub abandoned: bool,
    /// The error after which the last call is being tried again.
    pub retrying: Option<String>,
}

/// A running task. Clones share it; dropping all of them does not stop it.
#[derive(Clone)]
pub struct TaskHandle {
    pub(super) shared: Arc<Shared>,
}

impl TaskHandle {
    /// Which task.
    pub fn id(&self) -> &TaskId {
        &self.shared.id
    }

    /// Moves records again.
    pub fn resume(&self) {
        self.shared.set_target(TargetState::Started);
    }

    /// Stops moving records and keeps resources and group membership.
    pub fn pause(&self) {
        self.shared.set_target(TargetState::Paused);
    }

    /// Tells the task to stop without waiting, so that many tasks can stop together.
    pub fn request_stop(&self) {
        self.shared.request_stop();
    }

    /// Stops the task: flushes, commits, calls its `stop`. After `graceful` its handles are revoked
    /// and the thread is abandoned. When this returns the incarnation writes nothing any more.
    pub fn stop(&self, graceful: Duration) -> BoxFuture<'_, StopOutcome> {
        Box::pin(self.shared.stop(graceful))
    }

    /// Whether its thread has ended or was abandoned.
    pub fn is_ended(&self) -> bool {
        self.shared.is_ended()
    }

    /// Counters under Connect's names.
    pub fn metrics(&self) -> &Arc<TaskMetrics> {
        &self.shared.metrics
    }

    /// How far the task said it has come, and when it said so (milliseconds since the epoch).
    pub fn progress(&self) -> Option<(i64, Progress)> {
        self.shared.progress()
    }

    /// Asks something of the task, which does it when it comes to it.
    pub fn signal(&self, signal: TaskSignal) -> Result<(), SignalError> {
        self.shared.signal_task(signal)
    }

    /// Derived health.
    pub fn health(&self) -> TaskHealth {
        self.shared.health()
    }
}

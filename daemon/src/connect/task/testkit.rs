//! What the tests of the source and sink runners share.

use super::{AbandonedThreads, TaskId, TaskRuntime, TaskStatus, TaskStatusListener, TaskTimes};
use crate::connect::testing::task_bus::{Shared, TaskBus};
use levada_env::RealClock;
use parking_lot::{Condvar, Mutex};
use std::{sync::Arc, time::Duration};

/// Remembers statuses and topics.
#[derive(Default)]
pub(in crate::connect) struct Recorder {
    statuses: Mutex<Vec<TaskStatus>>,
    topics: Mutex<Vec<String>>,
}

impl Recorder {
    pub(in crate::connect) fn last(&self) -> Option<TaskStatus> {
        self.statuses.lock().last().cloned()
    }

    pub(in crate::connect) fn all(&self) -> Vec<TaskStatus> {
        self.statuses.lock().clone()
    }

    pub(in crate::connect) fn topics(&self) -> Vec<String> {
        self.topics.lock().clone()
    }

    /// The trace, once the task has failed.
    pub(in crate::connect) fn trace(&self) -> Option<String> {
        match self.last() {
            Some(TaskStatus::Failed { trace }) => Some(trace),
            _ => None,
        }
    }
}

impl TaskStatusListener for Recorder {
    fn task_status(&self, _: &TaskId, status: TaskStatus) {
        self.statuses.lock().push(status);
    }

    fn topic_active(&self, _: &TaskId, topic: &str) {
        self.topics.lock().push(topic.to_owned());
    }
}

/// A runtime over `bus`, with its listener.
pub(in crate::connect) fn runtime(bus: &Arc<TaskBus>) -> (TaskRuntime, Arc<Recorder>) {
    let listener = Arc::new(Recorder::default());
    let runtime = TaskRuntime {
        bus: Arc::new(Shared(bus.clone())),
        tokio: tokio::runtime::Handle::current(),
        clock: Arc::new(RealClock),
        abandoned: Arc::new(AbandonedThreads::new(2)),
        listener: listener.clone(),
    };
    (runtime, listener)
}

/// Commits soon, and gives a call a second.
pub(in crate::connect) fn quick_times() -> TaskTimes {
    TaskTimes {
        offset_flush_timeout: Duration::from_secs(1),
        call_timeout: Duration::from_secs(1),
        idle_commit_delay: Duration::from_millis(5),
        ..TaskTimes::default()
    }
}

/// Blocks whoever waits until it is opened.
#[derive(Default)]
pub(in crate::connect) struct Latch {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Latch {
    pub(in crate::connect) fn wait(&self) {
        let mut open = self.open.lock();
        while !*open {
            self.changed.wait(&mut open);
        }
    }

    pub(in crate::connect) fn open(&self) {
        *self.open.lock() = true;
        self.changed.notify_all();
    }
}

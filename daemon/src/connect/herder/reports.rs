//! Brings task reports to the statuses at once and to the herder when it has time.
//!
//! Task threads call in here and must not block, and a task can report as often as it likes: only its last report
//! waits for the herder, so that the backlog is bounded by the number of tasks (invariant 9).

use crate::{
    connect::{
        store::{State, StatusKey, StatusStore},
        task::{TaskId, TaskStatus, TaskStatusListener},
    },
    telemetry::secrets,
};
use levada_env::Clock;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::Notify;

/// The listener that task runners get.
pub struct TaskReports {
    statuses: Arc<StatusStore>,
    clock: Arc<dyn Clock>,
    topic_tracking: bool,
    versions: Mutex<BTreeMap<TaskId, String>>,
    waiting: Mutex<BTreeMap<TaskId, TaskStatus>>,
    arrived: Notify,
}

impl TaskReports {
    /// Reports go to `statuses`; topics only where they are tracked.
    pub fn new(statuses: Arc<StatusStore>, clock: Arc<dyn Clock>, topic_tracking: bool) -> Arc<Self> {
        let (versions, waiting) = (Mutex::default(), Mutex::default());
        Arc::new(Self { statuses, clock, topic_tracking, versions, waiting, arrived: Notify::new() })
    }

    /// Sets the version that a task's statuses carry.
    pub fn set_version(&self, task: &TaskId, version: String) {
        self.versions.lock().insert(task.clone(), version);
    }

    /// Forgets a task that is gone.
    pub fn forget(&self, task: &TaskId) {
        self.versions.lock().remove(task);
        self.waiting.lock().remove(task);
    }

    /// Waits until there is something to take.
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// The last report of each task since the last time.
    pub(super) fn take(&self) -> BTreeMap<TaskId, TaskStatus> {
        std::mem::take(&mut *self.waiting.lock())
    }
}

impl TaskStatusListener for TaskReports {
    fn task_status(&self, task: &TaskId, status: TaskStatus) {
        let key = StatusKey::Task(task.connector.to_string(), task.task);
        let version = self.versions.lock().get(task).cloned();
        let status = match status {
            // Texts of connectors and drivers may repeat their configuration (invariant 12).
            TaskStatus::Failed { trace } => TaskStatus::Failed { trace: secrets::masked(&trace).into_owned() },
            other => other,
        };
        match &status {
            TaskStatus::Running => self.statuses.put(key, State::Running, None, version),
            TaskStatus::Paused => self.statuses.put(key, State::Paused, None, version),
            TaskStatus::Failed { trace } => self.statuses.put_safe(key, State::Failed, Some(trace.clone()), version),
            TaskStatus::Unassigned => self.statuses.ended(key, version),
        }
        self.waiting.lock().insert(task.clone(), status);
        self.arrived.notify_one();
    }

    fn topic_active(&self, task: &TaskId, topic: &str) {
        if self.topic_tracking {
            self.statuses.put_topic(&task.connector, task.task, topic, self.clock.wall_ms());
        }
    }
}

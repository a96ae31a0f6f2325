//! Identity and states of a task.

use std::{fmt, sync::Arc};

/// A task of a connector.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// Connector's name.
    pub connector: Arc<str>,
    /// The task's number.
    pub task: usize,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.connector, self.task)
    }
}

/// A task's state, as it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskStatus {
    /// Started and moving records.
    Running,
    /// Started, by its target state not moving records.
    Paused,
    /// Ended by an error.
    Failed {
        /// Message and chain of causes, several lines; never a secret (invariant 12).
        trace: String,
    },
    /// Ended in order, because it was stopped.
    Unassigned,
}

/// Learns of a task's changes. Called from task threads and supervisors: must not block.
///
/// Each incarnation of a task reports in order, and nothing after `Failed` or `Unassigned`, nor
/// after it was abandoned (invariant 8).
pub trait TaskStatusListener: Send + Sync {
    /// The task's state changed.
    fn task_status(&self, task: &TaskId, status: TaskStatus);

    /// The task moved a first record from or to `topic` (KIP-558).
    fn topic_active(&self, _task: &TaskId, _topic: &str) {}
}

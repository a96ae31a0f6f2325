//! What source and sink task runners share: identity, status, the thread's handle, the watch over
//! calls into connector code, counters, and the rules of `errors.*`.
//!
//! A task runs on a thread of its own. A supervisor outside of that thread watches each call into
//! the connector (invariant 10): past its deadline the task is FAILED, its [`OwnerToken`] revoked,
//! and the thread abandoned and counted.
//!
//! [`OwnerToken`]: crate::connect::bus::OwnerToken

mod abandoned;
mod begin;
mod call;
mod commit_timer;
mod errors;
mod failure;
mod handle;
mod metrics;
mod retry;
mod signals;
mod status;
mod supervisor;
mod wait;

pub use abandoned::AbandonedThreads;
pub(in crate::connect) use begin::BUS_RETRY;
pub(in crate::connect) use commit_timer::CommitTimer;
pub use errors::{ErrorPolicy, Stage, Tolerance};
pub(in crate::connect) use errors::{FailedRecord, MIN_RETRY_DELAY};
pub(in crate::connect) use failure::{TaskFailure, exception_class, push_causes};
pub use handle::{StartError, StopOutcome, TargetState, TaskHandle, TaskHealth};
pub use metrics::TaskMetrics;
pub(in crate::connect) use retry::{Tried, with_retries};
pub use signals::SignalError;
pub use status::{TaskId, TaskStatus, TaskStatusListener};
pub(in crate::connect) use supervisor::{Shared, ThreadKind, start_thread};

use crate::connect::bus::Bus;
use std::{sync::Arc, time::Duration};

/// What every task runner needs of the worker.
#[derive(Clone)]
pub struct TaskRuntime {
    /// The log.
    pub bus: Arc<dyn Bus>,
    /// Where waits and supervisors run.
    pub tokio: tokio::runtime::Handle,
    /// Time.
    pub clock: Arc<dyn levada_env::Clock>,
    /// Threads that hang in connector code, and how many may.
    pub abandoned: Arc<AbandonedThreads>,
    /// Told of every change of a task's state.
    pub listener: Arc<dyn TaskStatusListener>,
}

/// Worker keys that both kinds of tasks obey.
#[derive(Clone, Copy, Debug)]
pub struct TaskTimes {
    /// `offset.flush.interval.ms`.
    pub offset_flush_interval: Duration,
    /// `offset.flush.timeout.ms`.
    pub offset_flush_timeout: Duration,
    /// `task.call.timeout.ms`: the deadline of one call into the connector.
    pub call_timeout: Duration,
    /// How long a task without new records waits before it commits what it has.
    pub idle_commit_delay: Duration,
}

impl Default for TaskTimes {
    fn default() -> Self {
        Self {
            offset_flush_interval: Duration::from_secs(60),
            offset_flush_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(300),
            idle_commit_delay: Duration::from_millis(100),
        }
    }
}

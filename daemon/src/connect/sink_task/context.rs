//! What a sink task sees of the runtime.

use crate::connect::task::Shared;
use levada_connector_api::SinkTaskContext;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// The context given to [`levada_connector_api::SinkTask::start`].
pub(super) struct Context {
    shared: Arc<Shared>,
    commit_requested: AtomicBool,
    /// Milliseconds; `u64::MAX` when the task has set none.
    retry_backoff_ms: AtomicU64,
}

impl Context {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, commit_requested: AtomicBool::new(false), retry_backoff_ms: AtomicU64::new(u64::MAX) }
    }

    /// Takes a request for a commit.
    pub(super) fn take_commit_request(&self) -> bool {
        self.commit_requested.swap(false, Ordering::AcqRel)
    }

    /// The wait that the task has set for its next retry, once.
    pub(super) fn take_retry_backoff(&self) -> Option<Duration> {
        match self.retry_backoff_ms.swap(u64::MAX, Ordering::AcqRel) {
            u64::MAX => None,
            millis => Some(Duration::from_millis(millis)),
        }
    }
}

impl SinkTaskContext for Context {
    fn connector(&self) -> &str {
        &self.shared.id.connector
    }

    fn task(&self) -> usize {
        self.shared.id.task
    }

    fn request_commit(&self) {
        self.commit_requested.store(true, Ordering::Release);
        self.shared.wake_bus();
    }

    fn set_retry_backoff(&self, backoff: Duration) {
        let millis = u64::try_from(backoff.as_millis()).unwrap_or(u64::MAX - 1).min(u64::MAX - 1);
        self.retry_backoff_ms.store(millis, Ordering::Release);
    }

    fn cancelled(&self) -> bool {
        self.shared.stopping()
    }
}

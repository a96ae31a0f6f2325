//! What a source task sees of the runtime.

use super::{OffsetStore, signals};
use crate::connect::task::Shared;
use levada_connector_api::{
    ConnectorError, Progress, Result, SignalCheck, SignalTopic, SourceOffset, SourcePartition, SourceTaskContext,
    TaskSignal,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// The context given to [`levada_connector_api::SourceTask::start`].
pub(super) struct Context {
    pub(super) shared: Arc<Shared>,
    pub(super) offsets: Arc<dyn OffsetStore>,
    /// Whether the task has taken the waker: then its waits end early when there is reason to.
    pub(super) wakes: AtomicBool,
}

impl SourceTaskContext for Context {
    fn connector(&self) -> &str {
        &self.shared.id.connector
    }

    fn task(&self) -> usize {
        self.shared.id.task
    }

    fn offsets(&self, partitions: &[SourcePartition]) -> Result<Vec<Option<SourceOffset>>> {
        let read = self.offsets.read(&self.shared.id.connector, partitions);
        match self.shared.wait_or_stop(read) {
            None => Err(ConnectorError::cancelled()),
            Some(Ok(offsets)) => Ok(offsets),
            Some(Err(error)) if error.is_retriable() => {
                Err(ConnectorError::retriable("could not read the committed source offsets").caused_by(error))
            }
            Some(Err(error)) => {
                Err(ConnectorError::fatal("could not read the committed source offsets").caused_by(error))
            }
        }
    }

    fn set_progress(&self, progress: Progress) {
        self.shared.set_progress(progress);
    }

    fn accept_signals(&self, topic: Option<&SignalTopic>) -> Result<()> {
        self.shared.inbox.accept();
        if let Some(topic) = topic.cloned() {
            self.shared.runtime.tokio.spawn(signals::follow(Arc::clone(&self.shared), topic));
        }
        Ok(())
    }

    fn check_signals(&self, check: SignalCheck) {
        self.shared.inbox.set_check(check);
    }

    fn take_signals(&self) -> Vec<TaskSignal> {
        self.shared.inbox.take()
    }

    fn cancelled(&self) -> bool {
        self.shared.stopping()
    }

    fn waker(&self) -> Option<Arc<dyn Fn() + Send + Sync>> {
        self.wakes.store(true, Ordering::Release);
        let shared = Arc::downgrade(&self.shared);
        Some(Arc::new(move || {
            if let Some(shared) = shared.upgrade() {
                shared.nudge();
            }
        }))
    }

    fn wait(&self, timeout: Duration) -> bool {
        self.shared.wait_nudged(timeout)
    }
}

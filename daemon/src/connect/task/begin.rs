//! How every task begins: paused ones wait, then the way to the log is opened.

use super::{Shared, TargetState, TaskFailure, TaskStatus};
use crate::connect::bus::{BoxFuture, Result as BusResult};
use std::time::Duration;

/// Wait between tries when the log can't be reached.
pub(in crate::connect) const BUS_RETRY: Duration = Duration::from_millis(500);

impl Shared {
    /// As Connect, a paused task is not even started. False when the task was asked to stop first.
    pub(in crate::connect) fn wait_to_begin(&self) -> bool {
        if self.target() == TargetState::Paused && !self.stopping() {
            self.report(TaskStatus::Paused);
            self.wait_unpaused();
        }
        !self.stopping()
    }

    /// Opens the task's `what` (its producer or consumer), waiting for the log if need be; `None` when
    /// asked to stop.
    pub(in crate::connect) fn open_bus<'a, T>(
        &'a self,
        what: &str,
        mut open: impl FnMut() -> BoxFuture<'a, BusResult<T>>,
    ) -> Result<Option<T>, TaskFailure> {
        loop {
            match self.wait_or_stop(open()) {
                None => return Ok(None),
                Some(Ok(opened)) => return Ok(Some(opened)),
                Some(Err(error)) if error.is_retriable() => {
                    tracing::warn!(connector = %self.id.connector, task = self.id.task, %error, "no {what} yet");
                    if self.wait_stop(BUS_RETRY) {
                        return Ok(None);
                    }
                }
                Some(Err(error)) => return Err(TaskFailure::bus(&format!("could not start the {what}"), &error)),
            }
        }
    }
}

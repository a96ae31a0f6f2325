//! The watch over calls into connector code.

use levada_env::Instant;
use parking_lot::Mutex;
use std::time::Duration;

/// Which connector call runs now, and since when. Written by the task's thread once a call, read by
/// its supervisor.
#[derive(Debug, Default)]
pub(super) struct CallWatch(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<&'static str>,
    since: Option<Instant>,
}

impl CallWatch {
    /// Marks the start of `call`; the guard marks its end.
    pub(super) fn begin(&self, call: &'static str) -> CallGuard<'_> {
        *self.0.lock() = State { last: Some(call), since: Some(Instant::now()) };
        CallGuard(self)
    }

    /// The running call and its age.
    pub(super) fn current(&self) -> Option<(&'static str, Duration)> {
        let state = self.0.lock();
        Some((state.last?, state.since?.elapsed()))
    }

    /// The call that ran last, for the text of a panic.
    pub(super) fn last(&self) -> Option<&'static str> {
        self.0.lock().last
    }
}

/// Ends a watched call when dropped, also by a panic.
pub(in crate::connect) struct CallGuard<'a>(&'a CallWatch);

impl Drop for CallGuard<'_> {
    fn drop(&mut self) {
        self.0.0.lock().since = None;
    }
}

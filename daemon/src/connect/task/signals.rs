//! Signals on their way to a running task: from the REST interface and from a topic, bounded in bytes.

use levada_connector_api::{SignalCheck, TaskSignal};
use parking_lot::Mutex;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Bytes of signals that may wait for a task; one always fits.
const MOST_BYTES: usize = 1 << 20;

/// Why a task can't be signalled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignalError {
    /// It is a sink, or a source that knows no signals.
    #[error("its connector takes no signals")]
    NotTaken,
    /// It does not move records.
    #[error("it is not running")]
    NotRunning,
    /// It has not taken those before.
    #[error("it has not taken the signals before this one yet")]
    Full,
    /// Its connector can't follow this one.
    #[error("{0}")]
    Refused(String),
}

/// The signals of one task.
#[derive(Default)]
pub(in crate::connect) struct Signals(Mutex<State>);

#[derive(Default)]
struct State {
    accepted: bool,
    check: Option<SignalCheck>,
    started: bool,
    waiting: Vec<TaskSignal>,
    bytes: usize,
}

impl Signals {
    /// The task takes them from now on.
    pub fn accept(&self) {
        self.0.lock().accepted = true;
    }

    /// The task says by this what it can't follow.
    pub fn set_check(&self, check: SignalCheck) {
        self.0.lock().check = Some(check);
    }

    /// The task's start is over: if it does not take them by now, it never will.
    pub fn started(&self) {
        self.0.lock().started = true;
    }

    /// Adds one that somebody waits for the answer to: what the connector can't follow is refused.
    pub fn push_checked(&self, signal: TaskSignal) -> Result<(), SignalError> {
        let check = self.0.lock().taking()?.check.clone();
        // A connector's code: without the lock, and its panic is nobody else's (invariant 10).
        let checked = check.map(|check| catch_unwind(AssertUnwindSafe(|| check(&signal))));
        if let Some(Ok(Err(error))) = checked {
            return Err(SignalError::Refused(error.to_string()));
        }
        self.push(signal)
    }

    /// Adds one, which may be nothing but a position; of what it can't follow the connector tells by itself.
    pub fn push(&self, signal: TaskSignal) -> Result<(), SignalError> {
        let mut state = self.0.lock();
        let state = state.taking()?;
        let bytes = signal.id.len() + signal.text.len() + 64;
        if !state.waiting.is_empty() && state.bytes + bytes > MOST_BYTES {
            return Err(SignalError::Full);
        }
        state.bytes += bytes;
        state.waiting.push(signal);
        Ok(())
    }

    /// Takes all.
    pub fn take(&self) -> Vec<TaskSignal> {
        let mut state = self.0.lock();
        state.bytes = 0;
        std::mem::take(&mut state.waiting)
    }
}

impl State {
    /// Itself, when its task takes signals.
    fn taking(&mut self) -> Result<&mut Self, SignalError> {
        match (self.accepted, self.started) {
            (true, _) => Ok(self),
            (false, true) => Err(SignalError::NotTaken),
            (false, false) => Err(SignalError::NotRunning),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_wait_within_their_bytes_for_a_task_that_takes_them() {
        let signals = Signals::default();
        let signal = |bytes| TaskSignal { id: "1".to_owned(), text: "x".repeat(bytes), next: None };
        assert_eq!(signals.push(signal(1)), Err(SignalError::NotRunning));
        signals.started();
        assert_eq!(signals.push(signal(1)), Err(SignalError::NotTaken));
        signals.accept();
        assert_eq!(signals.push(signal(2 * MOST_BYTES)), Ok(()));
        assert_eq!(signals.push(signal(1)), Err(SignalError::Full));
        assert_eq!(signals.take().len(), 1);
        assert_eq!(signals.push(signal(1)), Ok(()));
        signals.set_check(std::sync::Arc::new(|signal| match signal.text.len() {
            1 => Ok(()),
            2 => Err(levada_connector_api::ConnectorError::data("too long")),
            _ => panic!("much too long"),
        }));
        assert_eq!(signals.push_checked(signal(2)), Err(SignalError::Refused("too long".to_owned())));
        assert_eq!((signals.push_checked(signal(1)), signals.push_checked(signal(3))), (Ok(()), Ok(())));
        assert_eq!(
            signals.push(signal(2)),
            Ok(()),
            "of a topic's the connector tells by itself, and needs their positions"
        );
    }
}

//! The one error type a connector returns, and how the runtime treats each kind.

/// Result of a connector call.
pub type Result<T, E = ConnectorError> = std::result::Result<T, E>;

/// How the runtime reacts to a [`ConnectorError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The configuration is wrong; never restarted by itself. Shown as HTTP 400 where a request caused it.
    Config,
    /// The outside world may be better later: the same call is tried again with back-off.
    Retriable,
    /// The input can't be handled; the task becomes FAILED.
    Data,
    /// Anything else; the task becomes FAILED.
    Fatal,
    /// The call ended because the task was asked to stop; not a failure.
    Cancelled,
}

/// A failure of a connector or task: what happened, with the key or file or row that it is about, and
/// the mend where there is one. Never holds a secret (invariant 12).
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ConnectorError {
    /// How the runtime reacts.
    pub kind: ErrorKind,
    /// Lower-case text without a trailing period.
    pub message: String,
    /// The cause underneath, shown in the task's trace.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl ConnectorError {
    /// An error of `kind` with a text.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// A configuration error.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// An error worth a retry.
    pub fn retriable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Retriable, message)
    }

    /// Bad input.
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Data, message)
    }

    /// An error nothing mends by waiting.
    pub fn fatal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Fatal, message)
    }

    /// A connector's own limit of tries is reached: the task becomes FAILED, and since the cause is one that may pass
    /// the worker's restart policy starts it again later.
    pub fn retries_used_up(message: impl Into<String>, last: Self) -> Self {
        Self::fatal(message).caused_by(last)
    }

    /// The task was asked to stop.
    pub fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "the task was asked to stop")
    }

    /// Adds the cause underneath.
    pub fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }
}

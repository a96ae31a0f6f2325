//! Why a task became FAILED, and the trace text that its status carries.

use crate::connect::bus::BusError;
use levada_connector_api::{ConnectorError, ErrorKind};
use std::{any::Any, error::Error, fmt::Write as _};

/// A failure that ends a task. Its text starts with a class name like Connect's, since tools match
/// on them, and goes on with the chain of causes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::connect) struct TaskFailure {
    /// The status's trace.
    pub trace: String,
    /// Set when the task ended because it was asked to; then it is no failure.
    pub cancelled: bool,
}

const CONNECT_EXCEPTION: &str = "org.apache.kafka.connect.errors.ConnectException";

impl TaskFailure {
    /// A failure of the runtime itself.
    pub(in crate::connect) fn connect(message: impl AsRef<str>) -> Self {
        Self { trace: format!("{CONNECT_EXCEPTION}: {}", message.as_ref()), cancelled: false }
    }

    /// A failed connector call.
    pub(in crate::connect) fn call(call: &'static str, error: &ConnectorError) -> Self {
        let mut trace = format!("{}: {error}\n\tat {call}", exception_class(error.kind));
        push_causes(&mut trace, error);
        Self { trace, cancelled: error.kind == ErrorKind::Cancelled }
    }

    /// A sink's `put` failed for good.
    pub(in crate::connect) fn put(error: &ConnectorError) -> Self {
        let mut trace = format!("{CONNECT_EXCEPTION}: Exiting WorkerSinkTask due to unrecoverable exception.");
        let _ = write!(trace, "\nCaused by: {}: {error}\n\tat put", exception_class(error.kind));
        push_causes(&mut trace, error);
        Self { trace, cancelled: error.kind == ErrorKind::Cancelled }
    }

    /// A record failed and errors are not tolerated.
    pub(in crate::connect) fn tolerance_exceeded(error: &ConnectorError) -> Self {
        let mut trace = format!("{CONNECT_EXCEPTION}: Tolerance exceeded in error handler");
        let _ = write!(trace, "\nCaused by: {}: {error}", exception_class(error.kind));
        push_causes(&mut trace, error);
        Self { trace, cancelled: false }
    }

    /// A connector call panicked.
    pub(in crate::connect) fn panicked(call: Option<&'static str>, payload: &(dyn Any + Send)) -> Self {
        let text = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no text");
        Self::connect(format!("the task panicked in {}: {text}", call.unwrap_or("the runtime")))
    }

    /// The log refused what the task can't go on without.
    pub(in crate::connect) fn bus(doing: &str, error: &BusError) -> Self {
        let mut failure = Self::connect(format!("{doing}: {error}"));
        failure.cancelled = matches!(error, BusError::Revoked);
        failure
    }
}

/// The Java class that stands for a kind of error.
pub(in crate::connect) fn exception_class(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Config => "org.apache.kafka.common.config.ConfigException",
        ErrorKind::Retriable => "org.apache.kafka.connect.errors.RetriableException",
        ErrorKind::Data => "org.apache.kafka.connect.errors.DataException",
        ErrorKind::Fatal | ErrorKind::Cancelled => CONNECT_EXCEPTION,
    }
}

/// Appends the chain of causes. One of a connector's own kind has its class, so that the restart policy finds a passing
/// one below a final error (see [`ConnectorError::retries_used_up`]).
pub(in crate::connect) fn push_causes(trace: &mut String, error: &dyn Error) {
    let mut cause = error.source();
    // Bounded, since a connector may build a chain that has no end.
    for _ in 0..32 {
        let Some(error) = cause else { return };
        trace.push_str("\nCaused by: ");
        if let Some(known) = error.downcast_ref::<ConnectorError>() {
            trace.push_str(exception_class(known.kind));
            trace.push_str(": ");
        }
        let _ = write!(trace, "{error}");
        cause = error.source();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_holds_the_chain_of_causes() {
        let io = std::io::Error::other("disk on fire");
        let failure = TaskFailure::call("put", &ConnectorError::fatal("could not write /x").caused_by(io));
        assert_eq!(
            failure.trace,
            "org.apache.kafka.connect.errors.ConnectException: could not write /x\n\tat put\nCaused by: disk on fire"
        );
    }

    #[test]
    fn used_up_retries_are_shown_with_the_passing_cause() {
        let used_up =
            ConnectorError::retries_used_up("failed 5 times", ConnectorError::retriable("h:1 does not answer"));
        let failure = TaskFailure::put(&used_up);
        assert!(
            failure.trace.ends_with(
                "\nCaused by: org.apache.kafka.connect.errors.ConnectException: failed 5 times\n\tat put\n\
                 Caused by: org.apache.kafka.connect.errors.RetriableException: h:1 does not answer"
            ),
            "{}",
            failure.trace
        );
        assert!(crate::connect::worker::is_retriable(&failure.trace));
        let final_one = ConnectorError::fatal("x").caused_by(ConnectorError::config("RetriableException"));
        assert!(!crate::connect::worker::is_retriable(&TaskFailure::call("poll", &final_one).trace));
    }

    #[test]
    fn tolerance_trace_starts_as_connects_does() {
        let failure = TaskFailure::tolerance_exceeded(&ConnectorError::data("not JSON"));
        assert!(failure.trace.starts_with(
            "org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler\n\
             Caused by: org.apache.kafka.connect.errors.DataException: not JSON"
        ));
    }
}

//! Trying a failed operation on a record again, by `errors.retry.*`.

use super::{ErrorPolicy, Shared, TaskMetrics};
use levada_connector_api::{ErrorKind, Result};
use levada_env::{Instant, time::Duration};

/// How the tries ended.
#[derive(Debug)]
pub(in crate::connect) enum Tried<T> {
    /// With what the last one gave.
    Done(Result<T>),
    /// The task shall stop while there is still time for tries: nothing is known of the record, so that it must be
    /// neither skipped nor counted as failed.
    Stopping,
}

/// Runs `operation` until it works, fails for good, or its time is spent. A task that shall stop
/// does not wait any longer.
pub(in crate::connect) fn with_retries<T>(
    shared: &Shared,
    policy: &ErrorPolicy,
    operation: impl FnMut() -> Result<T>,
) -> Tried<T> {
    retry(policy, operation, |delay| {
        TaskMetrics::add(&shared.metrics.retries, 1);
        shared.wait_stop(delay)
    })
}

/// The loop itself; `stops` waits and says whether the task shall stop.
fn retry<T>(
    policy: &ErrorPolicy,
    mut operation: impl FnMut() -> Result<T>,
    mut stops: impl FnMut(Duration) -> bool,
) -> Tried<T> {
    let started = Instant::now();
    let mut attempt = 0;
    loop {
        let error = match operation() {
            Err(error) if error.kind == ErrorKind::Retriable => error,
            result => return Tried::Done(result),
        };
        attempt += 1;
        // The clock's digits are random enough to keep tasks from trying in step.
        let random = started.elapsed().as_nanos() as u64;
        let Some(delay) = policy.retry_delay(attempt, started.elapsed(), random) else {
            return Tried::Done(Err(error));
        };
        if stops(delay) {
            return Tried::Stopping;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_connector_api::ConnectorError;

    #[test]
    fn a_stop_between_tries_is_no_failure_of_the_record() {
        let policy = ErrorPolicy { retry_timeout: None, ..ErrorPolicy::default() };
        let failing = || Err::<(), _>(ConnectorError::retriable("not yet"));
        assert!(matches!(retry(&policy, failing, |_| true), Tried::Stopping));
        let once = ErrorPolicy::default();
        assert!(matches!(retry(&once, failing, |_| true), Tried::Done(Err(_))), "without time for tries it failed");
    }
}

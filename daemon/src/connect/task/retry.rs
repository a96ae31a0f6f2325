//! Trying a failed operation on a record again, by `errors.retry.*`.

use super::{ErrorPolicy, Shared};
use levada_connector_api::{ErrorKind, Result};
use levada_env::Instant;

/// Runs `operation` until it works, fails for good, or its time is spent. A task that shall stop
/// does not wait any longer.
pub(in crate::connect) fn with_retries<T>(
    shared: &Shared,
    policy: &ErrorPolicy,
    mut operation: impl FnMut() -> Result<T>,
) -> Result<T> {
    let started = Instant::now();
    let mut attempt = 0;
    loop {
        let error = match operation() {
            Err(error) if error.kind == ErrorKind::Retriable => error,
            result => return result,
        };
        attempt += 1;
        // The clock's digits are random enough to keep tasks from trying in step.
        let random = started.elapsed().as_nanos() as u64;
        let Some(delay) = policy.retry_delay(attempt, started.elapsed(), random) else { return Err(error) };
        shared.metrics.add(&shared.metrics.retries, 1);
        if shared.wait_stop(delay) {
            return Err(error);
        }
    }
}

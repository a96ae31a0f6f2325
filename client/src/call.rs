//! One request, typed, with a deadline; and retries for what a broker can't answer just yet.

use crate::{ClientError, Transport};
use levada_env::{Instant, time};
use levada_wire::kinds::TypedRequest;
use std::time::Duration;

/// Sends `request` and takes its answer out of the response.
pub async fn call<R: TypedRequest>(
    transport: &dyn Transport,
    request: R,
    deadline: Duration,
) -> Result<R::Response, ClientError> {
    let answer = time::timeout(deadline, transport.call(request.into()))
        .await
        .map_err(|_| ClientError::Timeout { api: R::KEY, after: deadline })??;
    R::Response::try_from(answer).map_err(|_| ClientError::WrongAnswer { api: R::KEY })
}

/// Tries again, with growing waits, while the error is retriable and time is left.
pub(crate) async fn retrying<T, F>(deadline: Duration, mut attempt: impl FnMut() -> F) -> Result<T, ClientError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let end = Instant::now() + deadline;
    let mut wait = Duration::from_millis(10);
    loop {
        match attempt().await {
            Err(error) if error.is_retriable() && Instant::now() + wait < end => {
                time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(1));
            }
            result => return result,
        }
    }
}

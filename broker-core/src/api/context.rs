//! What a handler knows about its caller, and how its waits end.

use std::net::SocketAddr;
use std::sync::Arc;

use levada_env::Instant;
use levada_env::time::sleep_until;
use tokio::sync::watch;

use super::answer_memory::AnswerMemory;
use crate::security::Principal;

/// Goes with every request, whether it came from a socket or from inside the process. Cheap to clone.
///
/// How waits end: a handler's future is dropped when its caller goes away, and what it waited in (lists of delayed
/// produce and fetch requests) it leaves with that; so what must not be left half done (an append, a metadata change) is
/// handed over before the first wait, or spawned. While the caller is there, waits go through [`Self::wait`] or
/// [`Self::before_deadline`].
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// Who asks.
    pub principal: Principal,
    /// Name of the listener the request came in on; answers with addresses tell those of this listener.
    pub listener: Arc<str>,
    /// Name the client gives itself.
    pub client_id: Option<Arc<str>>,
    /// Where the caller is; `None` inside this process.
    pub client_address: Option<SocketAddr>,
    /// Version of the request and of its answer.
    pub api_version: i16,
    /// Bytes of the buffer that the request's byte fields are slices of; 0 inside this process, where each has its own.
    pub frame_bytes: usize,
    /// When the caller stops waiting, where its request says so. Set by `begin`.
    pub deadline: Option<Instant>,
    /// Ends long waits when the broker stops.
    pub cancellation: Cancellation,
    /// What answers take the memory from that they hold until they are written.
    pub answer_memory: AnswerMemory,
}

/// Why a wait ended without what was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitEnded {
    /// The caller's time is over.
    Deadline,
    /// The broker stops.
    Cancelled,
}

impl RequestContext {
    /// A caller inside this process, at the newest version its request has.
    pub fn in_process(listener: Arc<str>, client_id: &str, api_version: i16, cancellation: Cancellation) -> Self {
        Self {
            principal: Principal::levada(),
            listener,
            client_id: Some(client_id.into()),
            client_address: None,
            api_version,
            frame_bytes: 0,
            deadline: None,
            cancellation,
            answer_memory: AnswerMemory::unaccounted(),
        }
    }

    /// The client id, empty where the client gives none.
    pub fn client_id(&self) -> &str {
        self.client_id.as_deref().unwrap_or_default()
    }

    /// The caller's host as Kafka shows it in group descriptions: `/127.0.0.1`.
    pub fn client_host(&self) -> String {
        match self.client_address {
            Some(address) => format!("/{}", address.ip()),
            None => "/127.0.0.1".to_owned(),
        }
    }

    /// Wait for news that may never come: until the request's deadline, and not past the broker's stop.
    pub async fn wait<T>(&self, wait: impl Future<Output = T>) -> Result<T, WaitEnded> {
        tokio::select! {
            biased;
            done = wait => Ok(done),
            () = self.cancellation.cancelled() => Err(WaitEnded::Cancelled),
            () = passed(self.deadline) => Err(WaitEnded::Deadline),
        }
    }

    /// Wait for work that ends by itself, a stop of the broker included: until the request's deadline.
    pub async fn before_deadline<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = passed(self.deadline) => None,
        }
    }
}

async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Whether the broker stops.
#[derive(Debug, Clone)]
pub struct Cancellation(watch::Receiver<bool>);

impl Cancellation {
    /// Cancelled once `stopping` says true or its sender is gone.
    pub fn new(stopping: watch::Receiver<bool>) -> Self {
        Self(stopping)
    }

    /// Resolves when the broker stops.
    pub async fn cancelled(&self) {
        // An error means that the sender is gone, which is the same news.
        let _ = self.0.clone().wait_for(|stopping| *stopping).await;
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use levada_env::time::Duration;

    use super::*;

    fn context() -> (watch::Sender<bool>, RequestContext) {
        let (stop, stopping) = watch::channel(false);
        (stop, RequestContext::in_process("L".into(), "c", 0, Cancellation::new(stopping)))
    }

    #[tokio::test(start_paused = true)]
    async fn waits_end_with_their_news_at_the_deadline_or_when_the_broker_stops() {
        let (stop, mut ctx) = context();
        assert_eq!(ctx.wait(async { 7 }).await, Ok(7));
        ctx.deadline = Some(Instant::now() + Duration::from_secs(1));
        assert_eq!(ctx.wait(pending::<()>()).await, Err(WaitEnded::Deadline));
        assert_eq!(ctx.before_deadline(pending::<()>()).await, None);
        ctx.deadline = None;
        stop.send_replace(true);
        assert_eq!(ctx.wait(pending::<()>()).await, Err(WaitEnded::Cancelled));
        assert_eq!(ctx.before_deadline(async { 7 }).await, Some(7), "work in flight is finished");
    }

    #[tokio::test]
    async fn a_sender_that_is_gone_cancels() {
        let (stop, ctx) = context();
        drop(stop);
        assert_eq!(ctx.wait(pending::<()>()).await, Err(WaitEnded::Cancelled));
    }
}

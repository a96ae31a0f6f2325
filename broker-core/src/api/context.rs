//! What a handler knows about its caller.

use std::net::SocketAddr;
use std::sync::Arc;

use levada_env::Instant;
use tokio::sync::watch;

use crate::security::Principal;

/// Goes with every request, whether it came from a socket or from inside the process. Cheap to clone.
///
/// A handler's future is dropped when its caller goes away: what must not be left half done (an append, a metadata
/// change) is handed over before the first wait, or spawned.
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
    /// When the caller stops waiting, where known. Requests with a timeout of their own carry it in their body.
    pub deadline: Option<Instant>,
    /// Tells spawned work that the caller is gone.
    pub cancellation: Cancellation,
}

impl RequestContext {
    /// A caller inside this process, at the newest version its request has.
    pub fn in_process(listener: Arc<str>, client_id: &str, api_version: i16) -> Self {
        Self {
            principal: Principal::levada(),
            listener,
            client_id: Some(client_id.into()),
            client_address: None,
            api_version,
            frame_bytes: 0,
            deadline: None,
            cancellation: Cancellation::never(),
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
}

/// Whether the caller is gone.
#[derive(Debug, Clone)]
pub struct Cancellation(Option<watch::Receiver<bool>>);

impl Cancellation {
    /// For callers that always wait for their answer.
    pub fn never() -> Self {
        Self(None)
    }

    /// A cancellation and the sender that triggers it when dropped or told so.
    pub fn new() -> (watch::Sender<bool>, Self) {
        let (tx, rx) = watch::channel(false);
        (tx, Self(Some(rx)))
    }

    /// Whether the caller is gone.
    pub fn is_cancelled(&self) -> bool {
        self.0.as_ref().is_some_and(|rx| *rx.borrow() || rx.has_changed().is_err())
    }

    /// Resolves when the caller is gone.
    pub async fn cancelled(&mut self) {
        match &mut self.0 {
            None => std::future::pending().await,
            // An error means that the sender is gone, which is the same news.
            Some(rx) => {
                let _ = rx.wait_for(|gone| *gone).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dropped_sender_cancels() {
        let (tx, mut cancellation) = Cancellation::new();
        assert!(!cancellation.is_cancelled());
        drop(tx);
        assert!(cancellation.is_cancelled());
        cancellation.cancelled().await;
    }
}

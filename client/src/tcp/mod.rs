//! A transport over TCP, for tests, benches and other processes.
//!
//! One background task owns the connection: it connects on the first request, negotiates versions,
//! writes requests in the order they were handed over, and reads answers as they come (pipelined).
//! When the connection breaks, every unanswered request fails with a retriable error, and the next
//! request connects anew, with growing waits. A peer that is there no more but never said so breaks
//! it too: when the oldest request is past its time, or the peer takes no more bytes for that long.
//! It ends when the transport is dropped.

mod connection;
mod versions;

use crate::{BoxFuture, Transport, TransportError};
use connection::{Connection, Pending};
use levada_env::{Instant, time};
use levada_wire::{RequestKind, ResponseKind};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Requests that may wait to be written.
const QUEUE: usize = 1024;

/// How a [`TcpTransport`] behaves.
#[derive(Clone, Debug)]
pub struct TcpOptions {
    /// `client.id`.
    pub client_id: String,
    /// How long a connection attempt, version negotiation included, may take.
    pub connect_timeout: Duration,
    /// `request.timeout.ms`: how long an answer may take beyond what its request itself asks the broker
    /// to wait.
    pub request_timeout: Duration,
    /// The first wait after a failed attempt; it doubles up to a second.
    pub reconnect_backoff: Duration,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            client_id: "levada-client".to_owned(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            reconnect_backoff: Duration::from_millis(50),
        }
    }
}

struct Queued {
    request: RequestKind,
    answer: oneshot::Sender<Result<ResponseKind, TransportError>>,
}

/// See the module's documentation.
pub struct TcpTransport {
    queue: mpsc::Sender<Queued>,
}

impl TcpTransport {
    /// A transport to `address` (`host:port`), connecting when it is first used.
    pub fn new(runtime: &tokio::runtime::Handle, address: String, options: TcpOptions) -> Self {
        let (queue, requests) = mpsc::channel(QUEUE);
        let worker = Worker { address, options, connection: None, failures: 0, retry_at: None };
        runtime.spawn(worker.run(requests));
        Self { queue }
    }
}

impl Transport for TcpTransport {
    fn call(&self, request: RequestKind) -> BoxFuture<'_, Result<ResponseKind, TransportError>> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            // The channel's waiters are served in order, so requests stay in order even when it is full.
            self.queue.send(Queued { request, answer }).await.map_err(|_| TransportError::Closed)?;
            answered.await.unwrap_or(Err(TransportError::Closed))
        })
    }
}

/// How long a request asks the broker to wait before it answers.
fn own_wait(request: &RequestKind) -> Duration {
    let millis = match request {
        RequestKind::Produce(request) => request.timeout_ms,
        RequestKind::Fetch(request) => request.max_wait_ms,
        RequestKind::JoinGroup(request) => request.rebalance_timeout_ms.max(request.session_timeout_ms),
        // Waits for the group's leader, for as long as its members allow; none of them says so here.
        RequestKind::SyncGroup(_) => 300_000,
        RequestKind::CreateTopics(request) => request.timeout_ms,
        RequestKind::DeleteTopics(request) => request.timeout_ms,
        RequestKind::CreatePartitions(request) => request.timeout_ms,
        RequestKind::DeleteRecords(request) => request.timeout_ms,
        RequestKind::ListOffsets(request) => request.timeout_ms,
        _ => 0,
    };
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

struct Worker {
    address: String,
    options: TcpOptions,
    connection: Option<Connection>,
    failures: u32,
    retry_at: Option<Instant>,
}

impl Worker {
    async fn run(mut self, mut requests: mpsc::Receiver<Queued>) {
        while let Some(Queued { request, answer }) = requests.recv().await {
            if answer.is_closed() {
                continue;
            }
            if let Err(error) = self.connect().await {
                let _ = answer.send(Err(error));
                continue;
            }
            let Some(connection) = &mut self.connection else { continue };
            let api = request.api_key();
            let Some(version) = connection.versions.choose(api) else {
                let _ = answer.send(Err(TransportError::Unsupported { api }));
                continue;
            };
            let expires = Instant::now() + own_wait(&request) + self.options.request_timeout;
            let pending = Pending { api, version, answer, expires };
            if let Err(cause) = connection.send(&request, pending).await {
                tracing::debug!(address = self.address, cause, "connection failed while writing");
                self.connection = None;
            }
        }
    }

    /// Makes sure that there is a living connection.
    async fn connect(&mut self) -> Result<(), TransportError> {
        if self.connection.as_ref().is_some_and(|connection| !connection.is_broken()) {
            return Ok(());
        }
        self.connection = None;
        if let Some(retry_at) = self.retry_at.take() {
            time::sleep_until(retry_at).await;
        }
        let opened = Connection::open(&self.address, &self.options.client_id, self.options.request_timeout);
        let cause = match time::timeout(self.options.connect_timeout, opened).await {
            Ok(Ok(connection)) => {
                self.connection = Some(connection);
                self.failures = 0;
                return Ok(());
            }
            Ok(Err(cause)) => cause,
            Err(_) => format!("no connection within {} ms", self.options.connect_timeout.as_millis()),
        };
        let backoff = self.options.reconnect_backoff.saturating_mul(1 << self.failures.min(10));
        self.failures += 1;
        self.retry_at = Some(Instant::now() + backoff.min(Duration::from_secs(1)));
        Err(TransportError::Connection { address: self.address.clone(), cause })
    }
}

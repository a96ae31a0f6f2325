//! Binding listeners, accepting connections, and stopping.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use levada_env::net::{TcpListener, TcpStream, host_name, listen, resolve};
use levada_env::time::{sleep, timeout};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::budget::MemoryBudget;
use super::connection::{Connection, Ended};
use super::frame_reader::ReadError;
use super::log_limit::LogLimit;
use crate::api::{Cancellation, RequestContext, Services};
use crate::config::BrokerConfig;
use crate::config::listeners::Endpoint;
use crate::security::Principal;

/// How long to wait when the system has no descriptor for a new connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long connections may take to finish when the broker stops.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// A listener could not be bound. The text is for the operator.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {endpoint}: {error}")]
pub struct BindError {
    /// Which one.
    pub endpoint: Endpoint,
    /// Why.
    pub error: io::Error,
}

/// A socket that is listening, and what clients are told about it.
#[derive(Debug)]
pub struct BoundListener {
    /// Name of the listener.
    pub name: Arc<str>,
    /// Where it listens.
    pub address: SocketAddr,
    /// What clients are told.
    pub advertised: Endpoint,
    socket: TcpListener,
}

/// Bind all listeners of a configuration. Nothing is accepted yet; clients that connect wait.
pub async fn bind(config: &BrokerConfig) -> Result<Vec<BoundListener>, BindError> {
    let mut bound = Vec::with_capacity(config.listeners.len());
    for endpoint in &config.listeners {
        let failed = |error| BindError { endpoint: endpoint.clone(), error };
        let address = resolve(&endpoint.host, endpoint.port).await.map_err(failed)?;
        let socket = listen(address, config.listen_backlog).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let advertised = advertise(config, endpoint, address);
        bound.push(BoundListener { name: endpoint.name.clone(), address, advertised, socket });
    }
    Ok(bound)
}

fn advertise(config: &BrokerConfig, endpoint: &Endpoint, address: SocketAddr) -> Endpoint {
    let given = config.advertised_listeners.iter().find(|given| given.name == endpoint.name);
    let mut advertised = given.unwrap_or(endpoint).clone();
    if matches!(advertised.host.as_str(), "" | "0.0.0.0" | "::") {
        advertised.host = host_name();
    }
    if advertised.port == 0 {
        advertised.port = address.port();
    }
    advertised
}

/// Counts connections against the limits.
#[derive(Default)]
struct Census {
    total: usize,
    by_ip: HashMap<IpAddr, usize>,
}

/// Accepts and serves connections until the broker stops.
pub struct Server {
    acceptors: JoinSet<()>,
    budget: MemoryBudget,
}

impl Server {
    /// Serve `listeners` until `stopping` says true.
    pub fn start(services: &Arc<Services>, listeners: Vec<BoundListener>, stopping: &watch::Receiver<bool>) -> Self {
        let budget = MemoryBudget::new(services.config.request_memory_bytes);
        let refusals = Arc::new(LogLimit::default());
        let census = Arc::new(Mutex::new(Census::default()));
        let mut acceptors = JoinSet::new();
        let limit = usize::try_from(levada_env::process::open_files_limit()).unwrap_or(usize::MAX);
        let descriptors = limit.saturating_sub((limit / 8).max(LOG_DESCRIPTORS));
        for listener in listeners {
            let acceptor = Acceptor {
                services: services.clone(),
                budget: budget.clone(),
                census: census.clone(),
                refusals: refusals.clone(),
                stop: stopping.clone(),
                name: listener.name,
                descriptors,
            };
            acceptors.spawn(acceptor.run(listener.socket));
        }
        Self { acceptors, budget }
    }

    /// Bytes that requests may still take.
    pub fn free_memory(&self) -> usize {
        self.budget.available()
    }

    /// Wait until no more is accepted, requests in flight are answered, and connections are closed.
    pub async fn stopped(mut self) {
        let all = async { while self.acceptors.join_next().await.is_some() {} };
        if timeout(STOP_PATIENCE, all).await.is_err() {
            tracing::warn!("connections did not finish in time and are cut");
        }
    }
}

/// Descriptors that clients leave to the log, at least.
const LOG_DESCRIPTORS: usize = 256;

struct Acceptor {
    services: Arc<Services>,
    budget: MemoryBudget,
    census: Arc<Mutex<Census>>,
    refusals: Arc<LogLimit>,
    stop: watch::Receiver<bool>,
    name: Arc<str>,
    /// Connections that this process has descriptors for; the rest is the log's.
    descriptors: usize,
}

impl Acceptor {
    async fn run(self, socket: TcpListener) {
        let mut connections = JoinSet::new();
        let mut stop = self.stop.clone();
        loop {
            tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = socket.accept() => match accepted {
                    Ok((stream, peer)) => {
                        if let Some(place) = self.admit(peer) {
                            connections.spawn(self.serve(stream, peer, place));
                        }
                    }
                    Err(error) => {
                        // Out of descriptors, or the client went before it was accepted.
                        tracing::warn!(%error, listener = %self.name, "cannot accept a connection");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(socket);
        while connections.join_next().await.is_some() {}
    }

    fn admit(&self, peer: SocketAddr) -> Option<Place> {
        let config = &self.services.config;
        let mut census = self.census.lock();
        let here = census.by_ip.get(&peer.ip()).copied().unwrap_or(0);
        if census.total >= config.max_connections.min(self.descriptors) || here >= config.max_connections_per_ip {
            tracing::debug!(%peer, "connection refused: too many");
            return None;
        }
        census.total += 1;
        *census.by_ip.entry(peer.ip()).or_default() += 1;
        Some(Place { census: self.census.clone(), ip: peer.ip() })
    }

    fn serve(&self, stream: TcpStream, peer: SocketAddr, place: Place) -> impl Future<Output = ()> + use<> {
        // Answers are written whole; waiting to fill packets only delays them.
        let _ = stream.set_nodelay(true);
        let (services, stop, refusals) = (self.services.clone(), self.stop.clone(), self.refusals.clone());
        let ctx = RequestContext {
            principal: Principal::anonymous(),
            listener: self.name.clone(),
            client_id: None,
            client_address: Some(peer),
            api_version: 0,
            frame_bytes: 0,
            deadline: None,
            cancellation: Cancellation::new(stop.clone()),
            answer_memory: services.answer_memory.clone(),
        };
        let connection = Connection::new(services.clone(), self.budget.clone(), stream, ctx);
        async move {
            let _place = place;
            services.metrics.connections_opened.add(1);
            let ended = Box::pin(connection.run(stop)).await;
            services.metrics.connections_closed.add(1);
            let loud = matches!(ended, Ended::Malformed(_) | Ended::Read(ReadError::TooLarge { .. }));
            match loud.then(|| refusals.admit(services.env.clock.now())).flatten() {
                Some(left_out) => tracing::warn!(%peer, reason = %ended, left_out, "connection closed"),
                None => tracing::debug!(%peer, reason = %ended, "connection closed"),
            }
        }
    }
}

/// Resolves when the broker stops.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// A connection's place in the census.
struct Place {
    census: Arc<Mutex<Census>>,
    ip: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut census = self.census.lock();
        census.total -= 1;
        if let Some(count) = census.by_ip.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                census.by_ip.remove(&self.ip);
            }
        }
    }
}

//! Serves a router over HTTP/1.1: bounded connections, slow requests cut off, orderly stop.

use axum::{Router, body::Body, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use levada_env::{
    net::{self, TcpListener, TcpStream},
    time::{self, Duration},
};
use std::{convert::Infallible, io, net::SocketAddr, sync::Arc};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 512;

/// Limits of the server.
#[derive(Clone, Copy, Debug)]
pub struct ServerOptions {
    /// Connections at a time; further ones wait.
    pub max_connections: usize,
    /// Time a client has for a request's head; an idle connection is closed after it too.
    pub header_timeout: Duration,
    /// Time requests under way have when the server stops.
    pub drain_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        let (header_timeout, drain_timeout) = (Duration::from_secs(60), Duration::from_secs(5));
        Self { max_connections: 1024, header_timeout, drain_timeout }
    }
}

/// A bound listener, and later a running server.
pub struct RestServer {
    listener: TcpListener,
    options: ServerOptions,
    stop: watch::Sender<bool>,
}

/// Stops a running server.
pub struct ServerStop {
    stop: watch::Sender<bool>,
    permits: Arc<Semaphore>,
    options: ServerOptions,
}

impl RestServer {
    /// Takes the address. Nothing is answered before [`RestServer::serve`].
    pub fn bind(address: SocketAddr, options: ServerOptions) -> io::Result<Self> {
        let listener = net::listen(address, BACKLOG)?;
        Ok(Self { listener, options, stop: watch::Sender::new(false) })
    }

    /// The address, with the port that the system chose where 0 was asked for.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves `router` on the current runtime until it is stopped.
    pub fn serve(self, router: Router) -> ServerStop {
        let permits = Arc::new(Semaphore::new(self.options.max_connections));
        let stop = ServerStop { stop: self.stop.clone(), permits: Arc::clone(&permits), options: self.options };
        tokio::spawn(accept(self.listener, router, self.options, permits, self.stop.subscribe()));
        stop
    }
}

impl ServerStop {
    /// Takes no more connections and lets requests under way finish.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let all = u32::try_from(self.options.max_connections).unwrap_or(u32::MAX);
        if time::timeout(self.options.drain_timeout, self.permits.acquire_many(all)).await.is_err() {
            tracing::warn!("some REST requests were cut off by the stop");
        }
    }
}

async fn accept(
    listener: TcpListener,
    router: Router,
    options: ServerOptions,
    permits: Arc<Semaphore>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let permit = tokio::select! {
            permit = Arc::clone(&permits).acquire_owned() => permit,
            _ = stop.changed() => return,
        };
        let Ok(permit) = permit else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = connection(stream, router.clone(), options, stop.clone());
                tokio::spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
            Err(error) => {
                // Out of descriptors, mostly: others must be closed first.
                tracing::warn!(%error, "a REST connection could not be accepted");
                time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router, options: ServerOptions, mut stop: watch::Receiver<bool>) {
    // Answers are small and whole; waiting to fill packets only costs time.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let router = router.clone();
        async move { Ok::<_, Infallible>(answer(router, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_timeout)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stop.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a REST connection ended early");
    }
}

async fn answer(router: Router, mut request: Request<Incoming>) -> axum::response::Response {
    strip_trailing_slash(&mut request);
    match router.oneshot(request.map(Body::new)).await {
        Ok(answer) => answer,
        Err(impossible) => match impossible {},
    }
}

/// `/connectors/` means `/connectors`, as with Connect.
fn strip_trailing_slash<B>(request: &mut Request<B>) {
    let uri = request.uri();
    let Some(path) = uri.path().strip_suffix('/').filter(|path| !path.is_empty()) else { return };
    let target = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    if let Ok(target) = target.parse() {
        *request.uri_mut() = target;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trailing_slash_is_ignored() {
        let stripped = |uri: &str| {
            let mut request = Request::builder().uri(uri).body(()).unwrap();
            strip_trailing_slash(&mut request);
            request.uri().to_string()
        };
        assert_eq!(stripped("/connectors/"), "/connectors");
        assert_eq!(stripped("/connectors/?expand=info"), "/connectors?expand=info");
        assert_eq!(stripped("/"), "/");
        assert_eq!(stripped("/connectors/a%2F/status"), "/connectors/a%2F/status");
    }
}

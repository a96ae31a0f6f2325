//! Serves a router over HTTP/1.1: bounded connections, slow requests cut off, orderly stop.

use super::error::RestError;
use axum::{
    Router,
    body::{self, Body, Bytes},
    http::{HeaderValue, Request, StatusCode, header},
    response::{IntoResponse, Response},
};
use hyper::{
    body::{Body as _, Incoming},
    server::conn::http1,
    service::service_fn,
};
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

/// Unit of [`Limits::bodies`].
const KIB: u64 = 1024;

/// Memory for request bodies, all connections together.
const BODIES_KIB: usize = 32 * 1024;

/// Limits of the server.
#[derive(Clone, Copy, Debug)]
pub struct ServerOptions {
    /// Connections at a time; further ones wait.
    pub max_connections: usize,
    /// Time a client has for a request's head; an idle connection is closed after it too.
    pub header_timeout: Duration,
    /// Time a client has for a request's body.
    pub body_timeout: Duration,
    /// Largest request body.
    pub max_body_bytes: usize,
    /// Time requests under way have when the server stops.
    pub drain_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            header_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(30),
            max_body_bytes: 1 << 20,
            drain_timeout: Duration::from_secs(5),
        }
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
    let bodies = Arc::new(Semaphore::new(BODIES_KIB));
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
                let limits = Limits { options, bodies: Arc::clone(&bodies) };
                let connection = connection(stream, router.clone(), limits, stop.clone());
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

/// What one connection may use.
#[derive(Clone)]
struct Limits {
    options: ServerOptions,
    /// Memory for bodies, shared by all connections (invariant 9).
    bodies: Arc<Semaphore>,
}

async fn connection(stream: TcpStream, router: Router, limits: Limits, mut stop: watch::Receiver<bool>) {
    // Answers are small and whole; waiting to fill packets only costs time.
    let _ = stream.set_nodelay(true);
    let options = limits.options;
    let service = service_fn(move |request: Request<Incoming>| {
        let (router, limits) = (router.clone(), limits.clone());
        async move { Ok::<_, Infallible>(answer(router, request, limits).await) }
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

/// Reads the whole request before it is routed: an answer to half of a request (405, 415) would make the connection
/// end under a client that is still sending.
async fn answer(router: Router, request: Request<Incoming>, limits: Limits) -> Response {
    let (parts, incoming) = request.into_parts();
    let largest = limits.options.max_body_bytes;
    // A body whose length is not told is counted as the largest one.
    let length = incoming.size_hint().upper().unwrap_or(largest as u64);
    if length > largest as u64 {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, format!("the request body is larger than {largest} bytes"));
    }
    let units = u32::try_from(length.div_ceil(KIB)).unwrap_or(u32::MAX);
    let Ok(mut memory) = limits.bodies.acquire_many(units).await else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping".to_owned());
    };
    let read = body::to_bytes(Body::new(incoming), largest);
    let body: Bytes = match time::timeout(limits.options.body_timeout, read).await {
        Ok(Ok(body)) => body,
        Ok(Err(cause)) => {
            return refuse(StatusCode::BAD_REQUEST, format!("the request body could not be read: {cause}"));
        }
        Err(_) => return refuse(StatusCode::REQUEST_TIMEOUT, "the request body did not come in time".to_owned()),
    };
    let unused = u64::from(units).saturating_sub((body.len() as u64).div_ceil(KIB));
    drop(memory.split(usize::try_from(unused).unwrap_or(0)));
    let mut request = Request::from_parts(parts, Body::from(body));
    strip_trailing_slash(&mut request);
    match router.oneshot(request).await {
        Ok(answer) => answer,
        Err(impossible) => match impossible {},
    }
}

/// An answer after which the connection ends, since the rest of the request is not read.
fn refuse(status: StatusCode, text: String) -> Response {
    let mut answer = RestError::new(status, text).into_response();
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
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

    /// One connection; the parts are sent with a pause between them.
    async fn talk(address: SocketAddr, parts: &[&str]) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = TcpStream::connect(address).await.unwrap();
        for part in parts {
            stream.write_all(part.as_bytes()).await.unwrap();
            time::sleep(Duration::from_millis(30)).await;
        }
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }

    #[tokio::test]
    async fn a_refused_request_with_a_late_body_leaves_the_connection_usable() {
        let options = ServerOptions { max_body_bytes: 100, ..ServerOptions::default() };
        let server = RestServer::bind("127.0.0.1:0".parse().unwrap(), options).unwrap();
        let address = server.local_addr().unwrap();
        let get = axum::routing::get(|| async { "fine" });
        let stop = server.serve(Router::new().route("/", get));
        let parts = [
            "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n",
            "{}",
            "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        ];
        let answer = talk(address, &parts).await;
        assert!(answer.contains("405 Method Not Allowed") && answer.ends_with("fine"), "{answer}");
        let large = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 101\r\n\r\n";
        assert!(talk(address, &[large]).await.starts_with("HTTP/1.1 413"));
        stop.stop().await;
    }

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

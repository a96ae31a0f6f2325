//! One connection: a write half used by the worker, and a reader task that matches answers.

use super::versions::Versions;
use crate::TransportError;
use bytes::{Bytes, BytesMut};
use levada_env::{
    Instant,
    net::{OwnedReadHalf, OwnedWriteHalf, TcpStream},
    time,
};
use levada_wire::{
    ApiKey, RequestKind, ResponseKind, Segment,
    frame::{decode_response, encode_request, split_correlation_id},
    messages::api_versions::ApiVersionsRequest,
};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{mpsc, oneshot},
};

/// Largest answer that is taken (invariant 9).
const MAX_FRAME: usize = 256 * 1024 * 1024;
/// Requests in flight on one connection.
const MAX_IN_FLIGHT: usize = 1024;
/// Bytes that an answer's buffer starts with; it grows as bytes arrive, not by the claimed length.
const FIRST_READ: usize = 64 * 1024;

/// Why requests fail when nobody says more.
const CLOSED: &str = "the connection was closed";

/// Who waits for an answer.
pub(super) struct Pending {
    pub(super) api: ApiKey,
    pub(super) version: i16,
    pub(super) answer: oneshot::Sender<Result<ResponseKind, TransportError>>,
    /// When it is too late: the peer is taken for gone.
    pub(super) expires: Instant,
}

/// See the module's documentation. The reader ends when this is dropped or the peer is gone.
pub(super) struct Connection {
    pub(super) versions: Versions,
    writer: OwnedWriteHalf,
    pending: mpsc::Sender<(i32, Pending)>,
    client_id: String,
    next_correlation_id: i32,
    request_timeout: Duration,
    /// Ends the reader when dropped.
    _alive: oneshot::Sender<()>,
}

impl Connection {
    /// Connects and asks what the broker serves.
    pub(super) async fn open(address: &str, client_id: &str, request_timeout: Duration) -> Result<Self, String> {
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let (reader, writer) = stream.into_split();
        let (pending, waiting) = mpsc::channel(MAX_IN_FLIGHT);
        let (alive, dropped) = oneshot::channel();
        tokio::spawn(read_answers(reader, waiting, dropped, address.to_owned()));
        let mut connection = Self {
            versions: Versions::default(),
            writer,
            pending,
            client_id: client_id.to_owned(),
            next_correlation_id: 0,
            request_timeout,
            _alive: alive,
        };
        connection.negotiate().await?;
        Ok(connection)
    }

    /// Version 3 of ApiVersions, or 0 where the broker is older than that.
    async fn negotiate(&mut self) -> Result<(), String> {
        for version in [3, 0] {
            let request = ApiVersionsRequest {
                client_software_name: "levada".to_owned(),
                client_software_version: env!("CARGO_PKG_VERSION").to_owned(),
            };
            let (answer, answered) = oneshot::channel();
            let expires = Instant::now() + self.request_timeout;
            self.send(&request.into(), Pending { api: ApiKey::ApiVersions, version, answer, expires }).await?;
            match answered.await {
                Ok(Ok(ResponseKind::ApiVersions(answer))) if answer.error_code == 0 => {
                    self.versions = Versions::of(&answer);
                    return Ok(());
                }
                Ok(Ok(_) | Err(TransportError::Protocol { .. })) => {}
                Ok(Err(error)) => return Err(error.to_string()),
                Err(_) => return Err(CLOSED.to_owned()),
            }
        }
        Err("the broker does not answer ApiVersions".to_owned())
    }

    /// Whether the reader has given up.
    pub(super) fn is_broken(&self) -> bool {
        self.pending.is_closed()
    }

    /// Writes a request. A request that can't be encoded fails alone; an error here, or a peer that takes
    /// no more, breaks the connection.
    pub(super) async fn send(&mut self, request: &RequestKind, pending: Pending) -> Result<(), String> {
        self.next_correlation_id = self.next_correlation_id.wrapping_add(1);
        let id = self.next_correlation_id;
        let encoded = match encode_request(request, pending.version, id, Some(&self.client_id)) {
            Ok(encoded) => encoded,
            Err(error) => {
                let cause = error.to_string();
                let _ = pending.answer.send(Err(TransportError::Protocol { api: pending.api, cause }));
                return Ok(());
            }
        };
        let expires = pending.expires;
        self.pending.send((id, pending)).await.map_err(|_| CLOSED.to_owned())?;
        for segment in encoded.into_segments() {
            let Segment::Bytes(bytes) = segment else { return Err("a request can't hold file data".to_owned()) };
            tokio::select! {
                written = time::timeout_at(expires, self.writer.write_all(&bytes)) => match written {
                    Ok(written) => written.map_err(|error| error.to_string())?,
                    Err(_) => return Err("the peer takes no more".to_owned()),
                },
                // The reader has given up.
                () = self.pending.closed() => return Err(CLOSED.to_owned()),
            }
        }
        Ok(())
    }
}

/// Reads answers and hands each to the oldest waiting request. Failure policy: the first error, or an
/// answer that is too late, ends it and fails all that wait.
async fn read_answers(
    mut reader: OwnedReadHalf,
    mut waiting: mpsc::Receiver<(i32, Pending)>,
    mut dropped: oneshot::Receiver<()>,
    address: String,
) {
    let mut cause = CLOSED.to_owned();
    while let Some((id, pending)) = waiting.recv().await {
        let read = time::timeout_at(pending.expires, read_frame(&mut reader));
        let frame = tokio::select! {
            read = read => read.unwrap_or_else(|_| Err("no answer came in time".to_owned())),
            _ = &mut dropped => Err(CLOSED.to_owned()),
        };
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => {
                cause = error;
                fail(pending, &address, &cause);
                break;
            }
        };
        if split_correlation_id(&frame).ok() != Some(id) {
            "answers are out of order".clone_into(&mut cause);
            fail(pending, &address, &cause);
            break;
        }
        let (api, version) = (pending.api, pending.version);
        let answer = decode_response(api, version, frame)
            .map_err(|error| TransportError::Protocol { api, cause: error.to_string() });
        let _ = pending.answer.send(answer);
    }
    waiting.close();
    while let Some((_, pending)) = waiting.recv().await {
        fail(pending, &address, &cause);
    }
}

fn fail(pending: Pending, address: &str, cause: &str) {
    let error = TransportError::Connection { address: address.to_owned(), cause: cause.to_owned() };
    let _ = pending.answer.send(Err(error));
}

async fn read_frame(reader: &mut OwnedReadHalf) -> Result<Bytes, String> {
    let size = reader.read_i32().await.map_err(|error| error.to_string())?;
    let size = usize::try_from(size).ok().filter(|size| *size <= MAX_FRAME);
    let size = size.ok_or_else(|| "an answer's length is beyond the limit".to_owned())?;
    let mut frame = BytesMut::with_capacity(size.min(FIRST_READ));
    let mut rest = reader.take(size as u64);
    while frame.len() < size {
        let read = rest.read_buf(&mut frame).await.map_err(|error| error.to_string())?;
        if read == 0 {
            return Err("the connection was closed inside an answer".to_owned());
        }
    }
    Ok(frame.freeze())
}

#[cfg(test)]
mod tests {
    use crate::{
        Transport, TransportError, metadata,
        tcp::{TcpOptions, TcpTransport},
    };
    use levada_env::net::{TcpStream, listen};
    use levada_wire::{
        RequestKind, ResponseKind,
        frame::{RequestFrame, encode_response},
        messages::{
            api_versions::ApiVersionsResponse,
            join_group::{JoinGroupRequest, JoinGroupRequestProtocol},
            metadata::{MetadataRequest, MetadataResponse, MetadataResponseTopic},
        },
        versions::api_version_rows,
    };
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Answers `count` requests of a connection, each Metadata with its request's first topic name.
    async fn serve(stream: &mut TcpStream, count: usize) {
        for _ in 0..count {
            let size = stream.read_i32().await.unwrap();
            let mut frame = vec![0; size as usize];
            stream.read_exact(&mut frame).await.unwrap();
            let request = RequestFrame::decode(frame.into()).unwrap();
            let answer: ResponseKind = match request.request().unwrap() {
                RequestKind::ApiVersions(_) => {
                    ApiVersionsResponse { api_keys: api_version_rows(), ..Default::default() }.into()
                }
                RequestKind::Metadata(asked) => {
                    let name = asked.topics.unwrap()[0].name.clone();
                    let topic = MetadataResponseTopic { name, ..Default::default() };
                    MetadataResponse { topics: vec![topic], ..Default::default() }.into()
                }
                other => panic!("unexpected {other:?}"),
            };
            let encoded = encode_response(&answer, request.api_version, request.correlation_id).unwrap();
            stream.write_all(&encoded.into_bytes().unwrap()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn requests_are_pipelined_and_a_broken_connection_is_replaced() {
        let listener = listen("127.0.0.1:0".parse().unwrap(), 16).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            // Version negotiation and two answers, then the connection goes away.
            let (mut stream, _) = listener.accept().await.unwrap();
            serve(&mut stream, 3).await;
            drop(stream);
            let (mut stream, _) = listener.accept().await.unwrap();
            serve(&mut stream, 2).await;
        });
        let transport = TcpTransport::new(&tokio::runtime::Handle::current(), address, TcpOptions::default());
        let second = Duration::from_secs(10);
        let (a, b) = tokio::join!(
            metadata::topics(&transport, &["a"], false, second),
            metadata::topics(&transport, &["b"], false, second)
        );
        assert_eq!((&*a.unwrap()[0].name, &*b.unwrap()[0].name), ("a", "b"));
        // The next request meets the closed connection or already the new one.
        let c = loop {
            match metadata::topics(&transport, &["c"], false, second).await {
                Ok(found) => break found,
                Err(error) => assert!(error.is_retriable(), "{error}"),
            }
        };
        assert_eq!(&*c[0].name, "c");
        server.await.unwrap();
    }

    #[tokio::test]
    async fn a_peer_that_is_silent_for_too_long_is_given_up_and_the_next_request_connects_anew() {
        let listener = listen("127.0.0.1:0".parse().unwrap(), 16).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            let (mut silent, _) = listener.accept().await.unwrap();
            serve(&mut silent, 1).await;
            let (mut stream, _) = listener.accept().await.unwrap();
            serve(&mut stream, 2).await;
            silent
        });
        let options = TcpOptions { request_timeout: Duration::from_millis(100), ..TcpOptions::default() };
        let transport = TcpTransport::new(&tokio::runtime::Handle::current(), address, options);
        let patience = Duration::from_secs(60);
        let (a, b) = tokio::join!(
            metadata::topics(&transport, &["a"], false, patience),
            metadata::topics(&transport, &["b"], false, patience)
        );
        for failed in [a, b] {
            assert!(failed.unwrap_err().is_retriable());
        }
        let found = metadata::topics(&transport, &["c"], false, patience).await.unwrap();
        assert_eq!(&*found[0].name, "c");
        server.await.unwrap();
    }

    #[tokio::test]
    async fn a_peer_that_takes_no_more_bytes_is_given_up() {
        let listener = listen("127.0.0.1:0".parse().unwrap(), 16).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            serve(&mut stream, 1).await;
            stream
        });
        let options = TcpOptions { request_timeout: Duration::from_millis(100), ..TcpOptions::default() };
        let transport = TcpTransport::new(&tokio::runtime::Handle::current(), address, options);
        // More than the buffers between the two hold.
        let group_id = "g".repeat(30_000);
        let metadata = vec![0; 32 << 20].into();
        let protocols = vec![JoinGroupRequestProtocol { name: "p".to_owned(), metadata }];
        let request = JoinGroupRequest { group_id, protocols, rebalance_timeout_ms: 0, ..Default::default() };
        let error = transport.call(request.into()).await.unwrap_err();
        assert!(error.is_retriable(), "{error}");
        server.await.unwrap();
    }

    #[tokio::test]
    async fn nobody_listening_is_a_retriable_error() {
        let listener = listen("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let transport = TcpTransport::new(&tokio::runtime::Handle::current(), address, TcpOptions::default());
        let error = transport.call(MetadataRequest::default().into()).await.unwrap_err();
        assert!(error.is_retriable() && matches!(error, TransportError::Connection { .. }));
    }
}

//! A stream to the first host that answers, in plain or under TLS, or to a socket on this machine.

use super::tls;
use crate::{
    config::{ConnectionConfig, SslMode},
    error::{Error, Result},
};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Longest wait for a host to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest time for all of a login, from the first byte on: a host may take the connection and then say nothing for ever.
/// Long enough for a slow directory behind `pg_hba.conf`.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Silence after which a connection is probed.
const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(60);

/// Bytes to and from a server.
pub enum Stream {
    /// In plain.
    Plain(TcpStream),
    /// Under TLS.
    Tls(Box<TlsStream<TcpStream>>),
    /// To a server on this machine.
    Unix(UnixStream),
}

impl Stream {
    /// Whether it leads over TCP to this same machine, or what forwards a port on it.
    pub fn is_loopback(&self) -> bool {
        let tcp = match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
            Self::Unix(_) => return false,
        };
        let (Ok(here), Ok(there)) = (tcp.local_addr(), tcp.peer_addr()) else { return false };
        there.ip().to_canonical().is_loopback() || here.ip() == there.ip()
    }
}

/// One way to begin a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Plain,
    /// TLS, or plain when the server has none.
    Offered,
    Tls,
}

/// Knows where the server is.
#[derive(Clone)]
pub struct Dialer {
    hosts: Vec<(String, u16)>,
    mode: SslMode,
    keep_alive: bool,
    tls: Option<TlsConnector>,
    login_timeout: Duration,
}

impl Dialer {
    /// Of the configuration; reads the files of certificates.
    pub fn new(config: &ConnectionConfig) -> Result<Self> {
        let port = u16::try_from(config.port).unwrap_or(5432);
        let hosts = config.hostname.split(',').map(str::trim).filter(|host| !host.is_empty());
        let hosts = hosts.map(|host| with_port(host, port)).collect();
        let tls = if config.sslmode == SslMode::Disable { None } else { Some(tls::connector(config)?) };
        let (mode, keep_alive) = (config.sslmode, config.tcp_keep_alive);
        Ok(Self { hosts, mode, keep_alive, tls, login_timeout: LOGIN_TIMEOUT })
    }

    fn ways(&self) -> &'static [Way] {
        match self.mode {
            SslMode::Disable => &[Way::Plain],
            SslMode::Allow => &[Way::Plain, Way::Tls],
            SslMode::Prefer => &[Way::Offered, Way::Plain],
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => &[Way::Tls],
        }
    }

    /// Begins a session on the first host where `begin` succeeds. A refusal for how the connection is made (`28000`) is
    /// tried the other way where the mode has one; other refusals are final, what does not answer, or takes longer than
    /// [`LOGIN_TIMEOUT`] with the whole of it, is passed over.
    pub async fn session<T>(&self, begin: impl AsyncFn(Stream) -> Result<T>) -> Result<T> {
        let mut last = Error::Setup("database.hostname names no host".to_owned());
        for (host, port) in &self.hosts {
            for way in self.ways() {
                let login = async {
                    let stream = self.stream(host, *port, *way).await?;
                    begin(stream).await
                };
                let began = timeout(self.login_timeout, login).await.unwrap_or_else(|_| Err(self.silent(host, *port)));
                last = match began {
                    Ok(session) => return Ok(session),
                    Err(error @ Error::Connect { .. }) => {
                        last = error;
                        break;
                    }
                    Err(error @ (Error::Tls { .. } | Error::Broken(_))) => error,
                    Err(error) if error.code() == Some("28000") => error,
                    // A server that starts, stops or only stands by: the next host may do.
                    Err(error) if error.code().is_some_and(|code| code.starts_with("57P")) => error,
                    Err(error) => return Err(error),
                };
            }
        }
        Err(last)
    }

    fn silent(&self, host: &str, port: u16) -> Error {
        let text = format!(
            "it took the connection, and no session came of it within {} s; see whether database.hostname (a sink's \
             connection.url) names a PostgreSQL server there that is not overloaded",
            self.login_timeout.as_secs_f32()
        );
        Error::Connect { address: format!("{host}:{port}"), cause: io::Error::new(io::ErrorKind::TimedOut, text) }
    }

    async fn stream(&self, host: &str, port: u16, way: Way) -> Result<Stream> {
        let local = host.starts_with('/');
        let address = if local { format!("{host}/.s.PGSQL.{port}") } else { format!("{host}:{port}") };
        let failed = |cause| Error::Connect { address: address.clone(), cause };
        if local {
            // As with libpq: TLS is not used there, whatever the mode.
            return in_time(UnixStream::connect(&address)).await.map(Stream::Unix).map_err(failed);
        }
        let mut tcp = in_time(TcpStream::connect((host, port))).await.map_err(failed)?;
        tcp.set_nodelay(true).map_err(failed)?;
        if self.keep_alive {
            // Without probes a peer that vanished would only be missed when something is sent.
            rustix::net::sockopt::set_socket_keepalive(&tcp, true).map_err(|cause| failed(cause.into()))?;
            rustix::net::sockopt::set_tcp_keepidle(&tcp, KEEP_ALIVE_AFTER).map_err(|cause| failed(cause.into()))?;
        }
        let Some(connector) = self.tls.as_ref().filter(|_| way != Way::Plain) else { return Ok(Stream::Plain(tcp)) };
        let mut request = bytes::BytesMut::new();
        postgres_protocol::message::frontend::ssl_request(&mut request);
        tcp.write_all(&request).await.map_err(failed)?;
        if tcp.read_u8().await.map_err(failed)? != b'S' {
            return match way {
                Way::Offered => Ok(Stream::Plain(tcp)),
                _ => Err(Error::Tls {
                    address,
                    reason: "the server has no TLS; set ssl=on there, or database.sslmode to prefer".to_owned(),
                }),
            };
        }
        let refused = |reason: String| Error::Tls { address: address.clone(), reason };
        let name = rustls::pki_types::ServerName::try_from(host.to_owned())
            .map_err(|_| refused("the host's name can't be checked under TLS".to_owned()))?;
        let tls = timeout(CONNECT_TIMEOUT, connector.connect(name, tcp)).await;
        match tls {
            Err(_) => Err(failed(io::ErrorKind::TimedOut.into())),
            Ok(Err(cause)) => Err(refused(format!("TLS failed: {cause}"))),
            Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(stream))),
        }
    }
}

/// What comes of a connection within [`CONNECT_TIMEOUT`].
async fn in_time<T>(connect: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(CONNECT_TIMEOUT, connect).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Host and port of `host:port`. An IPv6 address with a port is in brackets.
pub fn split_port(host: &str) -> Option<(&str, &str)> {
    host.rsplit_once(':').filter(|(name, _)| !name.contains(':') || name.ends_with(']'))
}

/// `host:port`, or `host` with the common port.
fn with_port(host: &str, port: u16) -> (String, u16) {
    let own = split_port(host).and_then(|(name, own)| Some((name, own.parse().ok()?)));
    let (name, port) = own.unwrap_or((host, port));
    (name.trim_start_matches('[').trim_end_matches(']').to_owned(), port)
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_connector_api::{Config, ConnectorConfig as _, ErrorKind};
    use tokio::net::TcpListener;

    #[test]
    fn hosts_may_have_ports() {
        assert_eq!(with_port("a", 5432), ("a".to_owned(), 5432));
        assert_eq!(with_port("a:6543", 5432), ("a".to_owned(), 6543));
        assert_eq!(with_port("::1", 5432), ("::1".to_owned(), 5432));
        assert_eq!(with_port("[::1]:6543", 5432), ("::1".to_owned(), 6543));
    }

    /// A host that takes connections and says nothing, until the runtime ends.
    async fn silent_host() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                held.push(stream);
            }
        });
        address
    }

    fn dialer(hosts: &str, mode: &str, login_timeout: Duration) -> Dialer {
        let given = [("hostname", hosts), ("sslmode", mode), ("user", "u"), ("dbname", "d")];
        let given = given.map(|(key, value)| (format!("database.{key}"), value.to_owned()));
        let config = ConnectionConfig::parse(&Config::from_iter(given)).unwrap();
        Dialer { login_timeout, ..Dialer::new(&config).unwrap() }
    }

    async fn first_byte(mut stream: Stream) -> Result<u8> {
        Ok(stream.read_u8().await?)
    }

    #[tokio::test]
    async fn a_host_that_says_nothing_fails_and_may_be_tried_again() {
        for mode in ["disable", "prefer"] {
            let host = silent_host().await;
            let error = dialer(&host, mode, Duration::from_millis(50)).session(first_byte).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Retriable);
            let text = error.to_string();
            assert!(text.contains(&host) && text.contains("database.hostname"), "{text}");
        }
    }

    #[tokio::test]
    async fn the_next_host_is_tried_behind_one_that_says_nothing() {
        let talks = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hosts = format!("{},{}", silent_host().await, talks.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = talks.accept().await.unwrap();
            stream.write_all(b"R").await.unwrap();
        });
        // The host that talks is not to be hurried on a busy machine.
        assert_eq!(dialer(&hosts, "disable", Duration::from_secs(2)).session(first_byte).await.unwrap(), b'R');
    }
}

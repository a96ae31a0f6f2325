//! Where REST listens and what address is given out for it.

use super::NodeError;
use crate::config::{Settings, Table};
use std::net::{SocketAddr, ToSocketAddrs};

/// The REST listener's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RestAddress {
    /// Host as it was written.
    pub host: String,
    /// What to bind.
    pub socket: SocketAddr,
}

impl RestAddress {
    /// Reads `worker.listeners`.
    pub(super) fn from_settings(settings: &Settings) -> Result<Self, NodeError> {
        let listeners = settings.list(Table::Worker, "listeners");
        let [listener] = listeners.as_slice() else {
            let text = "worker.listeners must hold exactly one address, as http://HOST:PORT";
            return Err(NodeError::Config(text.to_owned()));
        };
        Self::parse(listener).map_err(|mend| NodeError::Config(format!("worker.listeners = `{listener}` {mend}")))
    }

    fn parse(listener: &str) -> Result<Self, String> {
        let (scheme, address) = listener.split_once("://").ok_or("must be http://HOST:PORT")?;
        if !scheme.eq_ignore_ascii_case("http") {
            return Err("must be http://HOST:PORT; other protocols are not available yet".to_owned());
        }
        let (host, port) = address.trim_end_matches('/').rsplit_once(':').ok_or("needs a port, as http://HOST:PORT")?;
        let port: u16 = port.parse().map_err(|_| "needs a port from 0 to 65535")?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        // An empty host means all interfaces, as with Connect.
        let bind = if host.is_empty() { "0.0.0.0" } else { host };
        let mut resolved = (bind, port).to_socket_addrs().map_err(|cause| format!("can't be resolved: {cause}"))?;
        let socket = resolved.next().ok_or("has no address")?;
        Ok(Self { host: host.to_owned(), socket })
    }

    /// `host:port` for worker ids and URLs.
    pub(super) fn advertised(&self, bound: SocketAddr, settings: &Settings) -> String {
        let reachable = if self.host.is_empty() || bound.ip().is_unspecified() { "127.0.0.1" } else { &self.host };
        let host = settings.get(Table::Worker, "rest.advertised.host.name").unwrap_or(reachable);
        let port =
            settings.get(Table::Worker, "rest.advertised.port").map_or_else(|| bound.port().to_string(), str::to_owned);
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_read_and_wrong_ones_have_a_mend() {
        let good = RestAddress::parse("http://127.0.0.1:8083").unwrap();
        assert_eq!((good.host.as_str(), good.socket.port()), ("127.0.0.1", 8083));
        assert!(RestAddress::parse("http://:0").unwrap().socket.ip().is_unspecified());
        assert!(RestAddress::parse("http://[::1]:8083").unwrap().socket.is_ipv6());
        for (wrong, mend) in [
            ("127.0.0.1:1", "must be http://HOST:PORT"),
            ("https://127.0.0.1:1", "not available yet"),
            ("http://127.0.0.1", "port"),
            ("http://127.0.0.1:99999", "port from 0 to 65535"),
        ] {
            assert!(RestAddress::parse(wrong).unwrap_err().contains(mend), "{wrong}");
        }
    }

    #[test]
    fn the_advertised_address_is_one_that_can_be_reached() {
        let settings = Settings::default();
        let advertised = |listener: &str| {
            let address = RestAddress::parse(listener).unwrap();
            address.advertised(SocketAddr::new(address.socket.ip(), 8083), &settings)
        };
        assert_eq!(advertised("http://127.0.0.1:0"), "127.0.0.1:8083");
        assert_eq!(advertised("http://0.0.0.0:0"), "127.0.0.1:8083");
        assert_eq!(advertised("http://[::1]:0"), "[::1]:8083");
    }
}

//! Listener addresses: parsing of `listeners`, `advertised.listeners` and `listener.security.protocol.map`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::key::{ValueError, split_list};

/// One `NAME://HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The listener's name, such as `PLAINTEXT`.
    pub name: Arc<str>,
    /// Host or address, without the brackets of IPv6. Empty or `0.0.0.0` for all interfaces.
    pub host: String,
    /// Port; 0 lets the system choose.
    pub port: u16,
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "{}://[{}]:{}", self.name, self.host, self.port)
        } else {
            write!(f, "{}://{}:{}", self.name, self.host, self.port)
        }
    }
}

/// Parse a list of endpoints; `key` names it in errors.
pub fn parse_endpoints(key: &str, list: &str) -> Result<Vec<Endpoint>, ValueError> {
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for text in split_list(list) {
        let endpoint = parse_endpoint(text).ok_or_else(|| ValueError::Type {
            key: key.to_owned(),
            value: text.to_owned(),
            expected: "NAME://HOST:PORT".to_owned(),
        })?;
        if endpoints.iter().any(|other| other.name == endpoint.name) {
            let text = format!("{key} has two listeners named {}; each needs its own name", endpoint.name);
            return Err(ValueError::Conflict { text });
        }
        endpoints.push(endpoint);
    }
    Ok(endpoints)
}

fn parse_endpoint(text: &str) -> Option<Endpoint> {
    let (name, address) = text.split_once("://")?;
    let (host, port) = address.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')) {
        return None;
    }
    Some(Endpoint { name: name.to_ascii_uppercase().into(), host: host.to_owned(), port })
}

/// Listener name to security protocol.
pub fn parse_protocol_map(key: &str, list: &str) -> Result<BTreeMap<String, String>, ValueError> {
    let mut map = BTreeMap::new();
    for text in split_list(list) {
        let Some((name, protocol)) = text.split_once(':') else {
            return Err(ValueError::Type {
                key: key.to_owned(),
                value: text.to_owned(),
                expected: "NAME:PROTOCOL".to_owned(),
            });
        };
        map.insert(name.trim().to_ascii_uppercase(), protocol.trim().to_ascii_uppercase());
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_names_hosts_and_ipv6() {
        let list = parse_endpoints("listeners", "PLAINTEXT://127.0.0.1:9092, inside://[::1]:0").unwrap();
        assert_eq!(list[0].to_string(), "PLAINTEXT://127.0.0.1:9092");
        assert_eq!(list[1].to_string(), "INSIDE://[::1]:0");
    }

    #[test]
    fn refuses_what_has_no_port_or_name_and_doubled_names() {
        for bad in ["127.0.0.1:9092", "PLAINTEXT://localhost", "://x:1", "A://x:70000", "A://[::1:9092", "A://::1:9"] {
            assert!(parse_endpoints("listeners", bad).is_err(), "{bad}");
        }
        assert!(parse_endpoints("listeners", "A://x:1,a://y:2").is_err());
    }
}

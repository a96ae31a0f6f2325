//! Which key a refused connection is about.

use super::{Finding, Weight};
use crate::error::Error;
use levada_connector_api::ErrorKind;

/// Files and modes of TLS, which errors name.
const TLS_KEYS: [&str; 3] = ["database.sslrootcert", "database.sslcert", "database.sslkey"];

/// Its statements run when a session is opened.
const STATEMENTS: &str = "database.initial.statements";

/// The finding of a connection or query that failed.
pub fn finding(error: &Error) -> Finding {
    let (key, mend) = match error {
        Error::Tls { address, .. } => {
            (TLS_KEYS.into_iter().find(|key| key == address).unwrap_or("database.sslmode"), "")
        }
        Error::Server { action, .. } if action.contains(STATEMENTS) => (STATEMENTS, ""),
        Error::Server { code, .. } => match code.as_str() {
            "28P01" => ("database.password", ""),
            "28000" => ("database.user", "; see pg_hba.conf for what it may"),
            "3D000" => ("database.dbname", ""),
            "53300" => (
                "database.user",
                "; see pg_stat_activity for who holds the connections, and max_connections and max_wal_senders",
            ),
            _ => ("database.user", ""),
        },
        _ => ("database.hostname", ""),
    };
    let weight = if error.kind() == ErrorKind::Retriable { Weight::Passing } else { Weight::Error };
    Finding { key, weight, text: format!("{error}{mend}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_its_key() {
        let key = |error: Error| finding(&error).key;
        assert_eq!(key(Error::server("a", "28P01", "no")), "database.password");
        let statement = "a statement of database.initial.statements failed";
        assert_eq!(key(Error::server(statement, "42601", "no")), "database.initial.statements");
        assert_eq!(key(Error::server("a", "3D000", "no")), "database.dbname");
        assert_eq!(key(Error::Tls { address: "h:1".to_owned(), reason: String::new() }), "database.sslmode");
        assert_eq!(key(Error::Tls { address: TLS_KEYS[0].to_owned(), reason: String::new() }), TLS_KEYS[0]);
        let down = finding(&Error::Connect { address: "h:1".to_owned(), cause: std::io::ErrorKind::TimedOut.into() });
        assert_eq!((down.key, down.weight), ("database.hostname", Weight::Passing));
    }
}

//! What a failed statement means for the batch, by its SQLSTATE.

use crate::error::Error;
use levada_connector_api::{ConnectorError, ErrorKind as Kind};
use std::io::ErrorKind;

/// What is to be done about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// A row of the batch is bad: find it.
    Row,
    /// The same may work later.
    Retry,
    /// The tables are not what they were: look again.
    Reload,
    /// Only somebody's doing helps.
    Fatal,
}

/// What an error of a statement means.
pub fn treatment(error: &Error) -> Treatment {
    match error {
        Error::Connect { .. } | Error::Broken(_) | Error::Protocol(_) => Treatment::Retry,
        Error::Data(_) => Treatment::Row,
        Error::Server { code, .. } => of_code(code),
        _ => Treatment::Fatal,
    }
}

fn of_code(code: &str) -> Treatment {
    match code {
        // Tables, columns or types that went or changed, statements that were prepared before, staging tables.
        // Also those of another client, which a pooler has left in the session.
        "42P01" | "42703" | "42704" | "0A000" | "26000" | "42P05" | "3F000" => Treatment::Reload,
        // A trigger's own refusal, a row too large for its index, a view's check.
        "P0001" | "54000" | "44000" => Treatment::Row,
        // Two keys of one statement that only the server takes for equal: apart they work.
        "21000" => Treatment::Row,
        // A server that became a standby: the next connection finds the other one.
        "25006" | "40001" | "40P01" | "40003" | "55P03" | "57014" | "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => {
            Treatment::Retry
        }
        code => match code.get(..2).unwrap_or_default() {
            "22" | "23" => Treatment::Row,
            "08" | "53" | "58" => Treatment::Retry,
            _ => Treatment::Fatal,
        },
    }
}

/// Whether the session can't be used any more.
pub fn ends_session(error: &Error) -> bool {
    match error {
        Error::Server { code, .. } => {
            code.starts_with("57P") || code.starts_with("08") || code == "25006" || code == "25P03"
        }
        Error::Data(_) => false,
        _ => true,
    }
}

/// Whether another try at once is sensible: the other side of a deadlock has gone on, an idle connection was cut.
pub fn at_once(error: &Error) -> bool {
    let cut = matches!(error, Error::Broken(cause) if cause.kind() != ErrorKind::TimedOut);
    cut || matches!(error.code(), Some("40001" | "40P01" | "57P01" | "57P05"))
}

/// The runtime's error for one that no other treatment is left for.
pub fn fatal(error: Error) -> ConnectorError {
    let kind = match &error {
        Error::Tls { .. } | Error::Setup(_) => Kind::Config,
        Error::Server { code, .. } if ["28", "3D", "42"].contains(&code.get(..2).unwrap_or_default()) => Kind::Config,
        Error::Data(_) => Kind::Data,
        Error::Stopped => Kind::Cancelled,
        _ => Kind::Fatal,
    };
    // Shared with the source, whose keys have other names.
    let mend = match error.code() {
        Some("42P10") => "; make a primary key or unique index of the key columns",
        Some("42501") => {
            "; grant the connection's user INSERT, UPDATE, DELETE and SELECT on the table, and CREATE on its schema to have tables made"
        }
        Some("428C9") => "; leave the field out, the server computes its column",
        _ => "",
    };
    let text = error.to_string().replace("database.ssl", "connection.url: ssl").replace("database.", "connection.");
    ConnectorError::new(kind, text + mend)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_apart() {
        for (code, expected) in [
            ("22P02", Treatment::Row),
            ("22001", Treatment::Row),
            ("22021", Treatment::Row),
            ("23505", Treatment::Row),
            ("23503", Treatment::Row),
            ("P0001", Treatment::Row),
            ("21000", Treatment::Row),
            ("42P05", Treatment::Reload),
            ("40P01", Treatment::Retry),
            ("40001", Treatment::Retry),
            ("53100", Treatment::Retry),
            ("57P01", Treatment::Retry),
            ("55P03", Treatment::Retry),
            ("08006", Treatment::Retry),
            ("42P01", Treatment::Reload),
            ("0A000", Treatment::Reload),
            ("42501", Treatment::Fatal),
            ("42804", Treatment::Fatal),
            ("28P01", Treatment::Fatal),
            ("XX000", Treatment::Fatal),
            ("", Treatment::Fatal),
        ] {
            assert_eq!(treatment(&Error::server("x", code, "y")), expected, "{code}");
        }
    }
}

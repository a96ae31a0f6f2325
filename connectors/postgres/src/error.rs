//! What goes wrong with a server, and how the runtime treats it.

use levada_connector_api::{ConnectorError, ErrorKind};
use std::io;

/// A failure of the source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection.
    #[error("{address} does not answer: {cause}")]
    Connect {
        /// Host and port.
        address: String,
        /// Why.
        cause: io::Error,
    },
    /// A connection that was there broke.
    #[error("the connection to the server broke: {0}")]
    Broken(#[from] io::Error),
    /// TLS could not be set up.
    #[error("{address}: {reason}")]
    Tls {
        /// Host and port, or the key.
        address: String,
        /// Why.
        reason: String,
    },
    /// The server refused something.
    #[error("{action}: {message} (SQLSTATE {code})")]
    Server {
        /// What was tried.
        action: String,
        /// The five characters.
        code: String,
        /// The server's text.
        message: String,
    },
    /// The server did what its protocol does not allow.
    #[error("the server sent {0}")]
    Protocol(String),
    /// A value that is not of its type, or a row that does not fit its table.
    #[error("{0}")]
    Data(String),
    /// The user must decide: configuration, privileges, slots.
    #[error("{0}")]
    Setup(String),
    /// Changes are missing between what is stored and what the server still has.
    #[error("{0}")]
    Gap(String),
    /// A table has changed, and the configuration says that this stops the task until somebody accepts it.
    #[error("{text}")]
    SchemaChange {
        /// Table, changes and mend.
        text: String,
        /// Whether the task waits for that, and does not fail.
        pauses: bool,
    },
    /// The task was asked to stop.
    #[error("the task was asked to stop")]
    Stopped,
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A refusal by the server.
    pub fn server(action: impl Into<String>, code: &str, message: &str) -> Self {
        let mend = if code == "28P01" { "; check database.user and database.password" } else { "" };
        Self::Server { action: action.into(), code: code.to_owned(), message: format!("{message}{mend}") }
    }

    /// The publication was dropped, or is another one.
    pub fn publication_gone(name: &str) -> Self {
        Self::Gap(format!(
            "publication {name} was dropped: changes that were made without it can't be read any more. Drop the replication \
             slot and reset the connector's offsets for a new snapshot; where publication.autocreate.mode=disabled, run \
             CREATE PUBLICATION {} FOR TABLE ... first",
            crate::net::identifier(name)
        ))
    }

    /// A failure of the SQL client, with what was tried.
    pub fn sql(action: impl Into<String>, error: &tokio_postgres::Error) -> Self {
        let action = action.into();
        if let Some(refused) = error.as_db_error() {
            return Self::server(action, refused.code().code(), refused.message());
        }
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(inner) = cause {
            text = format!("{text}: {inner}");
            cause = inner.source();
        }
        Self::Broken(io::Error::other(format!("{action}: {text}")))
    }

    /// The code that the server refused with.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Server { code, .. } => Some(code),
            _ => None,
        }
    }

    /// How the runtime reacts.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Connect { .. } | Self::Broken(_) | Self::Protocol(_) => ErrorKind::Retriable,
            Self::Tls { .. } | Self::Setup(_) => ErrorKind::Config,
            // Tried again and again, which shows as a stall with its cause.
            Self::SchemaChange { pauses: true, .. } => ErrorKind::Retriable,
            Self::SchemaChange { pauses: false, .. } => ErrorKind::Config,
            Self::Server { code, .. } => kind_of(code),
            Self::Data(_) => ErrorKind::Data,
            Self::Gap(_) => ErrorKind::Fatal,
            Self::Stopped => ErrorKind::Cancelled,
        }
    }
}

/// Classes of SQLSTATE: what another try may mend, and what only the user can.
fn kind_of(code: &str) -> ErrorKind {
    match code {
        // The connection, resources, an operator's doing, a slot or lock in use, a serialization failure.
        code if ["08", "53", "57", "58", "40", "55"].contains(&code.get(..2).unwrap_or_default()) => {
            ErrorKind::Retriable
        }
        // Who may what, which database, what exists.
        code if ["28", "3D", "42", "0A", "22"].contains(&code.get(..2).unwrap_or_default()) => ErrorKind::Config,
        _ => ErrorKind::Fatal,
    }
}

impl From<Error> for ConnectorError {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

//! Connections: hosts in order, TLS in every mode, one session for SQL and one for replication.

mod dial;
mod replication;
mod session;
mod sql;
mod tls;

pub use dial::{Dialer, Stream, split_port};
pub use replication::{Frame, PG_EPOCH_MICROS, Replication};
pub use session::Login;
pub use sql::{Sql, identifier, literal, open};

/// Settings that decide how the server writes values; the same for every session, so that a snapshot's values are those
/// of the stream.
pub const SESSION: [(&str, &str); 9] = [
    ("client_encoding", "UTF8"),
    ("datestyle", "ISO, MDY"),
    ("intervalstyle", "postgres"),
    ("timezone", "UTC"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
    ("lc_monetary", "C"),
    // A snapshot is one long transaction, which a general limit must not end.
    ("statement_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
];

//! How requests reach a broker: in the same process, or over a connection.

use crate::BoxFuture;
use levada_wire::{ApiKey, RequestKind, ResponseKind};

/// A way to one broker. Implemented by the broker itself for callers in its process, and by
/// [`crate::TcpTransport`].
///
/// A call hands its request over at the first poll of its future or before. Requests handed over in
/// order are acted upon in that order where order matters (appends to one partition), also when
/// several are in flight. Dropping the future gives up the answer, not the request: it may still be
/// carried out (an append once submitted completes).
pub trait Transport: Send + Sync + 'static {
    /// Sends a request and waits for its answer. The transport has no deadline of its own; callers
    /// have.
    fn call(&self, request: RequestKind) -> BoxFuture<'_, Result<ResponseKind, TransportError>>;
}

/// A request that got no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TransportError {
    /// The broker is shut down, or the transport was closed.
    #[error("the broker is shut down")]
    Closed,
    /// The connection could not be made, or broke; whether the request was carried out is unknown.
    #[error("connection to {address} failed: {cause}")]
    Connection {
        /// Host and port.
        address: String,
        /// Cause.
        cause: String,
    },
    /// The broker does not serve any version of this API that we speak.
    #[error("the broker does not serve {api} in a version that this client speaks")]
    Unsupported {
        /// API.
        api: ApiKey,
    },
    /// Bytes that are no valid answer, or a request that can't be said in the broker's version.
    #[error("{api}: {cause}")]
    Protocol {
        /// API.
        api: ApiKey,
        /// Cause.
        cause: String,
    },
}

impl TransportError {
    /// Whether the same request may get an answer later.
    pub fn is_retriable(&self) -> bool {
        matches!(self, Self::Connection { .. })
    }
}

//! A Kafka client over any [`Transport`]: producer, consumer with group membership, admin.
//!
//! Used by the embedded bus, by tests and benches, and later between nodes. What decides is pure
//! state (sequencing, assignment, membership); what waits has a deadline.

mod transport;

pub use transport::{Transport, TransportError};

/// A boxed future, since traits with async methods can't be made into objects.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

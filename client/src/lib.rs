//! A Kafka client over any [`Transport`]: producer, consumer with group membership, admin.
//!
//! Used by the embedded bus, by tests and benches, and later between nodes. What decides is pure
//! state (sequencing, assignment, membership); what waits has a deadline. A transport is a way to
//! one broker, and for now that broker leads every partition and coordinates every group.

pub mod admin;
mod call;
pub mod consumer;
mod error;
mod fetch;
pub mod metadata;
pub mod offsets;
pub mod producer;
pub mod reader;
mod tcp;
mod topic_name;
mod transport;

pub use admin::Admin;
pub use call::call;
pub use consumer::{Consumer, ConsumerOptions};
pub use error::ClientError;
pub use producer::{Producer, ProducerOptions};
pub use tcp::{TcpOptions, TcpTransport};
pub use topic_name::TopicName;
pub use transport::{Transport, TransportError};

/// A boxed future, since traits with async methods can't be made into objects.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

//! The Kafka APIs: one file per key, each a function from request to answer.

pub mod context;

pub use context::{Cancellation, RequestContext};

//! Events: Debezium's envelopes, tombstones, headers, transactions, messages, heartbeats.

mod change;
mod emitter;
mod schema_change;
mod schemas;
mod side;
mod transaction;

pub use change::UNSENT;
pub use emitter::{Batch, Emitter, EmitterOptions, Moment, SnapshotMark};
pub use schema_change::SchemaChanges;
pub use schemas::SharedSchemas;
pub use transaction::TransactionCount;

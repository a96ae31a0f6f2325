//! Events: Debezium's envelopes, tombstones, headers, transactions, messages, heartbeats.

mod change;
mod emitter;
mod schemas;
mod side;
mod transaction;

pub use emitter::{Batch, Emitter, EmitterOptions, Moment, SnapshotMark};
pub use schemas::SharedSchemas;
pub use transaction::TransactionCount;

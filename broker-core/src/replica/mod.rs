//! Partitions as replicas: leader epoch, in-sync replicas, high watermark, and who waits for them.
//!
//! Handlers and coordinators reach a log only through a [`Partition`] of the [`ReplicaManager`]. Waiting produce and
//! fetch requests are woken by the log's observer calls, never by polling.

mod error;
mod fetch_signal;
mod growth;
mod manager;
mod partition;
#[cfg(test)]
mod tests;
mod waits;

pub use error::ReplicaError;
pub use fetch_signal::{FetchSignal, GrowthMark, Watch};
pub use manager::{ReplicaManager, TopicRef};
pub use partition::{AppendRules, FetchPosition, Partition, PendingAppend, ReadWish};

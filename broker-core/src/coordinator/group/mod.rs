//! Classic consumer groups and their committed offsets.
//!
//! [`GroupCoordinator`] answers the group requests. A group is a pure state machine ([`machine`]) in an entry of its own with its offsets;
//! requests step the machine under the entry's lock, and what must last goes through a partition's write queue into
//! `__consumer_offsets` ([`OffsetsLog`]). Rules that hold here:
//! - nothing is answered before the record it rests on is durable (invariants 1 and 7);
//! - offsets in memory change only after their record is durable, in log order: memory is a replay of the log;
//! - no lock is held across a wait.

mod coordinator;
mod entry;
mod error_map;
mod handlers;
mod inner;
mod loader;
mod log;
pub mod machine;
#[cfg(test)]
mod memory_log;
mod offsets;
mod options;
mod partitioner;
mod records;
mod retention;
mod shard;
#[cfg(test)]
mod tests;
mod timers;
mod writer;
mod writes;

pub use coordinator::GroupCoordinator;
pub use log::{OFFSETS_TOPIC, OffsetsChunk, OffsetsLog, OffsetsLogError};
pub use options::{Caller, GroupCoordinatorOptions, ProtectedGroups, TopicLookup};
pub use partitioner::partition_for;

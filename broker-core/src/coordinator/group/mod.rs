//! Classic consumer groups and their committed offsets.

mod log;
pub mod machine;
mod offsets;
mod partitioner;
mod records;

pub use log::{OFFSETS_TOPIC, OffsetsChunk, OffsetsLog, OffsetsLogError};
pub use partitioner::partition_for;

//! Record batches, format version 2: the unit in which records are produced, stored, replicated and fetched.
//!
//! - [`BatchHeader`]: the 61 bytes in front, parsed by value; patching in place; CRC-32C.
//! - [`BatchIter`], [`Batch`]: whole batches out of one or several `Bytes`, without copying.
//! - [`walk_records`]: structural check of an uncompressed records block without allocation; [`walk_batch`]: of any batch, unpacked as a
//!   stream ([`RecordScan`]) in memory that does not depend on how far it unpacks.
//! - [`RecordRefIter`], [`RecordIter`]: records of a (decompressed) block, borrowed or as `Bytes`.
//! - [`RecordStream`]: records decompressed piece by piece, for those who take them from strangers.
//! - [`compress`], [`decompress`]: the five codecs, bounded in what they may produce.
//! - [`RecordBatchBuilder`]: batches from records, into recycled buffers.
//! - [`control`]: control records (transaction markers).
//!
//! Used by the log, the produce and fetch handlers, the client and the coordinators. Bytes come from strangers: nothing here panics,
//! allocates by a claimed size, or decompresses past a limit (invariant 9).

mod batch;
mod builder;
mod compression;
pub mod control;
mod decoder;
mod error;
mod header;
mod record;
mod scan;
mod stream;
#[cfg(test)]
mod tests;
mod varint;
mod walk;

pub use batch::{Batch, BatchIter};
pub use builder::RecordBatchBuilder;
pub use compression::{Compression, compress, decompress};
pub use error::RecordError;
pub use header::{
    ATTRIBUTES_OFFSET, BASE_OFFSET_OFFSET, BASE_SEQUENCE_OFFSET, BASE_TIMESTAMP_OFFSET, BatchHeader, CRC_OFFSET,
    HEADER_LEN, LAST_OFFSET_DELTA_OFFSET, LEADER_EPOCH_OFFSET, LENGTH_OFFSET, LOG_OVERHEAD, MAGIC_OFFSET,
    MAX_TIMESTAMP_OFFSET, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP, PRODUCER_EPOCH_OFFSET,
    PRODUCER_ID_OFFSET, RECORDS_COUNT_OFFSET, TimestampType, crc_of, crc32c_of, patch_base_offset, patch_leader_epoch,
    rewrite_log_append_time,
};
pub use record::{HeaderIter, Record, RecordHeader, RecordIter, RecordRef, RecordRefIter};
pub use scan::{RecordMeta, RecordScan};
pub use stream::RecordStream;
pub use walk::{WalkSummary, walk_batch, walk_records};

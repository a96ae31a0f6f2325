//! What can be wrong with a batch.

use super::Compression;

/// A batch or record that is not what format version 2 says. Maps to CORRUPT_MESSAGE or INVALID_RECORD, see [`RecordError::is_corruption`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Fewer bytes than the batch says it has.
    #[error("truncated batch: {needed} bytes needed, {available} there")]
    Truncated {
        /// Bytes the batch claims.
        needed: usize,
        /// Bytes at hand.
        available: usize,
    },
    /// A batch length that no batch can have.
    #[error("illegal batch length {0}")]
    BadLength(i32),
    /// Another format version.
    #[error("record batch magic {0} is not supported, only 2")]
    UnsupportedMagic(i8),
    /// The checksum does not fit the content.
    #[error("crc {stored:#010x} does not fit the content, whose crc is {computed:#010x}")]
    CrcMismatch {
        /// Checksum in the header.
        stored: u32,
        /// Checksum of the content.
        computed: u32,
    },
    /// A header field that contradicts another or the rules.
    #[error("invalid batch: {0}")]
    InvalidBatch(&'static str),
    /// A record that does not parse or contradicts the header.
    #[error("invalid record {index}: {reason}")]
    InvalidRecord {
        /// Position in the batch, from 0.
        index: i32,
        /// What is wrong.
        reason: &'static str,
    },
    /// Attribute bits 0-2 hold a number that is no codec.
    #[error("unknown compression codec {0}")]
    UnknownCodec(u8),
    /// The compressed block is damaged.
    #[error("cannot decompress {codec}: {reason}")]
    Decompress {
        /// Codec of the block.
        codec: Compression,
        /// The decoder's text.
        reason: String,
    },
    /// The compressed block holds more than allowed.
    #[error("records take more than {limit} bytes when decompressed")]
    DecompressedTooLarge {
        /// The limit in force.
        limit: usize,
    },
    /// A batch being built would outgrow the format.
    #[error("a record batch holds at most 2147483647 bytes and records")]
    BatchFull,
}

impl RecordError {
    /// Whether the bytes are damaged (CORRUPT_MESSAGE), rather than well-formed and against the rules (INVALID_RECORD).
    pub fn is_corruption(&self) -> bool {
        matches!(
            self,
            Self::Truncated { .. }
                | Self::BadLength(_)
                | Self::CrcMismatch { .. }
                | Self::Decompress { .. }
                | Self::DecompressedTooLarge { .. }
        )
    }
}

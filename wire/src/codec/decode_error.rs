//! Why bytes could not be read as a message.

use thiserror::Error;

/// Why bytes could not be read as a message. The connection they came from is closed; nothing else is affected.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The bytes end inside a field.
    #[error("message ends early: {needed} bytes needed, {left} left")]
    UnexpectedEnd {
        /// Bytes the field needs.
        needed: usize,
        /// Bytes that are there.
        left: usize,
    },
    /// A length below zero where -1 (null) is the only one allowed.
    #[error("negative length {0}")]
    NegativeLength(i64),
    /// An array claims more elements than there are bytes.
    #[error("array of {claimed} elements in {left} bytes")]
    ArrayTooLong {
        /// Elements claimed.
        claimed: usize,
        /// Bytes left in the message.
        left: usize,
    },
    /// The message would take far more memory than its bytes justify.
    #[error("message of {frame} bytes would expand past its memory limit")]
    OverBudget {
        /// Size of the encoded message.
        frame: usize,
    },
    /// Null in a field that has none in this version.
    #[error("null where the version has none")]
    UnexpectedNull,
    /// A string is not UTF-8.
    #[error("string is not utf-8")]
    InvalidUtf8,
    /// A variable-length integer does not end within 32 bits.
    #[error("variable-length integer too long")]
    VarintTooLong,
    /// The same tag twice.
    #[error("tag {0} occurs twice")]
    DuplicateTag(u32),
    /// A tagged field's content does not fill its declared size.
    #[error("tag {tag}: {left} bytes left over")]
    TagSize {
        /// The tag.
        tag: u32,
        /// Bytes its content left unread.
        left: usize,
    },
    /// Bytes after the end of the message.
    #[error("{0} bytes after the end of the message")]
    TrailingBytes(usize),
    /// The message has no such version.
    #[error("{message} has no version {version}")]
    UnsupportedVersion {
        /// Name of the message.
        message: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// No message with this API key is known.
    #[error("unknown api key {0}")]
    UnknownApiKey(i16),
}

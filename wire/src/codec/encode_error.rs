//! Why a message could not be written.

use thiserror::Error;

/// Why a message could not be written: always a mistake of the caller, never of the peer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// The message has no such version.
    #[error("{message} has no version {version}")]
    UnsupportedVersion {
        /// Name of the message.
        message: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A field is set that the version does not carry and that may not be dropped silently.
    #[error("{message}.{field} is set but version {version} has no such field")]
    FieldNotInVersion {
        /// Name of the struct.
        message: &'static str,
        /// Name of the field.
        field: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A field is null in a version where it can't be.
    #[error("{message}.{field} is null, which version {version} does not allow")]
    NullNotAllowed {
        /// Name of the struct.
        message: &'static str,
        /// Name of the field.
        field: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A string, array or byte field is longer than its length prefix can say.
    #[error("length {0} does not fit its prefix")]
    TooLong(usize),
    /// Record data that lives outside memory can't be turned into plain bytes here.
    #[error("record data is external and can only be sent as segments")]
    ExternalRecords,
}

//! Why a client call failed.

use crate::TransportError;
use levada_wire::{ApiKey, ErrorCode};
use std::time::Duration;

/// A failed client call.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientError {
    /// No answer came.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// No answer within the deadline; whether the request was carried out is unknown.
    #[error("{api} got no answer within {} ms", after.as_millis())]
    Timeout {
        /// API.
        api: ApiKey,
        /// The deadline.
        after: Duration,
    },
    /// The answer belongs to another API, or lacks what was asked about.
    #[error("{api} was answered with something else")]
    WrongAnswer {
        /// API.
        api: ApiKey,
    },
    /// The broker refused.
    #[error("{subject}: {}{}", code.name(), detail(message.as_ref()))]
    Refused {
        /// What it is about, for example `topic t`.
        subject: String,
        /// Kafka's error.
        code: ErrorCode,
        /// The broker's own text.
        message: Option<String>,
    },
    /// A record batch in an answer is damaged.
    #[error("records of {topic}-{partition} are damaged at offset {offset}: {cause}")]
    CorruptRecords {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// Position of the fetch.
        offset: i64,
        /// Cause.
        cause: String,
    },
    /// A partition has no committed offset and `auto.offset.reset` is `none`.
    #[error("{topic}-{partition} has no valid committed offset, and auto.offset.reset is none")]
    NoOffset {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
    },
    /// The log ends before the offset that its reader keeps itself.
    #[error("{topic}-{partition} ends at offset {end}, and offset {offset} is to be read next")]
    PastEnd {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// Where to read on.
        offset: i64,
        /// End of the log, exclusive.
        end: i64,
    },
    /// The owner of this handle lost its right to write.
    #[error("the owner of this handle was revoked")]
    Revoked,
}

fn detail(message: Option<&String>) -> String {
    message.map(|message| format!(": {message}")).unwrap_or_default()
}

impl ClientError {
    pub(crate) fn refused(subject: impl Into<String>, code: i16, message: Option<String>) -> Self {
        let code = ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError);
        Self::Refused { subject: subject.into(), code, message }
    }

    /// Kafka's error, if the broker gave one.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Transport(error) => error.is_retriable(),
            Self::Timeout { .. } => true,
            Self::Refused { code, .. } => code.is_retriable(),
            _ => false,
        }
    }
}

/// `Ok` for code 0.
pub(crate) fn check(subject: impl FnOnce() -> String, code: i16, message: Option<String>) -> Result<(), ClientError> {
    if code == 0 { Ok(()) } else { Err(ClientError::refused(subject(), code, message)) }
}

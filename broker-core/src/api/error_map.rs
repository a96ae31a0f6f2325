//! The one place where domain errors become Kafka error codes.

use levada_wire::ErrorCode;

use super::config_change::ConfigChangeError;
use super::fetch::SessionError;
use crate::config::key::ValueError;
use crate::log::{LogError, ValidationError};
use crate::quorum::topics::TopicChangeError;
use crate::quorum::{QuorumError, TopicNameError};
use crate::replica::ReplicaError;

/// An error that can be answered to a client.
pub(crate) trait ToErrorCode {
    /// Kafka's code for it.
    fn error_code(&self) -> ErrorCode;
}

impl ToErrorCode for QuorumError {
    fn error_code(&self) -> ErrorCode {
        match self {
            Self::Conflict => ErrorCode::NotController,
            Self::Log(_) => ErrorCode::KafkaStorageError,
            Self::Closed => ErrorCode::BrokerNotAvailable,
        }
    }
}

impl ToErrorCode for TopicNameError {
    fn error_code(&self) -> ErrorCode {
        ErrorCode::InvalidTopicException
    }
}

impl ToErrorCode for ValueError {
    fn error_code(&self) -> ErrorCode {
        ErrorCode::InvalidConfig
    }
}

impl ToErrorCode for TopicChangeError {
    fn error_code(&self) -> ErrorCode {
        match self {
            Self::Name(error) => error.error_code(),
            Self::Collision { .. } => ErrorCode::InvalidTopicException,
            Self::Exists(_) => ErrorCode::TopicAlreadyExists,
            Self::Unknown => ErrorCode::UnknownTopicOrPartition,
            Self::Partitions(_) => ErrorCode::InvalidPartitions,
            Self::ReplicationFactor { .. } => ErrorCode::InvalidReplicationFactor,
            Self::Assignment(_) => ErrorCode::InvalidReplicaAssignment,
            Self::Request(_) => ErrorCode::InvalidRequest,
            Self::Config(error) => error.error_code(),
            Self::Policy(_) => ErrorCode::PolicyViolation,
            Self::TimedOut => ErrorCode::RequestTimedOut,
            Self::Quorum(error) => error.error_code(),
        }
    }
}

impl ToErrorCode for ConfigChangeError {
    fn error_code(&self) -> ErrorCode {
        match self {
            Self::Value(error) => error.error_code(),
            Self::UnknownTopic => ErrorCode::UnknownTopicOrPartition,
            Self::Request(_) => ErrorCode::InvalidRequest,
            Self::Refused(code) => *code,
            Self::Quorum(error) => error.error_code(),
        }
    }
}

impl ToErrorCode for ValidationError {
    fn error_code(&self) -> ErrorCode {
        match self {
            Self::Corrupt(_) => ErrorCode::CorruptMessage,
            Self::MessageTooLarge { .. } => ErrorCode::MessageTooLarge,
            Self::RecordListTooLarge { .. } => ErrorCode::RecordListTooLarge,
            Self::InvalidRecord { .. } => ErrorCode::InvalidRecord,
            Self::InvalidTimestamp { .. } => ErrorCode::InvalidTimestamp,
            Self::UnsupportedCompression => ErrorCode::UnsupportedCompressionType,
        }
    }
}

impl ToErrorCode for LogError {
    fn error_code(&self) -> ErrorCode {
        match self {
            Self::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            Self::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
            Self::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
            Self::FencedLeaderEpoch { .. } | Self::Closed => ErrorCode::NotLeaderOrFollower,
            Self::RecordListTooLarge { .. } => ErrorCode::RecordListTooLarge,
            Self::Corrupt { .. } => ErrorCode::CorruptMessage,
            Self::NotContiguous { .. } => ErrorCode::UnknownServerError,
            Self::StorageFull { .. } | Self::LogDirOffline { .. } | Self::Io { .. } => ErrorCode::KafkaStorageError,
        }
    }
}

impl ToErrorCode for ReplicaError {
    fn error_code(&self) -> ErrorCode {
        match self {
            Self::UnknownPartition => ErrorCode::UnknownTopicOrPartition,
            Self::UnknownTopicId => ErrorCode::UnknownTopicId,
            Self::NotLeader => ErrorCode::NotLeaderOrFollower,
            Self::FencedEpoch { .. } => ErrorCode::FencedLeaderEpoch,
            Self::UnknownEpoch { .. } => ErrorCode::UnknownLeaderEpoch,
            Self::NotEnoughReplicas { .. } => ErrorCode::NotEnoughReplicas,
            Self::Invalid(error) => error.error_code(),
            Self::Log(error) => error.error_code(),
            Self::Policy(_) => ErrorCode::PolicyViolation,
        }
    }
}

impl ToErrorCode for SessionError {
    fn error_code(&self) -> ErrorCode {
        match self {
            Self::NotFound => ErrorCode::FetchSessionIdNotFound,
            Self::Epoch { .. } => ErrorCode::InvalidFetchSessionEpoch,
            Self::TopicIds => ErrorCode::FetchSessionTopicIdError,
        }
    }
}

//! The Kafka code of each [`GroupError`].

use levada_wire::ErrorCode;

use super::machine::GroupError;

impl GroupError {
    /// The code as the membership requests answer it.
    pub(super) fn code(self) -> i16 {
        self.error_code() as i16
    }

    fn error_code(self) -> ErrorCode {
        match self {
            Self::MemberIdRequired => ErrorCode::MemberIdRequired,
            Self::UnknownMemberId => ErrorCode::UnknownMemberId,
            Self::FencedInstanceId => ErrorCode::FencedInstanceId,
            Self::IllegalGeneration => ErrorCode::IllegalGeneration,
            Self::RebalanceInProgress => ErrorCode::RebalanceInProgress,
            Self::InconsistentGroupProtocol => ErrorCode::InconsistentGroupProtocol,
            Self::GroupMaxSizeReached => ErrorCode::GroupMaxSizeReached,
            Self::InvalidSessionTimeout => ErrorCode::InvalidSessionTimeout,
            Self::MemberMetadataTooLarge => ErrorCode::InvalidRequest,
            Self::InvalidGroupId => ErrorCode::InvalidGroupId,
            Self::GroupIdNotFound => ErrorCode::GroupIdNotFound,
            Self::NonEmptyGroup => ErrorCode::NonEmptyGroup,
            Self::GroupSubscribedToTopic => ErrorCode::GroupSubscribedToTopic,
            Self::CoordinatorNotAvailable => ErrorCode::CoordinatorNotAvailable,
            Self::CoordinatorLoadInProgress => ErrorCode::CoordinatorLoadInProgress,
            Self::RecordRefused => ErrorCode::UnknownServerError,
        }
    }

    /// The code as OffsetCommit answers it: there, a record that doesn't fit is the client's to make smaller.
    pub(super) fn commit_code(self) -> i16 {
        match self {
            Self::RecordRefused => ErrorCode::InvalidCommitOffsetSize as i16,
            other => other.code(),
        }
    }
}

/// The code of a result: 0 for success.
pub(super) fn code_of<T>(result: &Result<T, GroupError>) -> i16 {
    result.as_ref().err().map_or(ErrorCode::None as i16, |error| error.code())
}

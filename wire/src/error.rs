//! Kafka's error codes.

use std::fmt;

macro_rules! error_codes {
    (@retriable retriable) => { true };
    (@retriable final) => { false };
    ($($name:ident = $code:literal, $kind:tt, $text:literal;)*) => {
        /// What an answer says went wrong. The names and numbers are Kafka's.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i16)]
        pub enum ErrorCode {
            $(#[doc = $text] $name = $code,)*
        }

        impl ErrorCode {
            /// Every code, in the order of the numbers.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code with this number.
            pub const fn from_code(code: i16) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Whether the same request may succeed later, as clients see it.
            pub const fn is_retriable(self) -> bool {
                match self {
                    $(Self::$name => error_codes!(@retriable $kind),)*
                }
            }

            /// A short text for people.
            pub const fn message(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// The name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

error_codes! {
    UnknownServerError = -1, final, "the server failed in a way no other code describes";
    None = 0, final, "no error";
    OffsetOutOfRange = 1, final, "the offset is below the log start or past the log end";
    CorruptMessage = 2, retriable, "the record data is damaged";
    UnknownTopicOrPartition = 3, retriable, "this server has no such topic or partition";
    InvalidFetchSize = 4, final, "the fetch size is not valid";
    LeaderNotAvailable = 5, retriable, "the partition has no leader at the moment";
    NotLeaderOrFollower = 6, retriable, "this broker does not hold the partition in the role asked for";
    RequestTimedOut = 7, retriable, "the request was not finished in time";
    BrokerNotAvailable = 8, final, "the broker is not available";
    ReplicaNotAvailable = 9, retriable, "the replica is not available";
    MessageTooLarge = 10, final, "a record batch is larger than the topic allows";
    StaleControllerEpoch = 11, final, "the controller has been replaced";
    OffsetMetadataTooLarge = 12, final, "the metadata of a committed offset is too long";
    NetworkException = 13, retriable, "the connection broke before the answer";
    CoordinatorLoadInProgress = 14, retriable, "the coordinator is still loading";
    CoordinatorNotAvailable = 15, retriable, "the coordinator is not available";
    NotCoordinator = 16, retriable, "this broker is not the coordinator";
    InvalidTopicException = 17, final, "the topic name is not valid, or the topic may not be used this way";
    RecordListTooLarge = 18, final, "the record data is larger than a segment";
    NotEnoughReplicas = 19, retriable, "fewer in-sync replicas than the topic requires";
    NotEnoughReplicasAfterAppend = 20, retriable, "appended, but on fewer in-sync replicas than required";
    InvalidRequiredAcks = 21, final, "acks must be -1, 0 or 1";
    IllegalGeneration = 22, final, "the group has moved on to another generation";
    InconsistentGroupProtocol = 23, final, "the member's protocols do not fit the group's";
    InvalidGroupId = 24, final, "the group id is not valid";
    UnknownMemberId = 25, final, "the group has no such member";
    InvalidSessionTimeout = 26, final, "the session timeout is outside the allowed range";
    RebalanceInProgress = 27, final, "the group is rebalancing";
    InvalidCommitOffsetSize = 28, final, "the offset commit is too large";
    TopicAuthorizationFailed = 29, final, "not allowed on this topic";
    GroupAuthorizationFailed = 30, final, "not allowed on this group";
    ClusterAuthorizationFailed = 31, final, "not allowed on the cluster";
    InvalidTimestamp = 32, final, "a record's timestamp is outside the allowed range";
    UnsupportedSaslMechanism = 33, final, "the SASL mechanism is not enabled";
    IllegalSaslState = 34, final, "the request does not fit the state of authentication";
    UnsupportedVersion = 35, final, "the version of this API is not supported";
    TopicAlreadyExists = 36, final, "the topic exists already";
    InvalidPartitions = 37, final, "the number of partitions is not valid";
    InvalidReplicationFactor = 38, final, "the replication factor is not valid or more than there are brokers";
    InvalidReplicaAssignment = 39, final, "the replica assignment is not valid";
    InvalidConfig = 40, final, "the configuration is not valid";
    NotController = 41, retriable, "this broker is not the controller";
    InvalidRequest = 42, final, "the request contradicts itself or the protocol";
    UnsupportedForMessageFormat = 43, final, "the record format does not support this";
    PolicyViolation = 44, final, "a policy forbids this";
    OutOfOrderSequenceNumber = 45, final, "the producer's sequence has a gap";
    DuplicateSequenceNumber = 46, final, "the producer's sequence was seen before";
    InvalidProducerEpoch = 47, final, "the producer's epoch is older than the current one";
    InvalidTxnState = 48, final, "the transaction's state does not allow this";
    InvalidProducerIdMapping = 49, final, "the producer id does not belong to the transactional id";
    InvalidTransactionTimeout = 50, final, "the transaction timeout is longer than allowed";
    ConcurrentTransactions = 51, retriable, "another operation of this transactional id is not finished";
    TransactionCoordinatorFenced = 52, final, "the transaction coordinator has been replaced";
    TransactionalIdAuthorizationFailed = 53, final, "not allowed on this transactional id";
    SecurityDisabled = 54, final, "no authorizer is configured";
    OperationNotAttempted = 55, final, "not tried because an earlier part of the request failed";
    KafkaStorageError = 56, retriable, "the log directory has failed";
    LogDirNotFound = 57, final, "no such log directory";
    SaslAuthenticationFailed = 58, final, "authentication failed";
    UnknownProducerId = 59, final, "the partition knows nothing of this producer";
    ReassignmentInProgress = 60, final, "the partition is being reassigned";
    DelegationTokenAuthDisabled = 61, final, "delegation tokens are not enabled";
    DelegationTokenNotFound = 62, final, "no such delegation token";
    DelegationTokenOwnerMismatch = 63, final, "the delegation token belongs to someone else";
    DelegationTokenRequestNotAllowed = 64, final, "delegation tokens can't be requested over this connection";
    DelegationTokenAuthorizationFailed = 65, final, "not allowed on this delegation token";
    DelegationTokenExpired = 66, final, "the delegation token has expired";
    InvalidPrincipalType = 67, final, "the principal type is not supported";
    NonEmptyGroup = 68, final, "the group still has members";
    GroupIdNotFound = 69, final, "no such group";
    FetchSessionIdNotFound = 70, retriable, "no such fetch session";
    InvalidFetchSessionEpoch = 71, retriable, "the fetch session's epoch does not follow the last one";
    ListenerNotFound = 72, retriable, "the leader has no listener of this name";
    TopicDeletionDisabled = 73, final, "topics may not be deleted";
    FencedLeaderEpoch = 74, retriable, "the leader epoch is older than the broker's";
    UnknownLeaderEpoch = 75, retriable, "the leader epoch is newer than the broker's";
    UnsupportedCompressionType = 76, final, "the compression type does not fit the version of the request";
    StaleBrokerEpoch = 77, final, "the broker epoch is out of date";
    OffsetNotAvailable = 78, retriable, "the new leader does not know the high watermark yet";
    MemberIdRequired = 79, final, "join again with the member id given";
    PreferredLeaderNotAvailable = 80, retriable, "the preferred leader is not available";
    GroupMaxSizeReached = 81, final, "the group is full";
    FencedInstanceId = 82, final, "another member has taken over this group instance id";
    EligibleLeadersNotAvailable = 83, retriable, "no replica can become leader";
    ElectionNotNeeded = 84, retriable, "the partition has the leader it should have";
    NoReassignmentInProgress = 85, final, "the partition is not being reassigned";
    GroupSubscribedToTopic = 86, final, "a member of the group is subscribed to the topic";
    InvalidRecord = 87, final, "a record breaks the rules of the format or the topic";
    UnstableOffsetCommit = 88, retriable, "a transaction's offsets are not decided yet";
    ThrottlingQuotaExceeded = 89, retriable, "the quota is used up";
    ProducerFenced = 90, final, "a newer producer with this transactional id exists";
    ResourceNotFound = 91, final, "no such resource";
    DuplicateResource = 92, final, "the resource is named twice";
    UnacceptableCredential = 93, final, "the credential does not meet the requirements";
    InconsistentVoterSet = 94, final, "the sets of voters differ";
    InvalidUpdateVersion = 95, final, "the version of the update is not valid";
    FeatureUpdateFailed = 96, final, "the features could not be updated";
    PrincipalDeserializationFailure = 97, final, "the forwarded principal can't be read";
    SnapshotNotFound = 98, final, "no such snapshot";
    PositionOutOfRange = 99, final, "the position is outside the snapshot";
    UnknownTopicId = 100, retriable, "this server has no topic with this id";
    DuplicateBrokerRegistration = 101, final, "another broker is registered under this id";
    BrokerIdNotRegistered = 102, final, "no broker is registered under this id";
    InconsistentTopicId = 103, retriable, "the topic has another id in the log";
    InconsistentClusterId = 104, final, "the cluster id is another one";
    TransactionalIdNotFound = 105, final, "no such transactional id";
    FetchSessionTopicIdError = 106, retriable, "the fetch session can't switch between topic names and ids";
    IneligibleReplica = 107, final, "the replica may not join the in-sync replicas";
    NewLeaderElected = 108, final, "the change made another replica the leader";
    OffsetMovedToTieredStorage = 109, final, "the offset is in tiered storage";
    FencedMemberEpoch = 110, final, "the member's epoch is out of date; join again";
    UnreleasedInstanceId = 111, final, "another member still holds this group instance id";
    UnsupportedAssignor = 112, final, "the group has no such assignor";
    StaleMemberEpoch = 113, final, "the member's epoch is out of date; heartbeat first";
    MismatchedEndpointType = 114, final, "the request was sent to the wrong kind of endpoint";
    UnsupportedEndpointType = 115, final, "this kind of endpoint is not supported";
    UnknownControllerId = 116, final, "no such controller";
    UnknownSubscriptionId = 117, final, "the telemetry subscription is out of date";
    TelemetryTooLarge = 118, final, "the telemetry is larger than allowed";
    InvalidRegistration = 119, final, "the broker's registration is not valid";
    TransactionAbortable = 120, final, "the transaction must be aborted; the producer may go on";
    InvalidRecordState = 121, final, "the record's state does not allow this";
    ShareSessionNotFound = 122, retriable, "no such share session";
    InvalidShareSessionEpoch = 123, retriable, "the share session's epoch does not follow the last one";
    FencedStateEpoch = 124, final, "the share state's epoch is out of date";
    InvalidVoterKey = 125, final, "the voter's directory id is another one";
    DuplicateVoter = 126, final, "the voter is in the set already";
    VoterNotFound = 127, final, "no such voter";
    InvalidRegularExpression = 128, final, "the regular expression is not valid";
    RebootstrapRequired = 129, final, "the client must start over from its bootstrap servers";
    StreamsInvalidTopology = 130, final, "the topology is not valid";
    StreamsInvalidTopologyEpoch = 131, final, "the topology's epoch is not valid";
    StreamsTopologyFenced = 132, final, "the topology's epoch is out of date";
    ShareSessionLimitReached = 133, retriable, "no room for another share session";
}

impl ErrorCode {
    /// The number.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// Whether this is no error.
    pub const fn is_none(self) -> bool {
        matches!(self, Self::None)
    }

    /// The code with this number; [`ErrorCode::UnknownServerError`] for numbers that are not known.
    pub const fn from_code_or_unknown(code: i16) -> Self {
        match Self::from_code(code) {
            Some(known) => known,
            None => Self::UnknownServerError,
        }
    }

    /// `Ok` for no error, else the code.
    pub const fn into_result(self) -> Result<(), Self> {
        if self.is_none() { Ok(()) } else { Err(self) }
    }
}

impl From<ErrorCode> for i16 {
    fn from(code: ErrorCode) -> Self {
        code.code()
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message(), self.name())
    }
}

impl std::error::Error for ErrorCode {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_map_back() {
        let numbers: Vec<i16> = ErrorCode::ALL.iter().map(|code| code.code()).collect();
        assert_eq!(numbers, (-1..=133).collect::<Vec<_>>());
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_code(code.code()), Some(*code));
        }
        assert_eq!(ErrorCode::from_code(134), None);
    }
}

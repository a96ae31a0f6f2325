//! Every message as a value that tests can loop over.

use bytes::Bytes;
use levada_wire::{DecodeError, EncodeError, Message, messages, schemas};

/// One message type.
pub struct Target {
    pub name: &'static str,
    pub min: i16,
    pub max: i16,
    /// Decodes from the start of the bytes and encodes again; also gives the debug text.
    pub again: fn(Bytes, i16) -> Result<Again, DecodeError>,
    /// Encodes the default value.
    pub encode_default: fn(i16) -> Result<Bytes, EncodeError>,
    /// Decodes only.
    pub decode: fn(Bytes, i16) -> Result<(), DecodeError>,
}

/// A message that was decoded and encoded again.
pub struct Again {
    pub debug: String,
    pub bytes: Result<Bytes, EncodeError>,
    pub left: usize,
}

fn target<M: Message>() -> Target {
    Target {
        name: M::NAME,
        min: M::VERSIONS.min,
        max: M::VERSIONS.max,
        again: |mut bytes, version| {
            let message = M::decode(&mut bytes, version)?;
            let encoded = message.to_bytes(version);
            if let Ok(encoded) = &encoded {
                assert_eq!(M::decode_exact(encoded.clone(), version).as_ref(), Ok(&message), "second decoding");
            }
            Ok(Again { debug: format!("{message:?}"), bytes: encoded, left: bytes.len() })
        },
        encode_default: |version| M::default().to_bytes(version),
        decode: |mut bytes, version| M::decode(&mut bytes, version).map(drop),
    }
}

macro_rules! all {
    ($($module:ident: $($name:ident)*;)*) => {
        /// All messages.
        pub fn all() -> Vec<Target> {
            vec![$($(target::<$module::$name>(),)*)*]
        }
    };
}

all! {
    messages: ProduceRequest ProduceResponse FetchRequest FetchResponse ListOffsetsRequest ListOffsetsResponse
        MetadataRequest MetadataResponse OffsetCommitRequest OffsetCommitResponse OffsetFetchRequest
        OffsetFetchResponse FindCoordinatorRequest FindCoordinatorResponse JoinGroupRequest JoinGroupResponse
        HeartbeatRequest HeartbeatResponse LeaveGroupRequest LeaveGroupResponse SyncGroupRequest SyncGroupResponse
        DescribeGroupsRequest DescribeGroupsResponse ListGroupsRequest ListGroupsResponse SaslHandshakeRequest
        SaslHandshakeResponse ApiVersionsRequest ApiVersionsResponse CreateTopicsRequest CreateTopicsResponse
        DeleteTopicsRequest DeleteTopicsResponse DeleteRecordsRequest DeleteRecordsResponse InitProducerIdRequest
        InitProducerIdResponse OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse AddPartitionsToTxnRequest
        AddPartitionsToTxnResponse AddOffsetsToTxnRequest AddOffsetsToTxnResponse EndTxnRequest EndTxnResponse
        WriteTxnMarkersRequest WriteTxnMarkersResponse TxnOffsetCommitRequest TxnOffsetCommitResponse
        DescribeAclsRequest DescribeAclsResponse CreateAclsRequest CreateAclsResponse DeleteAclsRequest
        DeleteAclsResponse DescribeConfigsRequest DescribeConfigsResponse AlterConfigsRequest AlterConfigsResponse
        AlterReplicaLogDirsRequest AlterReplicaLogDirsResponse DescribeLogDirsRequest DescribeLogDirsResponse
        SaslAuthenticateRequest SaslAuthenticateResponse CreatePartitionsRequest CreatePartitionsResponse
        DeleteGroupsRequest DeleteGroupsResponse ElectLeadersRequest ElectLeadersResponse
        IncrementalAlterConfigsRequest IncrementalAlterConfigsResponse AlterPartitionReassignmentsRequest
        AlterPartitionReassignmentsResponse ListPartitionReassignmentsRequest ListPartitionReassignmentsResponse
        OffsetDeleteRequest OffsetDeleteResponse DescribeQuorumRequest DescribeQuorumResponse UpdateFeaturesRequest
        UpdateFeaturesResponse DescribeClusterRequest DescribeClusterResponse DescribeProducersRequest
        DescribeProducersResponse DescribeTransactionsRequest DescribeTransactionsResponse ListTransactionsRequest
        ListTransactionsResponse ConsumerGroupHeartbeatRequest ConsumerGroupHeartbeatResponse
        ConsumerGroupDescribeRequest ConsumerGroupDescribeResponse ListConfigResourcesRequest
        ListConfigResourcesResponse DescribeTopicPartitionsRequest DescribeTopicPartitionsResponse RequestHeader
        ResponseHeader ConsumerProtocolSubscription ConsumerProtocolAssignment;
    schemas: ConsumerGroupCurrentMemberAssignmentKey ConsumerGroupCurrentMemberAssignmentValue
        ConsumerGroupMemberMetadataKey ConsumerGroupMemberMetadataValue ConsumerGroupMetadataKey
        ConsumerGroupMetadataValue ConsumerGroupPartitionMetadataKey ConsumerGroupPartitionMetadataValue
        ConsumerGroupRegularExpressionKey ConsumerGroupRegularExpressionValue ConsumerGroupTargetAssignmentMemberKey
        ConsumerGroupTargetAssignmentMemberValue ConsumerGroupTargetAssignmentMetadataKey
        ConsumerGroupTargetAssignmentMetadataValue GroupMetadataKey GroupMetadataValue LegacyOffsetCommitKey
        LegacyOffsetCommitValue OffsetCommitKey OffsetCommitValue TransactionLogKey TransactionLogValue;
}

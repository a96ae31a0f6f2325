//! Against `kafka-protocol`, an independent implementation: random values encoded from the outline are decoded by both, mean the same
//! to both, and are encoded to the same bytes by both.

use std::panic::catch_unwind;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable, Message};

use crate::outline;
use crate::rng::Rng;
use crate::targets;
use crate::values::{Random, encode};

struct Oracle {
    name: &'static str,
    min: i16,
    max: i16,
    again: fn(Bytes, i16) -> (String, Bytes),
}

fn oracle<M: Message + Encodable + Decodable + std::fmt::Debug>(name: &'static str) -> Oracle {
    Oracle {
        name,
        min: M::VERSIONS.min,
        max: M::VERSIONS.max,
        again: |mut bytes, version| {
            let message = M::decode(&mut bytes, version).unwrap();
            let mut encoded = BytesMut::new();
            message.encode(&mut encoded, version).unwrap();
            (format!("{message:?}"), encoded.freeze())
        },
    }
}

macro_rules! oracles {
    ($($name:ident)*) => {
        fn oracles() -> Vec<Oracle> {
            vec![$(oracle::<theirs::$name>(stringify!($name)),)*]
        }
    };
}

oracles! {
    ProduceRequest ProduceResponse FetchRequest FetchResponse ListOffsetsRequest ListOffsetsResponse MetadataRequest
    MetadataResponse OffsetCommitRequest OffsetCommitResponse OffsetFetchRequest OffsetFetchResponse
    FindCoordinatorRequest FindCoordinatorResponse JoinGroupRequest JoinGroupResponse HeartbeatRequest
    HeartbeatResponse LeaveGroupRequest LeaveGroupResponse SyncGroupRequest SyncGroupResponse DescribeGroupsRequest
    DescribeGroupsResponse ListGroupsRequest ListGroupsResponse SaslHandshakeRequest SaslHandshakeResponse
    ApiVersionsRequest ApiVersionsResponse CreateTopicsRequest CreateTopicsResponse DeleteTopicsRequest
    DeleteTopicsResponse DeleteRecordsRequest DeleteRecordsResponse InitProducerIdRequest InitProducerIdResponse
    OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse AddPartitionsToTxnRequest AddPartitionsToTxnResponse
    AddOffsetsToTxnRequest AddOffsetsToTxnResponse EndTxnRequest EndTxnResponse WriteTxnMarkersRequest
    WriteTxnMarkersResponse TxnOffsetCommitRequest TxnOffsetCommitResponse DescribeAclsRequest DescribeAclsResponse
    CreateAclsRequest CreateAclsResponse DeleteAclsRequest DeleteAclsResponse DescribeConfigsRequest
    DescribeConfigsResponse AlterConfigsRequest AlterConfigsResponse AlterReplicaLogDirsRequest
    AlterReplicaLogDirsResponse DescribeLogDirsRequest DescribeLogDirsResponse SaslAuthenticateRequest
    SaslAuthenticateResponse CreatePartitionsRequest CreatePartitionsResponse DeleteGroupsRequest
    DeleteGroupsResponse ElectLeadersRequest ElectLeadersResponse IncrementalAlterConfigsRequest
    IncrementalAlterConfigsResponse AlterPartitionReassignmentsRequest AlterPartitionReassignmentsResponse
    ListPartitionReassignmentsRequest ListPartitionReassignmentsResponse OffsetDeleteRequest OffsetDeleteResponse
    DescribeQuorumRequest DescribeQuorumResponse UpdateFeaturesRequest UpdateFeaturesResponse DescribeClusterRequest
    DescribeClusterResponse DescribeProducersRequest DescribeProducersResponse DescribeTransactionsRequest
    DescribeTransactionsResponse ListTransactionsRequest ListTransactionsResponse ConsumerGroupHeartbeatRequest
    ConsumerGroupHeartbeatResponse ConsumerGroupDescribeRequest ConsumerGroupDescribeResponse
    ListConfigResourcesRequest ListConfigResourcesResponse DescribeTopicPartitionsRequest
    DescribeTopicPartitionsResponse RequestHeader ResponseHeader ConsumerProtocolSubscription
    ConsumerProtocolAssignment
}

/// Brings both debug texts to the same form: struct names, unknown tags and spelling of keywords differ.
fn plain(debug: &str) -> String {
    let debug =
        debug.replace("unknown_tagged_fields: {}", "").replace("_type:", "type:").replace("enable_2_pc", "enable2_pc");
    let debug = debug.replace("Bytes(b\"", "b\"").replace("\"))", "\")");
    let structs: Vec<&str> =
        debug.split(" {").map(|part| part.trim_end_matches(|c: char| c.is_alphanumeric())).collect();

    structs.join("{").replace(",  }", " }")
}

fn rounds(rounds: u64) {
    let targets = targets::all();
    let mut compared = 0;
    for oracle in oracles() {
        let target = targets.iter().find(|target| target.name == oracle.name).unwrap();
        let outline = outline::message(oracle.name);
        for version in oracle.min.max(target.min)..=oracle.max.min(target.max) {
            compared += 1;
            for seed in 0..rounds {
                let bytes = Bytes::from(encode(&outline, version, &mut Random(&mut Rng::new(seed))));
                let context = format!("{} version {version} seed {seed}", oracle.name);
                let ours = (target.again)(bytes.clone(), version).unwrap_or_else(|e| panic!("{context}: {e}"));
                let input = bytes.clone();
                let theirs =
                    catch_unwind(move || (oracle.again)(input, version)).unwrap_or_else(|_| panic!("{context}"));
                assert_eq!(ours.left, 0, "{context}");
                assert_eq!(ours.bytes.as_ref(), Ok(&bytes), "{context}");
                assert_eq!(theirs.1, bytes, "{context}");
                // Where ours knows newer versions, it has fields that theirs lacks.
                if oracle.max == target.max {
                    assert_eq!(plain(&ours.debug), plain(&theirs.0), "{context}");
                }
            }
        }
    }
    assert!(compared > 350, "only {compared} pairs of message and version were compared");
}

#[test]
fn agrees_with_kafka_protocol_on_every_shared_version() {
    rounds(25);
}

#[test]
#[ignore = "long"]
fn agrees_with_kafka_protocol_on_every_shared_version_long() {
    rounds(2_000);
}

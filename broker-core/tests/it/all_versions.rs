//! Every served API in every served version, over a socket: an answer that cannot be said in a version would close the
//! connection.

use levada_wire::messages::create_topics::CreatableTopic;
use levada_wire::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use levada_wire::messages::describe_configs::DescribeConfigsResource;
use levada_wire::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use levada_wire::messages::metadata::MetadataRequestTopic;
use levada_wire::messages::offset_for_leader_epoch::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use levada_wire::messages::*;
use levada_wire::versions::{SUPPORTED, served_versions};
use levada_wire::{ApiKey, RequestKind, ResponseKind};
use uuid::Uuid;

use crate::support::*;

/// Requests that touch topic `t`, as `version` can say them.
fn requests(api: ApiKey, version: i16, id: Uuid) -> Vec<RequestKind> {
    let t = || "t".to_owned();
    let group = || "g".to_owned();
    match api {
        ApiKey::Produce => {
            let mut request = produce_request(id, 0, -1, batch(&["a"]));
            if version < 13 {
                request.topic_data[0].topic_id = Uuid::nil();
                request.topic_data[0].name = t();
            }
            vec![request.into()]
        }
        ApiKey::Fetch => {
            let mut request = fetch_request(id, &[(0, 0), (9, 0)], 0);
            if version < 13 {
                request.topics[0].topic_id = Uuid::nil();
                request.topics[0].topic = t();
            }
            vec![request.into()]
        }
        ApiKey::ListOffsets => {
            let partition = |timestamp, index| ListOffsetsPartition {
                partition_index: index,
                timestamp,
                ..ListOffsetsPartition::default()
            };
            let partitions = vec![partition(-1, 0), partition(-2, 1), partition(0, 2), partition(-1, 9)];
            let topics = vec![ListOffsetsTopic { name: t(), partitions }];
            vec![ListOffsetsRequest { replica_id: -1, topics, ..Default::default() }.into()]
        }
        ApiKey::Metadata => {
            let topic = |name: &str| MetadataRequestTopic { name: Some(name.to_owned()), ..Default::default() };
            let topics = vec![topic("t"), topic("no such"), topic("nosuch")];
            let none = if version >= 1 { None } else { Some(Vec::new()) };
            let of = |topics| {
                let allow_auto_topic_creation = version < 4;
                RequestKind::from(MetadataRequest { topics, allow_auto_topic_creation, ..Default::default() })
            };
            vec![of(Some(topics)), of(none)]
        }
        ApiKey::FindCoordinator => [0, 1]
            .into_iter()
            .filter(|key_type| version >= 1 || *key_type == 0)
            .map(|key_type| {
                let (key, coordinator_keys) =
                    if version >= 4 { (String::new(), vec![group()]) } else { (group(), vec![]) };
                FindCoordinatorRequest { key, key_type, coordinator_keys }.into()
            })
            .collect(),
        ApiKey::CreateTopics => {
            let topic = |name: &str| CreatableTopic {
                name: name.to_owned(),
                num_partitions: 1,
                replication_factor: 1,
                ..CreatableTopic::default()
            };
            let topics = vec![topic("t"), topic(&format!("made-{version}"))];
            vec![CreateTopicsRequest { topics, timeout_ms: 1000, validate_only: false }.into()]
        }
        ApiKey::DeleteTopics => {
            let mut request = DeleteTopicsRequest::default();
            for name in ["nosuch".to_owned(), format!("made-{}", version + 1)] {
                if version >= 6 {
                    request.topics.push(delete_topics::DeleteTopicState { name: Some(name), topic_id: Uuid::nil() });
                } else {
                    request.topic_names.push(name);
                }
            }
            vec![request.into()]
        }
        ApiKey::DeleteRecords => {
            let partitions = [0, 9].map(|partition_index| DeleteRecordsPartition { partition_index, offset: 0 });
            let topics = vec![DeleteRecordsTopic { name: t(), partitions: partitions.into() }];
            vec![DeleteRecordsRequest { topics, timeout_ms: 1000 }.into()]
        }
        ApiKey::InitProducerId => vec![InitProducerIdRequest { transactional_id: None, ..Default::default() }.into()],
        ApiKey::OffsetForLeaderEpoch => {
            let partitions = [0, 9].map(|partition| OffsetForLeaderPartition { partition, ..Default::default() });
            let topics = vec![OffsetForLeaderTopic { topic: t(), partitions: partitions.into() }];
            let replica_id = if version >= 3 { -1 } else { -2 };
            vec![OffsetForLeaderEpochRequest { replica_id, topics }.into()]
        }
        ApiKey::DescribeConfigs => {
            let resource = |resource_type, name: &str| DescribeConfigsResource {
                resource_type,
                resource_name: name.to_owned(),
                configuration_keys: None,
            };
            let resources = vec![resource(2, "t"), resource(4, "1"), resource(4, ""), resource(2, "nosuch")];
            let (include_synonyms, include_documentation) = (true, version >= 3);
            vec![DescribeConfigsRequest { resources, include_synonyms, include_documentation }.into()]
        }
        ApiKey::AlterConfigs => {
            let resource = |name: &str| alter_configs::AlterConfigsResource {
                resource_type: 2,
                resource_name: name.to_owned(),
                configs: Vec::new(),
            };
            let resources = vec![resource("t"), resource("nosuch")];
            vec![AlterConfigsRequest { resources, validate_only: false }.into()]
        }
        ApiKey::IncrementalAlterConfigs => {
            let resource = |name: &str| incremental_alter_configs::AlterConfigsResource {
                resource_type: 2,
                resource_name: name.to_owned(),
                configs: Vec::new(),
            };
            let resources = vec![resource("t"), resource("nosuch")];
            vec![IncrementalAlterConfigsRequest { resources, validate_only: false }.into()]
        }
        ApiKey::CreatePartitions => {
            let topic = |name: &str| create_partitions::CreatePartitionsTopic {
                name: name.to_owned(),
                count: i32::from(version) + 2,
                assignments: None,
            };
            let topics = vec![topic("t"), topic("nosuch")];
            vec![CreatePartitionsRequest { topics, timeout_ms: 1000, validate_only: false }.into()]
        }
        ApiKey::ApiVersions => {
            let text = || "x".to_owned();
            vec![ApiVersionsRequest { client_software_name: text(), client_software_version: text() }.into()]
        }
        ApiKey::DescribeCluster => vec![DescribeClusterRequest { endpoint_type: 1, ..Default::default() }.into()],
        ApiKey::JoinGroup => {
            let protocols = vec![join_group::JoinGroupRequestProtocol { name: "range".into(), ..Default::default() }];
            let (group_id, protocol_type) = (group(), "consumer".to_owned());
            vec![
                JoinGroupRequest {
                    group_id,
                    session_timeout_ms: 1,
                    rebalance_timeout_ms: 1,
                    protocol_type,
                    protocols,
                    ..Default::default()
                }
                .into(),
            ]
        }
        ApiKey::SyncGroup => vec![SyncGroupRequest { group_id: group(), ..Default::default() }.into()],
        ApiKey::Heartbeat => vec![HeartbeatRequest { group_id: group(), ..Default::default() }.into()],
        ApiKey::LeaveGroup => vec![LeaveGroupRequest { group_id: group(), ..Default::default() }.into()],
        ApiKey::OffsetCommit => vec![OffsetCommitRequest { group_id: group(), ..Default::default() }.into()],
        ApiKey::OffsetFetch => {
            let mut request = OffsetFetchRequest::default();
            if version >= 8 {
                let group_id = group();
                let topics = Some(Vec::new());
                request.groups.push(offset_fetch::OffsetFetchRequestGroup { group_id, topics, ..Default::default() });
            } else {
                request.group_id = group();
                request.topics = Some(Vec::new());
            }
            vec![request.into()]
        }
        ApiKey::DescribeGroups => vec![DescribeGroupsRequest { groups: vec![group()], ..Default::default() }.into()],
        ApiKey::ListGroups => vec![ListGroupsRequest::default().into()],
        ApiKey::DeleteGroups => vec![DeleteGroupsRequest { groups_names: vec![group()] }.into()],
        ApiKey::OffsetDelete => vec![OffsetDeleteRequest { group_id: group(), ..Default::default() }.into()],
        ApiKey::DescribeLogDirs => vec![DescribeLogDirsRequest { topics: None }.into()],
        ApiKey::ListConfigResources => vec![ListConfigResourcesRequest::default().into()],
        ApiKey::DescribeTopicPartitions => {
            vec![DescribeTopicPartitionsRequest { response_partition_limit: 3, ..Default::default() }.into()]
        }
        other => panic!("{other} is served but not tested here"),
    }
}

#[tokio::test]
async fn every_served_version_of_every_api_is_answered() {
    let t = TestBroker::start().await;
    let id = t.create("t", 3, &[]).await;
    produce(&*t.transport, id, 0, batch(&["a"])).await;
    let mut client = t.connect().await;
    for supported in SUPPORTED {
        let api = supported.api_key;
        let range = served_versions(api).unwrap();
        for version in range.min..=range.max {
            for request in requests(api, version, id) {
                let sent = client.send(request, version).await;
                let frame = client.frame().await.unwrap_or_else(|error| panic!("{api} version {version}: {error}"));
                let correlation_id = i32::from_be_bytes(frame[..4].try_into().unwrap());
                assert_eq!(correlation_id, sent, "{api} version {version}");
                let answer = levada_wire::frame::decode_response(api, version, frame);
                let answer = answer.unwrap_or_else(|error| panic!("{api} version {version}: {error}"));
                if let ResponseKind::ListOffsets(answer) = answer {
                    let codes: Vec<i16> = answer.topics[0].partitions.iter().map(|p| p.error_code).collect();
                    assert_eq!(codes, [0, 0, 0, 3], "ListOffsets version {version}");
                }
            }
        }
    }
    t.broker.shutdown().await;
}

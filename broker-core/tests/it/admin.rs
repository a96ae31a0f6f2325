//! Topics coming, growing and going; what clients are told about the cluster.

use levada_wire::ErrorCode;
use levada_wire::messages::create_partitions::CreatePartitionsTopic;
use levada_wire::messages::create_topics::CreatableTopic;
use levada_wire::messages::delete_topics::DeleteTopicState;
use levada_wire::messages::metadata::MetadataRequestTopic;
use levada_wire::messages::{
    ApiVersionsRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeClusterRequest,
    FindCoordinatorRequest, InitProducerIdRequest, MetadataRequest, MetadataResponse,
};
use uuid::Uuid;

use crate::support::*;

async fn metadata(t: &TestBroker, name: &str, create: bool) -> MetadataResponse {
    let topic = MetadataRequestTopic { name: Some(name.to_owned()), topic_id: Uuid::nil() };
    let topics = Some(vec![topic]);
    t.ask(MetadataRequest { topics, allow_auto_topic_creation: create, ..MetadataRequest::default() }).await
}

#[tokio::test]
async fn metadata_creates_a_topic_only_where_both_sides_allow_it() {
    let t = TestBroker::with(&[("num.partitions", "3")]).await;
    let answer = metadata(&t, "auto", false).await;
    assert_eq!(answer.topics[0].error_code, ErrorCode::UnknownTopicOrPartition.code());
    let answer = metadata(&t, "auto", true).await;
    assert_eq!((answer.topics[0].error_code, answer.topics[0].partitions.len()), (0, 3));
    assert!(!answer.topics[0].topic_id.is_nil());
    assert_eq!(answer.brokers[0].port, i32::from(t.broker.listeners()[0].port));
    assert_eq!(answer.cluster_id.as_deref(), Some(&*t.broker.cluster_id()));
    let answer = metadata(&t, "no/good", true).await;
    assert_eq!(answer.topics[0].error_code, ErrorCode::InvalidTopicException.code());
    let t = t.restart(&[("auto.create.topics.enable", "false")]).await;
    let answer = metadata(&t, "more", true).await;
    assert_eq!(answer.topics[0].error_code, ErrorCode::UnknownTopicOrPartition.code());
    assert_eq!(metadata(&t, "auto", true).await.topics[0].partitions.len(), 3);
    t.broker.shutdown().await;
}

#[tokio::test]
async fn a_topic_is_in_metadata_before_its_creation_is_answered_and_gone_after_its_deletion() {
    let t = TestBroker::start().await;
    let id = t.create("t", 1, &[]).await;
    let all = t.ask(MetadataRequest { topics: None, ..MetadataRequest::default() }).await;
    assert_eq!(all.topics.len(), 1);
    produce(&*t.transport, id, 0, batch(&["old"])).await;
    let topics = vec![DeleteTopicState { name: None, topic_id: id }];
    let answer = t.ask(DeleteTopicsRequest { topics, ..DeleteTopicsRequest::default() }).await;
    assert_eq!((answer.responses[0].error_code, answer.responses[0].name.as_deref()), (0, Some("t")));
    assert!(t.ask(MetadataRequest { topics: None, ..MetadataRequest::default() }).await.topics.is_empty());
    assert_eq!(fetch(&*t.transport, id, 0, 0).await.error_code, ErrorCode::UnknownTopicId.code());
    let again = t.create("t", 1, &[]).await;
    assert_ne!(id, again);
    assert_eq!(produce(&*t.transport, again, 0, batch(&["new"])).await.base_offset, 0);
    assert_eq!(read_all(&*t.transport, again, 0).await, [(0, "new".into())]);
    let t = t.restart(&[]).await;
    assert_eq!(read_all(&*t.transport, again, 0).await, [(0, "new".into())]);
    t.broker.shutdown().await;
}

#[tokio::test]
async fn topics_of_one_request_fail_alone() {
    let t = TestBroker::start().await;
    t.create("there", 1, &[]).await;
    let topic = |name: &str, num_partitions, replication_factor| CreatableTopic {
        name: name.to_owned(),
        num_partitions,
        replication_factor,
        ..CreatableTopic::default()
    };
    let topics = vec![
        topic("new", -1, -1),
        topic("there", 1, 1),
        topic("much", 1, 2),
        topic("none", 0, 1),
        topic("..", 1, 1),
        topic("there_", 1, 1),
        topic("twice", 1, 1),
        topic("twice", 1, 1),
        topic("__consumer_offsets", 1, 1),
    ];
    let answer = t.ask(CreateTopicsRequest { topics, timeout_ms: 1000, validate_only: false }).await;
    let code = |name: &str| answer.topics.iter().find(|topic| topic.name == name).unwrap().error_code;
    assert_eq!(code("new"), 0);
    assert_eq!(code("there"), ErrorCode::TopicAlreadyExists.code());
    assert_eq!(code("much"), ErrorCode::InvalidReplicationFactor.code());
    assert_eq!(code("none"), ErrorCode::InvalidPartitions.code());
    assert_eq!(code(".."), ErrorCode::InvalidTopicException.code());
    assert_eq!(code("there_"), 0);
    assert_eq!(code("twice"), ErrorCode::InvalidRequest.code());
    assert_eq!(code("__consumer_offsets"), ErrorCode::InvalidRequest.code());
    let new = answer.topics.iter().find(|topic| topic.name == "new").unwrap();
    assert_eq!((new.num_partitions, new.replication_factor), (1, 1));
    let configs = new.configs.as_ref().unwrap();
    assert!(configs.iter().any(|c| c.name == "retention.ms" && c.value.as_deref() == Some("604800000")));
    let only = CreateTopicsRequest { topics: vec![topic("ghost", 1, 1)], timeout_ms: 1000, validate_only: true };
    assert_eq!(t.ask(only).await.topics[0].error_code, 0);
    assert!(t.broker.image().topic("ghost").is_none());
    t.broker.shutdown().await;
}

#[tokio::test]
async fn partitions_only_grow() {
    let t = TestBroker::start().await;
    let id = t.create("t", 2, &[]).await;
    produce(&*t.transport, id, 0, batch(&["a"])).await;
    let grow = async |count| {
        let topics = vec![CreatePartitionsTopic { name: "t".into(), count, assignments: None }];
        t.ask(CreatePartitionsRequest { topics, ..CreatePartitionsRequest::default() }).await.results[0].error_code
    };
    assert_eq!(grow(1).await, ErrorCode::InvalidPartitions.code());
    assert_eq!(grow(2).await, ErrorCode::InvalidPartitions.code());
    assert_eq!(grow(4).await, 0);
    assert_eq!(produce(&*t.transport, id, 3, batch(&["b"])).await.base_offset, 0);
    assert_eq!(read_all(&*t.transport, id, 0).await.len(), 1);
    t.broker.shutdown().await;
}

#[tokio::test]
async fn the_cluster_and_its_coordinators_are_this_node() {
    let t = TestBroker::with(&[("node.id", "7")]).await;
    let cluster = t.ask(DescribeClusterRequest { endpoint_type: 1, ..DescribeClusterRequest::default() }).await;
    assert_eq!((cluster.controller_id, cluster.brokers.len(), cluster.brokers[0].broker_id), (7, 1, 7));
    let request = FindCoordinatorRequest { coordinator_keys: vec!["g".into()], ..FindCoordinatorRequest::default() };
    let found = t.ask(request).await;
    assert_eq!((found.coordinators[0].error_code, found.coordinators[0].node_id), (0, 7));
    assert!(t.broker.image().topic("__consumer_offsets").is_none(), "asking for a coordinator makes no topic");
    let request =
        FindCoordinatorRequest { key_type: 1, coordinator_keys: vec!["x".into()], ..FindCoordinatorRequest::default() };
    let refused = t.ask(request).await;
    assert!(refused.coordinators[0].error_message.as_deref().unwrap().contains("transactions"));
    t.broker.shutdown().await;
}

#[tokio::test]
async fn producer_ids_are_never_given_twice_even_across_restarts() {
    let mut t = TestBroker::start().await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..3 {
        for _ in 0..5 {
            let answer = t.ask(InitProducerIdRequest { transactional_id: None, ..Default::default() }).await;
            assert_eq!((answer.error_code, answer.producer_epoch), (0, 0));
            assert!(seen.insert(answer.producer_id));
        }
        t = t.restart(&[]).await;
    }
    let transactional = InitProducerIdRequest { transactional_id: Some("x".into()), ..Default::default() };
    assert_ne!(t.ask(transactional).await.error_code, 0);
    t.broker.shutdown().await;
}

#[tokio::test]
async fn api_versions_tells_what_is_served() {
    let t = TestBroker::start().await;
    let request = ApiVersionsRequest { client_software_name: "test".into(), client_software_version: "1".into() };
    let answer = t.ask(request).await;
    assert_eq!(answer.error_code, 0);
    let produce = answer.api_keys.iter().find(|row| row.api_key == 0).unwrap();
    assert_eq!((produce.min_version, produce.max_version), (0, 13));
    assert!(answer.finalized_features.iter().all(|feature| feature.name != "transaction.version"));
    let bad = ApiVersionsRequest { client_software_name: "-".into(), client_software_version: "1".into() };
    assert_eq!(t.ask(bad).await.error_code, ErrorCode::InvalidRequest.code());
    t.broker.shutdown().await;
}

//! Bytes that no client should send: each harms its own connection only.

use levada_env::{Rng, SeededRng};
use levada_wire::ErrorCode;
use levada_wire::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use levada_wire::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use levada_wire::messages::find_coordinator::FindCoordinatorRequest;
use levada_wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use levada_wire::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use levada_wire::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use levada_wire::messages::produce::PartitionProduceData;
use tokio::io::AsyncWriteExt;

use crate::support::*;

async fn still_serves(t: &TestBroker) {
    let answer = t.connect().await.ask(MetadataRequest { topics: None, ..Default::default() }, 12).await;
    assert_eq!(answer.brokers.len(), 1);
}

#[tokio::test]
async fn a_gigabyte_claim_and_a_negative_size_close_the_connection() {
    let t = TestBroker::start().await;
    for size in [1i32 << 30, -1, i32::MIN] {
        let mut client = t.connect().await;
        client.stream.write_all(&size.to_be_bytes()).await.unwrap();
        assert!(client.is_closed().await);
    }
    still_serves(&t).await;
    t.broker.shutdown().await;
}

#[tokio::test]
async fn unknown_keys_versions_and_broken_bodies_close_the_connection() {
    let t = TestBroker::start().await;
    let frames: [&[u8]; 5] = [
        &[0, 99, 0, 0, 0, 0, 0, 1, 0xff, 0xff],
        &[0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff],
        &[0, 3],
        &[],
        // Metadata version 1 that claims two thousand million topics.
        &[0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff],
    ];
    for frame in frames {
        let mut client = t.connect().await;
        client.stream.write_all(&(frame.len() as i32).to_be_bytes()).await.unwrap();
        client.stream.write_all(frame).await.unwrap();
        assert!(client.is_closed().await, "{frame:?}");
    }
    still_serves(&t).await;
    assert!(t.broker.metrics().malformed_requests >= 5);
    t.broker.shutdown().await;
}

#[tokio::test]
async fn random_bytes_and_torn_requests_harm_nobody() {
    let t = TestBroker::start().await;
    let id = t.create("t", 1, &[]).await;
    let rng = SeededRng::new(7);
    for round in 0..200 {
        let mut client = t.connect().await;
        let mut junk = vec![0; rng.below(300) as usize + 1];
        rng.fill(&mut junk);
        if round % 2 == 0 && junk.len() > 12 {
            // A header that is right makes the body be looked at.
            let size = junk.len() as i32 - 4;
            junk[..4].copy_from_slice(&size.to_be_bytes());
            junk[4..6].copy_from_slice(&(rng.below(75) as i16).to_be_bytes());
            junk[6..8].copy_from_slice(&(rng.below(14) as i16).to_be_bytes());
        }
        client.stream.write_all(&junk).await.unwrap();
        client.stream.shutdown().await.unwrap();
    }
    still_serves(&t).await;
    assert_eq!(produce(&*t.transport, id, 0, batch(&["a"])).await.error_code, 0);
    t.broker.shutdown().await;
}

#[tokio::test]
async fn a_thousand_idle_connections_do_not_keep_others_out() {
    let t = TestBroker::start().await;
    let mut idle = Vec::new();
    for i in 0..1000 {
        let mut client = t.connect().await;
        if i % 3 == 0 {
            client.stream.write_all(&[0, 0, 1]).await.unwrap();
        }
        idle.push(client);
    }
    still_serves(&t).await;
    assert!(t.broker.metrics().connections >= 1000);
    t.broker.shutdown().await;
}

#[tokio::test]
async fn half_sent_requests_that_use_up_the_memory_do_not_stop_the_others() {
    let t = TestBroker::with(&[("queued.max.request.bytes", "1048576")]).await;
    let id = t.create("t", 1, &[("max.message.bytes", "4000000")]).await;
    let mut half = Vec::new();
    for _ in 0..8 {
        let mut client = t.connect().await;
        client.stream.write_all(&(3i32 << 20).to_be_bytes()).await.unwrap();
        // What the broker does not take stays in the socket.
        let _ = client.stream.try_write(&vec![0; 400_000]);
        half.push(client);
    }
    let big = batch(&[&"x".repeat(700_000)]);
    drop(half.split_off(4));
    let mut client = t.connect().await;
    let send = client.ask(produce_request(id, 0, -1, big), 13);
    let answer = tokio::time::timeout(std::time::Duration::from_secs(60), send).await.unwrap();
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    t.broker.shutdown().await;
}

#[tokio::test]
async fn what_is_named_twice_is_answered_once_and_answers_stay_in_proportion() {
    let t = TestBroker::start().await;
    t.create("t", 50, &[]).await;
    let topic = |name: &str| MetadataRequestTopic { name: Some(name.to_owned()), ..MetadataRequestTopic::default() };
    let topics = Some(vec![topic("t"), topic("t"), topic("u"), topic("u")]);
    let answer = t.ask(MetadataRequest { topics, ..MetadataRequest::default() }).await;
    assert_eq!(answer.topics.len(), 2);
    // One broker can be written in many ways.
    let broker = |id: usize| DescribeConfigsResource {
        resource_type: 4,
        resource_name: format!("{:0id$}", 1),
        configuration_keys: None,
    };
    let resources = (1..50).map(broker).collect();
    let answer = t.ask(DescribeConfigsRequest { resources, ..DescribeConfigsRequest::default() }).await;
    assert_eq!(answer.results.len(), 1);
    let partition = ListOffsetsPartition { timestamp: -1, ..ListOffsetsPartition::default() };
    let other = ListOffsetsPartition { partition_index: 1, ..partition.clone() };
    let partitions = vec![partition.clone(), other, partition];
    let topics = vec![ListOffsetsTopic { name: "t".to_owned(), partitions }];
    let answer = t.ask(ListOffsetsRequest { replica_id: -1, topics, ..ListOffsetsRequest::default() }).await;
    let codes: Vec<i16> = answer.topics[0].partitions.iter().map(|p| p.error_code).collect();
    let refused = ErrorCode::InvalidRequest.code();
    assert_eq!(codes, [refused, 0, refused]);
    t.broker.shutdown().await;
}

#[tokio::test]
async fn one_request_makes_a_bounded_number_of_topics_and_partitions() {
    let t = TestBroker::start().await;
    let named = |i: usize| MetadataRequestTopic { name: Some(format!("auto-{i}")), ..MetadataRequestTopic::default() };
    let topics = Some((0..150).map(named).collect());
    let request = MetadataRequest { topics, allow_auto_topic_creation: true, ..MetadataRequest::default() };
    let made = t.ask(request.clone()).await.topics.iter().filter(|topic| topic.error_code == 0).count();
    assert_eq!(made, 100);
    assert!(t.ask(request).await.topics.iter().all(|topic| topic.error_code == 0), "the rest with the next");
    let large = |i: usize| CreatableTopic {
        name: format!("large-{i}"),
        num_partitions: 4000,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let topics = (0..4).map(large).collect();
    let request = CreateTopicsRequest { topics, validate_only: true, ..CreateTopicsRequest::default() };
    let codes: Vec<i16> = t.ask(request).await.topics.iter().map(|topic| topic.error_code).collect();
    assert_eq!(codes, [0, 0, 0, ErrorCode::PolicyViolation.code()]);
    t.broker.shutdown().await;
}

#[tokio::test]
async fn a_configuration_value_has_a_longest_length() {
    let t = TestBroker::start().await;
    t.create("t", 1, &[]).await;
    for config_operation in [0, 2, 3] {
        let config = AlterableConfig {
            name: "leader.replication.throttled.replicas".to_owned(),
            config_operation,
            value: Some("x".repeat(40_000)),
        };
        let resource = AlterConfigsResource { resource_type: 2, resource_name: "t".to_owned(), configs: vec![config] };
        let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
        let answer = t.ask(request).await;
        assert_eq!(answer.responses[0].error_code, ErrorCode::InvalidConfig.code());
    }
    t.broker.shutdown().await;
}

#[tokio::test]
async fn requests_that_name_more_than_any_client_has_close_the_connection() {
    let t = TestBroker::start().await;
    let id = t.create("t", 1, &[]).await;
    let many: Vec<(i32, i64)> = (0..100_001).map(|index| (index, 0)).collect();
    let mut client = t.connect().await;
    client.send(fetch_request(id, &many, 0), 16).await;
    assert!(client.is_closed().await);
    let mut request = produce_request(id, 0, -1, batch(&["a"]));
    let partition = PartitionProduceData { index: 0, records: None };
    request.topic_data[0].partition_data = vec![partition; 100_001];
    let mut client = t.connect().await;
    client.send(request, 13).await;
    assert!(client.is_closed().await);
    let coordinator_keys = (0..100_001).map(|i: usize| i.to_string()).collect();
    let mut client = t.connect().await;
    client.send(FindCoordinatorRequest { coordinator_keys, ..FindCoordinatorRequest::default() }, 6).await;
    assert!(client.is_closed().await);
    still_serves(&t).await;
    t.broker.shutdown().await;
}

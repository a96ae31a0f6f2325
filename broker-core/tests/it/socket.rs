//! The broker over real sockets.

use std::time::Duration;

use levada_wire::messages::fetch::{FetchRequest, FetchResponse};
use levada_wire::messages::{ApiVersionsRequest, MetadataRequest, ProduceRequest};
use levada_wire::records::BatchIter;
use levada_wire::{ApiKey, ErrorCode, ResponseKind};
use tokio::io::AsyncWriteExt;

use crate::support::*;

#[tokio::test]
async fn every_version_of_api_versions_is_answered_and_unknown_ones_with_version_0() {
    let t = TestBroker::start().await;
    let mut client = t.connect().await;
    for version in 0..=4 {
        let request = ApiVersionsRequest { client_software_name: "x".into(), client_software_version: "1".into() };
        assert_eq!(client.ask(request, version).await.error_code, 0);
    }
    let mut frame = vec![0, 0, 0, 10, 0, 18, 0, 99, 0, 0, 0, 7];
    frame.extend([0xff, 0xff]);
    client.stream.write_all(&frame).await.unwrap();
    let (correlation_id, answer) = client.receive(ApiKey::ApiVersions, 0).await;
    let ResponseKind::ApiVersions(answer) = answer else { panic!() };
    assert_eq!((correlation_id, answer.error_code), (7, ErrorCode::UnsupportedVersion.code()));
    assert!(answer.api_keys.len() > 20);
    t.broker.shutdown().await;
}

#[tokio::test]
async fn large_answers_come_out_of_the_segment_files_byte_for_byte() {
    // Without a tail cache all reads are file ranges, which leave by sendfile.
    let t = TestBroker::with(&[("tail.cache.bytes", "0")]).await;
    let id = t.create("t", 1, &[]).await;
    let values: Vec<String> = (0..40).map(|i| format!("{i}-{}", "v".repeat(100_000))).collect();
    for value in &values {
        produce(&*t.transport, id, 0, batch(&[value])).await;
    }
    let mut client = t.connect().await;
    let mut offset = 0;
    let mut got = Vec::new();
    while got.len() < values.len() {
        let answer: FetchResponse = client.ask(fetch_request(id, &[(0, offset)], 100), 16).await;
        let data = one_partition(answer);
        for batch in BatchIter::new(data.records.unwrap().to_bytes().unwrap()) {
            let batch = batch.unwrap();
            batch.verify_crc().unwrap();
            offset = batch.header.next_offset();
            got.extend(batch.records(1 << 24).unwrap().map(|record| record.unwrap().value.unwrap()));
        }
    }
    assert!(got.iter().zip(&values).all(|(got, value)| **got == *value.as_bytes()));
    t.broker.shutdown().await;
}

#[tokio::test]
async fn a_waiting_fetch_does_not_hold_up_the_appends_behind_it_and_is_answered_first() {
    let t = TestBroker::start().await;
    let id = t.create("t", 1, &[]).await;
    let mut client = t.connect().await;
    let first = client.send(fetch_request(id, &[(0, 0)], 30_000), 16).await;
    let second = client.send(produce_request(id, 0, -1, batch(&["a"])), 13).await;
    let (correlation_id, answer) = client.receive(ApiKey::Fetch, 16).await;
    let ResponseKind::Fetch(answer) = answer else { panic!() };
    assert_eq!(correlation_id, first);
    assert_eq!(one_partition(answer).high_watermark, 1);
    assert_eq!(client.receive(ApiKey::Produce, 13).await.0, second);
    t.broker.shutdown().await;
}

/// A connection with a small receive buffer, so that little of an answer leaves the broker before it is read.
async fn small_window(t: &TestBroker) -> Client {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(32 << 10).unwrap();
    let port = t.broker.listeners()[0].port;
    Client::over(socket.connect(([127, 0, 0, 1], port).into()).await.unwrap())
}

async fn fill(t: &TestBroker, megabytes: usize) -> uuid::Uuid {
    let id = t.create("big", 1, &[("max.message.bytes", "2000000")]).await;
    for _ in 0..megabytes {
        produce(&*t.transport, id, 0, batch(&[&"x".repeat(1 << 20)])).await;
    }
    id
}

fn fetch_all(id: uuid::Uuid) -> FetchRequest {
    let mut request = fetch_request(id, &[(0, 0)], 100);
    request.topics[0].partitions[0].partition_max_bytes = i32::MAX;
    request
}

#[tokio::test]
async fn consumers_that_do_not_read_hold_no_more_memory_than_their_share_and_others_are_served() {
    let pairs = [("fetch.memory.bytes", "9000000"), ("tail.cache.bytes", "67108864"), ("fetch.max.bytes", "8500000")];
    let t = TestBroker::with(&pairs).await;
    let id = fill(&t, 8).await;
    let mut stalled = Vec::new();
    for _ in 0..10 {
        let mut client = small_window(&t).await;
        client.send(fetch_all(id), 16).await;
        // The first byte shows that the answer is on its way.
        client.stream.readable().await.unwrap();
        stalled.push(client);
    }
    let held = t.broker.metrics().answer_memory;
    assert!((8 << 20..=9_000_000).contains(&held), "{held}");
    let answer: FetchResponse = t.connect().await.ask(fetch_all(id), 16).await;
    assert_eq!(one_partition(answer).records.unwrap().len(), t.broker.metrics().partitions[0].size as usize);
    drop(stalled);
    while t.broker.metrics().answer_memory > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    t.broker.shutdown().await;
}

#[tokio::test]
async fn a_consumer_that_reads_slowly_is_served_and_one_that_does_not_read_is_closed() {
    let t = TestBroker::with(&[("connections.max.idle.ms", "400"), ("tail.cache.bytes", "67108864")]).await;
    let id = fill(&t, 12).await;
    let size = t.broker.metrics().partitions[0].size as usize;
    let mut slow = small_window(&t).await;
    slow.send(fetch_all(id), 16).await;
    let mut got = 0;
    let mut part = vec![0; 512 << 10];
    while got < size {
        tokio::time::sleep(Duration::from_millis(50)).await;
        got += tokio::io::AsyncReadExt::read_exact(&mut slow.stream, &mut part[..(size - got).min(512 << 10)])
            .await
            .unwrap();
    }
    let mut stalled = small_window(&t).await;
    stalled.send(fetch_all(id), 16).await;
    stalled.stream.readable().await.unwrap();
    while t.broker.metrics().connections > 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    t.broker.shutdown().await;
}

#[tokio::test]
async fn a_client_that_goes_while_its_requests_wait_is_noticed_though_nothing_is_read_from_it() {
    let t = TestBroker::start().await;
    let id = t.create("t", 1, &[]).await;
    let mut client = t.connect().await;
    client.send(fetch_request(id, &[(0, 0)], i32::MAX), 16).await;
    // Waits for the fetch before it, and everything behind it stays unread. It is done all the same.
    client.send(MetadataRequest::default(), 12).await;
    client.send(produce_request(id, 0, 0, batch(&["last words"])), 13).await;
    while t.broker.metrics().fetch_reads < 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    client.stream.shutdown().await.unwrap();
    while client.frame().await.is_ok() {}
    while read_all(&*t.transport, id, 0).await.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    t.broker.shutdown().await;
}

#[tokio::test]
async fn produce_without_acknowledgement_gets_no_answer_and_a_refused_one_closes() {
    let t = TestBroker::start().await;
    let id = t.create("t", 1, &[]).await;
    let mut client = t.connect().await;
    client.send(produce_request(id, 0, 0, batch(&["a"])), 13).await;
    let next = client.send(MetadataRequest { topics: None, ..Default::default() }, 12).await;
    assert_eq!(client.receive(ApiKey::Metadata, 12).await.0, next);
    // Consumers see it once it is on disk.
    let seen = one_partition(t.ask(fetch_request(id, &[(0, 0)], 30_000)).await);
    assert_eq!(records_of(&seen).len(), 1);
    client.send(produce_request(id, 9, 0, batch(&["a"])), 13).await;
    assert!(client.is_closed().await);
    t.broker.shutdown().await;
}

#[tokio::test]
async fn each_listener_tells_its_own_address() {
    let t = TestBroker::with(&[
        ("listeners", "INSIDE://127.0.0.1:0,OUTSIDE://127.0.0.1:0"),
        ("advertised.listeners", "OUTSIDE://broker.example:9999"),
        ("listener.security.protocol.map", "INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT"),
    ])
    .await;
    let [inside, outside] = t.broker.listeners() else { panic!() };
    let request = || MetadataRequest { topics: Some(Vec::new()), ..Default::default() };
    let answer = Client::connect(inside.port).await.ask(request(), 12).await;
    assert_eq!((answer.brokers[0].host.as_str(), answer.brokers[0].port), ("127.0.0.1", i32::from(inside.port)));
    let answer = Client::connect(outside.port).await.ask(request(), 12).await;
    assert_eq!((answer.brokers[0].host.as_str(), answer.brokers[0].port), ("broker.example", 9999));
    t.broker.shutdown().await;
}

#[tokio::test]
async fn a_shutdown_answers_what_is_in_flight() {
    let t = TestBroker::start().await;
    let id = t.create("t", 1, &[]).await;
    let mut client = t.connect().await;
    for _ in 0..20 {
        client.send(produce_request(id, 0, -1, batch(&["a"])), 13).await;
    }
    // The first answer shows that the connection is being served.
    client.receive(ApiKey::Produce, 13).await;
    t.broker.shutdown().await;
    let mut answered = 1;
    while client.frame().await.is_ok() {
        answered += 1;
    }
    let t = TestBroker::on(t.dir, &[]).await;
    assert!(read_all(&*t.transport, id, 0).await.len() >= answered);
    t.broker.shutdown().await;
}

#[tokio::test]
async fn connections_past_the_limit_and_idle_ones_are_closed() {
    let t = TestBroker::with(&[("max.connections", "2"), ("connections.max.idle.ms", "300")]).await;
    let (mut a, mut b) = (t.connect().await, t.connect().await);
    a.ask(MetadataRequest::default(), 12).await;
    b.ask(MetadataRequest::default(), 12).await;
    let mut c = t.connect().await;
    assert!(c.is_closed().await);
    let idle = tokio::time::timeout(Duration::from_secs(20), a.is_closed()).await;
    assert_eq!(idle, Ok(true));
    t.broker.shutdown().await;
}

#[tokio::test]
async fn old_clients_produce_by_name() {
    let t = TestBroker::start().await;
    t.create("t", 1, &[]).await;
    let mut client = t.connect().await;
    for (offset, version) in (3..=12).enumerate() {
        let mut request: ProduceRequest = produce_request(uuid::Uuid::nil(), 0, -1, batch(&["a"]));
        request.topic_data[0].name = "t".into();
        let answer = client.ask(request, version).await;
        let answer = &answer.responses[0].partition_responses[0];
        assert_eq!((answer.error_code, answer.base_offset), (0, offset as i64));
    }
    t.broker.shutdown().await;
}

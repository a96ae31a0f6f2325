//! Bytes that no client should send: each harms its own connection only.

use levada_env::{Rng, SeededRng};
use levada_wire::messages::MetadataRequest;
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

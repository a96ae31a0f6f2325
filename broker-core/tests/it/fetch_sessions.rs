//! Incremental fetch sessions through the whole broker.

use levada_wire::ErrorCode;
use levada_wire::messages::fetch::{FetchRequest, FetchTopic, ForgottenTopic};

use crate::support::*;

#[tokio::test]
async fn an_incremental_fetch_leaves_out_what_did_not_change() {
    let t = TestBroker::start().await;
    let id = t.create("t", 3, &[]).await;
    let mut full = fetch_request(id, &[(0, 0), (1, 0), (2, 0)], 0);
    full.session_epoch = 0;
    let answer = t.ask(full).await;
    let session_id = answer.session_id;
    assert_ne!(session_id, 0);
    assert_eq!(answer.responses[0].partitions.len(), 3);
    produce(&*t.transport, id, 1, batch(&["a"])).await;
    let next = |session_epoch| FetchRequest {
        session_id,
        session_epoch,
        max_bytes: 1 << 20,
        min_bytes: 1,
        ..FetchRequest::default()
    };
    let answer = t.ask(next(1)).await;
    let partitions: Vec<i32> = answer.responses[0].partitions.iter().map(|data| data.partition_index).collect();
    assert_eq!(partitions, [1]);
    assert_eq!(records_of(&answer.responses[0].partitions[0]).len(), 1);
    let mut moved = next(2);
    moved.topics = fetch_request(id, &[(1, 1)], 0).topics;
    let answer = t.ask(moved).await;
    assert!(answer.responses.is_empty(), "{answer:?}");
    let mut forget = next(3);
    forget.forgotten_topics_data =
        vec![ForgottenTopic { topic_id: id, partitions: vec![2], ..ForgottenTopic::default() }];
    t.ask(forget).await;
    produce(&*t.transport, id, 2, batch(&["b"])).await;
    assert!(t.ask(next(4)).await.responses.is_empty());
    assert_eq!(t.broker.metrics().fetch_sessions, 1);
    t.broker.shutdown().await;
}

#[tokio::test]
async fn a_session_wakes_for_any_of_its_partitions() {
    let t = TestBroker::start().await;
    let id = t.create("t", 2, &[]).await;
    let mut full = fetch_request(id, &[(0, 0), (1, 0)], 0);
    full.session_epoch = 0;
    let session_id = t.ask(full).await.session_id;
    let transport = t.broker.transport("waiter");
    let request =
        FetchRequest { session_id, session_epoch: 1, max_wait_ms: 30_000, min_bytes: 1, ..FetchRequest::default() };
    let waiting = tokio::spawn(async move { ask(&*transport, request).await });
    tokio::task::yield_now().await;
    produce(&*t.transport, id, 1, batch(&["a"])).await;
    let answer = waiting.await.unwrap();
    assert_eq!(answer.responses[0].partitions[0].partition_index, 1);
    t.broker.shutdown().await;
}

#[tokio::test]
async fn a_wrong_epoch_and_an_unknown_session_are_told() {
    let t = TestBroker::start().await;
    let id = t.create("t", 1, &[]).await;
    let mut full = fetch_request(id, &[(0, 0)], 0);
    full.session_epoch = 0;
    let session_id = t.ask(full.clone()).await.session_id;
    full.session_id = session_id;
    full.session_epoch = 9;
    full.topics = vec![FetchTopic::default()];
    assert_eq!(t.ask(full.clone()).await.error_code, ErrorCode::InvalidFetchSessionEpoch.code());
    full.session_id += 1;
    assert_eq!(t.ask(full).await.error_code, ErrorCode::FetchSessionIdNotFound.code());
    t.broker.shutdown().await;
}

//! Producing and fetching: offsets, waits, errors.

use std::time::Duration;

use levada_wire::messages::DeleteTopicsRequest;
use levada_wire::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use levada_wire::messages::delete_topics::DeleteTopicState;
use levada_wire::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use levada_wire::messages::offset_for_leader_epoch::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use levada_wire::messages::{DeleteRecordsRequest, OffsetForLeaderEpochRequest};
use levada_wire::{ErrorCode, RecordSet};
use uuid::Uuid;

use crate::support::*;

#[tokio::test]
async fn what_is_produced_is_fetched_with_its_offsets() {
    let t = TestBroker::start().await;
    let id = t.create("t", 2, &[]).await;
    assert_eq!(produce(&*t.transport, id, 0, batch(&["a", "b"])).await.base_offset, 0);
    assert_eq!(produce(&*t.transport, id, 0, batch(&["c"])).await.base_offset, 2);
    assert_eq!(produce(&*t.transport, id, 1, batch(&["d"])).await.base_offset, 0);
    let all = read_all(&*t.transport, id, 0).await;
    assert_eq!(all, [(0, "a".into()), (1, "b".into()), (2, "c".into())]);
    let data = fetch(&*t.transport, id, 0, 1).await;
    assert_eq!(records_of(&data)[0].offset, 0, "an offset inside a batch gives the whole batch");
    assert_eq!((data.high_watermark, data.last_stable_offset, data.log_start_offset), (3, 3, 0));
    t.broker.shutdown().await;
}

#[tokio::test]
async fn a_fetch_at_the_end_waits_for_the_next_record() {
    let t = TestBroker::start().await;
    let id = t.create("t", 1, &[]).await;
    let transport = t.broker.transport("waiter");
    let waiting = tokio::spawn(async move { ask(&*transport, fetch_request(id, &[(0, 0)], 30_000)).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!waiting.is_finished());
    produce(&*t.transport, id, 0, batch(&["a"])).await;
    let data = one_partition(waiting.await.unwrap());
    assert_eq!(records_of(&data).len(), 1);
    let data = one_partition(t.ask(fetch_request(id, &[(0, 1)], 30)).await);
    assert!(data.records.as_ref().is_none_or(RecordSet::is_empty));
    t.broker.shutdown().await;
}

#[tokio::test]
async fn a_fetch_that_waits_for_much_reads_when_it_is_there_and_not_at_each_append() {
    let t = TestBroker::start().await;
    let id = t.create("t", 4, &[]).await;
    let transport = t.broker.transport("waiter");
    let mut request = fetch_request(id, &[(0, 0), (1, 0), (2, 0), (3, 0)], 60_000);
    request.min_bytes = 100_000;
    let waiting = tokio::spawn(async move { ask(&*transport, request).await });
    let mut produced = 0;
    while !waiting.is_finished() {
        produce(&*t.transport, id, produced % 4, batch(&[&"x".repeat(1000)])).await;
        produced += 1;
    }
    let answer = waiting.await.unwrap();
    let bytes: usize = answer.responses[0].partitions.iter().map(|data| data.records.as_ref().unwrap().len()).sum();
    assert!(bytes >= 100_000, "{bytes} after {produced} appends");
    let reads = t.broker.metrics().fetch_reads;
    assert!(reads <= 4 * 5, "{reads} reads of partitions for {produced} appends");
    t.broker.shutdown().await;
}

#[tokio::test]
async fn whole_batches_that_do_not_quite_fill_the_limit_are_enough() {
    let t = TestBroker::start().await;
    let id = t.create("t", 2, &[]).await;
    for partition in [0, 0, 0, 1] {
        produce(&*t.transport, id, partition, batch(&[&"x".repeat(1000)])).await;
    }
    // Nobody produces, so what is not enough at once is waited for past any patience.
    for (min_bytes, max_bytes, partition_max) in [(1 << 30, 2500, 1 << 20), (2500, 1 << 20, 2500)] {
        let mut request = fetch_request(id, &[(0, 0)], i32::MAX);
        (request.min_bytes, request.max_bytes) = (min_bytes, max_bytes);
        request.topics[0].partitions[0].partition_max_bytes = partition_max;
        let data = one_partition(t.ask(request).await);
        assert_eq!(records_of(&data).len(), 2);
    }
    t.broker.shutdown().await;
}

#[tokio::test]
async fn a_long_poll_ends_with_its_topic_and_with_the_broker() {
    let t = TestBroker::start().await;
    let (gone, id) = (t.create("gone", 1, &[]).await, t.create("t", 1, &[]).await);
    let wait = |id| {
        let transport = t.broker.transport("waiter");
        tokio::spawn(async move { one_partition(ask(&*transport, fetch_request(id, &[(0, 0)], i32::MAX)).await) })
    };
    let (first, second) = (wait(gone), wait(id));
    while t.broker.metrics().fetch_reads < 2 {
        tokio::task::yield_now().await;
    }
    let topics = vec![DeleteTopicState { name: Some("gone".into()), ..DeleteTopicState::default() }];
    t.ask(DeleteTopicsRequest { topics, timeout_ms: 30_000, ..DeleteTopicsRequest::default() }).await;
    let code = first.await.unwrap().error_code;
    assert_eq!(code, ErrorCode::UnknownTopicId.code());
    t.broker.shutdown().await;
    assert_eq!(second.await.unwrap().error_code, 0);
}

#[tokio::test]
async fn one_batch_is_answered_however_small_the_limits_are_and_the_total_limit_holds() {
    let t = TestBroker::start().await;
    let id = t.create("t", 2, &[]).await;
    let big = "x".repeat(10_000);
    for partition in 0..2 {
        for _ in 0..3 {
            produce(&*t.transport, id, partition, batch(&[&big])).await;
        }
    }
    let mut request = fetch_request(id, &[(0, 0), (1, 0)], 0);
    request.max_bytes = 1;
    request.topics[0].partitions.iter_mut().for_each(|p| p.partition_max_bytes = 1);
    let answer = t.ask(request).await;
    let lengths: Vec<usize> = answer.responses[0].partitions.iter().map(|data| records_of(data).len()).collect();
    assert_eq!(lengths, [1, 0]);
    let mut request = fetch_request(id, &[(0, 0), (1, 0)], 0);
    request.max_bytes = 35_000;
    let answer = t.ask(request).await;
    let lengths: Vec<usize> = answer.responses[0].partitions.iter().map(|data| records_of(data).len()).collect();
    assert_eq!(lengths, [3, 0]);
    t.broker.shutdown().await;
}

#[tokio::test]
async fn errors_are_told_per_partition() {
    let t = TestBroker::start().await;
    let id = t.create("t", 1, &[("max.message.bytes", "200")]).await;
    let code = |error: ErrorCode| error.code();
    let refused = |records| produce(&*t.transport, id, 0, records);
    let mut torn = batch(&["abc"]).to_vec();
    torn[70] ^= 1;
    assert_eq!(refused(torn.into()).await.error_code, code(ErrorCode::CorruptMessage));
    assert_eq!(refused(batch(&[&"x".repeat(300)])).await.error_code, code(ErrorCode::MessageTooLarge));
    let two = [batch(&["a"]), batch(&["b"])].concat();
    assert_eq!(refused(two.into()).await.error_code, code(ErrorCode::InvalidRecord));
    assert_eq!(refused(bytes::Bytes::new()).await.error_code, code(ErrorCode::InvalidRecord));
    let nowhere = produce(&*t.transport, Uuid::from_u128(99), 0, batch(&["a"])).await;
    assert_eq!(nowhere.error_code, code(ErrorCode::UnknownTopicId));
    let nowhere = produce(&*t.transport, id, 7, batch(&["a"])).await;
    assert_eq!(nowhere.error_code, code(ErrorCode::UnknownTopicOrPartition));
    let mut acks = t.ask(produce_request(id, 0, 2, batch(&["a"]))).await;
    let acks = acks.responses.remove(0).partition_responses.remove(0);
    assert_eq!(acks.error_code, code(ErrorCode::InvalidRequiredAcks));
    assert_eq!(fetch(&*t.transport, id, 0, 1).await.error_code, code(ErrorCode::OffsetOutOfRange));
    assert_eq!(fetch(&*t.transport, id, 1, 0).await.error_code, code(ErrorCode::UnknownTopicOrPartition));
    let mut epoch = fetch_request(id, &[(0, 0)], 0);
    epoch.topics[0].partitions[0].current_leader_epoch = 1000;
    assert_eq!(one_partition(t.ask(epoch).await).error_code, code(ErrorCode::UnknownLeaderEpoch));
    assert!(read_all(&*t.transport, id, 0).await.is_empty());
    t.broker.shutdown().await;
}

#[tokio::test]
async fn a_record_without_key_is_refused_by_a_compacted_topic_and_named() {
    let t = TestBroker::start().await;
    let id = t.create("c", 1, &[("cleanup.policy", "compact")]).await;
    let refused = produce(&*t.transport, id, 0, batch(&["a"])).await;
    assert_eq!(refused.error_code, ErrorCode::InvalidRecord.code());
    assert_eq!(refused.record_errors[0].batch_index, 0);
    t.broker.shutdown().await;
}

fn list(topic: &str, timestamp: i64) -> ListOffsetsRequest {
    let partition = ListOffsetsPartition { timestamp, ..ListOffsetsPartition::default() };
    let topics = vec![ListOffsetsTopic { name: topic.into(), partitions: vec![partition] }];
    ListOffsetsRequest { replica_id: -1, topics, ..ListOffsetsRequest::default() }
}

#[tokio::test]
async fn offsets_are_found_by_time_and_at_both_ends() {
    let t = TestBroker::start().await;
    let id = t.create("t", 1, &[]).await;
    let offset = async |timestamp| {
        let mut answer = t.ask(list("t", timestamp)).await;
        let answer = answer.topics.remove(0).partitions.remove(0);
        assert_eq!(answer.error_code, 0);
        answer.offset
    };
    assert_eq!((offset(-1).await, offset(-2).await, offset(-3).await), (0, 0, -1));
    let before = levada_env::Env::real().clock.wall_ms() - 1;
    produce(&*t.transport, id, 0, batch(&["a", "b"])).await;
    produce(&*t.transport, id, 0, batch(&["c"])).await;
    assert_eq!((offset(-1).await, offset(-2).await), (3, 0));
    assert_eq!(offset(before).await, 0);
    assert_eq!(offset(before + 3_600_000).await, -1);
    assert!(offset(-3).await >= 0);
    assert_eq!((offset(-4).await, offset(-5).await), (0, -1));
    t.broker.shutdown().await;
}

#[tokio::test]
async fn deleted_records_are_gone_and_the_log_start_moves() {
    let t = TestBroker::start().await;
    let id = t.create("t", 1, &[]).await;
    for value in ["a", "b", "c"] {
        produce(&*t.transport, id, 0, batch(&[value])).await;
    }
    let delete = async |offset| {
        let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset }];
        let topics = vec![DeleteRecordsTopic { name: "t".into(), partitions }];
        let mut answer = t.ask(DeleteRecordsRequest { topics, timeout_ms: 1000 }).await;
        let answer = answer.topics.remove(0).partitions.remove(0);
        (answer.error_code, answer.low_watermark)
    };
    assert_eq!(delete(2).await, (0, 2));
    assert_eq!(fetch(&*t.transport, id, 0, 0).await.error_code, ErrorCode::OffsetOutOfRange.code());
    assert_eq!(delete(9).await.0, ErrorCode::OffsetOutOfRange.code());
    assert_eq!(delete(-1).await, (0, 3));
    t.broker.shutdown().await;
}

#[tokio::test]
async fn every_start_is_a_new_leader_epoch_and_old_ones_have_an_end() {
    let t = TestBroker::start().await;
    let id = t.create("t", 1, &[]).await;
    produce(&*t.transport, id, 0, batch(&["a", "b"])).await;
    let first = t.broker.image().topic("t").unwrap().partition(0).unwrap().leader_epoch;
    let t = t.restart(&[]).await;
    produce(&*t.transport, id, 0, batch(&["c"])).await;
    let second = t.broker.image().topic("t").unwrap().partition(0).unwrap().leader_epoch;
    assert_eq!(second, first + 1);
    let partition = OffsetForLeaderPartition { leader_epoch: first, ..OffsetForLeaderPartition::default() };
    let topics = vec![OffsetForLeaderTopic { topic: "t".into(), partitions: vec![partition] }];
    let answer = t.ask(OffsetForLeaderEpochRequest { topics, ..OffsetForLeaderEpochRequest::default() }).await;
    let end = &answer.topics[0].partitions[0];
    assert_eq!((end.error_code, end.leader_epoch, end.end_offset), (0, first, 2));
    let mut fenced = fetch_request(id, &[(0, 0)], 0);
    fenced.topics[0].partitions[0].current_leader_epoch = first;
    assert_eq!(one_partition(t.ask(fenced).await).error_code, ErrorCode::FencedLeaderEpoch.code());
    t.broker.shutdown().await;
}

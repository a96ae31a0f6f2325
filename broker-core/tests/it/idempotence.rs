//! The idempotent producer's rules (invariant 5).

use levada_wire::{ApiKey, ErrorCode, ResponseKind};

use crate::support::*;

#[tokio::test]
async fn a_batch_sent_again_gets_its_first_offset_also_after_a_restart() {
    let t = TestBroker::start().await;
    let id = t.create("t", 1, &[]).await;
    let send = async |t: &TestBroker, values: &[&str], sequence| {
        produce(&*t.transport, id, 0, producer_batch(values, 5, 0, sequence)).await
    };
    assert_eq!(send(&t, &["a", "b"], 0).await.base_offset, 0);
    assert_eq!(send(&t, &["c"], 2).await.base_offset, 2);
    assert_eq!(send(&t, &["a", "b"], 0).await.base_offset, 0);
    let t = t.restart(&[]).await;
    let again = send(&t, &["c"], 2).await;
    assert_eq!((again.error_code, again.base_offset), (0, 2));
    assert_eq!(send(&t, &["d"], 3).await.base_offset, 3);
    assert_eq!(read_all(&*t.transport, id, 0).await.len(), 4);
    t.broker.shutdown().await;
}

#[tokio::test]
async fn gaps_and_old_epochs_are_refused() {
    let t = TestBroker::start().await;
    let id = t.create("t", 1, &[]).await;
    let send = async |epoch, sequence| {
        produce(&*t.transport, id, 0, producer_batch(&["x"], 5, epoch, sequence)).await.error_code
    };
    assert_eq!(send(1, 0).await, 0);
    assert_eq!(send(1, 2).await, ErrorCode::OutOfOrderSequenceNumber.code());
    assert_eq!(send(0, 1).await, ErrorCode::InvalidProducerEpoch.code());
    assert_eq!(send(1, 1).await, 0);
    assert_eq!(read_all(&*t.transport, id, 0).await.len(), 2);
    t.broker.shutdown().await;
}

#[tokio::test]
async fn batches_sent_without_waiting_are_appended_in_their_order() {
    let t = TestBroker::start().await;
    let id = t.create("t", 1, &[]).await;
    let mut client = t.connect().await;
    for sequence in 0..200 {
        let batch = producer_batch(&[&sequence.to_string()], 5, 0, sequence);
        client.send(produce_request(id, 0, -1, batch), 13).await;
    }
    for sequence in 0..200 {
        let (correlation_id, answer) = client.receive(ApiKey::Produce, 13).await;
        let ResponseKind::Produce(answer) = answer else { panic!() };
        let answer = &answer.responses[0].partition_responses[0];
        assert_eq!((correlation_id, answer.error_code, answer.base_offset), (sequence + 1, 0, i64::from(sequence)));
    }
    t.broker.shutdown().await;
}

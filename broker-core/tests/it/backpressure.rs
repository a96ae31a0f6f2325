//! A disk that hangs: producers are held back, in memory that has a bound, and nothing they were promised is lost.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use levada_broker::Broker;
use levada_env::sim::SimEnv;
use levada_wire::messages::{ApiVersionsRequest, ProduceRequest};
use levada_wire::records::RecordBatchBuilder;
use levada_wire::{ApiKey, ErrorCode, ResponseKind};

use crate::support::*;

const QUEUE: [(&str, &str); 1] = [("append.queue.bytes", "1048576")];

/// A batch of one record, with a time that the simulated clock is not far from.
fn sized(value: &str, size: usize) -> bytes::Bytes {
    let mut builder = RecordBatchBuilder::new(Vec::new());
    builder.append(1_700_000_000_000, None, Some(format!("{value}{}", "x".repeat(size)).as_bytes()), []).unwrap();
    builder.finish().into()
}

fn large(value: &str) -> bytes::Bytes {
    sized(value, 100_000)
}

#[tokio::test(start_paused = true)]
async fn producers_that_give_up_leave_no_growing_queue_and_no_gap() {
    let sim = SimEnv::new(1);
    let broker = Broker::start_in_process(sim.env(), config(Path::new("/data"), &QUEUE)).await.unwrap();
    let transport = broker.transport("test");
    let id = create(&*transport, "t", 1, &[]).await;
    produce(&*transport, id, 0, sized("first", 0)).await;
    sim.disk.faults(|faults| faults.stall_appends = true);
    let done = Arc::new(AtomicUsize::new(0));
    for i in 0..50 {
        let (transport, done) = (broker.transport(&format!("p{i}")), done.clone());
        tokio::spawn(async move {
            let request = ProduceRequest { timeout_ms: 1, ..produce_request(id, 0, -1, large(&format!("{i}"))) };
            let answer = ask(&*transport, request).await;
            let code = answer.responses[0].partition_responses[0].error_code;
            assert!(code == 0 || code == ErrorCode::RequestTimedOut.code(), "{code}");
            done.fetch_add(1, Ordering::SeqCst);
        });
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    let queued = broker.metrics().log_dirs[0].queued_bytes;
    assert!(queued > 500_000 && queued <= 1 << 20, "{queued}");
    assert_eq!(done.load(Ordering::SeqCst), 10, "who found room gave up, the others wait for it");
    sim.disk.faults(|faults| faults.stall_appends = false);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(done.load(Ordering::SeqCst), 50);
    assert_eq!(broker.metrics().log_dirs[0].queued_bytes, 0);
    assert_eq!(read_all(&*transport, id, 0).await.len(), 51);
    broker.shutdown().await;
}

#[tokio::test]
async fn a_connection_that_waits_for_room_sends_the_answers_to_what_came_before() {
    let sim = SimEnv::new(2);
    let broker = Broker::start(sim.env(), config(Path::new("/data"), &QUEUE)).await.unwrap();
    let transport = broker.transport("test");
    let id = create(&*transport, "t", 1, &[]).await;
    produce(&*transport, id, 0, sized("first", 0)).await;
    sim.disk.faults(|faults| faults.stall_appends = true);
    let mut client = Client::connect(broker.listeners()[0].port).await;
    let mut sent = Vec::new();
    for i in 0..12 {
        let request = ProduceRequest { timeout_ms: 1, ..produce_request(id, 0, -1, large(&format!("{i}"))) };
        sent.push(client.send(request, 13).await);
    }
    let versions = client.send(ApiVersionsRequest::default(), 0).await;
    let mut codes = Vec::new();
    for expected in &sent {
        if codes.len() == 10 {
            // The eleventh waits for room, and with it all that is behind it.
            sim.disk.faults(|faults| faults.stall_appends = false);
        }
        let (correlation_id, answer) = client.receive(ApiKey::Produce, 13).await;
        let ResponseKind::Produce(answer) = answer else { panic!("{answer:?}") };
        assert_eq!(correlation_id, *expected);
        codes.push(answer.responses[0].partition_responses[0].error_code);
    }
    assert!(codes[..10].iter().all(|code| *code == ErrorCode::RequestTimedOut.code()), "{codes:?}");
    assert_eq!(client.receive(ApiKey::ApiVersions, 0).await.0, versions);
    while read_all(&*transport, id, 0).await.len() < 13 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    broker.shutdown().await;
}

//! How waits end: at the deadline that a request names, and when the broker stops.

use std::path::Path;
use std::time::Duration;

use levada_broker::Broker;
use levada_env::sim::SimEnv;
use levada_wire::ErrorCode;
use levada_wire::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use levada_wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};

use crate::support::*;

/// The simulated disk takes up to 10 ms for a sync, so that some of these are in time and some are not.
#[tokio::test(start_paused = true)]
async fn what_takes_longer_than_its_timeout_is_told_so_and_done_all_the_same() {
    let sim = SimEnv::new(11);
    let broker = Broker::start_in_process(sim.env(), config(Path::new("/data"), &[])).await.unwrap();
    let transport = broker.transport("test");
    let mut late = 0;
    for number in 0..20 {
        let name = format!("t{number}");
        let topic = CreatableTopic {
            name: name.clone(),
            num_partitions: 1,
            replication_factor: 1,
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 8, validate_only: false };
        let code = ask(&*transport, request).await.topics[0].error_code;
        assert!([ErrorCode::None.code(), ErrorCode::RequestTimedOut.code()].contains(&code), "{code}");
        late += usize::from(code != 0);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(broker.image().topic(&name).is_some());
    }
    assert!((1..20).contains(&late), "{late}");
    let id = create(&*transport, "t", 1, &[("message.timestamp.after.max.ms", "9223372036854775807")]).await;
    // The partition's log is made by its first use, which takes its own time.
    produce(&*transport, id, 0, batch(&["first"])).await;
    let mut request = produce_request(id, 0, -1, batch(&["late"]));
    request.timeout_ms = 0;
    let answer = ask(&*transport, request).await;
    assert_eq!(answer.responses[0].partition_responses[0].error_code, ErrorCode::RequestTimedOut.code());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(read_all(&*transport, id, 0).await.len(), 2);
    broker.shutdown().await;
}

#[tokio::test]
async fn a_member_that_waits_for_others_is_sent_away_when_the_broker_stops() {
    let t = TestBroker::with(&[("group.initial.rebalance.delay.ms", "600000")]).await;
    let mut client = t.connect().await;
    let request = JoinGroupRequest {
        group_id: "g".to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 600_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![JoinGroupRequestProtocol { name: "range".to_owned(), metadata: "m".into() }],
        ..JoinGroupRequest::default()
    };
    client.send(request, 3).await;
    while t.broker.metrics().requests.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    t.broker.shutdown().await;
    let (_, answer) = client.receive(levada_wire::ApiKey::JoinGroup, 3).await;
    let answer = JoinGroupResponse::try_from(answer).unwrap();
    assert_eq!(answer.error_code, ErrorCode::CoordinatorNotAvailable.code());
}

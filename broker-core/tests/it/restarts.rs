//! What a restart keeps, and what a start refuses.

use levada_broker::Broker;
use levada_env::Env;
use levada_wire::messages::InitProducerIdRequest;

use crate::support::*;

#[tokio::test]
async fn records_topics_and_identity_survive() {
    let t = TestBroker::start().await;
    let id = t.create("t", 2, &[]).await;
    produce(&*t.transport, id, 1, batch(&["a", "b"])).await;
    let cluster = t.broker.cluster_id();
    let t = t.restart(&[]).await;
    assert_eq!(t.broker.cluster_id(), cluster);
    assert_eq!(t.broker.image().topic("t").unwrap().id, id);
    assert_eq!(read_all(&*t.transport, id, 1).await, [(0, "a".into()), (1, "b".into())]);
    assert_eq!(produce(&*t.transport, id, 1, batch(&["c"])).await.base_offset, 2);
    t.broker.shutdown().await;
}

#[tokio::test]
async fn the_metadata_log_grows_by_one_record_per_start_however_many_partitions_there_are() {
    let mut t = TestBroker::start().await;
    t.create("t", 100, &[]).await;
    let before = t.broker.image().offset;
    for starts in 1..=3 {
        t = t.restart(&[]).await;
        assert_eq!(t.broker.image().offset, before + starts);
    }
    t.broker.shutdown().await;
}

#[tokio::test]
async fn a_second_broker_on_the_same_directory_is_refused_with_a_clear_text() {
    let t = TestBroker::start().await;
    let second = Broker::start(Env::real(), config(t.dir.path(), &[])).await;
    let text = second.err().unwrap().to_string();
    assert!(text.contains("in use"), "{text}");
    let port = t.broker.listeners()[0].port.to_string();
    let other = tempfile::tempdir().unwrap();
    let taken = [("listeners", format!("PLAINTEXT://127.0.0.1:{port}"))];
    let taken: Vec<(&str, &str)> = taken.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let text = Broker::start(Env::real(), config(other.path(), &taken)).await.err().unwrap().to_string();
    assert!(text.contains(&port), "{text}");
    t.broker.shutdown().await;
}

#[tokio::test]
async fn after_a_shutdown_callers_are_told_so() {
    let t = TestBroker::start().await;
    t.broker.shutdown().await;
    assert!(t.transport.call(InitProducerIdRequest::default().into()).await.is_err());
    t.broker.shutdown().await;
}

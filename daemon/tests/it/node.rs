//! Files through a topic into files, over a stop and a start.

use crate::http::request;
use levada_daemon::{
    config::{Inputs, Settings, all_keys},
    node::{Node, NodeError},
    telemetry::LogControl,
};
use levada_env::{Env, time};
use serde_json::{Value, json};
use std::{fs, net::TcpListener, path::Path, time::Duration};

const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn settings(data_dir: &Path, rest: &str, extra: &[(&str, &str)]) -> Settings {
    let flag = |key: &str, value: &str| ("test".to_owned(), key.to_owned(), value.to_owned());
    let mut flags = vec![
        flag("data.dir", data_dir.to_str().unwrap()),
        flag("worker.listeners", rest),
        flag("broker.listeners", "127.0.0.1:0"),
        flag("group.initial.rebalance.delay.ms", "0"),
    ];
    flags.extend(extra.iter().map(|(key, value)| flag(key, value)));
    Settings::resolve(&all_keys(), &Inputs { flags, ..Inputs::default() }).unwrap()
}

pub async fn start(data_dir: &Path, rest: &str) -> Result<Node, NodeError> {
    start_with(data_dir, rest, &[]).await
}

pub async fn start_with(data_dir: &Path, rest: &str, extra: &[(&str, &str)]) -> Result<Node, NodeError> {
    let env = Env::real();
    let logs = LogControl::detached(env.clock.clone());
    Node::start(env, settings(data_dir, rest, extra), logs).await
}

pub async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    for _ in 0..600 {
        if condition().await {
            return;
        }
        time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {what}");
}

async fn states(rest: &str, name: &str) -> Vec<String> {
    let (_, body) = request(rest, "GET", &format!("/connectors/{name}/status"), None).await;
    let status: Value = serde_json::from_str(&body).unwrap_or_default();
    let mut states = vec![status["connector"]["state"].as_str().unwrap_or("none").to_owned()];
    for task in status["tasks"].as_array().into_iter().flatten() {
        states.push(task["state"].as_str().unwrap().to_owned());
    }
    states
}

pub async fn post(rest: &str, name: &str, config: Value) {
    let (status, body) = request(rest, "POST", "/connectors", Some(&json!({ "name": name, "config": config }))).await;
    assert_eq!(status, 201, "{body}");
    let running = || async {
        let states = states(rest, name).await;
        states.len() > 1 && states.iter().all(|state| state == "RUNNING")
    };
    eventually(&format!("{name} runs"), running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_go_through_a_topic_and_resume_from_the_topics_alone() {
    let home = tempfile::tempdir().unwrap();
    let (input, output) = (home.path().join("in.txt"), home.path().join("out.txt"));
    fs::write(&input, "one\ntwo\n").unwrap();
    let rest = format!("127.0.0.1:{}", free_port());
    let data = home.path().join("data");
    let node = start(&data, &rest).await.unwrap();
    let (status, body) = request(&rest, "GET", "/connectors", None).await;
    assert_eq!((status, body.as_str()), (200, "[]"));
    post(
        &rest,
        "source",
        json!({ "connector.class": "FileStreamSource", "file": input, "topic": "lines", "key.converter": STRING, "value.converter": STRING }),
    )
    .await;
    post(
        &rest,
        "sink",
        json!({ "connector.class": "FileStreamSink", "file": output, "topics": "lines", "key.converter": STRING, "value.converter": STRING }),
    )
    .await;
    let written = |text: &'static str| {
        let output = output.clone();
        move || {
            let output = output.clone();
            async move { fs::read_to_string(&output).unwrap_or_default() == text }
        }
    };
    eventually("two lines arrive", written("one\ntwo\n")).await;
    let (_, metrics) = request(&rest, "GET", "/metrics", None).await;
    assert!(
        metrics
            .contains("kafka_connect_source_task_metrics_source_record_poll_total{connector=\"source\",task=\"0\"} 2")
    );
    let second = start(&data, "127.0.0.1:0").await.err().unwrap();
    assert!(matches!(&second, NodeError::Environment(text) if text.contains(data.to_str().unwrap())), "{second:?}");
    node.stop().await;

    fs::write(&input, "one\ntwo\nthree\n").unwrap();
    let node = start(&data, &rest).await.unwrap();
    eventually("the third line follows, the others do not come again", written("one\ntwo\nthree\n")).await;
    let running = || async { states(&rest, "source").await == ["RUNNING", "RUNNING"] };
    eventually("the source runs again", running).await;
    let (status, _) = request(&rest, "DELETE", "/connectors/source", None).await;
    assert_eq!(status, 204);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_whose_records_the_log_refuses_fails_with_the_cause() {
    let home = tempfile::tempdir().unwrap();
    let input = home.path().join("in.txt");
    fs::write(&input, "no key\n".repeat(5000)).unwrap();
    let rest = format!("127.0.0.1:{}", free_port());
    let node = start(&home.path().join("data"), &rest).await.unwrap();
    let config = json!({
        "connector.class": "FileStreamSource", "file": input, "topic": "compacted", "value.converter": STRING,
        "topic.creation.default.replication.factor": "1", "topic.creation.default.partitions": "1",
        "topic.creation.default.cleanup.policy": "compact", "producer.override.batch.size": "1000",
    });
    let body = json!({ "name": "keyless", "config": config });
    assert_eq!(request(&rest, "POST", "/connectors", Some(&body)).await.0, 201);
    let failed = || async { states(&rest, "keyless").await == ["RUNNING", "FAILED"] };
    eventually("the task fails", failed).await;
    let (_, status) = request(&rest, "GET", "/connectors/keyless/status", None).await;
    assert!(status.contains("refused by the log") && status.contains("compacted"), "{status}");
    node.stop().await;
}

#[tokio::test]
async fn a_taken_rest_port_is_told_before_anything_is_made() {
    let home = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = start(&home.path().join("data"), &address).await.err().unwrap();
    assert!(matches!(&error, NodeError::Environment(text) if text.contains(&address)), "{error:?}");
    assert!(!home.path().join("data").exists());
}

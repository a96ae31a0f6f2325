//! Transforms, predicates and the dead letter queue around real connectors.

use crate::{
    http::request,
    node::{eventually, free_port, post, start, start_with},
};
use serde_json::json;
use std::{fs, path::Path};

const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";
const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_are_transformed_and_what_fails_goes_into_the_dead_letter_queue() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    fs::write(path("in.txt"), "{\"a\":1}\nnot json\n{\"a\":2}\n").unwrap();
    let rest = format!("127.0.0.1:{}", free_port());
    let node = start(&path("data"), &rest).await.unwrap();
    let source = json!({
        "connector.class": "FileStreamSource", "file": path("in.txt"), "topic": "raw-lines",
        "key.converter": STRING, "value.converter": STRING,
        "transforms": "route", "transforms.route.type": "RegexRouter",
        "transforms.route.regex": "raw-(?<rest>.*)", "transforms.route.replacement": "${rest}",
    });
    post(&rest, "source", source).await;
    let sink = json!({
        "connector.class": "FileStreamSink", "file": path("out.txt"), "topics": "lines",
        "key.converter": STRING, "value.converter": JSON, "value.converter.schemas.enable": "false",
        "transforms": "wrap,route", "transforms.wrap.type": "org.apache.kafka.connect.transforms.HoistField$Value",
        "transforms.wrap.field": "w", "transforms.route.type": "RegexRouter",
        "transforms.route.regex": ".*", "transforms.route.replacement": "elsewhere",
        "errors.tolerance": "all", "errors.deadletterqueue.topic.name": "dead",
        "errors.deadletterqueue.context.headers.enable": "true",
    });
    post(&rest, "sink", sink).await;
    eventually("the good lines arrive", || async { text(&path("out.txt")) == "{w={a=1}}\n{w={a=2}}\n" }).await;
    // Only what has the header passes.
    let letters = json!({
        "connector.class": "FileStreamSink", "file": path("dead.txt"), "topics": "dead",
        "key.converter": STRING, "value.converter": STRING, "header.converter": STRING,
        "transforms": "only", "transforms.only.type": "Filter",
        "transforms.only.predicate": "told", "transforms.only.negate": "true",
        "predicates": "told", "predicates.told.type": "HasHeaderKey",
        "predicates.told.name": "__connect.errors.exception.stacktrace",
    });
    post(&rest, "letters", letters).await;
    eventually("the bad line is in the queue as it came", || async { text(&path("dead.txt")) == "not json\n" }).await;
    let committed = || async {
        let (_, offsets) = request(&rest, "GET", "/connectors/sink/offsets", None).await;
        offsets.contains("\"kafka_topic\":\"lines\"") && offsets.contains("\"kafka_offset\":3")
    };
    eventually("offsets are those of the topic that was read", committed).await;
    let (_, metrics) = request(&rest, "GET", "/metrics", None).await;
    for line in [
        "kafka_connect_task_error_metrics_total_records_skipped{connector=\"sink\",task=\"0\"} 1",
        "kafka_connect_task_error_metrics_deadletterqueue_produce_requests{connector=\"sink\",task=\"0\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn placeholders_are_resolved_for_connectors_and_tasks_and_shown_to_nobody() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    fs::write(path("kept-hidden.txt"), "one\n").unwrap();
    let (input, lost) = (path("kept-hidden.txt"), path("none/lost.txt"));
    let properties = format!("input={}\nlost={}\n", input.display(), lost.display());
    fs::write(path("secrets.properties"), properties).unwrap();
    let rest = format!("127.0.0.1:{}", free_port());
    let keys = [("worker.config.providers", "file"), ("worker.config.providers.file.class", "FileConfigProvider")];
    let node = start_with(&path("data"), &rest, &keys).await.unwrap();
    let placeholder = |key: &str| format!("${{file:{}:{key}}}", path("secrets.properties").display());
    let source = json!({
        "connector.class": "FileStreamSource", "file": placeholder("input"), "topic": "lines",
        "key.converter": STRING, "value.converter": STRING,
    });
    post(&rest, "source", source).await;
    let written = || async {
        let (_, body) = request(&rest, "GET", "/connectors/source/topics", None).await;
        body.contains("lines")
    };
    eventually("the resolved file is read", written).await;
    let sink = json!({ "name": "sink", "config": {
        "connector.class": "FileStreamSink", "file": placeholder("lost"), "topics": "lines",
        "key.converter": STRING, "value.converter": STRING,
    }});
    let (status, body) = request(&rest, "POST", "/connectors", Some(&sink)).await;
    assert_eq!(status, 201, "{body}");
    let failed = || async {
        let (_, status) = request(&rest, "GET", "/connectors/sink/status", None).await;
        status.contains("FAILED")
    };
    eventually("the sink has no such directory", failed).await;
    for shown in [
        "/connectors?expand=info&expand=status",
        "/connectors/source/tasks",
        "/connectors/sink/status",
        "/v1/connectors/sink/events",
        "/v1/connectors/sink/health",
        "/metrics",
    ] {
        let (_, body) = request(&rest, "GET", shown, None).await;
        assert!(!body.contains("kept-hidden.txt") && !body.contains("lost.txt"), "{shown}: {body}");
    }
    let (_, tasks) = request(&rest, "GET", "/connectors/source/tasks", None).await;
    assert!(tasks.contains(&placeholder("input")), "{tasks}");
    node.stop().await;
}

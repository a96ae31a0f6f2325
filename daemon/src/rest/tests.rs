//! The interface on a herder with a log in memory: codes, bodies, key order, texts.

mod chain;

use super::*;
use crate::connect::{
    testing::{FakeConverters, FakeWorker, MemoryBus, eventually, herder_with, options},
    worker::WorkerOptions,
};
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, header},
};
use levada_env::RealClock;
use serde_json::{Value, json};
use tower::ServiceExt;

struct Api {
    router: Router,
    herder: HerderHandle,
    worker: Arc<FakeWorker>,
}

struct Reply {
    status: u16,
    location: Option<String>,
    content_type: Option<String>,
    text: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    #[track_caller]
    fn is_error(&self, status: u16, text: &str) {
        assert_eq!(self.status, status, "{}", self.text);
        let body = self.json();
        assert_eq!(keys(&body), ["error_code", "message"]);
        assert_eq!(body["error_code"], status);
        assert!(body["message"].as_str().unwrap().contains(text), "{}", self.text);
    }
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

impl Api {
    async fn new() -> Self {
        Self::with(true).await
    }

    async fn with(topic_tracking: bool) -> Self {
        Self::with_options(topic_tracking, options()).await
    }

    async fn with_options(topic_tracking: bool, options: WorkerOptions) -> Self {
        let (herder, worker) = herder_with(&MemoryBus::new(), options).await;
        let state = RestState {
            herder: herder.clone(),
            converters: Arc::new(FakeConverters),
            logs: LogControl::detached(Arc::new(RealClock)),
            metrics: Arc::new(|| "up 1\n".to_owned()),
            version: "4.3.1".into(),
            commit: "abc".into(),
            cluster_id: "cluster".into(),
            advertised_url: "http://127.0.0.1:8083".into(),
            topic_tracking,
            topic_reset: true,
            timeout: Duration::from_secs(90),
            max_body_bytes: 10_000,
            headers: Arc::new(vec![("x-extra".into(), "1".into())]),
        };
        Self { router: router(state), herder, worker }
    }

    async fn send(&self, method: &str, path: &str, content_type: &str, body: impl Into<Body>) -> Reply {
        let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, content_type);
        let answer = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let header = |name| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (location, content_type) = (header(header::LOCATION), header(header::CONTENT_TYPE));
        let status = answer.status().as_u16();
        let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        Reply { status, location, content_type, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, "application/json", Body::empty()).await
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Reply {
        self.send(method, path, "application/json; charset=utf-8", body.to_string()).await
    }

    async fn bare(&self, method: &str, path: &str) -> Reply {
        self.send(method, path, "application/json", Body::empty()).await
    }

    /// Makes a running source.
    async fn source(&self, name: &str) -> Reply {
        let config = json!({ "connector.class": "FakeSource", "file": "/a", "tasks.max": 2 });
        let reply = self.call("POST", "/connectors", json!({ "name": name, "config": config })).await;
        eventually(|| {
            let status = self.herder.view().status(name);
            status.is_some_and(|status| {
                let running = crate::connect::store::State::Running;
                status.connector.state == running && status.tasks.iter().any(|(_, task)| task.state == running)
            })
        })
        .await;
        reply
    }
}

#[tokio::test]
async fn root_health_and_metrics_answer() {
    let api = Api::new().await;
    let root = api.get("/").await;
    assert_eq!(root.text, r#"{"version":"4.3.1","commit":"abc","kafka_cluster_id":"cluster"}"#);
    assert_eq!(api.get("/health").await.json()["status"], "healthy");
    assert_eq!(api.get("/health/ready").await.status, 200);
    assert_eq!(api.get("/health/live").await.status, 200);
    let metrics = api.get("/metrics").await;
    assert_eq!(metrics.text, "up 1\n");
    assert!(metrics.content_type.unwrap().starts_with("text/plain"));
    api.herder.shutdown().await;
    assert_eq!(api.get("/health").await.status, 503);
}

#[tokio::test]
async fn create_answers_201_with_location_and_coerced_values() {
    let api = Api::new().await;
    let reply = api.source("my source").await;
    assert_eq!(reply.status, 201);
    assert_eq!(reply.location.as_deref(), Some("http://127.0.0.1:8083/connectors/my%20source"));
    let body = reply.json();
    assert_eq!(keys(&body), ["name", "config", "tasks", "type"]);
    assert_eq!(
        body["config"].to_string(),
        r#"{"connector.class":"FakeSource","file":"/a","tasks.max":"2","name":"my source"}"#
    );
    let again = json!({ "name": "my source", "config": { "connector.class": "FakeSource", "file": "/b" } });
    api.call("POST", "/connectors", again).await.is_error(409, "Connector my source already exists");
    let info = api.get("/connectors/my%20source").await.json();
    assert_eq!(info["tasks"].to_string(), r#"[{"connector":"my source","task":0}]"#);
    assert_eq!(api.get("/connectors").await.text, r#"["my source"]"#);
}

#[tokio::test]
async fn statuses_and_tasks_have_connects_shapes() {
    let api = Api::new().await;
    api.source("c").await;
    let status = api.get("/connectors/c/status").await;
    assert_eq!(
        status.text,
        r#"{"name":"c","connector":{"state":"RUNNING","worker_id":"127.0.0.1:8083","version":"1.2.3"},"tasks":[{"id":0,"state":"RUNNING","worker_id":"127.0.0.1:8083","version":"1.2.3"}],"type":"source"}"#
    );
    let task = api.get("/connectors/c/tasks/0/status").await;
    assert_eq!(task.text, r#"{"id":0,"state":"RUNNING","worker_id":"127.0.0.1:8083","version":"1.2.3"}"#);
    let tasks = api.get("/connectors/c/tasks").await.json();
    assert_eq!(keys(&tasks[0]), ["id", "config"]);
    assert_eq!(tasks[0]["id"].to_string(), r#"{"connector":"c","task":0}"#);
    api.worker.fail_task("c", 0, "boom\n\tat poll");
    let task = api.get("/connectors/c/tasks/0/status").await.json();
    assert_eq!(keys(&task), ["id", "state", "worker_id", "version", "trace"]);
    let expanded = api.get("/connectors?expand=status&expand=info&expand=x").await.json();
    assert_eq!(keys(&expanded["c"]), ["status", "info"]);
    assert_eq!(api.get("/v1/connectors/c/health").await.json()["health"], "FAILED");
    let all = api.get("/v1/connectors").await.json();
    assert!(all.as_array().unwrap().iter().any(|one| one["name"] == "c" && one["health"] == "FAILED"), "{all}");
    // One that has not started yet has no status and is left out, not shown without one.
    let hanging = json!({ "connector.class": "FakeSource", "file": "/a", "hang": "yes" });
    let made = api.call("POST", "/connectors", json!({ "name": "new", "config": hanging })).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let expanded = api.get("/connectors?expand=info&expand=status").await.json();
    assert_eq!(keys(&expanded), ["c"]);
    assert_eq!(keys(&api.get("/connectors?expand=info").await.json()), ["c", "new"]);
    assert_eq!(api.get("/v1/connectors/new/health").await.json()["health"], "STARTING");
}

#[tokio::test]
async fn definitions_of_another_version_than_there_is_are_refused() {
    let api = Api::new().await;
    for asked in ["", "?version=1.2.3", "?version=%5B1.2.3%5D", "?version=latest"] {
        assert_eq!(api.get(&format!("/connector-plugins/FakeSource/config{asked}")).await.status, 200, "{asked}");
    }
    for asked in ["9", "%5B1.0,2.0)", "no"] {
        let reply = api.get(&format!("/connector-plugins/FakeSource/config?version={asked}")).await;
        reply.is_error(400, "available versions: [1.2.3]");
    }
}

#[tokio::test]
async fn what_is_unknown_is_404_with_connects_texts() {
    let api = Api::new().await;
    for (method, path, text) in [
        ("GET", "/connectors/x", "Connector x not found"),
        ("GET", "/connectors/x/config", "Connector x not found"),
        ("GET", "/connectors/x/tasks", "Connector x not found"),
        ("GET", "/connectors/x/offsets", "Connector x not found"),
        ("DELETE", "/connectors/x", "Connector x not found"),
        ("DELETE", "/connectors/x/offsets", "Connector x not found"),
        ("GET", "/connectors/x/status", "No status found for connector x"),
        ("GET", "/connectors/x/tasks/0/status", "No status found for task x-0"),
        ("PUT", "/connectors/x/pause", "Unknown connector x"),
        ("PUT", "/connectors/x/resume", "Unknown connector x"),
        ("PUT", "/connectors/x/stop", "Unknown connector x"),
        ("POST", "/connectors/x/restart", "Unknown connector: x"),
        ("POST", "/connectors/x/restart?includeTasks=true", "Unknown connector: x"),
        ("POST", "/connectors/x/tasks/0/restart", "Unknown connector: x"),
        ("POST", "/connectors/x/tasks/y/restart", "HTTP 404 Not Found"),
        ("GET", "/connectors/x/tasks/y/status", "HTTP 404 Not Found"),
        ("GET", "/connector-plugins/x/config", "Unknown plugin x."),
        ("GET", "/admin/loggers/x", "Logger x not found."),
        ("GET", "/nothing/here", "HTTP 404 Not Found"),
    ] {
        api.bare(method, path).await.is_error(404, text);
    }
    let topics = api.get("/connectors/x/topics").await;
    assert_eq!((topics.status, topics.text.as_str()), (200, r#"{"x":{"topics":[]}}"#));
}

#[tokio::test]
async fn errors_of_the_http_layer_have_a_body_and_no_content_type() {
    let api = Api::new().await;
    let reply = api.bare("DELETE", "/connectors").await;
    reply.is_error(405, "HTTP 405 Method Not Allowed");
    assert_eq!(reply.content_type, None);
    let reply = api.send("POST", "/connectors", "text/plain", "{}").await;
    reply.is_error(415, "HTTP 415 Unsupported Media Type");
    assert_eq!(reply.content_type, None);
    assert_eq!(api.bare("OPTIONS", "/connectors").await.status, 200);
    assert_eq!(api.bare("HEAD", "/connectors").await.status, 200);
}

#[tokio::test]
async fn unreadable_bodies_are_400_and_large_ones_413() {
    let api = Api::new().await;
    for body in [
        "{name: x",
        "[]",
        "",
        "null",
        r#"{"name":"x","config":{}"#,
        r#"{"name":"x","config":{},"more":1}"#,
        r#"{"name":"x","config":{},"initial_state":"ASLEEP"}"#,
        r#"{"name":"x","config":{"a":{"b":1}}}"#,
        r#"{"name":"x","config":[]}"#,
        r#"{"name":"x"}"#,
        r#"{"name":["x"],"config":{}}"#,
    ] {
        let reply = api.send("POST", "/connectors", "application/json", body).await;
        assert_eq!(reply.status, 400, "{body}: {}", reply.text);
        reply.is_error(400, "");
    }
    let deep = "[".repeat(5_000);
    api.send("POST", "/connectors", "application/json", deep).await.is_error(400, "JSON");
    let large = json!({ "name": "x".repeat(20_000), "config": {} }).to_string();
    api.send("POST", "/connectors", "application/json", large).await.is_error(413, "");
}

#[tokio::test]
async fn bad_configs_are_refused_with_their_causes() {
    let api = Api::new().await;
    for (name, config, text) in [
        ("b", json!({ "topic": "t", "password": "hunter2" }), "contains no connector type"),
        (
            "b",
            json!({ "connector.class": "no.Such" }),
            "Failed to find any class that implements Connector and which name matches no.Such, available connectors are: ",
        ),
        ("b", json!({ "connector.class": "FakeSource", "file": "f", "tasks.max": "abc" }), "tasks.max"),
        ("b", json!({ "connector.class": "FakeSource" }), "file"),
        (
            "b",
            json!({ "connector.class": "FakeSource", "file": null }),
            "Null value can not be supplied as the configuration value.",
        ),
        (
            "b",
            json!({ "connector.class": "FakeSource", "file": "f", "value.converter": "no.Such" }),
            "Class no.Such could not be found.",
        ),
        (
            "b",
            json!({ "connector.class": "FakeSource", "file": "f", "transforms": "a" }),
            "Missing required configuration \"transforms.a.type\"",
        ),
        (
            "b",
            json!({ "connector.class": "FakeSource", "file": "f", "topic.creation.default.partitions": "3" }),
            "topic.creation.default.replication.factor",
        ),
        (
            "b",
            json!({ "connector.class": "FakeSink", "file": "f", "topics": "a", "topics.regex": "b" }),
            "2 error(s):\ntopics and topics.regex are mutually exclusive options, but both are set.\ntopics and topics.regex",
        ),
        ("b", json!({ "connector.class": "FakeSink", "file": "f" }), "Must configure one of topics or topics.regex"),
        (
            "b",
            json!({ "connector.class": "FakeSink", "file": "f", "topics": "d", "errors.deadletterqueue.topic.name": "d" }),
            "errors.deadletterqueue.topic.name",
        ),
        (
            "b",
            json!({ "connector.class": "FakeSource", "file": "f", "name": "other" }),
            "Connector name configuration (other) doesn't match connector name in the URL (b)",
        ),
        (
            "",
            json!({ "connector.class": "FakeSource", "file": "f" }),
            "Invalid value  for configuration name: String may not be empty",
        ),
        ("be\u{7}ll", json!({ "connector.class": "FakeSource", "file": "f" }), "control"),
    ] {
        let reply = api.call("POST", "/connectors", json!({ "name": name, "config": config })).await;
        reply.is_error(400, text);
        assert!(!reply.text.contains("hunter2"), "a value is shown");
    }
    assert_eq!(api.get("/connectors").await.text, "[]");
}

#[tokio::test]
async fn put_patch_and_delete_change_one_connector() {
    let api = Api::new().await;
    let config = json!({ "connector.class": "FakeSource", "file": "/a" });
    let reply = api.call("PUT", "/connectors/c/config", config.clone()).await;
    assert_eq!(reply.status, 201);
    assert!(reply.location.unwrap().ends_with("/connectors/c"));
    assert_eq!(api.call("PUT", "/connectors/c/config", config).await.status, 200);
    let other = json!({ "connector.class": "FakeSource", "file": "/a", "name": "d" });
    api.call("PUT", "/connectors/c/config", other).await.is_error(400, "doesn't match");
    let reply = api.call("PATCH", "/connectors/c/config", json!({ "batch.size": 7, "nothing": null })).await;
    assert_eq!(reply.json()["config"]["batch.size"], "7");
    let reply = api.call("PATCH", "/connectors/c/config", json!({ "batch.size": null })).await;
    assert_eq!(reply.json()["config"].to_string(), r#"{"connector.class":"FakeSource","file":"/a","name":"c"}"#);
    api.call("PATCH", "/connectors/c/config", json!({ "file": null })).await.is_error(400, "file");
    api.call("PATCH", "/connectors/x/config", json!({})).await.is_error(404, "Connector x not found");
    let reply = api.bare("DELETE", "/connectors/c").await;
    assert_eq!((reply.status, reply.text.as_str()), (204, ""));
    api.get("/connectors/c/status").await.is_error(404, "No status found");
}

#[tokio::test]
async fn pause_resume_stop_and_restart_answer_as_connect() {
    let api = Api::new().await;
    api.source("c").await;
    for (method, path, status) in [
        ("PUT", "/connectors/c/pause", 202),
        ("PUT", "/connectors/c/pause", 202),
        ("PUT", "/connectors/c/resume", 202),
        ("POST", "/connectors/c/restart", 204),
        ("POST", "/connectors/c/restart?includeTasks=false&onlyFailed=false", 204),
        ("POST", "/connectors/c/tasks/0/restart", 204),
    ] {
        let reply = api.bare(method, path).await;
        assert_eq!((reply.status, reply.text.as_str()), (status, ""), "{method} {path}");
    }
    let plan = api.bare("POST", "/connectors/c/restart?includeTasks=true").await;
    assert_eq!(plan.status, 202);
    assert_eq!(plan.json()["connector"]["state"], "RESTARTING");
    assert_eq!(plan.json()["tasks"][0]["state"], "RESTARTING");
    api.call("PATCH", "/connectors/c/offsets", json!({ "offsets": [{ "partition": { "a": 1 }, "offset": null }] }))
        .await
        .is_error(400, "/connectors/c/stop");
    let reply = api.bare("PUT", "/connectors/c/stop").await;
    assert_eq!((reply.status, reply.text.as_str()), (204, ""));
    assert_eq!(api.get("/connectors/c/status").await.json()["connector"]["state"], "STOPPED");
    assert_eq!(api.get("/connectors/c/tasks").await.text, "[]");
    let change = json!({ "offsets": [{ "partition": { "a": 1 }, "offset": { "b": 2 } }] });
    let reply = api.call("PATCH", "/connectors/c/offsets", change.clone()).await;
    assert_eq!(reply.text, r#"{"message":"The offsets for this connector have been altered successfully"}"#);
    assert_eq!(api.get("/connectors/c/offsets").await.json(), change);
    let reply = api.bare("DELETE", "/connectors/c/offsets").await;
    assert_eq!(reply.text, r#"{"message":"The offsets for this connector have been reset successfully"}"#);
    for wrong in [
        json!({}),
        json!({ "offsets": [] }),
        json!({ "offsets": [{}] }),
        json!({ "offsets": 1 }),
        json!({ "offset": [] }),
    ] {
        api.call("PATCH", "/connectors/c/offsets", wrong).await.is_error(400, "");
    }
}

#[tokio::test]
async fn plugins_are_listed_described_and_validated() {
    let api = Api::new().await;
    let list = api.get("/connector-plugins").await;
    assert_eq!(
        list.text,
        r#"[{"class":"test.FakeSinkConnector","type":"sink","version":"1.2.3"},{"class":"test.FakeSourceConnector","type":"source","version":"1.2.3"}]"#
    );
    assert!(api.get("/connector-plugins?connectorsOnly=false").await.text.contains(r#""type":"converter""#));
    let definitions = api.get("/connector-plugins/FakeSource/config").await.json();
    assert_eq!(definitions[0]["name"], "file");
    assert_eq!(definitions[2]["name"], "name");
    let path = "/connector-plugins/FakeSource/config/validate";
    let bad = json!({ "connector.class": "FakeSource", "tasks.max": "x", "batch.size": "0" });
    let reply = api.call("PUT", path, bad).await;
    assert_eq!(reply.status, 200);
    let body = reply.json();
    assert_eq!(keys(&body), ["name", "error_count", "groups", "configs"]);
    assert_eq!(body["error_count"], 4);
    assert_eq!(
        body["groups"].to_string(),
        r#"["Common","Transforms","Predicates","Error Handling","Topic Creation","Exactly Once Support","offsets.topic"]"#
    );
    assert_eq!(keys(&body["configs"][0]), ["definition", "value"]);
    let good = json!({ "connector.class": "test.FakeSourceConnector", "name": "v", "file": "/a" });
    assert_eq!(api.call("PUT", path, good).await.json()["error_count"], 0);
    api.call("PUT", path, json!({})).await.is_error(400, "contains no connector type");
    api.call("PUT", path, json!({ "connector.class": "FakeSink" })).await.is_error(400, "does not match request type");
}

#[tokio::test]
async fn what_is_no_error_is_found_beside_the_errors() {
    let api = Api::new().await;
    let path = "/v1/connector-plugins/FakeSource/config/validate";
    let bad = json!({ "connector.class": "FakeSource", "batch.size": "0", "name": "n" });
    let found = api.call("PUT", path, bad).await.json();
    assert_eq!((&found["error_count"], &found["warning_count"]), (&json!(2), &json!(0)));
    assert_eq!((&found["findings"][0]["key"], &found["findings"][0]["severity"]), (&json!("file"), &json!("error")));
    let good = json!({ "connector.class": "FakeSource", "file": "/a", "batch.size": "1", "fiel": "b", "name": "n" });
    let found = api.call("PUT", path, good.clone()).await.json();
    assert_eq!((&found["error_count"], &found["warning_count"]), (&json!(0), &json!(2)));
    assert_eq!(found["findings"][0]["key"], json!(null), "a slip is about no key that there is");
    let advice = json!({ "key": "batch.size", "severity": "warning", "message": "more is faster" });
    assert_eq!(found["findings"][1], advice);
    // Connect's own answer has no place for it.
    let plain = api.call("PUT", "/connector-plugins/FakeSource/config/validate", good.clone()).await;
    assert!(!plain.text.contains("more is faster"), "{}", plain.text);
    assert_eq!(api.call("PUT", "/connectors/n/config", good).await.status, 201);
    assert_eq!(api.get("/v1/connectors/n/findings").await.json()["findings"][1], advice);
    api.get("/v1/connectors/none/findings").await.is_error(404, "none");
    api.call("PUT", path, json!({})).await.is_error(400, "contains no connector type");
}

#[tokio::test]
async fn unknown_keys_are_kept_with_a_warning() {
    let api = Api::new().await;
    let config = json!({ "connector.class": "FakeSource", "file": "/a", "bacth.size": "9" });
    let reply = api.call("PUT", "/connectors/c/config", config).await;
    assert_eq!(reply.json()["config"]["bacth.size"], "9");
    let events = api.get("/v1/connectors/c/events").await.json();
    let texts: Vec<&str> = events["events"].as_array().unwrap().iter().map(|e| e["text"].as_str().unwrap()).collect();
    assert!(
        texts.iter().any(|text| text.contains("bacth.size") && text.contains("did you mean batch.size?")),
        "{texts:?}"
    );
}

#[tokio::test]
async fn names_round_trip_through_the_path() {
    let api = Api::new().await;
    for name in ["slash/inside", "100% sure", "a+b&c=d?e#f", "žluť 名前", "'quote\""] {
        assert_eq!(api.source(name).await.json()["name"], name);
        let path = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
        assert_eq!(api.get(&format!("/connectors/{path}")).await.json()["name"], name);
        assert_eq!(api.get(&format!("/connectors/{path}/tasks/0/status")).await.status, 200);
        assert_eq!(api.bare("DELETE", &format!("/connectors/{path}")).await.status, 204);
    }
    api.get("/connectors/%ff").await.is_error(404, "");
}

#[tokio::test]
async fn loggers_are_listed_and_set() {
    let api = Api::new().await;
    assert_eq!(api.get("/admin/loggers").await.text, r#"{"root":{"level":"INFO","last_modified":null}}"#);
    let reply = api.call("PUT", "/admin/loggers/a.b", json!({ "level": "debug" })).await;
    assert_eq!((reply.status, reply.text.as_str()), (200, r#"["a.b"]"#));
    assert_eq!(api.get("/admin/loggers/a.b").await.json()["level"], "DEBUG");
    assert_eq!(api.call("PUT", "/admin/loggers/a?scope=cluster", json!({ "level": "WARN" })).await.status, 204);
    api.call("PUT", "/admin/loggers/a", json!({ "level": "LOUD" })).await.is_error(404, "invalid log level 'LOUD'.");
    api.call("PUT", "/admin/loggers/a", json!({})).await.is_error(400, "level");
}

#[tokio::test]
async fn topic_tracking_can_be_off() {
    let api = Api::with(false).await;
    api.get("/connectors/c/topics").await.is_error(403, "Topic tracking is disabled.");
    api.bare("PUT", "/connectors/c/topics/reset").await.is_error(403, "Topic tracking is disabled.");
    let api = Api::new().await;
    assert_eq!(api.bare("PUT", "/connectors/c/topics/reset").await.status, 202);
}

#[tokio::test]
async fn every_listed_route_is_served_and_answers_only_its_methods() {
    let api = Api::new().await;
    for (path, methods) in paths::ROUTES {
        let path =
            path.replace("{connector}", "x").replace("{task}", "0").replace("{plugin}", "x").replace("{logger}", "x");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let reply = api.bare(method, &path).await;
            assert_eq!(
                reply.status == 405,
                !methods.contains(&method),
                "{method} {path}: {} {}",
                reply.status,
                reply.text
            );
            assert!(!reply.text.contains("HTTP 404"), "{method} {path}: {}", reply.text);
        }
    }
}

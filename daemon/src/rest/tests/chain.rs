//! Transforms, predicates, config providers and progress over REST.

use super::*;
use crate::connect::config_provider::{Providers, Reader};

#[tokio::test]
async fn transforms_and_predicates_are_validated_and_listed() {
    let api = Api::new().await;
    let config = json!({
        "connector.class": "FakeSource", "name": "n", "file": "f",
        "transforms": "a,b", "predicates": "p",
        "transforms.a.type": "org.apache.kafka.connect.transforms.RegexRouter",
        "transforms.a.regex": "(.*)", "transforms.a.replacement": "$2",
        "transforms.a.predicate": "p",
        "transforms.b.type": "no.Such", "transforms.b.predicate": "q",
        "predicates.p.type": "TopicNameMatches", "predicates.p.pattern": "(",
    });
    let reply = api.call("PUT", "/connector-plugins/FakeSource/config/validate", config.clone()).await;
    let body = reply.json();
    let errors = |key: &str| {
        let configs = body["configs"].as_array().unwrap();
        let found = configs.iter().find(|item| item["value"]["name"] == key).unwrap_or_else(|| panic!("no {key}"));
        found["value"]["errors"].to_string()
    };
    assert!(errors("transforms.a.replacement").contains("no group 2"), "{}", errors("transforms.a.replacement"));
    assert!(errors("transforms.b.type").contains("no.Such"));
    assert!(errors("transforms.b.predicate").contains("Invalid value q"));
    assert!(errors("predicates.p.pattern").contains("no regular expression"));
    assert_eq!(errors("transforms.a.type"), "[]");
    assert_eq!(body["error_count"], 4, "{}", reply.text);
    let groups = body["groups"].to_string();
    assert!(groups.contains("\"Transforms: a\"") && groups.contains("\"Predicates: p\""), "{groups}");
    let definition = body["configs"].as_array().unwrap().iter();
    let definition = definition.map(|item| &item["definition"]).find(|key| key["name"] == "transforms.a.type").unwrap();
    assert_eq!((&definition["type"], &definition["group"]), (&json!("CLASS"), &json!("Transforms: a")));

    let reply = api.call("PUT", "/connectors/n/config", config.clone()).await;
    reply.is_error(400, "transforms.b.type: Class no.Such could not be found.");

    let all = api.get("/connector-plugins?connectorsOnly=false").await.text;
    for listed in [
        r#""class":"org.apache.kafka.connect.transforms.Cast$Value","type":"transformation""#,
        r#""class":"io.debezium.transforms.ExtractNewRecordState","type":"transformation""#,
        r#""class":"org.apache.kafka.connect.transforms.predicates.HasHeaderKey","type":"predicate""#,
    ] {
        assert!(all.contains(listed), "{listed} is not in {all}");
    }
    let slip = json!({
        "connector.class": "FakeSource", "name": "s", "file": "f", "transforms": "a",
        "transforms.a.type": "ExtractNewRecordState", "transforms.a.add.field": "op",
    });
    assert_eq!(api.call("PUT", "/connectors/s/config", slip).await.status, 201);
    let events = api.get("/v1/connectors/s/events").await.text;
    assert!(events.contains("transforms.a.add.field: did you mean transforms.a.add.fields?"), "{events}");
    let keys = api.get("/connector-plugins/RegexRouter/config").await.json();
    assert_eq!((&keys[0]["name"], &keys[0]["required"]), (&json!("regex"), &json!(true)));
    assert_eq!(api.get("/connector-plugins/HasHeaderKey/config").await.json()[0]["name"], "name");
}

/// One variable.
struct Variable;

impl Reader for Variable {
    fn variable(&self, name: &str) -> Option<String> {
        (name == "SECRET").then(|| "tops3cret".to_owned())
    }

    fn file(&self, _: &std::path::Path) -> std::io::Result<String> {
        Err(std::io::Error::other("no files here"))
    }
}

#[tokio::test]
async fn what_placeholders_stand_for_is_never_shown() {
    let keys = [("config.providers", "env"), ("config.providers.env.class", "EnvVarConfigProvider")];
    let keys = keys.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let providers = Providers::from_worker(&keys, Arc::new(Variable)).unwrap();
    let api = Api::with_options(true, WorkerOptions { providers, ..options() }).await;
    let config = |batch: &str| json!({ "connector.class": "FakeSource", "name": "n", "file": "${env:SECRET}", "batch.size": batch });
    let reply = api.call("PUT", "/connector-plugins/FakeSource/config/validate", config("${env:SECRET}")).await;
    assert!(!reply.text.contains("tops3cret"), "{}", reply.text);
    assert!(reply.text.contains("Invalid value ${env:SECRET} for configuration batch.size"), "{}", reply.text);
    api.call("PUT", "/connectors/n/config", config("${env:SECRET}")).await.is_error(400, "${env:SECRET}");
    let reply = api.call("PUT", "/connectors/n/config", config("${env:MISSING}")).await;
    reply.is_error(400, "batch.size is ${env:MISSING}, which can't be resolved");
    let reply = api.call("PUT", "/connectors/n/config", config("7")).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    for path in ["/connectors/n", "/connectors/n/config", "/connectors/n/tasks", "/connectors?expand=info"] {
        assert!(!api.get(path).await.text.contains("tops3cret"), "{path}");
    }
    assert_eq!(api.get("/connectors/n/config").await.json()["file"], "${env:SECRET}");
}

#[tokio::test]
async fn progress_is_there_for_known_connectors() {
    let api = Api::new().await;
    api.get("/v1/connectors/none/progress").await.is_error(404, "none");
    api.source("s").await;
    let body = api.get("/v1/connectors/s/progress").await.json();
    assert_eq!(keys(&body), ["name", "tasks"]);
    assert_eq!(body["tasks"].as_array().unwrap().len(), 1);
    assert_eq!(body["tasks"][0]["progress"], Value::Null, "fakes tell nothing");
}

#[tokio::test]
async fn snapshots_are_asked_of_running_sources() {
    let api = Api::new().await;
    let path = "/v1/connectors/s/snapshot";
    let body = json!({ "data-collections": ["public.t"] });
    api.call("POST", path, body.clone()).await.is_error(404, "Connector s not found");
    api.source("s").await;
    let reply = api.call("POST", path, body.clone()).await;
    assert_eq!(reply.status, 202, "{}", reply.text);
    assert_eq!(keys(&reply.json()), ["id", "connector", "type"]);
    let signalled =
        r#"signal s-0: {"type":"execute-snapshot","data":{"data-collections":["public.t"],"type":"incremental"}}"#;
    assert!(api.worker.log().iter().any(|line| line == signalled), "{:?}", api.worker.log());
    assert_eq!(api.call("POST", &format!("{path}/pause"), Value::Null).await.status, 202);
    assert_eq!(api.call("POST", &format!("{path}/stop"), body.clone()).await.status, 202);
    let blocking = json!({ "type": "blocking" });
    api.call("POST", &format!("{path}/stop"), blocking).await.is_error(400, "only incremental ones");
    api.call("POST", &format!("{path}/begin"), Value::Null).await.is_error(404, "pause, resume and stop");
    for (body, text) in [
        (json!({}), "data-collections"),
        (json!({ "data-collections": [7] }), "data-collections"),
        (json!({ "data-collections": ["a.b"], "type": "whole" }), "type: it must be incremental or blocking"),
        (json!({ "data-collections": ["a.b"], "tables": [] }), "Unknown key tables"),
        (json!({ "data-collections": ["a.b"], "additional-conditions": [{}] }), "additional-conditions"),
    ] {
        api.call("POST", path, body).await.is_error(400, text);
    }
    let refused = json!({ "data-collections": ["a.b"], "surrogate-key": "id" });
    api.call("POST", path, refused).await.is_error(400, "can't follow this: it has no such keys");
    api.source("deaf").await;
    api.call("POST", "/v1/connectors/deaf/snapshot", body.clone()).await.is_error(501, "takes no signals");
    assert_eq!(api.call("PUT", "/connectors/s/stop", Value::Null).await.status, 204);
    eventually(|| api.worker.log().iter().any(|line| line == "stop s-0")).await;
    api.call("POST", path, body).await.is_error(409, "resume or restart it first");
}

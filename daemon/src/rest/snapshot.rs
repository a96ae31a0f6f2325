//! `/v1/connectors/{connector}/snapshot`: asks a running source to read tables anew, by a signal as Debezium's channels
//! bring them.

use super::{
    RestState,
    connectors::not_found,
    dto,
    error::RestError,
    extract::{Json, MaybeJson, Params},
};
use crate::connect::task::SignalError;
use axum::{
    Json as Answer,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use levada_connector_api::TaskSignal;
use serde_json::{Map, Value, json};

/// `POST /v1/connectors/{connector}/snapshot`.
pub async fn execute(State(rest): State<RestState>, params: Params, Json(body): Json) -> Result<Response, RestError> {
    let known = &["data-collections", "additional-conditions", "type", "surrogate-key"];
    let mut data = checked(dto::object(body)?, known)?;
    if data.get("data-collections").is_none_or(|tables| tables.as_array().is_some_and(Vec::is_empty)) {
        return Err(wrong("data-collections", "it must name the tables to read, as [\"schema.table\"]"));
    }
    data.entry("type").or_insert_with(|| json!("incremental"));
    signal(&rest, params.get(0), "execute-snapshot", data)
}

/// `POST /v1/connectors/{connector}/snapshot/{action}`.
pub async fn action(
    State(rest): State<RestState>,
    params: Params,
    MaybeJson(body): MaybeJson,
) -> Result<Response, RestError> {
    let action = params.get(1);
    if !matches!(action, "pause" | "resume" | "stop") {
        return Err(RestError::not_found(format!("A snapshot has no action {action}; it has pause, resume and stop.")));
    }
    let data = match body {
        None | Some(Value::Null) => Map::new(),
        Some(body) => checked(dto::object(body)?, &["data-collections", "type"])?,
    };
    if data.get("type").is_some_and(|kind| is_word(kind, "blocking")) {
        return Err(wrong("type", "a blocking snapshot ends by itself; only incremental ones are paused or stopped"));
    }
    if action != "stop" && data.contains_key("data-collections") {
        return Err(wrong("data-collections", "only stop takes it; leave it out"));
    }
    signal(&rest, params.get(0), &format!("{action}-snapshot"), data)
}

fn wrong(key: &str, mend: &str) -> RestError {
    RestError::bad_request(format!("Invalid value for {key}: {mend}."))
}

/// The body, when all of its keys are known and have the right form.
fn checked(body: Map<String, Value>, known: &[&str]) -> Result<Map<String, Value>, RestError> {
    let text = |value: &Value| value.as_str().is_some_and(|text| !text.trim().is_empty());
    let each = |value: &Value, is: &dyn Fn(&Value) -> bool| value.as_array().is_some_and(|all| all.iter().all(is));
    for (key, value) in &body {
        let mend = match key.as_str() {
            unknown if !known.contains(&unknown) => {
                return Err(RestError::bad_request(format!("Unknown key {key}; known are {}.", known.join(", "))));
            }
            "data-collections" if !each(value, &text) => "it must be an array of names, as [\"schema.table\"]",
            "additional-conditions" if !each(value, &|one| text(&one["data-collection"]) && text(&one["filter"])) => {
                "it must be an array of {\"data-collection\", \"filter\"}"
            }
            "type" if !["incremental", "blocking"].iter().any(|kind| is_word(value, kind)) => {
                "it must be incremental or blocking"
            }
            "surrogate-key" if !text(value) => "it must be the name of a column",
            _ => continue,
        };
        return Err(wrong(key, mend));
    }
    Ok(body)
}

fn is_word(value: &Value, word: &str) -> bool {
    value.as_str().is_some_and(|text| text.eq_ignore_ascii_case(word))
}

/// Hands the signal to the connector's tasks, and says under which id.
fn signal(rest: &RestState, name: &str, kind: &str, data: Map<String, Value>) -> Result<Response, RestError> {
    let view = rest.herder.view();
    if !view.contains(name) {
        return Err(not_found(name));
    }
    let id = uuid::Uuid::new_v4().to_string();
    let text = json!({ "type": kind, "data": data }).to_string();
    let (mut taken, mut refused) = (false, SignalError::NotRunning);
    for (_, task) in view.running_tasks().into_iter().filter(|(id, _)| &*id.connector == name) {
        match task.signal(TaskSignal { id: id.clone(), text: text.clone(), next: None }) {
            Ok(()) => taken = true,
            Err(error) => refused = error,
        }
    }
    if !taken {
        if let SignalError::Refused(reason) = refused {
            return Err(RestError::bad_request(format!("Connector {name} can't follow this: {reason}.")));
        }
        let (status, mend) = match refused {
            SignalError::NotTaken => (StatusCode::NOT_IMPLEMENTED, "only sources that read tables do"),
            SignalError::NotRunning => (StatusCode::CONFLICT, "resume or restart it first"),
            SignalError::Full | SignalError::Refused(_) => (StatusCode::CONFLICT, "try again later"),
        };
        return Err(RestError::new(status, format!("Connector {name} can't be signalled: {refused}; {mend}.")));
    }
    view.events().add(name, "signal", None, format!("{kind} was asked for, id {id}"));
    Ok((StatusCode::ACCEPTED, Answer(json!({ "id": id, "connector": name, "type": kind }))).into_response())
}

//! The worker itself: root, health, metrics, loggers, and Levada's additions under `/v1`.

use super::{
    RestState,
    connectors::not_found,
    dto,
    error::RestError,
    extract::{Json, Params, Query},
    paths,
};
use crate::{connect::herder::HerderError, telemetry::Logger};
use axum::{
    Json as Answer,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use levada_env::time::{self, Duration};
use serde_json::{Map, Value, json};

type Result<T, E = RestError> = std::result::Result<T, E>;

/// Longest wait for the herder's sign of life.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(10);

/// `GET /`.
pub async fn root(State(rest): State<RestState>) -> Answer<Value> {
    Answer(json!({
        "version": rest.version,
        "commit": rest.commit,
        "kafka_cluster_id": rest.cluster_id,
    }))
}

/// `GET /health` and `GET /health/ready`.
pub async fn health(State(rest): State<RestState>) -> Response {
    if !rest.herder.view().is_ready() {
        let text = "Worker is still starting up.";
        return health_answer(StatusCode::SERVICE_UNAVAILABLE, "starting", text);
    }
    match time::timeout(HEALTH_TIMEOUT, rest.herder.ping()).await {
        Ok(Ok(())) => {
            let text = "Worker has completed startup and is ready to handle requests.";
            health_answer(StatusCode::OK, "healthy", text)
        }
        Ok(Err(HerderError::Stopped)) => {
            health_answer(StatusCode::SERVICE_UNAVAILABLE, "unhealthy", "Worker is shutting down.")
        }
        Ok(Err(_)) | Err(_) => {
            let text = "Worker was unable to handle this request and may be unable to handle other requests.";
            health_answer(StatusCode::INTERNAL_SERVER_ERROR, "unhealthy", text)
        }
    }
}

/// `GET /health/live`.
pub async fn live() -> Response {
    health_answer(StatusCode::OK, "alive", "Process is running.")
}

fn health_answer(status: StatusCode, name: &str, message: &str) -> Response {
    (status, Answer(json!({ "status": name, "message": message }))).into_response()
}

/// `GET /metrics`.
pub async fn metrics(State(rest): State<RestState>) -> Response {
    let page = (rest.metrics)();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page).into_response()
}

/// `GET /admin/loggers`.
pub async fn loggers(State(rest): State<RestState>) -> Answer<Value> {
    let all: Map<String, Value> =
        rest.logs.all().into_iter().map(|(name, state)| (name, logger_info(&state))).collect();
    Answer(Value::Object(all))
}

/// `GET /admin/loggers/{logger}`.
pub async fn logger(State(rest): State<RestState>, params: Params) -> Result<Answer<Value>> {
    let name = params.get(0);
    let found = rest.logs.get(name);
    let found = found.ok_or_else(|| RestError::not_found(format!("Logger {name} not found.")))?;
    Ok(Answer(logger_info(&found)))
}

fn logger_info(logger: &Logger) -> Value {
    json!({ "level": logger.level, "last_modified": logger.last_modified })
}

/// `PUT /admin/loggers/{logger}`. With one worker, the scope `cluster` is this worker.
pub async fn set_logger(
    State(rest): State<RestState>,
    params: Params,
    query: Query,
    Json(body): Json,
) -> Result<Response> {
    let body = dto::object(body)?;
    let Some(level) = body.get("level").and_then(Value::as_str) else {
        return Err(RestError::bad_request("Desired 'level' parameter was not specified in request."));
    };
    let affected = rest.logs.set(params.get(0), level)?;
    if query.first("scope").is_some_and(|scope| scope.eq_ignore_ascii_case("cluster")) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Ok(Answer(json!(affected)).into_response())
}

/// `GET /v1/routes`.
pub async fn routes() -> Answer<Value> {
    let routes: Vec<Value> =
        paths::ROUTES.iter().map(|(path, methods)| json!({ "path": path, "methods": methods })).collect();
    Answer(json!(routes))
}

/// `GET /v1/connectors`.
pub async fn connectors_health(State(rest): State<RestState>) -> Answer<Value> {
    let view = rest.herder.view();
    let running = view.running_tasks();
    let of = |name: String| {
        let (_, health) = view.health(&name, view.status(&name).as_ref(), &running);
        json!({ "name": name, "health": health.state.name(), "causes": health.causes })
    };
    Answer(Value::Array(view.names().into_iter().map(of).collect()))
}

/// `GET /v1/connectors/{connector}/health`.
pub async fn connector_health(State(rest): State<RestState>, params: Params) -> Result<Answer<Value>> {
    let name = params.get(0);
    let view = rest.herder.view();
    let status = view.status(name);
    if status.is_none() && !view.contains(name) {
        return Err(not_found(name));
    }
    let (tasks, health) = view.health(name, status.as_ref(), &view.running_tasks());
    let tasks: Vec<Value> = tasks
        .iter()
        .map(|(number, health)| {
            json!({
                "id": number,
                "ms_since_progress": health.since_progress.as_millis() as u64,
                "call": health.call.map(|(call, _)| call),
                "ms_in_call": health.call.map(|(_, age)| age.as_millis() as u64),
                "lag": health.lag,
                "in_flight_bytes": health.in_flight_bytes,
            })
        })
        .collect();
    Ok(Answer(json!({ "name": name, "health": health.state.name(), "causes": health.causes, "tasks": tasks })))
}

/// `GET /v1/connectors/{connector}/progress`.
pub async fn progress(State(rest): State<RestState>, params: Params) -> Result<Answer<Value>> {
    let name = params.get(0);
    let view = rest.herder.view();
    if !view.contains(name) {
        return Err(not_found(name));
    }
    let running = view.running_tasks().into_iter().filter(|(id, _)| &*id.connector == name);
    let tasks: Vec<Value> = running
        .map(|(id, task)| {
            let (health, told) = (task.health(), task.progress());
            json!({
                "id": id.task,
                "ms_since_progress": health.since_progress.as_millis() as u64,
                "lag_records": health.lag,
                "in_flight_bytes": health.in_flight_bytes,
                "told_at": told.as_ref().map(|(at, _)| at),
                "progress": told.map(|(_, progress)| progress.to_json()),
            })
        })
        .collect();
    Ok(Answer(json!({ "name": name, "tasks": tasks })))
}

/// `GET /v1/connectors/{connector}/events`.
pub async fn events(State(rest): State<RestState>, params: Params) -> Result<Answer<Value>> {
    let name = params.get(0);
    let view = rest.herder.view();
    if !view.contains(name) {
        return Err(not_found(name));
    }
    let events: Vec<Value> = view
        .events()
        .of(name)
        .into_iter()
        .map(|event| json!({ "timestamp": event.at, "kind": event.kind, "task": event.task, "text": event.text }))
        .collect();
    Ok(Answer(json!({ "name": name, "events": events })))
}

//! Connectors: create, read, change, delete, pause, resume, stop, restart, topics.

use super::{
    RestState, dto,
    error::RestError,
    extract::{Json, Params, Query},
};
use crate::connect::{herder::RestartRequest, validate::RawConfig};
use axum::{
    Json as Answer,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

type Result<T, E = RestError> = std::result::Result<T, E>;

/// What stays as it is in a path segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Different expansions that are looked at; there are two.
const EXPANSIONS: usize = 8;

/// `GET /connectors`.
pub async fn list(State(rest): State<RestState>, query: Query) -> Answer<Value> {
    let view = rest.herder.view();
    let names = view.names();
    let mut expansions: Vec<&str> = Vec::new();
    for expansion in query.all("expand") {
        if !expansions.contains(&expansion) && expansions.len() < EXPANSIONS {
            expansions.push(expansion);
        }
    }
    if expansions.is_empty() {
        return Answer(json!(names));
    }
    // A connector that has no status yet, or is gone by now, is left out, as Connect does.
    let expanded = names.into_iter().filter_map(|name| {
        let mut one = Map::new();
        for expansion in &expansions {
            let value = match *expansion {
                "status" => dto::status(&view.status(&name)?),
                "info" => dto::connector(&view.describe(&name)?),
                other => {
                    tracing::debug!(expansion = other, "unknown expansion ignored");
                    continue;
                }
            };
            one.insert((*expansion).to_owned(), value);
        }
        Some((name, Value::Object(one)))
    });
    Answer(Value::Object(expanded.collect()))
}

/// `POST /connectors`.
pub async fn create(State(rest): State<RestState>, headers: HeaderMap, Json(body): Json) -> Result<Response> {
    let request = dto::parse_create(body)?;
    let config = with_name(request.config, &request.name)?;
    let info = rest.herder.create(&request.name, &config, request.target).await?;
    Ok(created(&rest, &headers, &info.name, dto::connector(&info)))
}

fn created(rest: &RestState, headers: &HeaderMap, name: &str, body: Value) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let base = host.map_or_else(|| rest.advertised_url.clone(), |host| format!("http://{host}"));
    let location = format!("{base}/connectors/{}", utf8_percent_encode(name, SEGMENT));
    (StatusCode::CREATED, [(header::LOCATION, location)], Answer(body)).into_response()
}

/// The configuration with the connector's name in it.
fn with_name(mut config: RawConfig, name: &str) -> Result<RawConfig> {
    match config.get("name") {
        Some(inside) if inside.as_deref() != Some(name) => {
            let inside = inside.as_deref().unwrap_or("null");
            Err(RestError::bad_request(format!(
                "Connector name configuration ({inside}) doesn't match connector name in the URL ({name})"
            )))
        }
        Some(_) => Ok(config),
        None => {
            config.insert("name".to_owned(), Some(name.to_owned()));
            Ok(config)
        }
    }
}

/// `GET /connectors/{connector}`.
pub async fn get(State(rest): State<RestState>, params: Params) -> Result<Answer<Value>> {
    let name = params.get(0);
    let info = rest.herder.view().describe(name).ok_or_else(|| not_found(name))?;
    Ok(Answer(dto::connector(&info)))
}

/// `GET /connectors/{connector}/config`.
pub async fn config(State(rest): State<RestState>, params: Params) -> Result<Answer<Value>> {
    let name = params.get(0);
    let info = rest.herder.view().describe(name).ok_or_else(|| not_found(name))?;
    Ok(Answer(json!(info.config)))
}

/// `GET /v1/connectors/{connector}/findings`.
pub async fn findings(State(rest): State<RestState>, params: Params) -> Result<Answer<Value>> {
    let name = params.get(0);
    let info = rest.herder.view().describe(name).ok_or_else(|| not_found(name))?;
    let config = info.config.into_iter().map(|(key, value)| (key, Some(value))).collect();
    Ok(Answer(rest.herder.findings(&config).await?))
}

/// `PUT /connectors/{connector}/config`.
pub async fn put_config(
    State(rest): State<RestState>,
    params: Params,
    headers: HeaderMap,
    Json(body): Json,
) -> Result<Response> {
    let name = params.get(0);
    let config = with_name(dto::parse_config(body)?, name)?;
    let (new, info) = rest.herder.put_config(name, &config).await?;
    let body = dto::connector(&info);
    Ok(if new { created(&rest, &headers, name, body) } else { Answer(body).into_response() })
}

/// `PATCH /connectors/{connector}/config`.
pub async fn patch_config(State(rest): State<RestState>, params: Params, Json(body): Json) -> Result<Answer<Value>> {
    let name = params.get(0);
    let patch = dto::parse_config(body)?;
    if patch.contains_key("name") {
        with_name(patch.clone(), name)?;
    }
    let info = rest.herder.patch_config(name, &patch).await?;
    Ok(Answer(dto::connector(&info)))
}

/// `DELETE /connectors/{connector}`.
pub async fn delete(State(rest): State<RestState>, params: Params) -> Result<StatusCode> {
    rest.herder.delete(params.get(0)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /connectors/{connector}/status`.
pub async fn status(State(rest): State<RestState>, params: Params) -> Result<Answer<Value>> {
    let name = params.get(0);
    let status = rest.herder.view().status(name);
    let status = status.ok_or_else(|| RestError::not_found(format!("No status found for connector {name}")))?;
    Ok(Answer(dto::status(&status)))
}

/// `PUT /connectors/{connector}/pause`.
pub async fn pause(State(rest): State<RestState>, params: Params) -> Result<StatusCode> {
    rest.herder.pause(params.get(0)).await?;
    Ok(StatusCode::ACCEPTED)
}

/// `PUT /connectors/{connector}/resume`.
pub async fn resume(State(rest): State<RestState>, params: Params) -> Result<StatusCode> {
    rest.herder.resume(params.get(0)).await?;
    Ok(StatusCode::ACCEPTED)
}

/// `PUT /connectors/{connector}/stop`.
pub async fn stop(State(rest): State<RestState>, params: Params) -> Result<StatusCode> {
    rest.herder.stop(params.get(0)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /connectors/{connector}/restart`.
pub async fn restart(State(rest): State<RestState>, params: Params, query: Query) -> Result<Response> {
    let request = RestartRequest {
        include_tasks: query.flag("includeTasks", false),
        only_failed: query.flag("onlyFailed", false),
    };
    let name = params.get(0);
    if request == RestartRequest::default() {
        rest.herder.restart_connector(name).await?;
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let plan = rest.herder.restart(name, request).await?;
    Ok((StatusCode::ACCEPTED, Answer(dto::status(&plan))).into_response())
}

/// `GET /connectors/{connector}/topics`.
pub async fn topics(State(rest): State<RestState>, params: Params) -> Result<Answer<Value>> {
    if !rest.topic_tracking {
        return Err(RestError::forbidden("Topic tracking is disabled."));
    }
    let name = params.get(0);
    let mut answer = Map::new();
    answer.insert(name.to_owned(), json!({ "topics": rest.herder.view().topics(name) }));
    Ok(Answer(Value::Object(answer)))
}

/// `PUT /connectors/{connector}/topics/reset`.
pub async fn reset_topics(State(rest): State<RestState>, params: Params) -> Result<StatusCode> {
    if !rest.topic_tracking {
        return Err(RestError::forbidden("Topic tracking is disabled."));
    }
    if !rest.topic_reset {
        return Err(RestError::forbidden("Topic tracking reset is disabled."));
    }
    rest.herder.reset_topics(params.get(0)).await?;
    Ok(StatusCode::ACCEPTED)
}

/// `Connector X not found`.
pub(super) fn not_found(name: &str) -> RestError {
    RestError::not_found(format!("Connector {name} not found"))
}

//! Tasks of a connector, and its offsets.

use super::{
    RestState,
    connectors::not_found,
    dto,
    error::RestError,
    extract::{Json, Params},
};
use axum::{Json as Answer, extract::State, http::StatusCode};
use serde_json::{Value, json};

type Result<T, E = RestError> = std::result::Result<T, E>;

/// `GET /connectors/{connector}/tasks`.
pub async fn list(State(rest): State<RestState>, params: Params) -> Result<Answer<Value>> {
    let name = params.get(0);
    let configs = rest.herder.view().task_configs(name).ok_or_else(|| not_found(name))?;
    let tasks: Vec<Value> =
        configs.iter().enumerate().map(|(number, config)| dto::task(name, number, config)).collect();
    Ok(Answer(json!(tasks)))
}

/// `GET /connectors/{connector}/tasks/{task}/status`.
pub async fn status(State(rest): State<RestState>, params: Params) -> Result<Answer<Value>> {
    let (name, number) = (params.get(0), params.number(1)?);
    let status = rest.herder.view().status(name);
    let task = status.and_then(|status| status.tasks.into_iter().find(|(task, _)| *task == number));
    let (_, task) = task.ok_or_else(|| RestError::not_found(format!("No status found for task {name}-{number}")))?;
    Ok(Answer(dto::task_status(number, &task)))
}

/// `POST /connectors/{connector}/tasks/{task}/restart`.
pub async fn restart(State(rest): State<RestState>, params: Params) -> Result<StatusCode> {
    rest.herder.restart_task(params.get(0), params.number(1)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /connectors/{connector}/offsets`.
pub async fn offsets(State(rest): State<RestState>, params: Params) -> Result<Answer<Value>> {
    let offsets = rest.herder.offsets(params.get(0)).await?;
    Ok(Answer(dto::offsets(&offsets)))
}

/// `PATCH /connectors/{connector}/offsets`.
pub async fn alter_offsets(State(rest): State<RestState>, params: Params, Json(body): Json) -> Result<Answer<Value>> {
    let message = rest.herder.alter_offsets(params.get(0), dto::parse_offsets(body)?).await?;
    Ok(Answer(json!({ "message": message })))
}

/// `DELETE /connectors/{connector}/offsets`.
pub async fn reset_offsets(State(rest): State<RestState>, params: Params) -> Result<Answer<Value>> {
    let message = rest.herder.reset_offsets(params.get(0)).await?;
    Ok(Answer(json!({ "message": message })))
}

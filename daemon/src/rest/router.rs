//! Paths to handlers, and what holds for all of them: body limit, timeout, errors of the HTTP layer.

use super::{RestState, connectors, error::RestError, paths, plugins, snapshot, tasks, worker};
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use levada_env::time;

/// The whole interface.
pub fn router(state: RestState) -> Router {
    Router::new()
        .route(paths::ROOT, get(worker::root))
        .route(paths::HEALTH, get(worker::health))
        .route(paths::HEALTH_LIVE, get(worker::live))
        .route(paths::HEALTH_READY, get(worker::health))
        .route(paths::METRICS, get(worker::metrics))
        .route(paths::CONNECTORS, get(connectors::list).post(connectors::create))
        .route(paths::CONNECTOR, get(connectors::get).delete(connectors::delete))
        .route(paths::CONFIG, get(connectors::config).put(connectors::put_config).patch(connectors::patch_config))
        .route(paths::STATUS, get(connectors::status))
        .route(paths::TASKS, get(tasks::list))
        .route(paths::TASK_STATUS, get(tasks::status))
        .route(paths::TASK_RESTART, post(tasks::restart))
        .route(paths::TOPICS, get(connectors::topics))
        .route(paths::TOPICS_RESET, put(connectors::reset_topics))
        .route(paths::RESTART, post(connectors::restart))
        .route(paths::PAUSE, put(connectors::pause))
        .route(paths::RESUME, put(connectors::resume))
        .route(paths::STOP, put(connectors::stop))
        .route(paths::OFFSETS, get(tasks::offsets).patch(tasks::alter_offsets).delete(tasks::reset_offsets))
        .route(paths::PLUGINS, get(plugins::list))
        .route(paths::PLUGIN_CONFIG, get(plugins::config))
        .route(paths::PLUGIN_VALIDATE, put(plugins::check))
        .route(paths::LOGGERS, get(worker::loggers))
        .route(paths::LOGGER, get(worker::logger).put(worker::set_logger))
        .route(paths::V1_ROUTES, get(worker::routes))
        .route(paths::V1_PLUGINS, get(plugins::origins))
        .route(paths::V1_VALIDATE, put(plugins::findings))
        .route(paths::V1_CONNECTORS, get(worker::connectors_health))
        .route(paths::V1_HEALTH, get(worker::connector_health))
        .route(paths::V1_FINDINGS, get(connectors::findings))
        .route(paths::V1_PROGRESS, get(worker::progress))
        .route(paths::V1_EVENTS, get(worker::events))
        .route(paths::V1_SNAPSHOT, post(snapshot::execute))
        .route(paths::V1_SNAPSHOT_ACTION, post(snapshot::action))
        .fallback(|| async { RestError::http(StatusCode::NOT_FOUND) })
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(state.max_body_bytes))
        .layer(middleware::from_fn_with_state(state.clone(), around))
        .with_state(state)
}

async fn wrong_method(request: Request) -> Response {
    if request.method() == Method::OPTIONS {
        return StatusCode::OK.into_response();
    }
    RestError::http(StatusCode::METHOD_NOT_ALLOWED).into_response()
}

/// Ends what takes too long and adds the configured headers.
async fn around(State(rest): State<RestState>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let about_connectors = ["/connectors", "/v1/connectors"].iter().any(|prefix| path.starts_with(prefix));
    let answer = async {
        if about_connectors {
            rest.herder.view().wait_ready().await;
        }
        next.run(request).await
    };
    let answer = time::timeout(rest.timeout, answer).await;
    let mut answer = answer.unwrap_or_else(|_| RestError::timeout().into_response());
    for (name, value) in rest.headers.iter() {
        let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) else { continue };
        answer.headers_mut().insert(name, value);
    }
    // Names of connectors and topics are data, not documents.
    answer.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

//! Errors of the REST interface: the one place where a refusal becomes a status code.

use crate::{
    connect::{bus::BusError, herder::HerderError},
    telemetry::LevelError,
};
use axum::{
    body::Body,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

/// A refused request, in Connect's form `{"error_code","message"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestError {
    status: StatusCode,
    message: String,
    /// Errors of the HTTP layer itself carry their body without a content type, as Connect's do.
    bare: bool,
}

impl RestError {
    /// An error with a status and a text.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), bare: false }
    }

    /// The text.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 404 with a text of its own.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// 403.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// An error of the HTTP layer: unknown path, wrong method, wrong content type.
    pub fn http(status: StatusCode) -> Self {
        let reason = status.canonical_reason().unwrap_or("Error");
        Self { status, message: format!("HTTP {} {reason}", status.as_u16()), bare: true }
    }

    /// The operation did not end in time.
    pub fn timeout() -> Self {
        let text = "Request timed out. The worker is currently busy with the operation; it may still be completed";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, text)
    }
}

impl IntoResponse for RestError {
    fn into_response(self) -> Response {
        let body = json!({ "error_code": self.status.as_u16(), "message": self.message }).to_string();
        let response = Response::builder().status(self.status);
        let response = if self.bare { response } else { response.header(header::CONTENT_TYPE, "application/json") };
        response.body(Body::from(body)).unwrap_or_else(|_| self.status.into_response())
    }
}

impl From<HerderError> for RestError {
    fn from(error: HerderError) -> Self {
        let status = match &error {
            HerderError::NotFound(_) => StatusCode::NOT_FOUND,
            HerderError::AlreadyExists(_) | HerderError::Conflict | HerderError::NotReady => StatusCode::CONFLICT,
            // What is too large for the log was too large as a request.
            HerderError::BadRequest(_) | HerderError::Log(BusError::RecordTooLarge { .. }) => StatusCode::BAD_REQUEST,
            HerderError::Plugin(_) | HerderError::Log(_) | HerderError::Stopped => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl From<LevelError> for RestError {
    fn from(error: LevelError) -> Self {
        match error {
            LevelError::Unknown(_) => Self::not_found(error.to_string()),
            LevelError::TooMany => Self::bad_request(error.to_string()),
        }
    }
}

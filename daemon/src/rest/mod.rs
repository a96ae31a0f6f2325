//! The REST interface: Kafka Connect's paths with its bodies, status codes and texts, and Levada's own under `/v1`.
//!
//! Handlers parse, ask a handle, and answer; nothing is decided here. Errors become status codes in `error`, JSON forms
//! are in `dto`, paths in [`paths`].

mod connectors;
mod dto;
mod error;
mod extract;
pub mod paths;
mod plugins;
mod router;
mod server;
mod snapshot;
mod tasks;
#[cfg(test)]
mod tests;
mod worker;

pub use dto::parse_config;
pub use router::router;
pub use server::{RestServer, ServerOptions, ServerStop};

use crate::{
    connect::{herder::HerderHandle, validate::Converters},
    telemetry::LogControl,
};
use levada_env::time::Duration;
use std::sync::Arc;

/// What the handlers use. Cheap to clone.
#[derive(Clone)]
pub struct RestState {
    /// The herder.
    pub herder: HerderHandle,
    /// Converters, for the list of plugins.
    pub converters: Arc<dyn Converters>,
    /// Log levels.
    pub logs: LogControl,
    /// Writes the metrics page.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Version of the daemon.
    pub version: String,
    /// Commit it was built from.
    pub commit: String,
    /// Id of the log's cluster.
    pub cluster_id: String,
    /// `http://HOST:PORT` for clients that send no Host header.
    pub advertised_url: String,
    /// `topic.tracking.enable`.
    pub topic_tracking: bool,
    /// `topic.tracking.allow.reset`.
    pub topic_reset: bool,
    /// Longest operation.
    pub timeout: Duration,
    /// Largest request body.
    pub max_body_bytes: usize,
    /// Headers added to every answer.
    pub headers: Arc<Vec<(String, String)>>,
}

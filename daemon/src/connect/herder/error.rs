//! Why a request to the herder was refused.

use crate::connect::{bus::BusError, validate::ValidateError};

/// A refused request. Texts are Connect's where Connect has one, since tools match on them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HerderError {
    /// There is no such connector, task or status.
    #[error("{0}")]
    NotFound(String),
    /// The connector is there already.
    #[error("Connector {0} already exists")]
    AlreadyExists(String),
    /// The request itself is wrong.
    #[error("{0}")]
    BadRequest(String),
    /// Try again: something else is changing the same connector.
    #[error("Cannot complete request because of a conflicting operation (e.g. worker rebalance)")]
    Conflict,
    /// The worker has not read its topics yet.
    #[error(
        "Cannot complete request momentarily due to stale configuration (typically caused by a concurrent config change)"
    )]
    NotReady,
    /// The plugin refused or failed.
    #[error("{0}")]
    Plugin(String),
    /// The log could not be used.
    #[error("{0}")]
    Log(#[from] BusError),
    /// The herder is gone.
    #[error("the worker is shutting down")]
    Stopped,
}

impl From<ValidateError> for HerderError {
    fn from(error: ValidateError) -> Self {
        Self::BadRequest(error.to_string())
    }
}

impl HerderError {
    /// `Connector X not found`.
    pub fn connector_not_found(name: &str) -> Self {
        Self::NotFound(format!("Connector {name} not found"))
    }

    /// `Unknown connector X`, as pause and resume say.
    pub fn unknown_connector(name: &str) -> Self {
        Self::NotFound(format!("Unknown connector {name}"))
    }
}

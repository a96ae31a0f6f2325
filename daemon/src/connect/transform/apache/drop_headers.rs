//! `DropHeaders`: removes headers by name.

use crate::connect::transform::{ConnectRecord, Part, Plugin};
use levada_connector_api::{ConnectorConfig, Result, config::KeyError};

#[derive(Debug, ConnectorConfig)]
pub(super) struct Config {
    /// The names of the headers to remove.
    #[config(importance = "high", non_empty)]
    headers: Vec<String>,
}

pub(super) struct DropHeaders(Config);

impl Plugin for DropHeaders {
    type Config = Config;

    fn new(_: Part, config: Config) -> Result<Self, KeyError> {
        Ok(Self(config))
    }

    fn apply<R: ConnectRecord>(&mut self, mut record: R) -> Result<Option<R>> {
        let dropped = |name: &str| self.0.headers.iter().any(|header| header == name);
        // What is shared is copied for a change, so only where there is one.
        if record.headers().iter().any(|header| dropped(&header.key)) {
            record.headers_mut().to_mut().retain(|header| !dropped(&header.key));
        }
        Ok(Some(record))
    }
}

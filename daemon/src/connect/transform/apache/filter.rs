//! `Filter`: drops every record, so it is of use with a predicate only.

use crate::connect::transform::{ConnectRecord, Part, Plugin};
use levada_connector_api::{ConnectorConfig, Result, config::KeyError};

/// No keys.
#[derive(Debug, ConnectorConfig)]
pub(super) struct Config {}

pub(super) struct Filter;

impl Plugin for Filter {
    type Config = Config;

    fn new(_: Part, _: Config) -> Result<Self, KeyError> {
        Ok(Self)
    }

    fn apply<R: ConnectRecord>(&mut self, _: R) -> Result<Option<R>> {
        Ok(None)
    }
}

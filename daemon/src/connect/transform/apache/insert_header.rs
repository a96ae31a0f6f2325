//! `InsertHeader`: adds a header whose value is written in the configuration.

use crate::connect::{
    converter::{self, SchemaAndValue},
    transform::{ConnectRecord, Part, Plugin},
};
use levada_connector_api::{ConnectorConfig, Header, Result, config::KeyError};

#[derive(Debug, ConnectorConfig)]
pub(super) struct Config {
    /// The name of the header.
    #[config(importance = "high", non_empty)]
    header: String,
    /// The value of the header, read as the simple header converter reads one: numbers, booleans, ISO dates and times,
    /// lists and maps become such values, everything else a text.
    #[config(key = "value.literal", importance = "high", non_empty)]
    value_literal: String,
}

pub(super) struct InsertHeader {
    header: Header,
}

impl Plugin for InsertHeader {
    type Config = Config;

    fn new(_: Part, config: Config) -> Result<Self, KeyError> {
        let SchemaAndValue { schema, value } = converter::infer(&config.value_literal);
        Ok(Self { header: Header { key: config.header.into(), schema, value } })
    }

    fn apply<R: ConnectRecord>(&mut self, mut record: R) -> Result<Option<R>> {
        record.headers_mut().push(self.header.clone());
        Ok(Some(record))
    }
}

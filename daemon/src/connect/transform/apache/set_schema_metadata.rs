//! `SetSchemaMetadata`: names a schema, or gives it a version.

use crate::connect::transform::{
    ConnectRecord, Part, Plugin,
    schemas::SchemaCache,
    values::{into_field_value, java_class},
};
use levada_connector_api::{ConnectorConfig, ConnectorError, Result, Schema, Value, config::KeyError};
use std::sync::Arc;

#[derive(Debug, ConnectorConfig)]
pub(super) struct Config {
    /// Schema name to set.
    #[config(key = "schema.name", importance = "high")]
    name: Option<String>,
    /// Schema version to set.
    #[config(key = "schema.version", importance = "high")]
    version: Option<i32>,
    /// Whether to replace fields that have a default value and that are null to the default value.
    #[config(key = "replace.null.with.default", default = "true", importance = "medium")]
    replace_null: bool,
}

pub(super) struct SetSchemaMetadata {
    part: Part,
    config: Config,
    schemas: SchemaCache,
}

impl Plugin for SetSchemaMetadata {
    type Config = Config;

    fn new(part: Part, config: Config) -> Result<Self, KeyError> {
        if config.name.is_none() && config.version.is_none() {
            return Err(KeyError::missing("schema.name"));
        }
        Ok(Self { part, config, schemas: SchemaCache::default() })
    }

    fn apply<R: ConnectRecord>(&mut self, mut record: R) -> Result<Option<R>> {
        let Config { name, version, replace_null } = &self.config;
        let (schema, value) = record.part_mut(self.part);
        let Some(current) = schema else {
            if value.is_null() {
                return Ok(Some(record));
            }
            let text = "Schema required for [updating schema metadata], found none beside a value of ";
            return Err(ConnectorError::data(format!("{text}{}", java_class(value))));
        };
        let updated = self.schemas.get(current, (), |schema: &Schema| {
            let mut updated = schema.clone();
            updated.name = name.clone().or(updated.name);
            updated.version = version.or(updated.version);
            Ok(updated)
        })?;
        if let Value::Struct(value) = value {
            let value = Arc::make_mut(value);
            for (field, value) in updated.fields.iter().zip(&mut value.values) {
                *value = into_field_value(field, std::mem::take(value), *replace_null);
            }
            value.schema = updated.clone();
        }
        *schema = Some(updated);
        Ok(Some(record))
    }
}

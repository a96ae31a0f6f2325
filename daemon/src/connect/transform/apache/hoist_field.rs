//! `HoistField`: wraps the whole key or value into a struct or map of one field.

use crate::connect::transform::{
    ConnectRecord, Part, Plugin,
    schemas::{SchemaCache, check_null},
    values::put_struct,
};
use levada_connector_api::{ConnectorConfig, Result, Schema, Value, config::KeyError};
use std::sync::Arc;

#[derive(Debug, ConnectorConfig)]
pub(super) struct Config {
    /// Field name for the single field that will be created in the resulting Struct or Map.
    #[config(importance = "medium")]
    field: String,
}

pub(super) struct HoistField {
    part: Part,
    field: String,
    schemas: SchemaCache,
}

impl Plugin for HoistField {
    type Config = Config;

    fn new(part: Part, config: Config) -> Result<Self, KeyError> {
        Ok(Self { part, field: config.field, schemas: SchemaCache::default() })
    }

    fn apply<R: ConnectRecord>(&mut self, mut record: R) -> Result<Option<R>> {
        let (schema, value) = record.part_mut(self.part);
        let (schema, value) = (schema.take(), std::mem::take(value));
        match schema {
            None => {
                let map = vec![(Value::string(self.field.as_str()), value)];
                record.set_part(self.part, None, Value::Map(map));
            }
            Some(schema) => {
                let wrap = |_: &Schema| Ok(Schema::structure([(self.field.as_str(), Arc::clone(&schema))]));
                let wrapped = self.schemas.get(&schema, (), wrap)?;
                for field in &wrapped.fields {
                    check_null(field, &value)?;
                }
                put_struct(&mut record, self.part, wrapped, vec![value]);
            }
        }
        Ok(Some(record))
    }
}

//! `ValueToKey`: the key becomes a struct or map of fields of the value.

use crate::connect::transform::{
    ConnectRecord, Part, Plugin,
    schemas::{SchemaCache, add_field},
    values::{entry, field_value, only, put_struct},
};
use levada_connector_api::{ConnectorConfig, ConnectorError, Result, Schema, SchemaType, Value, config::KeyError};
use std::sync::Arc;

const PURPOSE: &str = "copying fields from value to key";

#[derive(Debug, ConnectorConfig)]
pub(super) struct Config {
    /// Field names on the record value to extract as the record key.
    #[config(importance = "high", non_empty)]
    fields: Vec<String>,
    /// Whether to replace fields that have a default value and that are null to the default value.
    #[config(key = "replace.null.with.default", default = "true", importance = "medium")]
    replace_null: bool,
}

pub(super) struct ValueToKey {
    config: Config,
    schemas: SchemaCache,
}

fn key_schema(fields: &[String], schema: &Schema) -> Result<Schema> {
    let mut key = Schema::new(SchemaType::Struct);
    for name in fields {
        let missing = || ConnectorError::data(format!("Field does not exist: {name}"));
        let (_, field) = schema.field(name).ok_or_else(missing)?;
        add_field(&mut key, name, Arc::clone(&field.schema))?;
    }
    Ok(key)
}

impl Plugin for ValueToKey {
    type Config = Config;

    fn new(_: Part, config: Config) -> Result<Self, KeyError> {
        Ok(Self { config, schemas: SchemaCache::default() })
    }

    fn apply<R: ConnectRecord>(&mut self, mut record: R) -> Result<Option<R>> {
        let Config { fields, replace_null } = &self.config;
        match record.part(Part::Value) {
            (None, Value::Map(map)) => {
                let key = |name: &String| (Value::string(name.as_str()), entry(map, name).cloned().unwrap_or_default());
                let key = fields.iter().map(key).collect();
                record.set_part(Part::Key, None, Value::Map(key));
            }
            (Some(_), Value::Struct(value)) => {
                let schema = self.schemas.get(&value.schema, (), |schema| key_schema(fields, schema))?;
                let field = |name: &String| {
                    let (index, field) = value.schema.field(name)?;
                    Some(field_value(field, value.values.get(index)?, *replace_null))
                };
                let values = fields.iter().map(|name| field(name).unwrap_or_default()).collect();
                put_struct(&mut record, Part::Key, schema, values);
            }
            (None, other) => return Err(only("Map objects in absence of a schema", PURPOSE, other)),
            (Some(_), other) => return Err(only("Struct objects", PURPOSE, other)),
        }
        Ok(Some(record))
    }
}

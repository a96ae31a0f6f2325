//! `HeaderFrom`: moves or copies fields into headers.

use crate::connect::transform::{
    ConnectRecord, Part, Plugin,
    schemas::{SchemaCache, add_field, basics},
    values::{Taken, entry, field_value, into_field_value, is_name, put_struct, take},
};
use levada_connector_api::{
    ConfigEnum, ConnectorConfig, ConnectorError, Header, Result, Schema, Value, config::KeyError,
};
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
enum Operation {
    Move,
    Copy,
}

#[derive(Debug, ConnectorConfig)]
pub(super) struct Config {
    /// Field names in the record whose values are to be copied or moved to headers.
    #[config(importance = "high", non_empty)]
    fields: Vec<String>,
    /// Header names, in the same order as the field names listed in the fields configuration property.
    #[config(importance = "high", non_empty)]
    headers: Vec<String>,
    /// Either move if the fields are to be moved to the headers (removed from the key/value), or copy if the fields are
    /// to be copied to the headers (retained in the key/value).
    #[config(importance = "high")]
    operation: Operation,
    /// Whether to replace fields that have a default value and that are null to the default value.
    #[config(key = "replace.null.with.default", default = "true", importance = "medium")]
    replace_null: bool,
}

pub(super) struct HeaderFrom {
    part: Part,
    config: Config,
    schemas: SchemaCache,
}

impl Config {
    fn moves(&self, field: &str) -> bool {
        self.operation == Operation::Move && self.fields.iter().any(|name| name == field)
    }

    fn pairs(&self) -> impl Iterator<Item = (&String, &String)> {
        self.fields.iter().zip(&self.headers)
    }
}

impl Plugin for HeaderFrom {
    type Config = Config;

    fn new(part: Part, config: Config) -> Result<Self, KeyError> {
        if config.fields.len() != config.headers.len() {
            let text = "'fields' config must have the same number of elements as 'headers' config.";
            return Err(KeyError { key: "fields".to_owned(), message: text.to_owned() });
        }
        Ok(Self { part, config, schemas: SchemaCache::default() })
    }

    fn apply<R: ConnectRecord>(&mut self, mut record: R) -> Result<Option<R>> {
        let config = &self.config;
        let mut headers = Vec::with_capacity(config.fields.len());
        match take(&mut record, self.part, "header from fields")? {
            Taken::Null => {
                return Err(ConnectorError::data(
                    "Only Map or Struct objects supported for [header from], found: null",
                ));
            }
            Taken::Map(mut map) => {
                for (field, header) in config.pairs() {
                    let value = entry(&map, field).cloned().unwrap_or_default();
                    headers.push(Header { key: header.as_str().into(), schema: None, value });
                }
                map.retain(|(key, _)| !config.fields.iter().any(|name| config.moves(name) && is_name(key, name)));
                record.set_part(self.part, None, Value::Map(map));
            }
            Taken::Struct(value) => {
                for (name, header) in config.pairs() {
                    let unknown = || ConnectorError::data(format!("Unknown field: {name}"));
                    let (index, field) = value.schema.field(name).ok_or_else(unknown)?;
                    let found = value.values.get(index).unwrap_or(&Value::Null);
                    let found = field_value(field, found, config.replace_null);
                    headers.push(Header {
                        key: header.as_str().into(),
                        schema: Some(Arc::clone(&field.schema)),
                        value: found,
                    });
                }
                if config.operation == Operation::Copy {
                    put_struct(&mut record, self.part, value.schema, value.values);
                } else {
                    let updated = self.schemas.get(&value.schema, (), |schema| remaining(config, schema))?;
                    let kept = value.schema.fields.iter().zip(value.values);
                    let kept = kept.filter(|(field, _)| !config.moves(&field.name));
                    let values = kept.map(|(field, value)| into_field_value(field, value, config.replace_null));
                    let values = values.collect();
                    put_struct(&mut record, self.part, updated, values);
                }
            }
        }
        record.headers_mut().extend(headers);
        Ok(Some(record))
    }
}

fn remaining(config: &Config, schema: &Schema) -> Result<Schema> {
    let mut updated = basics(schema);
    for field in schema.fields.iter().filter(|field| !config.moves(&field.name)) {
        add_field(&mut updated, &field.name, Arc::clone(&field.schema))?;
    }
    Ok(updated)
}

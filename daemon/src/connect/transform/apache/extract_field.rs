//! `ExtractField`: the whole key or value gives way to one of its fields.

use crate::connect::transform::{
    ConnectRecord, Part, Plugin,
    field_path::{FieldPath, Syntax},
    values::{Taken, field_value, take},
};
use levada_connector_api::{ConnectorConfig, ConnectorError, Result, Value, config::KeyError};

#[derive(Debug, ConnectorConfig)]
pub(super) struct Config {
    /// Field name to extract.
    #[config(importance = "medium")]
    field: String,
    /// Syntax of field names: V1 takes them as they are, V2 reads dots as a path into nested fields.
    #[config(key = "field.syntax.version", default = "V1", importance = "high")]
    syntax: Syntax,
    /// Whether to replace fields that have a default value and that are null to the default value.
    #[config(key = "replace.null.with.default", default = "true", importance = "medium")]
    replace_null: bool,
}

pub(super) struct ExtractField {
    part: Part,
    path: FieldPath,
    config: Config,
}

impl Plugin for ExtractField {
    type Config = Config;

    fn new(part: Part, config: Config) -> Result<Self, KeyError> {
        let path = FieldPath::parse(&config.field, config.syntax)
            .map_err(|reason| KeyError::invalid("field", &config.field, &reason))?;
        Ok(Self { part, path, config })
    }

    fn apply<R: ConnectRecord>(&mut self, mut record: R) -> Result<Option<R>> {
        let unknown = || ConnectorError::data(format!("Unknown field: {}", self.config.field));
        let schema = match record.part(self.part).0 {
            None => None,
            Some(schema) => Some(self.path.field(schema).ok_or_else(unknown)?.schema.clone()),
        };
        let value = match take(&mut record, self.part, "field extraction")? {
            Taken::Null => Value::Null,
            Taken::Map(map) => self.path.of_map(&map).clone(),
            Taken::Struct(value) => match self.path.of_struct(&value) {
                Some((Some(field), found)) => field_value(field, found, self.config.replace_null),
                Some((None, _)) => Value::Null,
                None => return Err(unknown()),
            },
        };
        record.set_part(self.part, schema, value);
        Ok(Some(record))
    }
}

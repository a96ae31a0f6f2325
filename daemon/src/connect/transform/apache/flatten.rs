//! `Flatten`: nested structs and maps become fields of their root, named by their path.

use crate::connect::transform::{
    ConnectRecord, Part, Plugin,
    schemas::{SchemaCache, add_field, basics},
    values::{Taken, field_value, put_struct, take},
};
use levada_connector_api::{
    ConnectorConfig, ConnectorError, Result, Schema, SchemaType, Struct, Value, config::KeyError,
};
use std::sync::Arc;

/// Nesting beyond which a record is refused (invariant 9).
const MAX_DEPTH: usize = 128;

#[derive(Debug, ConnectorConfig)]
pub(super) struct Config {
    /// Delimiter to insert between field names from the input record when generating field names for the output record.
    #[config(default = ".", importance = "medium")]
    delimiter: String,
}

pub(super) struct Flatten {
    part: Part,
    delimiter: String,
    schemas: SchemaCache,
}

impl Plugin for Flatten {
    type Config = Config;

    fn new(part: Part, config: Config) -> Result<Self, KeyError> {
        Ok(Self { part, delimiter: config.delimiter, schemas: SchemaCache::default() })
    }

    fn apply<R: ConnectRecord>(&mut self, mut record: R) -> Result<Option<R>> {
        let delimiter = &self.delimiter;
        match take(&mut record, self.part, "flattening")? {
            Taken::Null => {}
            Taken::Map(map) => {
                let mut flat = Vec::with_capacity(map.len());
                flat_map(map, "", delimiter, 0, &mut flat)?;
                record.set_part(self.part, None, Value::Map(flat));
            }
            Taken::Struct(value) => {
                let updated = self.schemas.get(&value.schema, (), |schema| {
                    let mut updated = basics(schema);
                    let default = match &schema.default {
                        Some(Value::Struct(default)) => Some(&**default),
                        _ => None,
                    };
                    flat_schema(schema, "", delimiter, schema.optional, default, 0, &mut updated)?;
                    Ok(updated)
                })?;
                let mut values = Vec::with_capacity(updated.fields.len());
                flat_struct(&value.schema, Some(&value), &mut values);
                put_struct(&mut record, self.part, updated, values);
            }
        }
        Ok(Some(record))
    }
}

fn path(prefix: &str, delimiter: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}{delimiter}{name}") }
}

fn too_deep(depth: usize) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(ConnectorError::data(format!("Flatten takes no more than {MAX_DEPTH} levels of nesting")));
    }
    Ok(())
}

fn flat_map(
    map: Vec<(Value, Value)>,
    prefix: &str,
    delimiter: &str,
    depth: usize,
    out: &mut Vec<(Value, Value)>,
) -> Result<()> {
    too_deep(depth)?;
    for (key, value) in map {
        let Value::String(name) = &key else {
            return Err(ConnectorError::data("Flatten supports only maps whose keys are texts"));
        };
        match value {
            Value::Map(inner) => flat_map(inner, &path(prefix, delimiter, name), delimiter, depth + 1, out)?,
            Value::Struct(_) => {
                return Err(ConnectorError::data("Flatten does not support STRUCT for records without schemas"));
            }
            value if prefix.is_empty() => out.push((key, value)),
            value => out.push((Value::string(path(prefix, delimiter, name)), value)),
        }
    }
    Ok(())
}

fn flat_schema(
    schema: &Schema,
    prefix: &str,
    delimiter: &str,
    optional: bool,
    default: Option<&Struct>,
    depth: usize,
    out: &mut Schema,
) -> Result<()> {
    too_deep(depth)?;
    for (index, field) in schema.fields.iter().enumerate() {
        let name = path(prefix, delimiter, &field.name);
        let optional = optional || field.schema.optional;
        let inherited = default.and_then(|default| default.values.get(index));
        let inherited = inherited.map(|value| field_value(field, value, true)).filter(|value| !value.is_null());
        let default = field.schema.default.clone().or(inherited);
        match field.schema.kind {
            SchemaType::Struct => {
                let inner = match &default {
                    Some(Value::Struct(inner)) => Some(&**inner),
                    _ => None,
                };
                flat_schema(&field.schema, &name, delimiter, optional, inner, depth + 1, out)?;
            }
            SchemaType::Map => {
                let text =
                    format!("Flatten transformation does not support MAP for record with schemas (for field {name}).");
                return Err(ConnectorError::data(text));
            }
            _ if field.schema.optional == optional && field.schema.default == default => {
                add_field(out, &name, Arc::clone(&field.schema))?;
            }
            _ => {
                let leaf = Schema { optional, default, ..(*field.schema).clone() };
                add_field(out, &name, Arc::new(leaf))?;
            }
        }
    }
    Ok(())
}

/// The leaves in the order of the flat schema; those below a null are null.
fn flat_struct(schema: &Schema, value: Option<&Struct>, out: &mut Vec<Value>) {
    for (index, field) in schema.fields.iter().enumerate() {
        let found = value.and_then(|value| value.values.get(index));
        let found = found.map(|found| field_value(field, found, true));
        match (field.schema.kind, found) {
            (SchemaType::Struct, Some(Value::Struct(inner))) => flat_struct(&field.schema, Some(&inner), out),
            (SchemaType::Struct, _) => flat_struct(&field.schema, None, out),
            (_, found) => out.push(found.unwrap_or_default()),
        }
    }
}

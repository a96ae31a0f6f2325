//! `Cast`: fields, or the whole key or value, change their type by Java's rules.

mod to;

use crate::connect::transform::{
    ConnectRecord, Part, Plugin,
    schemas::{SchemaCache, basics},
    values::{Taken, entry, field_value, into_field_value, put, put_struct, take},
};
use levada_connector_api::{ConnectorConfig, Field, Result, Schema, SchemaType, Value, config::KeyError, logical};
use std::sync::Arc;

#[derive(Debug, ConnectorConfig)]
pub(super) struct Config {
    /// List of fields and the type to cast them to of the form field1:type,field2:type to cast fields of Maps or Structs.
    /// A single type to cast the entire value. Valid types are int8, int16, int32, int64, float32, float64, boolean, and
    /// string.
    #[config(importance = "high", non_empty, check = check_spec)]
    spec: Vec<String>,
    /// Whether to replace fields that have a default value and that are null to the default value.
    #[config(key = "replace.null.with.default", default = "true", importance = "medium")]
    replace_null: bool,
}

/// What is cast to what.
enum Spec {
    Whole(SchemaType),
    Fields(Vec<(String, SchemaType)>),
}

fn check_spec(text: &str) -> Result<(), String> {
    let items: Vec<String> = text.split(',').map(|item| item.trim().to_owned()).collect();
    spec(&items).map(drop)
}

fn spec(items: &[String]) -> Result<Spec, String> {
    let (mut fields, mut whole) = (Vec::new(), None);
    for item in items {
        match item.rsplit_once(':') {
            None => whole = Some(target(item)?),
            Some((name, kind)) if !name.contains(':') => {
                fields.push((name.trim().to_owned(), target(kind.trim())?));
            }
            Some(_) => return Err(format!("Invalid cast mapping: {item}")),
        }
    }
    match (whole, fields.is_empty()) {
        (None, _) => Ok(Spec::Fields(fields)),
        (Some(kind), true) if items.len() == 1 => Ok(Spec::Whole(kind)),
        _ => Err("Cast transformations that specify a type to cast the entire value to may ONLY specify a single cast in their spec"
            .to_owned()),
    }
}

fn target(name: &str) -> Result<SchemaType, String> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "int8" => SchemaType::Int8,
        "int16" => SchemaType::Int16,
        "int32" => SchemaType::Int32,
        "int64" => SchemaType::Int64,
        "float32" => SchemaType::Float32,
        "float64" => SchemaType::Float64,
        "boolean" => SchemaType::Boolean,
        "string" => SchemaType::String,
        other => return Err(format!("Cast transformation does not support casting to/from {other}")),
    })
}

pub(super) struct Cast {
    part: Part,
    spec: Spec,
    replace_null: bool,
    schemas: SchemaCache,
}

impl Plugin for Cast {
    type Config = Config;

    fn new(part: Part, config: Config) -> Result<Self, KeyError> {
        let spec = spec(&config.spec)
            .map_err(|reason| KeyError::invalid("spec", &format!("[{}]", config.spec.join(", ")), &reason))?;
        Ok(Self { part, spec, replace_null: config.replace_null, schemas: SchemaCache::default() })
    }

    fn apply<R: ConnectRecord>(&mut self, mut record: R) -> Result<Option<R>> {
        let fields = match &self.spec {
            Spec::Fields(fields) => fields,
            Spec::Whole(kind) => {
                whole(&mut record, self.part, *kind, &mut self.schemas)?;
                return Ok(Some(record));
            }
        };
        match take(&mut record, self.part, "cast types")? {
            Taken::Null => {}
            Taken::Map(mut map) => {
                for (name, kind) in fields {
                    let cast = to::cast(None, entry(&map, name).unwrap_or(&Value::Null), *kind)?;
                    put(&mut map, name, cast);
                }
                record.set_part(self.part, None, Value::Map(map));
            }
            Taken::Struct(value) => {
                let updated = self.schemas.get(&value.schema, (), |schema| updated(schema, fields))?;
                let mut values = Vec::with_capacity(value.values.len());
                for (field, value) in value.schema.fields.iter().zip(value.values) {
                    values.push(match fields.iter().find(|(name, _)| *name == field.name) {
                        Some((_, kind)) => {
                            to::cast(Some(&field.schema), &field_value(field, &value, self.replace_null), *kind)?
                        }
                        None => into_field_value(field, value, self.replace_null),
                    });
                }
                put_struct(&mut record, self.part, updated, values);
            }
        }
        Ok(Some(record))
    }
}

fn whole<R: ConnectRecord>(record: &mut R, part: Part, kind: SchemaType, schemas: &mut SchemaCache) -> Result<()> {
    let (schema, value) = record.part_mut(part);
    if value.is_null() {
        return Ok(());
    }
    let cast = to::cast(schema.as_deref(), value, kind)?;
    let updated = match schema {
        None => None,
        Some(schema) => Some(schemas.get(schema, (), |schema| {
            let mut updated = Schema { kind, optional: schema.optional, ..basics(schema) };
            // Java keeps the name of a date on the text or number that it becomes; nobody could read that back.
            if schema.name.as_deref().is_some_and(logical::is_logical) {
                (updated.name, updated.version) = (None, None);
                updated.parameters.clear();
            }
            updated.default = default(schema, kind)?;
            Ok(updated)
        })?),
    };
    record.set_part(part, updated, cast);
    Ok(())
}

fn default(schema: &Schema, kind: SchemaType) -> Result<Option<Value>> {
    schema.default.as_ref().map(|default| to::cast(Some(schema), default, kind)).transpose()
}

fn updated(schema: &Schema, fields: &[(String, SchemaType)]) -> Result<Schema> {
    let mut updated = basics(schema);
    updated.optional = schema.optional;
    for field in &schema.fields {
        let cast = match fields.iter().find(|(name, _)| *name == field.name) {
            None => Arc::clone(&field.schema),
            Some((_, kind)) => {
                let mut cast = Schema { optional: field.schema.optional, ..Schema::new(*kind) };
                cast.default = default(&field.schema, *kind)?;
                Arc::new(cast)
            }
        };
        updated.fields.push(Field { name: field.name.clone(), schema: cast });
    }
    Ok(updated)
}

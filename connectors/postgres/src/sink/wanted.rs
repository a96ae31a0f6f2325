//! Which fields of a record have columns, and which of them are the key: as the keys of the configuration say.

use super::{
    config::{PkMode, Settings},
    encode::LISTED_TIME,
    event,
    naming::identifier,
};
use levada_connector_api::{Field, Schema, SchemaType, SinkRecord};
use std::sync::Arc;

/// Where a column's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The whole key.
    Key,
    /// A field of the key.
    KeyField(usize),
    /// The whole value.
    Value,
    /// A field of the row.
    Field(usize),
    /// The record's topic.
    Topic,
    /// The record's partition.
    Partition,
    /// The record's offset.
    Offset,
    /// The first header of that name.
    Header(String),
}

/// A field on its way to a column.
#[derive(Debug)]
pub struct Wanted {
    /// Name of its column.
    pub name: String,
    /// Schema of its values.
    pub schema: Arc<Schema>,
    /// Where they come from.
    pub source: Source,
    /// Whether it is part of the key.
    pub key: bool,
}

/// The fields of a record that have columns, key columns first.
pub fn wanted(settings: &Settings, record: &SinkRecord) -> Result<Vec<Wanted>, String> {
    let row = record.value_schema.as_ref().map(event::row_schema);
    let mut wanted = keys(settings, record, row)?;
    for field in &mut wanted {
        field.name = identifier(&field.name, settings.fold, "the field")?;
    }
    let Some(row) = row else { return Ok(wanted) };
    let mut add = |name: &str, schema: &Arc<Schema>, source: Source| -> Result<(), String> {
        let name = identifier(name, settings.fold, "the field")?;
        // A key column of that name has the value already.
        if !wanted.iter().any(|other| other.key && other.name == name) {
            wanted.push(Wanted { name, schema: Arc::clone(schema), source, key: false });
        }
        Ok(())
    };
    match (row.kind, &settings.text_column) {
        (SchemaType::Struct, _) => {
            let value_keys = settings.pk_mode == PkMode::RecordValue;
            for (at, field) in row.fields.iter().enumerate() {
                let is_key = value_keys && (settings.pk_fields.is_empty() || settings.pk_fields.contains(&field.name));
                if !is_key && settings.fields.takes(&record.topic, &field.name) {
                    add(&field.name, &timestamp(settings, field)?, Source::Field(at))?;
                }
            }
        }
        (SchemaType::String, Some(column)) => add(column, row, Source::Value)?,
        _ => return Err("the value is no struct".to_owned()),
    }
    Ok(wanted)
}

fn keys(settings: &Settings, record: &SinkRecord, row: Option<&Arc<Schema>>) -> Result<Vec<Wanted>, String> {
    let key = |name: &str, schema: &Arc<Schema>, source: Source| Wanted {
        name: name.to_owned(),
        schema: Arc::clone(schema),
        source,
        key: true,
    };
    let (mode, names) = (settings.keys.pk_mode, settings.keys.pk_fields);
    match settings.pk_mode {
        PkMode::None => Ok(Vec::new()),
        PkMode::Kafka => {
            let defaults = ["__connect_topic", "__connect_partition", "__connect_offset"];
            let plain = |kind| Arc::new(Schema::new(kind));
            let schemas = [plain(SchemaType::String), plain(SchemaType::Int32), plain(SchemaType::Int64)];
            let sources = [Source::Topic, Source::Partition, Source::Offset];
            let name = |at: usize| settings.pk_fields.get(at).map_or(defaults[at], String::as_str);
            Ok((0..3).zip(schemas).zip(sources).map(|((at, schema), source)| key(name(at), &schema, source)).collect())
        }
        PkMode::RecordKey => match record.key_schema.as_ref() {
            None => {
                Err(format!("the record has no key with a schema, and {mode}=record_key makes the key columns of it"))
            }
            Some(schema) if schema.kind == SchemaType::Struct => struct_keys(schema, settings, "key", Source::KeyField),
            Some(schema) if matches!(schema.kind, SchemaType::Array | SchemaType::Map) => {
                Err("the record's key is a list or map, which makes no column".to_owned())
            }
            Some(schema) => match settings.pk_fields.as_slice() {
                [name] => Ok(vec![key(name, schema, Source::Key)]),
                _ => Err(format!("the record's key is a single value; set {names} to the name of its column")),
            },
        },
        PkMode::RecordValue => match row {
            Some(row) if row.kind == SchemaType::Struct => {
                let mut keys = struct_keys(row, settings, "value", Source::Field)?;
                for key in &mut keys {
                    if let Some((_, field)) = row.field(&key.name) {
                        key.schema = timestamp(settings, field)?;
                    }
                }
                Ok(keys)
            }
            _ => Err(format!("the record's value is no struct, and {mode}=record_value makes the key columns of it")),
        },
        PkMode::RecordHeader => {
            let mut found: Vec<Wanted> = Vec::new();
            for header in &record.headers {
                let chosen =
                    settings.pk_fields.is_empty() || settings.pk_fields.iter().any(|name| *name == *header.key);
                if let (true, Some(schema)) =
                    (chosen && !found.iter().any(|field| field.name == *header.key), &header.schema)
                {
                    found.push(key(&header.key, schema, Source::Header(header.key.as_str().to_owned())));
                }
            }
            let missing = settings.pk_fields.iter().find(|name| !found.iter().any(|field| field.name == **name));
            match missing {
                Some(name) => Err(format!("the record has no header {name} with a schema, which {names} names")),
                None if found.is_empty() => Err(format!(
                    "the record has no headers with schemas, and {mode}=record_header makes the key columns of them"
                )),
                None => Ok(found),
            }
        }
    }
}

/// The schema of a field of the value, which may be a timestamp because a list says so.
fn timestamp(settings: &Settings, field: &Field) -> Result<Arc<Schema>, String> {
    if !settings.timestamps.contains(&field.name) {
        return Ok(Arc::clone(&field.schema));
    }
    match (field.schema.kind, &field.schema.name) {
        (SchemaType::Int64 | SchemaType::String, None) => {
            let (name, _) = LISTED_TIME[usize::from(settings.timestamp_nanos)];
            Ok(Arc::new(Schema { name: Some(name.into()), ..(*field.schema).clone() }))
        }
        // It says itself what it is.
        (_, Some(_)) => Ok(Arc::clone(&field.schema)),
        (kind, None) => Err(format!(
            "field {} is of type {kind:?}, and timestamp.fields.list takes int64 and string; leave it out of the list",
            field.name
        )),
    }
}

fn struct_keys(
    schema: &Schema,
    settings: &Settings,
    of: &str,
    source: impl Fn(usize) -> Source,
) -> Result<Vec<Wanted>, String> {
    let wanted = |at: usize, field: &Field| Wanted {
        name: field.name.clone(),
        schema: Arc::clone(&field.schema),
        source: source(at),
        key: true,
    };
    if settings.pk_fields.is_empty() {
        return Ok(schema.fields.iter().enumerate().map(|(at, field)| wanted(at, field)).collect());
    }
    let found = settings.pk_fields.iter().map(|name| match schema.field(name) {
        Some((at, field)) => Ok(wanted(at, field)),
        None => Err(format!("the record's {of} has no field {name}, which {} names", settings.keys.pk_fields)),
    });
    found.collect()
}

//! `TimestampConverter`: times as texts, as numbers since the epoch, or as Connect's logical types.

use crate::connect::transform::{
    ConnectRecord, Part, Plugin,
    schemas::{self, SchemaCache, add_field, basics},
    simple_date::SimpleDate,
    values::{Taken, field_value, into_field_value, is_name, java_class, put_struct, take},
};
use levada_connector_api::{
    ConfigEnum, ConnectorConfig, ConnectorError, Result, Schema, SchemaType, Struct, Value, config::KeyError, logical,
};
use std::sync::Arc;

const DAY_MS: i64 = 86_400_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
enum Kind {
    #[config(name = "string")]
    Text,
    #[config(name = "unix")]
    Unix,
    #[config(name = "Date")]
    Date,
    #[config(name = "Time")]
    Time,
    #[config(name = "Timestamp")]
    Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
enum Precision {
    Nanoseconds,
    Microseconds,
    Milliseconds,
    Seconds,
}

#[derive(Debug, ConnectorConfig)]
pub(super) struct Config {
    /// The field containing the timestamp, or empty if the entire value is a timestamp.
    #[config(default = "", importance = "high")]
    field: String,
    /// The desired timestamp representation: string, unix, Date, Time, or Timestamp.
    #[config(key = "target.type", importance = "high")]
    target: Kind,
    /// A SimpleDateFormat-compatible format for the timestamp. Used to generate the output when type=string or used to
    /// parse the input if the input is a string.
    #[config(default = "", importance = "medium")]
    format: String,
    /// The desired Unix precision for the timestamp: seconds, milliseconds, microseconds, or nanoseconds. Used to generate
    /// the output when type=unix or used to parse the input if the input is a Long.
    #[config(key = "unix.precision", default = "milliseconds", importance = "low")]
    precision: Precision,
    /// Whether to replace fields that have a default value and that are null to the default value.
    #[config(key = "replace.null.with.default", default = "true", importance = "medium")]
    replace_null: bool,
}

pub(super) struct TimestampConverter {
    part: Part,
    config: Config,
    format: Option<SimpleDate>,
    schemas: SchemaCache,
}

impl TimestampConverter {
    /// Milliseconds since the epoch of a time; `kind` is what its schema says it is, if it has one.
    fn millis(&self, value: &Value, kind: Option<Kind>) -> Result<i64> {
        let found = || {
            ConnectorError::data(format!(
                "TimestampConverter does not support {} objects as timestamps",
                java_class(value)
            ))
        };
        match (value, kind) {
            (Value::String(text), None | Some(Kind::Text)) => {
                let format = self.format.as_ref().ok_or_else(|| {
                    ConnectorError::data("TimestampConverter needs the key format to read a text; set it")
                })?;
                // The text itself is not told: it is data (invariant 12).
                format.parse(text).ok_or_else(|| {
                    ConnectorError::data(format!(
                        "Could not parse timestamp: value is not of the form {}",
                        self.config.format
                    ))
                })
            }
            (Value::Int64(number), None | Some(Kind::Unix)) => Ok(match self.config.precision {
                Precision::Nanoseconds => number / 1_000_000,
                Precision::Microseconds => number / 1_000,
                Precision::Milliseconds => *number,
                Precision::Seconds => number.saturating_mul(1000),
            }),
            (Value::Int64(millis), Some(Kind::Timestamp)) => Ok(*millis),
            (Value::Int32(millis), Some(Kind::Time)) => Ok(i64::from(*millis)),
            (Value::Int32(days), Some(Kind::Date)) => Ok(i64::from(*days) * DAY_MS),
            _ => Err(found()),
        }
    }

    fn convert(&self, value: &Value, kind: Option<Kind>) -> Result<Value> {
        if value.is_null() {
            return Ok(Value::Null);
        }
        let millis = self.millis(value, kind)?;
        Ok(match self.config.target {
            Kind::Text => Value::string(self.format.as_ref().map(|format| format.format(millis)).unwrap_or_default()),
            Kind::Unix => Value::Int64(match self.config.precision {
                Precision::Nanoseconds => millis.saturating_mul(1_000_000),
                Precision::Microseconds => millis.saturating_mul(1_000),
                Precision::Milliseconds => millis,
                Precision::Seconds => millis / 1000,
            }),
            Kind::Date => Value::Int32(
                i32::try_from(millis.div_euclid(DAY_MS))
                    .map_err(|_| ConnectorError::data("the timestamp is too far from 1970 for a Date"))?,
            ),
            Kind::Time => Value::Int32(millis.rem_euclid(DAY_MS) as i32),
            Kind::Timestamp => Value::Int64(millis),
        })
    }

    fn target_schema(&self, optional: bool) -> Schema {
        match self.config.target {
            Kind::Text => Schema { optional, ..Schema::new(SchemaType::String) },
            Kind::Unix => Schema { optional, ..Schema::new(SchemaType::Int64) },
            Kind::Date => schemas::logical(SchemaType::Int32, logical::DATE, optional),
            Kind::Time => schemas::logical(SchemaType::Int32, logical::TIME, optional),
            Kind::Timestamp => schemas::logical(SchemaType::Int64, logical::TIMESTAMP, optional),
        }
    }

    fn updated(&self, schema: &Schema) -> Result<Schema> {
        let mut updated = basics(schema);
        updated.optional = schema.optional;
        for field in &schema.fields {
            let schema = if field.name == self.config.field {
                Arc::new(self.target_schema(field.schema.optional))
            } else {
                Arc::clone(&field.schema)
            };
            add_field(&mut updated, &field.name, schema)?;
        }
        if let Some(Value::Struct(default)) = &schema.default {
            let values = self.values((**default).clone())?;
            let fields = Arc::new(updated.clone());
            updated.default = Some(Value::structure(fields, values));
        }
        Ok(updated)
    }

    fn values(&self, value: Struct) -> Result<Vec<Value>> {
        let mut values = Vec::with_capacity(value.values.len());
        for (field, value) in value.schema.fields.iter().zip(value.values) {
            values.push(if field.name == self.config.field {
                let kind = kind_of(&field.schema)?;
                self.convert(&field_value(field, &value, self.config.replace_null), Some(kind))?
            } else {
                into_field_value(field, value, self.config.replace_null)
            });
        }
        Ok(values)
    }
}

fn kind_of(schema: &Schema) -> Result<Kind> {
    Ok(match (schema.name.as_deref(), schema.kind) {
        (Some(logical::TIMESTAMP), _) => Kind::Timestamp,
        (Some(logical::DATE), _) => Kind::Date,
        (Some(logical::TIME), _) => Kind::Time,
        (_, SchemaType::String) => Kind::Text,
        (_, SchemaType::Int64) => Kind::Unix,
        (name, kind) => {
            let name = name.map(|name| format!(" named {name}")).unwrap_or_default();
            let text = format!("Schema {kind:?}{name} does not correspond to a known timestamp type format");
            return Err(ConnectorError::data(text));
        }
    })
}

impl Plugin for TimestampConverter {
    type Config = Config;

    fn new(part: Part, config: Config) -> Result<Self, KeyError> {
        let wrong = |reason: &str| KeyError::invalid("format", &config.format, reason);
        if config.target == Kind::Text && config.format.is_empty() {
            let reason = "TimestampConverter requires format option to be specified when using string timestamps";
            return Err(wrong(reason));
        }
        let format = match config.format.as_str() {
            "" => None,
            text => Some(SimpleDate::parse_pattern(text).map_err(|reason| wrong(&reason))?),
        };
        Ok(Self { part, config, format, schemas: SchemaCache::default() })
    }

    fn apply<R: ConnectRecord>(&mut self, mut record: R) -> Result<Option<R>> {
        if self.config.field.is_empty() {
            let (schema, value) = record.part(self.part);
            let (updated, converted) = match schema {
                None => (None, self.convert(value, None)?),
                Some(schema) => {
                    let converted = self.convert(value, Some(kind_of(schema)?))?;
                    (Some(Arc::new(self.target_schema(schema.optional))), converted)
                }
            };
            record.set_part(self.part, updated, converted);
            return Ok(Some(record));
        }
        match take(&mut record, self.part, "converting timestamp formats")? {
            Taken::Null => {
                let (schema, _) = record.part_mut(self.part);
                if let Some(current) = schema.take() {
                    let mut cache = std::mem::take(&mut self.schemas);
                    let updated = cache.get(&current, (), |schema| self.updated(schema));
                    self.schemas = cache;
                    *schema = Some(updated?);
                }
            }
            Taken::Map(mut map) => {
                let name = &self.config.field;
                match map.iter_mut().find(|(key, _)| is_name(key, name)) {
                    Some((_, value)) => *value = self.convert(value, None)?,
                    None => map.push((Value::string(name.as_str()), Value::Null)),
                }
                record.set_part(self.part, None, Value::Map(map));
            }
            Taken::Struct(value) => {
                let mut cache = std::mem::take(&mut self.schemas);
                let updated = cache.get(&value.schema, (), |schema| self.updated(schema));
                self.schemas = cache;
                let values = self.values(value)?;
                put_struct(&mut record, self.part, updated?, values);
            }
        }
        Ok(Some(record))
    }
}

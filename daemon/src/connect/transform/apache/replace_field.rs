//! `ReplaceField`: leaves fields out and renames others.

use crate::connect::transform::{
    ConnectRecord, Part, Plugin,
    schemas::{SchemaCache, add_field, basics},
    values::{Taken, into_field_value, put, put_struct, take},
};
use levada_connector_api::{ConnectorConfig, Result, Schema, Str, Value, config::KeyError};
use std::sync::Arc;

#[derive(Debug, ConnectorConfig)]
pub(in crate::connect::transform) struct Config {
    /// Fields to exclude. This takes precedence over the fields to include.
    #[config(default = "", importance = "medium")]
    exclude: Vec<String>,
    /// Fields to include. If specified, only these fields are used.
    #[config(default = "", importance = "medium")]
    include: Vec<String>,
    /// Field rename mappings, a list of colon-delimited pairs: foo:bar,abc:xyz.
    #[config(default = "", importance = "medium", check = check_renames)]
    renames: Vec<String>,
    /// Whether to replace fields that have a default value and that are null to the default value.
    #[config(key = "replace.null.with.default", default = "true", importance = "medium")]
    replace_null: bool,
    /// Old name of exclude.
    #[config(default = "", importance = "low")]
    blacklist: Vec<String>,
    /// Old name of include.
    #[config(default = "", importance = "low")]
    whitelist: Vec<String>,
}

fn check_renames(text: &str) -> Result<(), String> {
    let wrong = text.split(',').map(str::trim).find(|pair| !pair.is_empty() && rename(pair).is_none());
    wrong.map_or(Ok(()), |pair| Err(format!("Invalid rename mapping: {pair}")))
}

fn rename(pair: &str) -> Option<(&str, &str)> {
    pair.split_once(':').filter(|(from, to)| !from.is_empty() && !to.is_empty() && !to.contains(':'))
}

pub(in crate::connect::transform) struct ReplaceField {
    part: Part,
    exclude: Vec<String>,
    include: Vec<String>,
    renames: Vec<(String, String)>,
    replace_null: bool,
    schemas: SchemaCache,
}

impl ReplaceField {
    /// One that leaves these fields out.
    pub(in crate::connect::transform) fn without(part: Part, exclude: Vec<String>) -> Self {
        let (include, renames) = (Vec::new(), Vec::new());
        Self { part, exclude, include, renames, replace_null: true, schemas: SchemaCache::default() }
    }

    fn keeps(&self, name: &str) -> bool {
        let among = |list: &[String]| list.iter().any(|item| item == name);
        !among(&self.exclude) && (self.include.is_empty() || among(&self.include))
    }

    fn renamed<'a>(&'a self, name: &'a str) -> &'a str {
        self.renames.iter().find(|(from, _)| from == name).map_or(name, |(_, to)| to)
    }

    fn updated(&self, schema: &Schema) -> Result<Schema> {
        let mut updated = basics(schema);
        for field in schema.fields.iter().filter(|field| self.keeps(&field.name)) {
            add_field(&mut updated, self.renamed(&field.name), Arc::clone(&field.schema))?;
        }
        Ok(updated)
    }
}

impl Plugin for ReplaceField {
    type Config = Config;

    fn new(part: Part, config: Config) -> Result<Self, KeyError> {
        let Config { mut exclude, mut include, renames, replace_null, blacklist, whitelist } = config;
        if !blacklist.is_empty() || !whitelist.is_empty() {
            tracing::warn!("ReplaceField: blacklist and whitelist are old names; write exclude and include");
            exclude.extend(blacklist);
            include.extend(whitelist);
        }
        let renames = renames.iter().filter_map(|pair| rename(pair));
        let renames = renames.map(|(from, to)| (from.to_owned(), to.to_owned())).collect();
        Ok(Self { part, exclude, include, renames, replace_null, schemas: SchemaCache::default() })
    }

    fn apply<R: ConnectRecord>(&mut self, mut record: R) -> Result<Option<R>> {
        match take(&mut record, self.part, "field replacement")? {
            Taken::Null => {}
            Taken::Map(map) => {
                let mut kept = Vec::with_capacity(map.len());
                for (key, value) in map {
                    let Value::String(name) = &key else {
                        kept.push((key, value));
                        continue;
                    };
                    if self.keeps(name) {
                        let renamed = self.renamed(name);
                        if *name == *renamed {
                            put(&mut kept, &Str::clone(name), value);
                        } else {
                            put(&mut kept, renamed, value);
                        }
                    }
                }
                record.set_part(self.part, None, Value::Map(kept));
            }
            Taken::Struct(value) => {
                let mut schemas = std::mem::take(&mut self.schemas);
                let updated = schemas.get(&value.schema, (), |schema| self.updated(schema));
                self.schemas = schemas;
                let (fields, values) = (&value.schema.fields, value.values);
                let kept = fields.iter().zip(values).filter(|(field, _)| self.keeps(&field.name));
                let values = kept.map(|(field, value)| into_field_value(field, value, self.replace_null)).collect();
                put_struct(&mut record, self.part, updated?, values);
            }
        }
        Ok(Some(record))
    }
}

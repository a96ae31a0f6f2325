//! `ExtractNewRecordState`: change events become rows.

use super::field_reference::FieldReference;
use crate::connect::transform::{
    ConnectRecord, Part, Plugin,
    apache::ReplaceField,
    schemas::{SchemaCache, add_field, basics},
    values::{entry, put_struct},
};
use levada_connector_api::{
    ConfigEnum, ConnectorConfig, ConnectorError, Header, Result, Schema, SchemaType, Struct, Value, config::KeyError,
};
use std::sync::Arc;

const ENVELOPE: &str = ".Envelope";
const DELETED: &str = "__deleted";

/// `delete.tombstone.handling.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
enum DeleteTombstone {
    Drop,
    Tombstone,
    Rewrite,
    RewriteWithTombstone,
    DeleteToTombstone,
}

/// `delete.handling.mode` of Debezium 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
enum OldDelete {
    Drop,
    Rewrite,
    None,
}

#[derive(Debug, ConnectorConfig)]
pub(super) struct Config {
    /// How to handle delete events and the tombstones after them: drop removes both; tombstone makes a null with the row's
    /// schema of the delete, delete-to-tombstone one without a schema, and both remove the tombstone after it; rewrite
    /// makes a row with a __deleted field of the delete and removes the tombstone, rewrite-with-tombstone keeps it.
    /// tombstone if not given.
    #[config(key = "delete.tombstone.handling.mode", importance = "medium")]
    mode: Option<DeleteTombstone>,
    /// The column which determines how the events will be routed, the value will replace the topic name.
    #[config(key = "route.by.field", default = "", importance = "low")]
    route_by_field: String,
    /// Adds this prefix to each field listed.
    #[config(key = "add.fields.prefix", default = "__", importance = "low")]
    fields_prefix: String,
    /// Adds each field listed, prefixed with __ (or __struct_ if the struct is specified). Example:
    /// version,connector,source.ts_ms would add __version, __connector and __source_ts_ms. Optionally one can also map a
    /// new field name like version:VERSION.
    #[config(key = "add.fields", default = "", importance = "low", check = check_references)]
    fields: Vec<String>,
    /// Adds this prefix to each header listed.
    #[config(key = "add.headers.prefix", default = "__", importance = "low")]
    headers_prefix: String,
    /// Adds each field listed to the headers, named as for add.fields.
    #[config(key = "add.headers", default = "", importance = "low", check = check_references)]
    headers: Vec<String>,
    /// Name of a header that holds a list of fields to be removed from the event value.
    #[config(key = "drop.fields.header.name", importance = "low")]
    drop_header: Option<String>,
    /// Whether to apply the drop fields behavior to the event key as well as the value.
    #[config(key = "drop.fields.from.key", default = "false", importance = "low")]
    drop_from_key: bool,
    /// Whether only optional fields are dropped, so that schemas stay compatible.
    #[config(key = "drop.fields.keep.schema.compatible", default = "true", importance = "low")]
    drop_compatible: bool,
    /// Whether null field values are replaced by source-defined defaults when rewriting the record.
    #[config(key = "replace.null.with.default", default = "true", importance = "low")]
    replace_null: bool,
    /// Debezium 2's name for half of delete.tombstone.handling.mode: whether tombstones are removed.
    #[config(key = "drop.tombstones", importance = "low")]
    old_drop_tombstones: Option<bool>,
    /// Debezium 2's name for the other half: none makes a tombstone of a delete, drop removes it, rewrite makes a row with a
    /// __deleted field of it.
    #[config(key = "delete.handling.mode", importance = "low")]
    old_delete: Option<OldDelete>,
}

fn check_references(text: &str) -> Result<(), String> {
    let mut items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    items.try_for_each(|item| FieldReference::parse("", item).map(drop))
}

/// What becomes of a delete event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delete {
    Drop,
    /// A null that still has the row's schema.
    Null,
    /// A null without a schema.
    Tombstone,
    Rewrite,
}

impl Delete {
    fn keeps_schema(self) -> bool {
        self == Self::Null
    }
}

impl Config {
    /// What becomes of deletes, and whether tombstones stay.
    fn handling(&self) -> (Delete, bool) {
        match (self.mode, self.old_delete, self.old_drop_tombstones) {
            (Some(DeleteTombstone::Drop), ..) => (Delete::Drop, false),
            (Some(DeleteTombstone::Tombstone), ..) | (None, None, None) => (Delete::Null, false),
            (Some(DeleteTombstone::Rewrite), ..) => (Delete::Rewrite, false),
            (Some(DeleteTombstone::RewriteWithTombstone), ..) => (Delete::Rewrite, true),
            (Some(DeleteTombstone::DeleteToTombstone), ..) => (Delete::Tombstone, false),
            (None, old, drop) => {
                let delete = match old.unwrap_or(OldDelete::Drop) {
                    OldDelete::Drop => Delete::Drop,
                    OldDelete::None => Delete::Null,
                    OldDelete::Rewrite => Delete::Rewrite,
                };
                (delete, !drop.unwrap_or(true))
            }
        }
    }
}

/// Which half of the envelope becomes the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Before,
    After,
}

impl State {
    fn field(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

pub(super) struct ExtractNewRecordState {
    config: Config,
    delete: Delete,
    keep_tombstones: bool,
    fields: Vec<FieldReference>,
    headers: Vec<FieldReference>,
    schemas: SchemaCache<State>,
}

impl Plugin for ExtractNewRecordState {
    type Config = Config;

    fn new(_: Part, config: Config) -> Result<Self, KeyError> {
        let read = |key: &str, prefix: &str, items: &[String]| {
            let read = |item: &String| {
                FieldReference::parse(prefix, item).map_err(|reason| KeyError::invalid(key, item, &reason))
            };
            items.iter().filter(|item| !item.is_empty()).map(read).collect::<Result<Vec<_>, _>>()
        };
        let fields = read("add.fields", &config.fields_prefix, &config.fields)?;
        let headers = read("add.headers", &config.headers_prefix, &config.headers)?;
        if config.old_delete.is_some() || config.old_drop_tombstones.is_some() {
            tracing::warn!(
                "ExtractNewRecordState: drop.tombstones and delete.handling.mode are Debezium 2's; \
                 write delete.tombstone.handling.mode"
            );
        }
        let (delete, keep_tombstones) = config.handling();
        Ok(Self { config, delete, keep_tombstones, fields, headers, schemas: SchemaCache::default() })
    }

    fn apply<R: ConnectRecord>(&mut self, mut record: R) -> Result<Option<R>> {
        let (schema, value) = record.part_mut(Part::Value);
        if value.is_null() {
            return Ok(self.tombstone(record));
        }
        match (schema.as_deref(), std::mem::take(value)) {
            (Some(schema), Value::Struct(envelope))
                if schema.name.as_deref().is_some_and(|name| name.ends_with(ENVELOPE)) =>
            {
                self.with_schema(record, &envelope)
            }
            (None, Value::Map(envelope))
                if entry(&envelope, "op").is_some() && entry(&envelope, "source").is_some() =>
            {
                self.without_schema(record, &envelope)
            }
            // Heartbeats, transactions, schema changes.
            (_, other) => {
                *value = other;
                Ok(Some(record))
            }
        }
    }
}

impl ExtractNewRecordState {
    fn tombstone<R: ConnectRecord>(&self, mut record: R) -> Option<R> {
        if !self.keep_tombstones {
            return None;
        }
        let text = Arc::new(Schema::new(SchemaType::String));
        let operations = self.headers.iter().filter(|reference| reference.is_operation());
        let header = |reference: &FieldReference| Header {
            key: reference.name.as_str().into(),
            schema: Some(Arc::clone(&text)),
            value: Value::string("d"),
        };
        let headers: Vec<_> = operations.map(header).collect();
        record.headers_mut().extend(headers);
        Some(record)
    }

    fn with_schema<R: ConnectRecord>(&mut self, mut record: R, envelope: &Struct) -> Result<Option<R>> {
        let part = |name: &str| {
            let (index, field) = envelope.schema.field(name)?;
            Some((Arc::clone(&field.schema), envelope.values.get(index)?))
        };
        let (after, before) = (part("after"), part("before"));
        let row = |part: &Option<(Arc<Schema>, &Value)>| match part {
            Some((_, Value::Struct(row))) => Some(row.clone()),
            _ => None,
        };
        let (new, old) = (row(&after), row(&before));
        if dropped(part("op").map(|(_, op)| op)) || (new.is_none() && old.is_none()) {
            return Ok(None);
        }
        for reference in &self.headers {
            if let Some(schema) = reference.schema(&envelope.schema) {
                let (key, value) = (reference.name.as_str().into(), reference.value(envelope));
                record.headers_mut().push(Header { key, schema: Some(schema), value });
            }
        }
        let (state, row) = match (new, self.delete) {
            (Some(row), _) => (State::After, row),
            (None, Delete::Drop) => return Ok(None),
            (None, delete @ (Delete::Null | Delete::Tombstone)) => {
                let topic = old.as_deref().map_or(Ok(None), |row| text_field(row, &self.config.route_by_field));
                self.route(&mut record, topic)?;
                let schema = after.map(|(schema, _)| schema).filter(|_| delete.keeps_schema());
                record.set_part(Part::Value, schema, Value::Null);
                return self.drop_fields(record);
            }
            (None, Delete::Rewrite) => match old {
                Some(row) => (State::Before, row),
                None => return Ok(None),
            },
        };
        self.route(&mut record, text_field(&row, &self.config.route_by_field))?;
        let (fields, delete) = (&self.fields, self.delete);
        let schema = self.schemas.get(&envelope.schema, state, |envelope| flat(envelope, state, fields, delete))?;
        let mut values = row.values.clone();
        if self.config.replace_null && self.delete == Delete::Rewrite {
            for (field, value) in row.schema.fields.iter().zip(&mut values) {
                if let (Some(default), Value::Null) = (&field.schema.default, &value) {
                    *value = default.clone();
                }
            }
        }
        if self.delete == Delete::Rewrite {
            values.push(Value::string(if state == State::Before { "true" } else { "false" }));
        }
        for reference in &self.fields {
            // Those that the envelope has no field for are not in the schema either.
            if reference.schema(&envelope.schema).is_some() {
                values.push(reference.value(envelope));
            }
        }
        put_struct(&mut record, Part::Value, schema, values);
        self.drop_fields(record)
    }

    fn without_schema<R: ConnectRecord>(&self, mut record: R, envelope: &[(Value, Value)]) -> Result<Option<R>> {
        let row = |name: &str| match entry(envelope, name) {
            Some(Value::Map(row)) => Some(row.clone()),
            _ => None,
        };
        let (new, old) = (row("after"), row("before"));
        if dropped(entry(envelope, "op")) || (new.is_none() && old.is_none()) {
            return Ok(None);
        }
        for reference in &self.headers {
            if let Some(value) = reference.value_of_map(envelope) {
                record.headers_mut().push(Header { key: reference.name.as_str().into(), schema: None, value });
            }
        }
        let is_delete = new.is_none();
        let Some(mut row) = new.or(old) else { return Ok(None) };
        let routed = match entry(&row, &self.config.route_by_field) {
            Some(Value::String(topic)) => Some(topic.to_string()),
            _ => None,
        };
        match self.delete {
            Delete::Drop if is_delete => return Ok(None),
            Delete::Null | Delete::Tombstone if is_delete => {
                self.route(&mut record, Ok(routed))?;
                record.set_part(Part::Value, None, Value::Null);
                return Ok(Some(record));
            }
            Delete::Rewrite => {
                let deleted = if is_delete { "true" } else { "false" };
                row.push((Value::string(DELETED), Value::string(deleted)));
            }
            _ => {}
        }
        for reference in &self.fields {
            if let Some(value) = reference.value_of_map(envelope) {
                row.push((Value::string(reference.name.as_str()), value));
            }
        }
        self.route(&mut record, Ok(routed))?;
        record.set_part(Part::Value, None, Value::Map(row));
        Ok(Some(record))
    }

    fn route<R: ConnectRecord>(&self, record: &mut R, topic: Result<Option<String>>) -> Result<()> {
        if self.config.route_by_field.is_empty() {
            return Ok(());
        }
        if let Some(topic) = topic?.filter(|topic| !topic.trim().is_empty()) {
            record.set_topic(topic.into());
        }
        Ok(())
    }

    /// Leaves out the fields that a header of the record names.
    fn drop_fields<R: ConnectRecord>(&self, record: R) -> Result<Option<R>> {
        let Some(name) = self.config.drop_header.as_deref().filter(|name| !name.trim().is_empty()) else {
            return Ok(Some(record));
        };
        let header = record.headers().iter().find(|header| header.key == *name);
        let Some(Value::Array(items)) = header.map(|header| &header.value) else { return Ok(Some(record)) };
        let names: Vec<String> = items
            .iter()
            .filter_map(|item| match item {
                Value::String(name) => Some(name.to_string()),
                _ => None,
            })
            .collect();
        let mut record = record;
        let parts: &[Part] = if self.config.drop_from_key { &[Part::Key, Part::Value] } else { &[Part::Value] };
        for part in parts {
            let Some(schema) = record.part(*part).0.clone() else { continue };
            let may_go = |name: &String| {
                !self.config.drop_compatible || schema.field(name).is_some_and(|(_, field)| field.schema.optional)
            };
            let dropped: Vec<String> = names.iter().filter(|name| may_go(name)).cloned().collect();
            if !dropped.is_empty() {
                match ReplaceField::without(*part, dropped).apply(record)? {
                    Some(replaced) => record = replaced,
                    None => return Ok(None),
                }
            }
        }
        Ok(Some(record))
    }
}

/// Truncations and messages have no row.
fn dropped(op: Option<&Value>) -> bool {
    let Some(Value::String(op)) = op else { return false };
    let dropped = matches!(op.as_str(), "t" | "m");
    if dropped {
        tracing::debug!(op = op.as_str(), "change event without a row is dropped");
    }
    dropped
}

/// A text field's value; another type is an error, as in Java.
fn text_field(row: &Struct, name: &str) -> Result<Option<String>> {
    if name.is_empty() {
        return Ok(None);
    }
    let missing = || ConnectorError::data(format!("{name} is not a valid field name"));
    let (index, _) = row.schema.field(name).ok_or_else(missing)?;
    match row.values.get(index) {
        Some(Value::String(text)) => Ok(Some(text.to_string())),
        None | Some(Value::Null) => Ok(None),
        Some(_) => Err(ConnectorError::data(format!("route.by.field: field {name} is not a text"))),
    }
}

/// The schema of a flat row.
fn flat(envelope: &Schema, state: State, fields: &[FieldReference], delete: Delete) -> Result<Schema> {
    let missing = || ConnectorError::data(format!("the envelope has no field {}", state.field()));
    let row = &envelope.field(state.field()).ok_or_else(missing)?.1.schema;
    let mut flat = basics(row);
    flat.fields.clone_from(&row.fields);
    if delete == Delete::Rewrite {
        add_field(&mut flat, DELETED, Arc::new(Schema::new(SchemaType::String).optional()))?;
    }
    for reference in fields {
        if let Some(schema) = reference.schema(envelope) {
            add_field(&mut flat, &reference.name, schema)?;
        }
    }
    Ok(flat)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handling(pairs: &[(&str, &str)]) -> (Delete, bool) {
        let config = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Config::parse(&config).unwrap().handling()
    }

    // Debezium 3.6 has forgotten them, and configurations in the field have not.
    #[test]
    fn the_old_names_mean_what_they_meant() {
        assert_eq!(handling(&[("drop.tombstones", "false")]), (Delete::Drop, true));
        assert_eq!(handling(&[("delete.handling.mode", "rewrite")]), (Delete::Rewrite, false));
        assert_eq!(handling(&[("drop.tombstones", "false"), ("delete.handling.mode", "none")]), (Delete::Null, true));
        let both = [("drop.tombstones", "false"), ("delete.tombstone.handling.mode", "drop")];
        assert_eq!(handling(&both), (Delete::Drop, false), "the new name wins");
    }

    #[test]
    fn an_envelope_without_a_schema_becomes_a_row_too() {
        let text = |text: &str| Value::string(text);
        let row = Value::Map(vec![(text("id"), Value::Int64(1))]);
        let event = |op: &str, before: &Value, after: &Value| {
            let source = Value::Map(vec![(text("table"), text("t"))]);
            let fields = [("op", text(op)), ("before", before.clone()), ("after", after.clone()), ("source", source)];
            let event = fields.into_iter().map(|(name, value)| (text(name), value)).collect();
            levada_connector_api::SourceRecord::new("topic", Value::Map(event))
        };
        let config = [("add.fields", "op,table"), ("delete.tombstone.handling.mode", "rewrite")];
        let config = config.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let mut transform = ExtractNewRecordState::new(Part::Value, Config::parse(&config).unwrap()).unwrap();
        let mut flat = |event| {
            let mut out = Vec::new();
            let record: Option<levada_connector_api::SourceRecord> = transform.apply(event).unwrap();
            record.map(|record| {
                record.value.write_text(None, &mut out);
                String::from_utf8(out).unwrap()
            })
        };
        assert_eq!(flat(event("c", &Value::Null, &row)).unwrap(), "{id=1, __deleted=false, __op=c, __table=t}");
        assert_eq!(flat(event("d", &row, &Value::Null)).unwrap(), "{id=1, __deleted=true, __op=d, __table=t}");
        assert_eq!(flat(event("t", &Value::Null, &Value::Null)), None);
    }
}

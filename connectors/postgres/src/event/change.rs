//! Events of rows.

use super::{Batch, Emitter, Moment, emitter::now_nanos};
use crate::table::{DecodedRow, Table};
use levada_connector_api::{Header, Schema, SchemaType, SourceRecord, Str, Value};
use std::sync::Arc;

/// Header with the names of fields of `after` that hold no value, where nothing in their places tells so. Levada's own: other
/// readers see null or an empty list there, as Debezium has it.
pub const UNSENT: &str = "__levada.unavailable";

/// The header [`UNSENT`], when there are such fields.
fn unsent(names: &[&str]) -> Option<Header> {
    let list = || Schema::array(Arc::new(Schema::new(SchemaType::String)));
    (!names.is_empty()).then(|| Header {
        key: Str::from_static(UNSENT),
        schema: Some(Arc::new(list())),
        value: Value::Array(names.iter().map(|name| Value::string(*name)).collect()),
    })
}

impl Emitter {
    /// A row of a snapshot. Not put into a batch: its mark is not known yet.
    pub fn read(&mut self, table: &Table, row: DecodedRow, moment: &Moment) -> SourceRecord {
        let key = table.key_of(&row);
        let value = self.envelope(table, "r", Value::Null, table.value_of(row), moment);
        self.record(table, key, value, None)
    }

    /// A new row.
    pub fn insert(&mut self, table: &Table, row: DecodedRow, moment: &Moment, batch: &mut Batch) {
        if self.skips("c") {
            return;
        }
        let key = table.key_of(&row);
        let value = self.envelope(table, "c", Value::Null, table.value_of(row), moment);
        batch.push(self.record(table, key, value, None));
    }

    /// A changed row. A changed key makes two events of it, and a tombstone between them; `skipped.operations` then
    /// goes by what they are, not by what they were made of.
    pub fn update(
        &mut self,
        table: &Table,
        before: Option<DecodedRow>,
        after: DecodedRow,
        moment: &Moment,
        batch: &mut Batch,
    ) {
        if self.options.skip_unchanged && before.as_ref().is_some_and(|before| before.values == after.values) {
            return;
        }
        let new_key = table.key_of(&after);
        let unsent = unsent(&table.unmarked(&after));
        let old_key = before.as_ref().map_or(Value::Null, |before| table.key_of(before));
        let old = before.map_or(Value::Null, |before| table.value_of(before));
        if old_key.is_null() || old_key == new_key {
            if self.skips("u") {
                return;
            }
            let value = self.envelope(table, "u", old, table.value_of(after), moment);
            batch.push(self.record(table, new_key, value, unsent));
            return;
        }
        let header = |name: &'static str, key: &Value| Header {
            key: Str::from_static(name),
            schema: table.key_schema().cloned(),
            value: key.clone(),
        };
        if !self.skips("d") {
            let to_new = header("__debezium.newkey", &new_key);
            let value = self.envelope(table, "d", old, Value::Null, moment);
            let deleted = self.record(table, old_key.clone(), value, Some(to_new));
            self.push_deleted(deleted, batch);
        }
        if !self.skips("c") {
            let to_old = header("__debezium.oldkey", &old_key);
            let value = self.envelope(table, "c", Value::Null, table.value_of(after), moment);
            let mut record = self.record(table, new_key, value, Some(to_old));
            record.headers.extend(unsent);
            batch.push(record);
        }
    }

    /// A deleted row.
    pub fn delete(&mut self, table: &Table, row: DecodedRow, moment: &Moment, batch: &mut Batch) {
        if self.skips("d") {
            return;
        }
        let key = table.key_of(&row);
        let value = self.envelope(table, "d", table.value_of(row), Value::Null, moment);
        let deleted = self.record(table, key, value, None);
        self.push_deleted(deleted, batch);
    }

    fn push_deleted(&self, deleted: SourceRecord, batch: &mut Batch) {
        let tombstone = (self.options.tombstones && !deleted.key.is_null()).then(|| SourceRecord {
            value_schema: None,
            value: Value::Null,
            ..deleted.clone()
        });
        batch.push(deleted);
        if let Some(tombstone) = tombstone {
            batch.push(tombstone);
        }
    }

    /// A table that was emptied.
    pub fn truncate(&mut self, table: &Table, moment: &Moment, batch: &mut Batch) {
        if self.skips("t") {
            return;
        }
        let value = self.envelope(table, "t", Value::Null, Value::Null, moment);
        let mut record = self.record(table, Value::Null, value, None);
        record.key_schema = None;
        batch.push(record);
    }

    fn envelope(
        &mut self,
        table: &Table,
        operation: &'static str,
        before: Value,
        after: Value,
        moment: &Moment,
    ) -> Value {
        let transaction = if self.transaction.is_some() {
            self.transaction_block(&table.id.to_string(), moment)
        } else {
            Value::Null
        };
        let now = now_nanos();
        let values = vec![
            before,
            after,
            self.source(moment, &table.schema_name, &table.name),
            transaction,
            Value::String(Str::from_static(operation)),
            Value::Int64(now / 1_000_000),
            Value::Int64(now / 1000),
            Value::Int64(now),
        ];
        Value::structure(Arc::clone(&table.envelope_schema), values)
    }
}

//! A captured table: schemas made once, and rows decoded by a plan.

mod build;
mod parameters;
mod row;
mod zero;

pub use build::Builder;
pub use parameters::length_and_scale;
pub use row::{DecodedRow, RowError, line_field, unescaped};

use crate::{catalog::TableId, datatype::Decode, mask::Mask};
use levada_connector_api::{Schema, Str, Value};
use std::sync::Arc;

/// What is worked out once for a table, and again when the server announces it anew.
#[derive(Debug)]
pub struct Table {
    /// Name.
    pub id: TableId,
    /// Topic.
    pub topic: Arc<str>,
    /// Schema's name, for source blocks.
    pub schema_name: Str,
    /// Table's name, for source blocks.
    pub name: Str,
    /// The columns of a row as they come; `None` for those that are left out.
    columns: Vec<Option<ColumnPlan>>,
    /// Schema of a row.
    pub value_schema: Arc<Schema>,
    /// Schema of an event.
    pub envelope_schema: Arc<Schema>,
    /// The key of events.
    key: Option<KeyPlan>,
    /// Names of the columns as they come.
    names: Vec<String>,
    /// Places of the key's columns among them.
    key_places: Vec<usize>,
    /// Most bytes of a value, as text.
    most: usize,
    /// Places, in a row as it comes, of what the row's value has.
    fields: Vec<usize>,
    /// What finds a row in the table: places of columns, and their types for SQL. By the table's own key, and by that of
    /// events.
    row_keys: [Vec<(usize, String)>; 2],
}

/// A column.
#[derive(Debug)]
struct ColumnPlan {
    decode: Decode,
    mask: Option<Mask>,
    /// In place of a null that the schema does not allow: what an old row leaves out.
    missing: Value,
    /// In place of a large value that did not change.
    placeholder: Value,
    /// Whether that can be told from a value.
    marked: bool,
    /// Whether it is in the row's value.
    in_value: bool,
    /// Whether the key takes it apart from the value.
    extra: bool,
}

/// A key.
#[derive(Debug)]
struct KeyPlan {
    schema: Arc<Schema>,
    parts: Vec<KeyPart>,
}

/// Where a part of a key is found.
#[derive(Clone, Copy, Debug)]
enum KeyPart {
    /// In the row's value.
    Value(usize),
    /// Among what was decoded for keys alone.
    Extra(usize),
}

impl Table {
    /// Schema of the key.
    pub fn key_schema(&self) -> Option<&Arc<Schema>> {
        self.key.as_ref().map(|key| &key.schema)
    }

    /// The column of a field of the row's value.
    pub fn field_column(&self, field: usize) -> &str {
        self.fields.get(field).and_then(|place| self.names.get(*place)).map_or("", String::as_str)
    }

    /// Fields of a row that the server did not send, and in whose places stands what could be a value.
    pub fn unmarked(&self, row: &DecodedRow) -> Vec<&str> {
        let unmarked = |field: &usize| {
            let plan = self.fields.get(*field).and_then(|place| self.columns.get(*place)?.as_ref());
            plan.is_some_and(|plan| !plan.marked)
        };
        let name = |field: &usize| self.value_schema.fields.get(*field).map(|field| field.name.as_str());
        row.unavailable().iter().filter(|field| unmarked(field)).filter_map(name).collect()
    }

    /// What finds a row in the table: places of columns in a row as it comes, and their types for SQL; empty where nothing
    /// does, or where the catalog does not know the table as it comes.
    pub fn row_key(&self, of_events: bool) -> &[(usize, String)] {
        let [own, events] = &self.row_keys;
        if of_events { events } else { own }
    }

    /// Names of the columns as they come.
    pub fn column_names(&self) -> &[String] {
        &self.names
    }
}

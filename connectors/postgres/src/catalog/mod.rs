//! What the database says of itself: tables, types, keys, slots, publications.

mod datatypes;
mod publication;
mod slot;
mod tables;

pub use datatypes::load_types;
pub use publication::{Publication, shown};
pub use slot::{Slot, SlotState, server_version};
pub use tables::{CatalogColumn, TableId, TableInfo, list_tables, owners, table_info, table_infos};

use crate::error::{Error, Result};
use tokio_postgres::SimpleQueryRow;

/// A column of a row that must be there.
pub(crate) fn text(row: &SimpleQueryRow, index: usize) -> Result<&str> {
    row.try_get(index)
        .ok()
        .flatten()
        .ok_or_else(|| Error::Protocol("a row without a column that was asked for".to_owned()))
}

pub(crate) fn number<T: std::str::FromStr>(row: &SimpleQueryRow, index: usize) -> Result<T> {
    text(row, index)?.parse().map_err(|_| Error::Protocol("something else than a number".to_owned()))
}

fn optional(row: &SimpleQueryRow, index: usize) -> Option<&str> {
    row.try_get(index).ok().flatten()
}

/// A JSON array of texts.
fn texts(json: Option<&str>) -> Vec<String> {
    json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
}

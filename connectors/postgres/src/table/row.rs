//! A row from its cells.

use super::{ColumnPlan, KeyPart, Table};
use crate::{
    datatype::DecodeError,
    pgoutput::{Cell, Tuple},
};
use levada_connector_api::{Bytes, Value};
use std::sync::Arc;

/// Most characters of a part of a key in an error.
const MOST_KEY_CHARACTERS: usize = 100;

/// A row that can't be represented.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// A value of a column.
    #[error("column {column} of table {table}: {cause}")]
    Column {
        /// Table.
        table: String,
        /// Column.
        column: String,
        /// What is wrong.
        cause: DecodeError,
    },
    /// A value above the limit.
    #[error(
        "column {column} of table {table}: a value of {size} bytes in the row with the key {key} is above \
         max.value.bytes={most}; raise it, with max.message.bytes of the topic"
    )]
    TooLarge {
        /// Table.
        table: String,
        /// Column.
        column: String,
        /// Key of the row, as text.
        key: String,
        /// Size of the value, as text.
        size: usize,
        /// The limit.
        most: usize,
    },
    /// The message itself.
    #[error("a row of table {table} that does not fit its announcement")]
    Shape {
        /// Table.
        table: String,
    },
}

/// A row: its value, and what only keys take of it.
#[derive(Debug)]
pub struct DecodedRow {
    /// Values in the order of the schema.
    pub values: Vec<Value>,
    extra: Vec<Value>,
    /// Places of values that the server did not send.
    unavailable: Vec<usize>,
}

impl Table {
    /// Decodes a row of the stream. A large value that did not change is taken from `before` where that has it.
    pub fn decode(
        &self,
        mut row: Tuple<'_>,
        owner: &Bytes,
        before: Option<&DecodedRow>,
    ) -> Result<DecodedRow, RowError> {
        if row.len() != self.columns.len() {
            return Err(self.misfit());
        }
        let whole = row;
        let mut decoded = self.room();
        for (index, column) in self.columns.iter().enumerate() {
            let cell = row.next().ok().flatten().ok_or_else(|| self.misfit())?;
            let Some(plan) = column else { continue };
            let value = match cell {
                Cell::Text(text) if text.len() > self.most => {
                    return Err(self.too_large(index, text.len(), |place| cell_text(whole, place)));
                }
                Cell::Text(text) => self.value(index, plan, text, owner)?,
                Cell::Null => plan.missing.clone(),
                Cell::Unchanged => {
                    let old = before.and_then(|before| before.values.get(decoded.values.len()));
                    match old.filter(|_| plan.in_value).filter(|value| !value.is_null()) {
                        Some(old) => {
                            // It was masked when it was decoded.
                            decoded.values.push(old.clone());
                            continue;
                        }
                        None => {
                            if plan.in_value {
                                decoded.unavailable.push(decoded.values.len());
                            }
                            plan.placeholder.clone()
                        }
                    }
                }
            };
            decoded.push(plan, value);
        }
        Ok(decoded)
    }

    /// Decodes a line of COPY's text format.
    pub fn decode_line(&self, line: &Bytes) -> Result<DecodedRow, RowError> {
        let mut decoded = self.room();
        let mut start = 0;
        for (index, column) in self.columns.iter().enumerate() {
            let rest = line.get(start..).ok_or_else(|| self.misfit())?;
            let end = start + memchr::memchr(b'\t', rest).unwrap_or(rest.len());
            let field = line.get(start..end).unwrap_or_default();
            start = end + 1;
            let Some(plan) = column else { continue };
            // Escapes make a value longer: what is below without them is let through.
            if field.len() > self.most && unescaped_length(field) > self.most {
                return Err(self.too_large(index, unescaped_length(field), |place| line_field(line, place)));
            }
            let value = if field == b"\\N" {
                plan.missing.clone()
            } else if memchr::memchr(b'\\', field).is_some() {
                let plain = unescaped(field);
                self.value(index, plan, &plain, &plain)?
            } else {
                self.value(index, plan, field, line)?
            };
            decoded.push(plan, value);
        }
        if start != line.len() + 1 && !self.columns.is_empty() {
            return Err(self.misfit());
        }
        Ok(decoded)
    }

    /// Decodes a line of COPY's text format of a number and these fields of the row's value.
    pub fn decode_fields(&self, line: &Bytes, fields: &[usize]) -> Result<(usize, Vec<Value>), RowError> {
        let mut parts = line.split(|byte| *byte == b'\t');
        let number = parts.next().and_then(|number| std::str::from_utf8(number).ok()?.parse().ok());
        let mut values = Vec::with_capacity(fields.len());
        for field in fields {
            let place = self.fields.get(*field).copied().ok_or_else(|| self.misfit())?;
            let plan = self.columns.get(place).and_then(Option::as_ref).ok_or_else(|| self.misfit())?;
            let text = parts.next().ok_or_else(|| self.misfit())?;
            let value = if text == b"\\N" {
                plan.missing.clone()
            } else {
                let plain = unescaped(text);
                self.value(place, plan, &plain, &plain)?
            };
            values.push(masked(plan, value));
        }
        Ok((number.ok_or_else(|| self.misfit())?, values))
    }

    fn room(&self) -> DecodedRow {
        DecodedRow {
            values: Vec::with_capacity(self.value_schema.fields.len()),
            extra: Vec::new(),
            unavailable: Vec::new(),
        }
    }

    fn too_large(&self, index: usize, size: usize, text: impl Fn(usize) -> Option<String>) -> RowError {
        let part = |place: &usize| {
            let mut value = text(*place).unwrap_or_else(|| "null".to_owned());
            if let Some((end, _)) = value.char_indices().nth(MOST_KEY_CHARACTERS) {
                value.truncate(end);
            }
            format!("{}={value}", self.names.get(*place).map_or("", String::as_str))
        };
        let key: Vec<_> = self.key_places.iter().map(part).collect();
        RowError::TooLarge {
            table: self.id.to_string(),
            column: self.names.get(index).cloned().unwrap_or_default(),
            key: if key.is_empty() { "(none)".to_owned() } else { key.join(", ") },
            size,
            most: self.most,
        }
    }

    fn misfit(&self) -> RowError {
        RowError::Shape { table: self.id.to_string() }
    }

    fn value(&self, index: usize, plan: &ColumnPlan, text: &[u8], owner: &Bytes) -> Result<Value, RowError> {
        plan.decode.decode(text, owner).map_err(|cause| RowError::Column {
            table: self.id.to_string(),
            column: self.names.get(index).cloned().unwrap_or_default(),
            cause,
        })
    }

    /// The key of a row.
    pub fn key_of(&self, row: &DecodedRow) -> Value {
        let Some(key) = &self.key else { return Value::Null };
        let part = |part: &KeyPart| match part {
            KeyPart::Value(index) => row.values.get(*index).cloned().unwrap_or_default(),
            KeyPart::Extra(index) => row.extra.get(*index).cloned().unwrap_or_default(),
        };
        let values = key.parts.iter().map(part).collect();
        Value::structure(Arc::clone(&key.schema), values)
    }

    /// The row as a struct.
    pub fn value_of(&self, row: DecodedRow) -> Value {
        Value::structure(Arc::clone(&self.value_schema), row.values)
    }
}

impl DecodedRow {
    /// Places of values that the server did not send.
    pub fn unavailable(&self) -> &[usize] {
        &self.unavailable
    }

    fn push(&mut self, plan: &ColumnPlan, value: Value) {
        if plan.extra {
            self.extra.push(value.clone());
        }
        if !plan.in_value {
            return;
        }
        self.values.push(masked(plan, value));
    }
}

/// What leaves the process of a value.
fn masked(plan: &ColumnPlan, value: Value) -> Value {
    match &plan.mask {
        Some(mask) if mask.hides_null() || !value.is_null() => mask.apply(value),
        _ => value,
    }
}

/// A cell of a row of the stream, as text.
fn cell_text(mut row: Tuple<'_>, place: usize) -> Option<String> {
    for _ in 0..place {
        row.next().ok().flatten()?;
    }
    match row.next().ok().flatten()? {
        Cell::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
        Cell::Null | Cell::Unchanged => None,
    }
}

/// Bytes of a field of COPY's text format without its escapes, each of which is two.
fn unescaped_length(field: &[u8]) -> usize {
    let (mut length, mut rest) = (field.len(), field);
    while let Some(at) = memchr::memchr(b'\\', rest) {
        length -= 1;
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    length
}

/// A field of a line of COPY's text format, as text.
pub fn line_field(line: &[u8], index: usize) -> Option<String> {
    let field = line.split(|byte| *byte == b'\t').nth(index).filter(|field| *field != b"\\N")?;
    Some(String::from_utf8_lossy(&unescaped(field)).into_owned())
}

/// A field of COPY's text format without its escapes.
pub fn unescaped(field: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(rest.get(..at).unwrap_or_default());
        let escaped = rest.get(at + 1).copied().unwrap_or(b'\\');
        out.push(match escaped {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            other => other,
        });
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone() {
        assert_eq!(unescaped_length(br"a\tb\nc\\d\x"), 8);
        assert_eq!(unescaped(br"a\tb\nc\\d\x"), Bytes::from_static(b"a\tb\nc\\dx"));
    }
}

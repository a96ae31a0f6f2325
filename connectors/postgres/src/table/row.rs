//! A row from its cells.

use super::{ColumnPlan, KeyPart, Table};
use crate::{
    datatype::DecodeError,
    pgoutput::{Cell, Tuple},
};
use levada_connector_api::{Bytes, Struct, Value};
use std::sync::Arc;

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
        let mut decoded = self.room();
        for (index, column) in self.columns.iter().enumerate() {
            let cell = row.next().ok().flatten().ok_or_else(|| self.misfit())?;
            let Some(plan) = column else { continue };
            let value = match cell {
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
                        None => plan.placeholder.clone(),
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

    fn room(&self) -> DecodedRow {
        DecodedRow { values: Vec::with_capacity(self.value_schema.fields.len()), extra: Vec::new() }
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
        Value::Struct(Box::new(Struct { schema: Arc::clone(&key.schema), values }))
    }

    /// The row as a struct.
    pub fn value_of(&self, row: DecodedRow) -> Value {
        Value::Struct(Box::new(Struct { schema: Arc::clone(&self.value_schema), values: row.values }))
    }
}

impl DecodedRow {
    fn push(&mut self, plan: &ColumnPlan, value: Value) {
        if plan.extra {
            self.extra.push(value.clone());
        }
        if !plan.in_value {
            return;
        }
        let value = match &plan.mask {
            Some(mask) if mask.hides_null() || !value.is_null() => mask.apply(value),
            _ => value,
        };
        self.values.push(value);
    }
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
        assert_eq!(unescaped(br"a\tb\nc\\d\x"), Bytes::from_static(b"a\tb\nc\\dx"));
    }
}

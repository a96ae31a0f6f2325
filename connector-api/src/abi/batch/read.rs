//! Reads numbers, texts and values out of bytes that nobody vouches for.

use super::{MAX_DEPTH, NONE, read_schema::SchemaTable};
use crate::{ConnectorError, Result, Schema, Str, Value};
use bytes::Bytes;
use std::sync::Arc;

/// A place in a batch.
pub struct Reader {
    bytes: Bytes,
    at: usize,
}

impl Reader {
    /// At the start.
    pub fn new(bytes: Bytes) -> Self {
        Self { bytes, at: 0 }
    }

    /// The error for what is wrong here.
    pub fn broken(&self, what: &str) -> ConnectorError {
        ConnectorError::fatal(format!("the record batch breaks its layout at byte {}: {what}", self.at))
    }

    /// Bytes that are left.
    pub fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let found = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>()).copied();
        let array = found.ok_or_else(|| self.broken("it ends too soon"))?;
        self.at += N;
        Ok(array)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8> {
        self.array::<1>().map(u8::from_le_bytes)
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// Four bytes.
    pub fn i32(&mut self) -> Result<i32> {
        self.array().map(i32::from_le_bytes)
    }

    /// Eight bytes.
    pub fn i64(&mut self) -> Result<i64> {
        self.array().map(i64::from_le_bytes)
    }

    /// Length and bytes.
    pub fn bytes(&mut self) -> Result<Bytes> {
        let len = self.u32()? as usize;
        if len > self.left() {
            return Err(self.broken("a length is over the bytes that are left"));
        }
        let bytes = self.bytes.slice(self.at..self.at + len);
        self.at += len;
        Ok(bytes)
    }

    /// Length and UTF-8.
    pub fn text(&mut self) -> Result<Str> {
        let bytes = self.bytes()?;
        Str::from_utf8(bytes).map_err(|_| self.broken("a text is not UTF-8"))
    }

    /// Count of items of at least `least` bytes each: never more than the bytes that are left can hold,
    /// so that it may be allocated.
    pub fn count(&mut self, least: usize) -> Result<usize> {
        let count = self.u32()? as usize;
        if count > self.left() / least.max(1) {
            return Err(self.broken("a count is over what the bytes that are left can hold"));
        }
        Ok(count)
    }

    /// End of a part whose length stands here.
    pub fn end(&mut self) -> Result<usize> {
        let len = self.u32()? as usize;
        if len > self.left() {
            return Err(self.broken("a length is over the bytes that are left"));
        }
        Ok(self.at + len)
    }

    /// How many bytes a part still has up to its end.
    pub fn left_before(&self, end: usize) -> usize {
        end.saturating_sub(self.at)
    }

    /// Goes on to the end of a part; what is unknown there is skipped.
    pub fn leave(&mut self, end: usize) -> Result<()> {
        if self.at > end {
            return Err(self.broken("a part is longer than its length"));
        }
        self.at = end;
        Ok(())
    }

    /// A schema, or none.
    pub fn schema(&mut self, schemas: &SchemaTable) -> Result<Option<Arc<Schema>>> {
        let index = self.u32()?;
        if index == NONE {
            return Ok(None);
        }
        let schema = schemas.get(index).ok_or_else(|| self.broken("there is no schema of that index"))?;
        Ok(Some(Arc::clone(schema)))
    }

    /// A tagged value.
    pub fn value(&mut self, schemas: &SchemaTable, depth: u32) -> Result<Value> {
        if depth > MAX_DEPTH {
            return Err(self.broken("a value is nested too deep"));
        }
        Ok(match self.u8()? {
            0 => Value::Null,
            1 => Value::Boolean(match self.u8()? {
                0 => false,
                1 => true,
                _ => return Err(self.broken("a boolean is neither 0 nor 1")),
            }),
            2 => Value::Int8(self.array().map(i8::from_le_bytes)?),
            3 => Value::Int16(self.array().map(i16::from_le_bytes)?),
            4 => Value::Int32(self.i32()?),
            5 => Value::Int64(self.i64()?),
            6 => Value::Float32(self.array().map(f32::from_le_bytes)?),
            7 => Value::Float64(self.array().map(f64::from_le_bytes)?),
            8 => Value::String(self.text()?),
            9 => Value::Bytes(self.bytes()?),
            10 => {
                let count = self.count(1)?;
                Value::Array(self.values(schemas, count, depth)?)
            }
            11 => {
                let count = self.count(2)?;
                let mut entries = Vec::new();
                for _ in 0..count {
                    entries.push((self.value(schemas, depth + 1)?, self.value(schemas, depth + 1)?));
                }
                Value::Map(entries)
            }
            12 => {
                let Some(schema) = self.schema(schemas)? else {
                    return Err(self.broken("a struct has no schema"));
                };
                let values = self.values(schemas, schema.fields.len(), depth)?;
                Value::structure(schema, values)
            }
            _ => return Err(self.broken("a value has an unknown tag")),
        })
    }

    fn values(&mut self, schemas: &SchemaTable, count: usize, depth: u32) -> Result<Vec<Value>> {
        // Grown as values are found, not by the count: a null is one byte there and forty here.
        let mut values = Vec::with_capacity(count.min(64));
        for _ in 0..count {
            values.push(self.value(schemas, depth + 1)?);
        }
        Ok(values)
    }
}

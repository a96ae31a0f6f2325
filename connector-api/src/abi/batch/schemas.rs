//! The table of schemas and of topics that a batch is written with.

use super::{MAX_DEPTH, NONE, TYPES, flag, write};
use crate::{ConnectorError, Result, Schema};
use std::{collections::HashMap, sync::Arc};

/// Schemas seen so far, each written once. Lives while the batch is borrowed: it knows schemas by
/// their address, and equal ones at different addresses by their bytes.
#[derive(Default)]
pub struct Schemas {
    by_address: HashMap<*const Schema, u32>,
    by_bytes: HashMap<Vec<u8>, u32>,
    table: Vec<u8>,
}

impl Schemas {
    /// Index of a schema or "none".
    pub fn index(&mut self, schema: Option<&Arc<Schema>>) -> Result<u32> {
        schema.map_or(Ok(NONE), |schema| self.intern(schema, 0))
    }

    /// Index of a schema.
    pub fn intern(&mut self, schema: &Arc<Schema>, depth: u32) -> Result<u32> {
        if let Some(index) = self.by_address.get(&Arc::as_ptr(schema)) {
            return Ok(*index);
        }
        if depth > MAX_DEPTH {
            return Err(ConnectorError::data(format!("a schema is nested deeper than {MAX_DEPTH} levels")));
        }
        let mut bytes = Vec::new();
        write::with_length(&mut bytes, |out| self.write(out, schema, depth + 1))?;
        let index = match self.by_bytes.get(&bytes) {
            Some(index) => *index,
            None => {
                let index = self.by_bytes.len() as u32;
                self.table.extend_from_slice(&bytes);
                self.by_bytes.insert(bytes, index);
                index
            }
        };
        self.by_address.insert(Arc::as_ptr(schema), index);
        Ok(index)
    }

    fn write(&mut self, out: &mut Vec<u8>, schema: &Schema, depth: u32) -> Result<()> {
        let kind = TYPES.iter().position(|kind| *kind == schema.kind).unwrap_or_default();
        let flags = [
            (schema.optional, flag::OPTIONAL),
            (schema.default.is_some(), flag::DEFAULT),
            (schema.name.is_some(), flag::NAME),
            (schema.version.is_some(), flag::VERSION),
            (schema.doc.is_some(), flag::DOC),
        ];
        let flags = flags.iter().filter(|(set, _)| *set).fold(0, |all, (_, flag)| all | flag);
        out.extend_from_slice(&[kind as u8, flags]);
        if let Some(name) = &schema.name {
            write::bytes(out, name.as_bytes())?;
        }
        if let Some(version) = schema.version {
            out.extend_from_slice(&version.to_le_bytes());
        }
        if let Some(doc) = &schema.doc {
            write::bytes(out, doc.as_bytes())?;
        }
        write::count(out, schema.parameters.len())?;
        for (name, value) in &schema.parameters {
            write::bytes(out, name.as_bytes())?;
            write::bytes(out, value.as_bytes())?;
        }
        write::count(out, schema.fields.len())?;
        for field in &schema.fields {
            write::bytes(out, field.name.as_bytes())?;
            let index = self.intern(&field.schema, depth)?;
            out.extend_from_slice(&index.to_le_bytes());
        }
        for part in [&schema.key_schema, &schema.value_schema] {
            let index = part.as_ref().map_or(Ok(NONE), |part| self.intern(part, depth))?;
            out.extend_from_slice(&index.to_le_bytes());
        }
        match &schema.default {
            Some(value) => write::value(out, self, value, depth),
            None => Ok(()),
        }
    }

    /// Number of schemas and their bytes.
    pub fn finish(self) -> (usize, Vec<u8>) {
        (self.by_bytes.len(), self.table)
    }
}

/// Texts seen so far, each written once: topics, and source partitions.
#[derive(Default)]
pub struct Texts<K> {
    last: Option<(K, u32)>,
    by_key: HashMap<K, u32>,
    by_text: HashMap<Vec<u8>, u32>,
    table: Vec<u8>,
}

impl<K: Copy + Eq + std::hash::Hash> Texts<K> {
    /// Index of the text that `key`, an address while the batch is borrowed, stands for.
    pub fn intern(&mut self, key: K, text: impl FnOnce() -> Vec<u8>) -> Result<u32> {
        if let Some((_, index)) = self.last.filter(|(last, _)| *last == key) {
            return Ok(index);
        }
        let index = match self.by_key.get(&key) {
            Some(index) => *index,
            None => self.add(text())?,
        };
        self.by_key.insert(key, index);
        self.last = Some((key, index));
        Ok(index)
    }

    fn add(&mut self, text: Vec<u8>) -> Result<u32> {
        let next = self.by_text.len() as u32;
        if let Some(index) = self.by_text.get(&text) {
            return Ok(*index);
        }
        write::bytes(&mut self.table, &text)?;
        self.by_text.insert(text, next);
        Ok(next)
    }

    /// Number of texts and their bytes.
    pub fn finish(self) -> (usize, Vec<u8>) {
        (self.by_text.len(), self.table)
    }
}

//! Schemas that were converted lately, both ways. Bounded by `schemas.cache.size`.

use super::tree::Json;
use crate::connect::converter::ConvertError;
use levada_connector_api::Schema;
use parking_lot::Mutex;
use std::sync::Arc;

/// Entries looked through; a topic rarely has more schemas at a time, and a longer search costs
/// more than the conversion it saves.
const MOST: usize = 64;

/// A schema and its JSON.
type Written = (Arc<Schema>, Arc<[u8]>);

#[derive(Debug)]
pub(super) struct SchemaCache {
    size: usize,
    written: Mutex<Vec<Written>>,
    read: Mutex<Vec<(Json, Arc<Schema>)>>,
}

impl SchemaCache {
    pub(super) fn new(size: usize) -> Self {
        Self { size: size.min(MOST), written: Mutex::default(), read: Mutex::default() }
    }

    /// Appends the JSON of `schema`, made by `write` when it isn't known.
    pub(super) fn write(
        &self,
        schema: &Arc<Schema>,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), ConvertError>,
    ) -> Result<(), ConvertError> {
        {
            let written = self.written.lock();
            if let Some((_, bytes)) = written.iter().find(|(known, _)| Arc::ptr_eq(known, schema)) {
                out.extend_from_slice(bytes);
                return Ok(());
            }
        }
        let start = out.len();
        write(out)?;
        let bytes: Arc<[u8]> = out.get(start..).unwrap_or_default().into();
        put(&mut self.written.lock(), self.size, (schema.clone(), bytes));
        Ok(())
    }

    /// The schema behind its JSON, made by `read` when it isn't known.
    pub(super) fn read(
        &self,
        json: &Json,
        read: impl FnOnce(&Json) -> Result<Option<Arc<Schema>>, ConvertError>,
    ) -> Result<Option<Arc<Schema>>, ConvertError> {
        {
            let known = self.read.lock();
            if let Some((_, schema)) = known.iter().find(|(known, _)| known == json) {
                return Ok(Some(schema.clone()));
            }
        }
        let schema = read(json)?;
        if let Some(schema) = &schema {
            // A copy of the JSON would hold the whole record it is a slice of.
            put(&mut self.read.lock(), self.size, (json.detached(), schema.clone()));
        }
        Ok(schema)
    }
}

fn put<T>(entries: &mut Vec<T>, size: usize, entry: T) {
    if size == 0 {
        return;
    }
    if entries.len() >= size {
        entries.remove(0);
    }
    entries.push(entry);
}

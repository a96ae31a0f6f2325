//! Schemas that were converted lately, both ways. Bounded by `schemas.cache.size`.

use super::{plan::Plan, tree::Json};
use crate::connect::converter::ConvertError;
use levada_connector_api::Schema;
use parking_lot::Mutex;
use std::sync::Arc;

/// Entries looked through; a topic rarely has more schemas at a time, and a longer search costs
/// more than the conversion it saves.
const MOST: usize = 64;

/// Longest head of an envelope that is kept, bytes.
const LONGEST_HEAD: usize = 64 << 10;

/// A schema and its JSON.
type Written = (Arc<Schema>, Arc<[u8]>);

/// The first bytes of envelopes, and the schema in them.
type Head = (Box<[u8]>, Arc<Schema>);

#[derive(Debug)]
pub(super) struct SchemaCache {
    size: usize,
    written: Mutex<Vec<Written>>,
    plans: Mutex<Vec<Arc<Plan>>>,
    read: Mutex<Vec<(Json, Arc<Schema>)>>,
    heads: Mutex<Vec<Head>>,
}

impl SchemaCache {
    pub(super) fn new(size: usize) -> Self {
        Self {
            size: size.min(MOST),
            written: Mutex::default(),
            plans: Mutex::default(),
            read: Mutex::default(),
            heads: Mutex::default(),
        }
    }

    /// The plan for structs of `schema`, made by `make` when it isn't known; `None` where there is none or nothing is kept.
    pub(super) fn plan(&self, schema: &Arc<Schema>, make: impl FnOnce() -> Option<Arc<Plan>>) -> Option<Arc<Plan>> {
        let mut plans = self.plans.lock();
        if let Some(plan) = plans.iter().find(|plan| plan.is_of(schema)) {
            return Some(Arc::clone(plan));
        }
        let plan = make().filter(|_| self.size > 0)?;
        put(&mut plans, self.size, Arc::clone(&plan));
        Some(plan)
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

    /// The length of the head that `input` begins with, and the schema in it, when that is known.
    pub(super) fn head(&self, input: &[u8]) -> Option<(usize, Arc<Schema>)> {
        let heads = self.heads.lock();
        let (head, schema) = heads.iter().find(|(head, _)| input.starts_with(head))?;
        Some((head.len(), Arc::clone(schema)))
    }

    /// Keeps the head of an envelope with this schema.
    pub(super) fn keep_head(&self, head: &[u8], schema: &Arc<Schema>) {
        if head.len() <= LONGEST_HEAD {
            put(&mut self.heads.lock(), self.size, (head.into(), Arc::clone(schema)));
        }
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

//! Schemas that were converted lately, both ways. Bounded by `schemas.cache.size`.

use super::{plan::Plan, tree::Json};
use crate::connect::converter::ConvertError;
use levada_connector_api::Schema;
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};

/// Entries looked through; a topic rarely has more schemas at a time, and a longer search costs
/// more than the conversion it saves.
const MOST: usize = 64;

/// Longest head of an envelope that is kept, bytes.
const LONGEST_HEAD: usize = 64 << 10;

/// How often a schema comes before a plan is made for it: that costs about as much as writing so many structs.
const SIGHTS: u32 = 8;

/// What is known of a schema, by its address.
#[derive(Debug)]
enum Sight {
    /// It, or one that was there before, was seen so often.
    Times(u32),
    /// The plan, which keeps the schema and so its address.
    Plan(Arc<Plan>),
}

/// A schema and its JSON.
type Written = (Arc<Schema>, Arc<[u8]>);

/// The first bytes of envelopes, and the schema in them.
type Head = (Box<[u8]>, Arc<Schema>);

#[derive(Debug)]
pub(super) struct SchemaCache {
    size: usize,
    written: Mutex<Vec<Written>>,
    plans: Mutex<HashMap<usize, Sight>>,
    most_plans: usize,
    read: Mutex<Vec<(Json, Arc<Schema>)>>,
    heads: Mutex<Vec<Head>>,
}

impl SchemaCache {
    pub(super) fn new(size: usize) -> Self {
        Self {
            size: size.min(MOST),
            written: Mutex::default(),
            plans: Mutex::default(),
            most_plans: size,
            read: Mutex::default(),
            heads: Mutex::default(),
        }
    }

    /// The plan for structs of `schema`, made by `make` once the schema has come often enough to be worth it.
    pub(super) fn plan(&self, schema: &Arc<Schema>, make: impl FnOnce() -> Arc<Plan>) -> Option<Arc<Plan>> {
        if self.most_plans == 0 {
            return None;
        }
        let mut plans = self.plans.lock();
        let address = Arc::as_ptr(schema) as usize;
        let known = plans.len();
        let sight = plans.entry(address).or_insert(Sight::Times(0));
        match sight {
            Sight::Plan(plan) => return Some(Arc::clone(plan)),
            Sight::Times(times) if *times < SIGHTS => *times += 1,
            Sight::Times(_) => {
                let plan = make();
                *sight = Sight::Plan(Arc::clone(&plan));
                // Libraries give each batch schemas of its own.
                plans.retain(|_, sight| !matches!(sight, Sight::Plan(plan) if plan.is_left_over()));
                return Some(plan);
            }
        }
        if known > self.most_plans {
            plans.clear();
        }
        None
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

#[cfg(test)]
mod tests {
    use super::{
        super::{DecimalFormat, write::Style},
        *,
    };
    use levada_connector_api::SchemaType;

    const STYLE: Style = Style { decimal_format: DecimalFormat::Base64, replace_null_with_default: true };

    fn schema() -> Arc<Schema> {
        Arc::new(Schema::structure([("a", Arc::new(Schema::new(SchemaType::Int8)))]))
    }

    fn sights(cache: &SchemaCache, schema: &Arc<Schema>, times: u32) -> Option<Arc<Plan>> {
        (0..times).fold(None, |_, _| cache.plan(schema, || Plan::of(schema, STYLE)))
    }

    #[test]
    fn a_schema_that_comes_often_has_one_plan() {
        let (cache, schema) = (SchemaCache::new(10), schema());
        assert!(sights(&cache, &schema, SIGHTS).is_none());
        let plan = sights(&cache, &schema, 1).unwrap();
        assert!(Arc::ptr_eq(&plan, &sights(&cache, &schema, 1).unwrap()));
    }

    #[test]
    fn nothing_is_kept_of_schemas_that_are_gone_or_too_many() {
        assert!(sights(&SchemaCache::new(0), &schema(), 100).is_none());
        let cache = SchemaCache::new(10);
        for _ in 0..1000 {
            sights(&cache, &schema(), SIGHTS + 1);
            assert!(cache.plans.lock().len() <= 12);
        }
        let many: Vec<_> = (0..100).map(|_| schema()).collect();
        for schema in &many {
            sights(&cache, schema, SIGHTS + 1);
        }
        assert!(cache.plans.lock().len() <= 12);
    }
}

//! Schemas that transforms make of other schemas, kept so that records of one schema share one result.

use levada_connector_api::{ConnectorError, Field, Result, Schema, SchemaType, Value};
use std::sync::Arc;

/// Results kept; a connector's records rarely have more schemas alive than it has tables.
const CAPACITY: usize = 64;

/// Schemas made of others. The oldest goes when there are too many.
#[derive(Debug)]
pub(super) struct SchemaCache<K = ()> {
    entries: Vec<(Arc<Schema>, K, Arc<Schema>)>,
    next: usize,
}

impl<K> Default for SchemaCache<K> {
    fn default() -> Self {
        Self { entries: Vec::new(), next: 0 }
    }
}

impl<K: PartialEq> SchemaCache<K> {
    /// What was made of `schema` under `key`, else what `make` makes of it now.
    pub(super) fn get(
        &mut self,
        schema: &Arc<Schema>,
        key: K,
        make: impl FnOnce(&Schema) -> Result<Schema>,
    ) -> Result<Arc<Schema>> {
        let same = |entry: &&(Arc<Schema>, K, Arc<Schema>)| Arc::ptr_eq(&entry.0, schema) && entry.1 == key;
        if let Some((_, _, made)) = self.entries.iter().find(same) {
            return Ok(Arc::clone(made));
        }
        // The same schema may come as another object, from another batch.
        let equal = self.entries.iter().find(|entry| entry.1 == key && *entry.0 == **schema);
        let made = match equal {
            Some((_, _, made)) => Arc::clone(made),
            None => Arc::new(make(schema)?),
        };
        let entry = (Arc::clone(schema), key, Arc::clone(&made));
        if self.entries.len() < CAPACITY {
            self.entries.push(entry);
        } else if let Some(oldest) = self.entries.get_mut(self.next) {
            *oldest = entry;
            self.next = (self.next + 1) % CAPACITY;
        }
        Ok(made)
    }
}

/// A struct schema with the name, version, doc and parameters of another and no fields. As Java's builder of the same
/// purpose it is required and has no default.
pub(super) fn basics(source: &Schema) -> Schema {
    Schema {
        name: source.name.clone(),
        version: source.version,
        doc: source.doc.clone(),
        parameters: source.parameters.clone(),
        ..Schema::new(SchemaType::Struct)
    }
}

/// Adds a field; a name that is taken is an error, as in Java.
pub(super) fn add_field(schema: &mut Schema, name: &str, field: Arc<Schema>) -> Result<()> {
    if schema.field(name).is_some() {
        let text = format!("Cannot create field because of field name duplication {name}");
        return Err(ConnectorError::data(text));
    }
    schema.fields.push(Field { name: name.to_owned(), schema: field });
    Ok(())
}

/// A schema of a logical type, version 1 as all of Connect's own.
pub(super) fn logical(kind: SchemaType, name: &str, optional: bool) -> Schema {
    Schema { version: Some(1), optional, ..Schema::new(kind).named(name) }
}

/// An error when a struct's value may not be null and is.
pub(super) fn check_null(field: &Field, value: &Value) -> Result<()> {
    if value.is_null() && !field.schema.optional && field.schema.default.is_none() {
        let kind = format!("{:?}", field.schema.kind).to_uppercase();
        let text = format!("Invalid value: null used for required field: \"{}\", schema type: {kind}", field.name);
        return Err(ConnectorError::data(text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_schemas_share_what_was_made_of_them() {
        let mut cache = SchemaCache::default();
        let schema = |name: &str| Arc::new(Schema::new(SchemaType::Struct).named(name));
        let first = cache.get(&schema("a"), 1, |schema| Ok(basics(schema))).unwrap();
        let again = cache.get(&schema("a"), 1, |_| panic!("it is known")).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        let other = cache.get(&schema("a"), 2, |schema| Ok(basics(schema))).unwrap();
        assert!(!Arc::ptr_eq(&first, &other), "another key");
        for number in 0..2 * CAPACITY {
            cache.get(&schema(&number.to_string()), 1, |schema| Ok(basics(schema))).unwrap();
        }
        assert_eq!(cache.entries.len(), CAPACITY);
    }
}

//! Items of `add.fields` and `add.headers`: a field of an envelope and the name it gets outside of it.

use crate::connect::transform::values::entry;
use levada_connector_api::{Schema, Struct, Value};
use std::sync::Arc;

/// One item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FieldReference {
    /// The part of the envelope that holds the field; `None` for the envelope itself.
    parent: Option<String>,
    field: String,
    /// What it is called in the flat record.
    pub(super) name: String,
}

impl FieldReference {
    /// Reads an item: `op`, `source.ts_ms`, `lsn:position`. The error says what is wrong with it.
    pub(super) fn parse(prefix: &str, item: &str) -> Result<Self, String> {
        let (path, alias) = match item.split_once(':') {
            Some((_, alias)) if alias.contains(':') || alias.is_empty() => {
                return Err(format!("Unexpected field name: {item}"));
            }
            Some((path, alias)) => (path, Some(alias)),
            None => (item, None),
        };
        let mut steps = path.split('.');
        let (first, second) = (steps.next().unwrap_or_default(), steps.next());
        let (parent, field) = match second {
            Some(field) => (Some(first), field),
            None => (home(first), first),
        };
        let name = match (alias, second) {
            (Some(alias), _) => format!("{prefix}{alias}"),
            (None, Some(field)) => format!("{prefix}{first}_{field}"),
            (None, None) => format!("{prefix}{first}"),
        };
        Ok(Self { parent: parent.map(str::to_owned), field: field.to_owned(), name })
    }

    /// Whether it is the operation, which even a tombstone has.
    pub(super) fn is_operation(&self) -> bool {
        self.field == "op"
    }

    /// The schema it gets in the flat record: the field's own, optional and without its default. `None` where the envelope
    /// has no such field.
    pub(super) fn schema(&self, envelope: &Schema) -> Option<Arc<Schema>> {
        let parent = match &self.parent {
            Some(parent) => envelope.field(parent).map(|(_, field)| &*field.schema),
            None => Some(envelope),
        };
        // Another transform may have put the field into the envelope itself.
        let found = parent.and_then(|parent| parent.field(&self.field)).or_else(|| envelope.field(&self.field));
        let schema = &found?.1.schema;
        Some(Arc::new(Schema { optional: true, default: None, ..(**schema).clone() }))
    }

    /// Its value; null where it is not there, as a transaction often is not.
    pub(super) fn value(&self, envelope: &Struct) -> Value {
        let of = |holder: &Struct| {
            let (index, _) = holder.schema.field(&self.field)?;
            holder.values.get(index).cloned()
        };
        let parent = match &self.parent {
            None => return of(envelope).unwrap_or_default(),
            Some(parent) => envelope.schema.field(parent).and_then(|(index, _)| envelope.values.get(index)),
        };
        match parent {
            Some(Value::Struct(parent)) => of(parent).or_else(|| of(envelope)).unwrap_or_default(),
            None => of(envelope).unwrap_or_default(),
            Some(_) => Value::Null,
        }
    }

    /// Its value in an envelope without a schema, if it is there.
    pub(super) fn value_of_map(&self, envelope: &[(Value, Value)]) -> Option<Value> {
        let found = match self.parent.as_ref().map(|parent| entry(envelope, parent)) {
            Some(Some(Value::Map(parent))) => entry(parent, &self.field),
            _ => None,
        };
        found.or_else(|| entry(envelope, &self.field)).cloned()
    }
}

/// Where a name without a path lives.
fn home(field: &str) -> Option<&'static str> {
    match field {
        "id" | "data_collection_order" | "total_order" => Some("transaction"),
        "op" | "ts_ms" | "ts_us" | "ts_ns" => None,
        _ => Some("source"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_read() {
        let read = |item: &str| {
            let reference = FieldReference::parse("__", item).unwrap();
            (reference.parent.unwrap_or_default(), reference.field, reference.name)
        };
        let expected = |parent: &str, field: &str, name: &str| (parent.to_owned(), field.to_owned(), name.to_owned());
        assert_eq!(read("op"), expected("", "op", "__op"));
        assert_eq!(read("lsn:pos"), expected("source", "lsn", "__pos"));
        assert_eq!(read("source.ts_ms"), expected("source", "ts_ms", "__source_ts_ms"));
        assert_eq!(read("id"), expected("transaction", "id", "__id"));
        assert_eq!(read("before.a:b"), expected("before", "a", "__b"));
        assert!(FieldReference::parse("", "a:b:c").is_err());
    }
}

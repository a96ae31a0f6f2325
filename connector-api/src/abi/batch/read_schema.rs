//! Reads the table of schemas, with its depth and size bounded.

use super::{MAX_DEPTH, MAX_SCHEMA_NODES, NONE, TYPES, flag, read::Reader};
use crate::{Field, Result, Schema, Value};
use std::{collections::HashMap, sync::Arc};

/// The schemas of a batch, and their extents by address.
#[derive(Default)]
pub struct SchemaTable {
    schemas: Vec<Arc<Schema>>,
    extents: HashMap<*const Schema, Extent>,
}

/// How deep and how large a schema is when written out as a tree.
#[derive(Clone, Copy, Default)]
struct Extent {
    depth: u32,
    nodes: u64,
}

impl Extent {
    /// Takes in a part that stands `below` levels further down.
    fn add(&mut self, part: Self, below: u32) {
        self.depth = self.depth.max(part.depth.saturating_add(below));
        self.nodes = self.nodes.saturating_add(part.nodes);
    }
}

impl SchemaTable {
    /// The schema of an index.
    pub fn get(&self, index: u32) -> Option<&Arc<Schema>> {
        self.schemas.get(index as usize)
    }

    fn extent(&self, schema: &Arc<Schema>) -> Extent {
        self.extents.get(&Arc::as_ptr(schema)).copied().unwrap_or_default()
    }

    /// Reads the table.
    pub fn read(reader: &mut Reader) -> Result<Self> {
        let count = reader.count(22)?;
        let mut table = Self::default();
        for _ in 0..count {
            let end = reader.end()?;
            let (schema, extent) = table.entry(reader)?;
            reader.leave(end)?;
            table.extents.insert(Arc::as_ptr(&schema), extent);
            table.schemas.push(schema);
        }
        Ok(table)
    }

    fn entry(&self, reader: &mut Reader) -> Result<(Arc<Schema>, Extent)> {
        let kind = reader.u8()?;
        let kind = *TYPES.get(usize::from(kind)).ok_or_else(|| reader.broken("a schema has an unknown type"))?;
        let flags = reader.u8()?;
        if flags & !flag::ALL != 0 {
            return Err(reader.broken("a schema has unknown flags"));
        }
        let has = |flag: u8| flags & flag != 0;
        let mut schema = Schema::new(kind);
        let mut extent = Extent { depth: 1, nodes: 1 };
        schema.optional = has(flag::OPTIONAL);
        if has(flag::NAME) {
            schema.name = Some(reader.text()?.to_string());
        }
        if has(flag::VERSION) {
            schema.version = Some(reader.i32()?);
        }
        if has(flag::DOC) {
            schema.doc = Some(reader.text()?.to_string());
        }
        for _ in 0..reader.count(8)? {
            let (name, value) = (reader.text()?, reader.text()?);
            schema.parameters.insert(name.to_string(), value.to_string());
        }
        for _ in 0..reader.count(8)? {
            let name = reader.text()?.to_string();
            let Some(part) = self.part(reader, &mut extent)? else {
                return Err(reader.broken("a field has no schema"));
            };
            schema.fields.push(Field { name, schema: part });
        }
        schema.key_schema = self.part(reader, &mut extent)?;
        schema.value_schema = self.part(reader, &mut extent)?;
        if has(flag::DEFAULT) {
            let value = reader.value(self, 0)?;
            extent.add(self.extent_of(&value), 1);
            schema.default = Some(value);
        }
        if extent.depth > MAX_DEPTH || extent.nodes > MAX_SCHEMA_NODES {
            return Err(reader.broken("a schema is nested too deep or too large"));
        }
        Ok((Arc::new(schema), extent))
    }

    /// A schema that this one refers to: one that stands before it.
    fn part(&self, reader: &mut Reader, extent: &mut Extent) -> Result<Option<Arc<Schema>>> {
        let index = reader.u32()?;
        if index == NONE {
            return Ok(None);
        }
        let part = self.get(index).ok_or_else(|| reader.broken("there is no earlier schema of that index"))?;
        extent.add(self.extent(part), 1);
        Ok(Some(Arc::clone(part)))
    }

    /// Extent of a default: its values, and the schemas of its structs.
    fn extent_of(&self, value: &Value) -> Extent {
        let mut extent = Extent { depth: 1, nodes: 1 };
        match value {
            Value::Array(items) => items.iter().for_each(|item| extent.add(self.extent_of(item), 1)),
            Value::Map(entries) => {
                for (key, item) in entries {
                    extent.add(self.extent_of(key), 1);
                    extent.add(self.extent_of(item), 1);
                }
            }
            Value::Struct(structure) => {
                extent.add(self.extent(&structure.schema), 1);
                structure.values.iter().for_each(|item| extent.add(self.extent_of(item), 1));
            }
            _ => {}
        }
        extent
    }
}

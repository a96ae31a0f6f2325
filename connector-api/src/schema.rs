//! Connect's schema model: what a [`crate::Value`] means.

use crate::Value;
use std::{collections::BTreeMap, sync::Arc};

/// Names of Connect's logical types.
pub mod logical {
    /// Bytes: an unscaled integer in big-endian two's complement, with a `scale` parameter.
    pub const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
    /// Int32: days since 1970-01-01 in UTC.
    pub const DATE: &str = "org.apache.kafka.connect.data.Date";
    /// Int32: milliseconds since midnight in UTC.
    pub const TIME: &str = "org.apache.kafka.connect.data.Time";
    /// Int64: milliseconds since the epoch.
    pub const TIMESTAMP: &str = "org.apache.kafka.connect.data.Timestamp";

    /// Whether a schema name is one of these.
    pub fn is_logical(name: &str) -> bool {
        matches!(name, DECIMAL | DATE | TIME | TIMESTAMP)
    }
}

/// The twelve types of Kafka Connect's data model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SchemaType {
    /// 8-bit signed integer.
    Int8,
    /// 16-bit signed integer.
    Int16,
    /// 32-bit signed integer.
    Int32,
    /// 64-bit signed integer.
    Int64,
    /// Single-precision floating point.
    Float32,
    /// Double-precision floating point.
    Float64,
    /// True or false.
    Boolean,
    /// UTF-8 text.
    String,
    /// Raw bytes.
    Bytes,
    /// Values of one schema.
    Array,
    /// Keys of one schema to values of another.
    Map,
    /// Named fields.
    Struct,
}

/// A schema. Shared by reference (`Arc`) between all records it describes.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_field_names, reason = "Connect's own names")]
pub struct Schema {
    /// The type.
    pub kind: SchemaType,
    /// Whether null is a value.
    pub optional: bool,
    /// Used where a value is missing.
    pub default: Option<Value>,
    /// Name, for a logical type its well-known one (`org.apache.kafka.connect.data.Date`).
    pub name: Option<String>,
    /// Version of the named schema.
    pub version: Option<i32>,
    /// Text for people.
    pub doc: Option<String>,
    /// Parameters of a logical type (`scale` of a Decimal).
    pub parameters: BTreeMap<String, String>,
    /// Fields of a struct, in order; empty otherwise.
    pub fields: Vec<Field>,
    /// Key schema of a map.
    pub key_schema: Option<Arc<Schema>>,
    /// Element schema of an array, value schema of a map.
    pub value_schema: Option<Arc<Schema>>,
}

/// A field of a struct schema; its index is its place in [`Schema::fields`].
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Name, unique in its struct.
    pub name: String,
    /// Schema of the field's value.
    pub schema: Arc<Schema>,
}

impl Schema {
    /// A required schema of `kind` without attributes.
    pub const fn new(kind: SchemaType) -> Self {
        Self {
            kind,
            optional: false,
            default: None,
            name: None,
            version: None,
            doc: None,
            parameters: BTreeMap::new(),
            fields: Vec::new(),
            key_schema: None,
            value_schema: None,
        }
    }

    /// The same schema with null allowed.
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// The same schema with a name.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// A struct schema.
    pub fn structure(fields: impl IntoIterator<Item = (impl Into<String>, Arc<Schema>)>) -> Self {
        let mut schema = Self::new(SchemaType::Struct);
        schema.fields = fields.into_iter().map(|(name, schema)| Field { name: name.into(), schema }).collect();
        schema
    }

    /// An array schema.
    pub fn array(element: Arc<Schema>) -> Self {
        let mut schema = Self::new(SchemaType::Array);
        schema.value_schema = Some(element);
        schema
    }

    /// A map schema.
    pub fn map(key: Arc<Schema>, value: Arc<Schema>) -> Self {
        let mut schema = Self::new(SchemaType::Map);
        schema.key_schema = Some(key);
        schema.value_schema = Some(value);
        schema
    }

    /// The `scale` parameter of a Decimal.
    pub fn scale(&self) -> Option<i32> {
        self.parameters.get("scale")?.parse().ok()
    }

    /// Index and field of that name in a struct schema.
    pub fn field(&self, name: &str) -> Option<(usize, &Field)> {
        self.fields.iter().enumerate().find(|(_, field)| field.name == name)
    }
}

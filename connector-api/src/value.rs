//! Values in Connect's data model.

use crate::{Schema, Str};
use bytes::Bytes;
use std::sync::Arc;

/// A value; its schema, if it has one, stands beside it in the record.
///
/// Logical types are held by their base type and told by the schema's name: a Decimal is `Bytes`
/// (unscaled, big-endian two's complement), a Date and a Time are `Int32`, a Timestamp is `Int64`.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// No value.
    #[default]
    Null,
    /// True or false.
    Boolean(bool),
    /// 8-bit signed integer.
    Int8(i8),
    /// 16-bit signed integer.
    Int16(i16),
    /// 32-bit signed integer.
    Int32(i32),
    /// 64-bit signed integer.
    Int64(i64),
    /// Single-precision floating point.
    Float32(f32),
    /// Double-precision floating point.
    Float64(f64),
    /// Text.
    String(Str),
    /// Raw bytes.
    Bytes(Bytes),
    /// A list.
    Array(Vec<Value>),
    /// Entries in the order they came; keys may be of any type.
    Map(Vec<(Value, Value)>),
    /// Named fields.
    Struct(Arc<Struct>),
}

/// A struct value: one value for each field of its schema, in the schema's order.
#[derive(Clone, Debug, PartialEq)]
pub struct Struct {
    /// The struct schema.
    pub schema: Arc<Schema>,
    /// As many as the schema has fields.
    pub values: Vec<Value>,
}

impl Value {
    /// Text value.
    pub fn string(text: impl Into<Str>) -> Self {
        Self::String(text.into())
    }

    /// Struct value; as many values as the schema has fields.
    pub fn structure(schema: Arc<Schema>, values: Vec<Self>) -> Self {
        Self::Struct(Arc::new(Struct { schema, values }))
    }

    /// Whether this is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

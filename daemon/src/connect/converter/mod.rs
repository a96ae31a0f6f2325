//! Converters between records' bytes and Connect values.
//!
//! Called by the task runners for each key, value and header, and by nobody else; so the byte paths
//! are built to copy nothing where the value is bytes or text already.

mod bytes_converter;
pub(in crate::connect) mod calendar;
pub(in crate::connect) mod decimal;
mod error;
#[cfg(test)]
mod golden_tests;
mod infer;
mod json;
mod primitive;
mod registry;
mod simple_header;
mod string;
mod values_text;

pub use bytes_converter::ByteArrayConverter;
pub use error::ConvertError;
pub(in crate::connect) use infer::parse as infer;
pub use json::{DecimalFormat, JsonConverter, JsonConverterOptions};
pub use primitive::{PrimitiveConverter, PrimitiveKind};
pub use registry::{ConverterInfo, converters, create, create_header};
pub use simple_header::SimpleHeaderConverter;
pub use string::StringConverter;

use bytes::Bytes;
use levada_connector_api::{Header, Schema, Value};
use std::sync::Arc;

/// A value with its schema.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SchemaAndValue {
    /// Schema, if there is one.
    pub schema: Option<Arc<Schema>>,
    /// Value.
    pub value: Value,
}

/// Converts keys or values. Shared by all tasks of a connector.
pub trait Converter: Send + Sync {
    /// Full class name, for error reports.
    fn class(&self) -> &str;

    /// The bytes of a value: a slice of the value itself where it is bytes already, else of
    /// `scratch`, which is overwritten. `None` is a null (a tombstone).
    #[expect(clippy::wrong_self_convention, reason = "the name is that of Connect's interface")]
    fn from_connect<'a>(
        &self,
        topic: &str,
        schema: Option<&Arc<Schema>>,
        value: &'a Value,
        scratch: &'a mut Vec<u8>,
    ) -> Result<Option<&'a [u8]>, ConvertError>;

    /// The value behind bytes, sharing them where it can.
    fn to_connect(&self, topic: &str, bytes: Option<Bytes>) -> Result<SchemaAndValue, ConvertError>;
}

/// Converts headers. Shared by all tasks of a connector.
pub trait HeaderConverter: Send + Sync {
    /// Full class name, for error reports.
    fn class(&self) -> &str;

    /// The bytes of a header's value.
    #[expect(clippy::wrong_self_convention, reason = "the name is that of Connect's interface")]
    fn from_connect_header(&self, topic: &str, header: &Header) -> Result<Option<Bytes>, ConvertError>;

    /// The value behind a header's bytes.
    fn to_connect_header(&self, topic: &str, key: &str, bytes: Option<Bytes>) -> Result<SchemaAndValue, ConvertError>;
}

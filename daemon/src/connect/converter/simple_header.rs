//! `org.apache.kafka.connect.storage.SimpleHeaderConverter`: text out, and a guess at the type in.

use super::{ConvertError, HeaderConverter, SchemaAndValue, infer, values_text};
use bytes::Bytes;
use levada_connector_api::{Header, Schema, SchemaType, Value};
use std::sync::Arc;

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct SimpleHeaderConverter {}

impl SimpleHeaderConverter {
    /// The full class name.
    pub const CLASS: &str = "org.apache.kafka.connect.storage.SimpleHeaderConverter";
}

impl HeaderConverter for SimpleHeaderConverter {
    fn class(&self) -> &str {
        Self::CLASS
    }

    fn from_connect_header(&self, _topic: &str, header: &Header) -> Result<Option<Bytes>, ConvertError> {
        match &header.value {
            Value::Null => return Ok(None),
            // As it is, without a copy.
            Value::String(text) => return Ok(Some(text.as_bytes().clone())),
            _ => {}
        }
        let mut text = String::new();
        values_text::print(&header.value, header.schema.as_deref(), false, &mut text);
        Ok(Some(Bytes::from(text)))
    }

    fn to_connect_header(
        &self,
        _topic: &str,
        _key: &str,
        bytes: Option<Bytes>,
    ) -> Result<SchemaAndValue, ConvertError> {
        let Some(bytes) = bytes else { return Ok(SchemaAndValue::default()) };
        let text = String::from_utf8_lossy(&bytes);
        if text.is_empty() {
            let schema = Some(Arc::new(Schema::new(SchemaType::String)));
            return Ok(SchemaAndValue { schema, value: Value::string("") });
        }
        Ok(infer::parse(&text))
    }
}

//! `org.apache.kafka.connect.converters.ByteArrayConverter`.

use super::{ConvertError, Converter, HeaderConverter, SchemaAndValue};
use bytes::Bytes;
use levada_connector_api::{Header, Schema, SchemaType, Value};
use std::sync::Arc;

/// Bytes as they are.
#[derive(Debug)]
pub struct ByteArrayConverter {
    schema: Arc<Schema>,
}

impl Default for ByteArrayConverter {
    fn default() -> Self {
        Self { schema: Arc::new(Schema::new(SchemaType::Bytes).optional()) }
    }
}

impl ByteArrayConverter {
    /// The full class name.
    pub const CLASS: &str = "org.apache.kafka.connect.converters.ByteArrayConverter";
}

impl Converter for ByteArrayConverter {
    fn class(&self) -> &str {
        Self::CLASS
    }

    fn from_connect<'a>(
        &self,
        _topic: &str,
        schema: Option<&Arc<Schema>>,
        value: &'a Value,
        _scratch: &'a mut Vec<u8>,
    ) -> Result<Option<&'a [u8]>, ConvertError> {
        if let Some(schema) = schema
            && schema.kind != SchemaType::Bytes
        {
            return Err(ConvertError::new(format!(
                "invalid schema type for ByteArrayConverter: {:?}; it takes bytes only",
                schema.kind
            )));
        }
        match value {
            Value::Null => Ok(None),
            Value::Bytes(bytes) => Ok(Some(bytes)),
            _ => Err(ConvertError::new("ByteArrayConverter takes bytes only, and the value is none")),
        }
    }

    fn to_connect(&self, _topic: &str, bytes: Option<Bytes>) -> Result<SchemaAndValue, ConvertError> {
        Ok(SchemaAndValue { schema: Some(self.schema.clone()), value: bytes.map_or(Value::Null, Value::Bytes) })
    }
}

impl HeaderConverter for ByteArrayConverter {
    fn class(&self) -> &str {
        Self::CLASS
    }

    fn from_connect_header(&self, topic: &str, header: &Header) -> Result<Option<Bytes>, ConvertError> {
        self.from_connect(topic, header.schema.as_ref(), &header.value, &mut Vec::new())?;
        match &header.value {
            Value::Bytes(bytes) => Ok(Some(bytes.clone())),
            _ => Ok(None),
        }
    }

    fn to_connect_header(&self, topic: &str, _key: &str, bytes: Option<Bytes>) -> Result<SchemaAndValue, ConvertError> {
        self.to_connect(topic, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_pass_and_other_types_fail() {
        let converter = ByteArrayConverter::default();
        let value = Value::Bytes(Bytes::from_static(b"\x00\xff"));
        assert_eq!(converter.from_connect("t", None, &value, &mut Vec::new()).unwrap(), Some(&b"\x00\xff"[..]));
        assert!(converter.from_connect("t", None, &Value::string("x"), &mut Vec::new()).is_err());
        let text = Arc::new(Schema::new(SchemaType::String));
        assert!(converter.from_connect("t", Some(&text), &Value::Null, &mut Vec::new()).is_err());
    }
}

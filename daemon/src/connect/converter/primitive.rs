//! The converters of numbers and booleans: Kafka's serializers' bytes.

use super::{ConvertError, Converter, HeaderConverter, SchemaAndValue};
use bytes::Bytes;
use levada_connector_api::{Header, Schema, SchemaType, Value};
use std::sync::Arc;

/// Which primitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrimitiveKind {
    /// Two bytes.
    Short,
    /// Four bytes.
    Integer,
    /// Eight bytes.
    Long,
    /// Four bytes, IEEE 754.
    Float,
    /// Eight bytes, IEEE 754.
    Double,
    /// One byte, 0 or 1.
    Boolean,
}

impl PrimitiveKind {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Short, Self::Integer, Self::Long, Self::Float, Self::Double, Self::Boolean];

    /// Full class name of the converter.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Short => "org.apache.kafka.connect.converters.ShortConverter",
            Self::Integer => "org.apache.kafka.connect.converters.IntegerConverter",
            Self::Long => "org.apache.kafka.connect.converters.LongConverter",
            Self::Float => "org.apache.kafka.connect.converters.FloatConverter",
            Self::Double => "org.apache.kafka.connect.converters.DoubleConverter",
            Self::Boolean => "org.apache.kafka.connect.converters.BooleanConverter",
        }
    }

    fn schema_type(self) -> SchemaType {
        match self {
            Self::Short => SchemaType::Int16,
            Self::Integer => SchemaType::Int32,
            Self::Long => SchemaType::Int64,
            Self::Float => SchemaType::Float32,
            Self::Double => SchemaType::Float64,
            Self::Boolean => SchemaType::Boolean,
        }
    }

    fn read(self, bytes: &[u8]) -> Option<Value> {
        Some(match self {
            Self::Short => Value::Int16(i16::from_be_bytes(bytes.try_into().ok()?)),
            Self::Integer => Value::Int32(i32::from_be_bytes(bytes.try_into().ok()?)),
            Self::Long => Value::Int64(i64::from_be_bytes(bytes.try_into().ok()?)),
            Self::Float => Value::Float32(f32::from_be_bytes(bytes.try_into().ok()?)),
            Self::Double => Value::Float64(f64::from_be_bytes(bytes.try_into().ok()?)),
            Self::Boolean => match bytes {
                [0] => Value::Boolean(false),
                [1] => Value::Boolean(true),
                _ => return None,
            },
        })
    }
}

/// Converter of one primitive.
#[derive(Debug)]
pub struct PrimitiveConverter {
    kind: PrimitiveKind,
    schema: Arc<Schema>,
}

impl PrimitiveConverter {
    /// Converter of `kind`.
    pub fn new(kind: PrimitiveKind) -> Self {
        Self { kind, schema: Arc::new(Schema::new(kind.schema_type()).optional()) }
    }
}

impl Converter for PrimitiveConverter {
    fn class(&self) -> &str {
        self.kind.class()
    }

    fn from_connect<'a>(
        &self,
        _topic: &str,
        _schema: Option<&Arc<Schema>>,
        value: &'a Value,
        scratch: &'a mut Vec<u8>,
    ) -> Result<Option<&'a [u8]>, ConvertError> {
        scratch.clear();
        match (self.kind, value) {
            (_, Value::Null) => return Ok(None),
            (PrimitiveKind::Short, Value::Int16(value)) => scratch.extend_from_slice(&value.to_be_bytes()),
            (PrimitiveKind::Integer, Value::Int32(value)) => scratch.extend_from_slice(&value.to_be_bytes()),
            (PrimitiveKind::Long, Value::Int64(value)) => scratch.extend_from_slice(&value.to_be_bytes()),
            (PrimitiveKind::Float, Value::Float32(value)) => scratch.extend_from_slice(&value.to_be_bytes()),
            (PrimitiveKind::Double, Value::Float64(value)) => scratch.extend_from_slice(&value.to_be_bytes()),
            (PrimitiveKind::Boolean, Value::Boolean(value)) => scratch.push(u8::from(*value)),
            _ => {
                return Err(ConvertError::new(format!(
                    "the value is not of the type that {} takes",
                    self.kind.class()
                )));
            }
        }
        Ok(Some(scratch))
    }

    fn to_connect(&self, _topic: &str, bytes: Option<Bytes>) -> Result<SchemaAndValue, ConvertError> {
        let value = match bytes {
            None => Value::Null,
            Some(bytes) => self.kind.read(&bytes).ok_or_else(|| {
                ConvertError::new(format!("{} bytes are no value for {}", bytes.len(), self.kind.class()))
            })?,
        };
        Ok(SchemaAndValue { schema: Some(self.schema.clone()), value })
    }
}

impl HeaderConverter for PrimitiveConverter {
    fn class(&self) -> &str {
        self.kind.class()
    }

    fn from_connect_header(&self, topic: &str, header: &Header) -> Result<Option<Bytes>, ConvertError> {
        let mut scratch = Vec::new();
        let bytes = self.from_connect(topic, header.schema.as_ref(), &header.value, &mut scratch)?;
        Ok(bytes.map(Bytes::copy_from_slice))
    }

    fn to_connect_header(&self, topic: &str, _key: &str, bytes: Option<Bytes>) -> Result<SchemaAndValue, ConvertError> {
        self.to_connect(topic, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_primitive_survives_both_ways() {
        for (kind, value, bytes) in [
            (PrimitiveKind::Short, Value::Int16(-2), &b"\xff\xfe"[..]),
            (PrimitiveKind::Integer, Value::Int32(1), b"\0\0\0\x01"),
            (PrimitiveKind::Long, Value::Int64(1), b"\0\0\0\0\0\0\0\x01"),
            (PrimitiveKind::Float, Value::Float32(1.0), b"\x3f\x80\0\0"),
            (PrimitiveKind::Double, Value::Float64(1.0), b"\x3f\xf0\0\0\0\0\0\0"),
            (PrimitiveKind::Boolean, Value::Boolean(true), b"\x01"),
        ] {
            let converter = PrimitiveConverter::new(kind);
            assert_eq!(converter.from_connect("t", None, &value, &mut Vec::new()).unwrap(), Some(bytes));
            assert_eq!(converter.to_connect("t", Some(Bytes::copy_from_slice(bytes))).unwrap().value, value);
            assert!(converter.to_connect("t", Some(Bytes::from_static(b"xyz"))).is_err());
            assert!(converter.from_connect("t", None, &Value::string("x"), &mut Vec::new()).is_err());
        }
    }
}

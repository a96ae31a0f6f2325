//! `org.apache.kafka.connect.storage.StringConverter`.

use super::{ConvertError, Converter, HeaderConverter, SchemaAndValue};
use bytes::Bytes;
use levada_connector_api::{Config, Header, Schema, SchemaType, Str, Value};
use std::sync::Arc;

/// Text to text; other values as Java's `toString` prints them.
#[derive(Debug)]
pub struct StringConverter {
    schema: Arc<Schema>,
    encoding: Encoding,
}

/// `converter.encoding`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Encoding {
    #[default]
    Utf8,
    Latin1,
    Ascii,
}

impl Default for StringConverter {
    fn default() -> Self {
        Self { schema: Arc::new(Schema::new(SchemaType::String).optional()), encoding: Encoding::Utf8 }
    }
}

impl StringConverter {
    /// The full class name.
    pub const CLASS: &str = "org.apache.kafka.connect.storage.StringConverter";

    /// Reads the converter's own keys.
    pub fn from_config(config: &Config) -> Result<Self, ConvertError> {
        let name = config.get("converter.encoding").map_or("UTF-8", String::as_str);
        let encoding = match name.to_ascii_uppercase().replace('_', "-").as_str() {
            "UTF-8" | "UTF8" => Encoding::Utf8,
            "ISO-8859-1" | "ISO8859-1" | "LATIN1" => Encoding::Latin1,
            "US-ASCII" | "ASCII" => Encoding::Ascii,
            _ => {
                return Err(ConvertError::new(format!(
                    "converter.encoding is \"{name}\"; UTF-8, ISO-8859-1 and US-ASCII are known"
                )));
            }
        };
        Ok(Self { encoding, ..Self::default() })
    }

    fn decode(&self, bytes: Bytes) -> Str {
        match self.encoding {
            // Malformed bytes become U+FFFD, as in Java.
            Encoding::Utf8 => {
                Str::from_utf8(bytes).unwrap_or_else(|bytes| String::from_utf8_lossy(&bytes).into_owned().into())
            }
            Encoding::Latin1 => bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into(),
            Encoding::Ascii => {
                let text = bytes.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '\u{fffd}' });
                text.collect::<String>().into()
            }
        }
    }

    fn encode(&self, text: &str, out: &mut Vec<u8>) {
        let last = match self.encoding {
            Encoding::Utf8 => return out.extend_from_slice(text.as_bytes()),
            Encoding::Latin1 => '\u{ff}',
            Encoding::Ascii => '\u{7f}',
        };
        out.extend(text.chars().map(|c| if c <= last { c as u32 as u8 } else { b'?' }));
    }
}

impl Converter for StringConverter {
    fn class(&self) -> &str {
        Self::CLASS
    }

    fn from_connect<'a>(
        &self,
        _topic: &str,
        schema: Option<&Arc<Schema>>,
        value: &'a Value,
        scratch: &'a mut Vec<u8>,
    ) -> Result<Option<&'a [u8]>, ConvertError> {
        match value {
            Value::Null => return Ok(None),
            Value::String(text) if self.encoding == Encoding::Utf8 => return Ok(Some(text.as_bytes())),
            _ => {}
        }
        scratch.clear();
        match value {
            Value::String(text) => self.encode(text, scratch),
            other if self.encoding == Encoding::Utf8 => other.write_text(schema.map(AsRef::as_ref), scratch),
            other => self.encode(&other.to_text(schema.map(AsRef::as_ref)), scratch),
        }
        Ok(Some(scratch))
    }

    fn to_connect(&self, _topic: &str, bytes: Option<Bytes>) -> Result<SchemaAndValue, ConvertError> {
        let value = bytes.map_or(Value::Null, |bytes| Value::String(self.decode(bytes)));
        Ok(SchemaAndValue { schema: Some(self.schema.clone()), value })
    }
}

impl HeaderConverter for StringConverter {
    fn class(&self) -> &str {
        Self::CLASS
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
    fn text_is_not_copied_either_way() {
        let converter = StringConverter::default();
        let value = Value::string("a line");
        let mut scratch = Vec::new();
        let bytes = converter.from_connect("t", None, &value, &mut scratch).unwrap().unwrap();
        let Value::String(text) = &value else { unreachable!() };
        assert_eq!(bytes.as_ptr(), text.as_bytes().as_ptr());

        let wire = Bytes::from_static(b"a line");
        let Value::String(back) = converter.to_connect("t", Some(wire.clone())).unwrap().value else { unreachable!() };
        assert_eq!(back.as_bytes().as_ptr(), wire.as_ptr());
    }

    #[test]
    fn malformed_text_becomes_replacement_characters() {
        let converter = StringConverter::default();
        let read = converter.to_connect("t", Some(Bytes::from_static(b"a\xffb"))).unwrap();
        assert_eq!(read.value, Value::string("a\u{fffd}b"));
    }

    #[test]
    fn null_stays_null() {
        let converter = StringConverter::default();
        assert_eq!(converter.from_connect("t", None, &Value::Null, &mut Vec::new()).unwrap(), None);
        let read = converter.to_connect("t", None).unwrap();
        assert!(read.value.is_null() && read.schema.is_some_and(|schema| schema.optional));
    }

    #[test]
    fn other_encodings_replace_what_they_lack() {
        let config = Config::from_iter([("converter.encoding".to_owned(), "iso-8859-1".to_owned())]);
        let converter = StringConverter::from_config(&config).unwrap();
        let mut scratch = Vec::new();
        let value = Value::string("é€");
        assert_eq!(converter.from_connect("t", None, &value, &mut scratch).unwrap(), Some(&b"\xe9?"[..]));
        let config = Config::from_iter([("converter.encoding".to_owned(), "EBCDIC".to_owned())]);
        assert!(StringConverter::from_config(&config).unwrap_err().message.contains("EBCDIC"));
    }
}

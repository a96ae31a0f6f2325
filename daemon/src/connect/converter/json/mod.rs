//! `org.apache.kafka.connect.json.JsonConverter`.
//!
//! With schemas every record is an envelope `{"schema":S,"payload":P}`; the bytes of S are kept per
//! schema, and on the way back the schema is kept per bytes of S, so that a stream of one schema
//! pays for it once.

mod cache;
mod envelope;
mod plan;
mod read;
mod schema;
mod tree;
mod write;

use super::{ConvertError, Converter, HeaderConverter, SchemaAndValue};
use bytes::Bytes;
use cache::SchemaCache;
use levada_connector_api::{Config, Header, Schema, SchemaType, Value};
use plan::Plan;
use std::sync::Arc;
use tree::Json;
use write::Style;

/// `decimal.format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DecimalFormat {
    /// Base64 of the unscaled bytes.
    #[default]
    Base64,
    /// A JSON number.
    Numeric,
}

/// The converter's own keys.
#[derive(Clone, Debug)]
pub struct JsonConverterOptions {
    /// `schemas.enable`.
    pub schemas_enable: bool,
    /// `schemas.cache.size`.
    pub schemas_cache_size: usize,
    /// `decimal.format`; reading takes both.
    pub decimal_format: DecimalFormat,
    /// `replace.null.with.default`.
    pub replace_null_with_default: bool,
    /// `schema.content`: the schema of payloads that come without one (KIP-1054).
    pub schema_content: Option<Arc<Schema>>,
}

impl Default for JsonConverterOptions {
    fn default() -> Self {
        Self {
            schemas_enable: true,
            schemas_cache_size: 1000,
            decimal_format: DecimalFormat::Base64,
            replace_null_with_default: true,
            schema_content: None,
        }
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct JsonConverter {
    options: JsonConverterOptions,
    cache: SchemaCache,
}

impl JsonConverter {
    /// The full class name.
    pub const CLASS: &str = "org.apache.kafka.connect.json.JsonConverter";

    /// A converter with these options.
    pub fn new(options: JsonConverterOptions) -> Self {
        Self { cache: SchemaCache::new(options.schemas_cache_size), options }
    }

    /// Reads the converter's own keys.
    pub fn from_config(config: &Config) -> Result<Self, ConvertError> {
        let mut options = JsonConverterOptions::default();
        let flag = |key: &str, default| match config.get(key).map(|value| value.trim().to_ascii_lowercase()) {
            None => Ok(default),
            Some(value) if value == "true" => Ok(true),
            Some(value) if value == "false" => Ok(false),
            Some(value) => Err(ConvertError::new(format!("{key} is \"{value}\"; it must be true or false"))),
        };
        options.schemas_enable = flag("schemas.enable", true)?;
        options.replace_null_with_default = flag("replace.null.with.default", true)?;
        if let Some(size) = config.get("schemas.cache.size") {
            options.schemas_cache_size = size.trim().parse().map_err(|_| {
                ConvertError::new(format!("schemas.cache.size is \"{size}\"; it must be a whole number"))
            })?;
        }
        if let Some(format) = config.get("decimal.format") {
            options.decimal_format = match format.to_ascii_uppercase().as_str() {
                "BASE64" => DecimalFormat::Base64,
                "NUMERIC" => DecimalFormat::Numeric,
                _ => {
                    let text = format!("decimal.format is \"{format}\"; it must be BASE64 or NUMERIC");
                    return Err(ConvertError::new(text));
                }
            };
        }
        if let Some(content) = config.get("schema.content").filter(|content| !content.trim().is_empty()) {
            let wrong = |error: ConvertError| ConvertError::new(format!("schema.content is no schema: {error}"));
            let json = Json::parse(&Bytes::copy_from_slice(content.as_bytes())).map_err(wrong)?;
            options.schema_content = schema::read(&json.unwrap_or(Json::Null)).map_err(wrong)?;
        }
        Ok(Self::new(options))
    }

    fn style(&self) -> Style {
        Style {
            decimal_format: self.options.decimal_format,
            replace_null_with_default: self.options.replace_null_with_default,
        }
    }

    fn write(&self, schema: Option<&Arc<Schema>>, value: &Value, out: &mut Vec<u8>) -> Result<bool, ConvertError> {
        out.clear();
        if value.is_null() && schema.is_none() {
            return Ok(false);
        }
        if !self.options.schemas_enable {
            self.payload(schema, value, out)?;
            return Ok(true);
        }
        out.extend_from_slice(b"{\"schema\":");
        match schema {
            None => out.extend_from_slice(b"null"),
            Some(schema) => self.cache.write(schema, out, |out| schema::write(schema, None, self.style(), out))?,
        }
        out.extend_from_slice(b",\"payload\":");
        self.payload(schema, value, out)?;
        out.push(b'}');
        Ok(true)
    }

    fn payload(&self, schema: Option<&Arc<Schema>>, value: &Value, out: &mut Vec<u8>) -> Result<(), ConvertError> {
        if let (Some(schema), Value::Struct(value)) = (schema, value)
            && schema.kind == SchemaType::Struct
            && let Some(plan) = self.cache.plan(schema, || Plan::of(schema, self.style()))
        {
            return plan.write(value, out);
        }
        self.style().value(value, schema.map(AsRef::as_ref), out)
    }

    fn read(&self, bytes: Option<Bytes>) -> Result<SchemaAndValue, ConvertError> {
        let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else { return Ok(SchemaAndValue::default()) };
        let with_schema = |schema: Arc<Schema>, payload: &Json| {
            let value = read::with_schema(payload, &schema, self.options.replace_null_with_default)?;
            Ok(SchemaAndValue { schema: Some(schema), value })
        };
        if self.options.schemas_enable
            && self.options.schema_content.is_none()
            && let Some((head, schema)) = self.cache.head(&bytes)
            && let Some(payload) = envelope::payload(&bytes, head)
        {
            return with_schema(schema, &payload);
        }
        let json = Json::parse(&bytes)?.unwrap_or(Json::Null);
        if !self.options.schemas_enable {
            return Ok(SchemaAndValue { schema: None, value: read::schemaless(&json) });
        }
        if let Some(schema) = &self.options.schema_content {
            return with_schema(schema.clone(), &json);
        }
        let (Json::Object(entries), Some(schema), Some(payload)) = (&json, json.get("schema"), json.get("payload"))
        else {
            return Err(not_an_envelope());
        };
        if entries.len() != 2 {
            return Err(not_an_envelope());
        }
        match self.cache.read(schema, schema::read)? {
            Some(schema) => {
                if let Some(head) = envelope::head(&bytes) {
                    self.cache.keep_head(head, &schema);
                }
                with_schema(schema, payload)
            }
            None => Ok(SchemaAndValue { schema: None, value: read::schemaless(payload) }),
        }
    }
}

fn not_an_envelope() -> ConvertError {
    ConvertError::new(
        "JsonConverter with schemas.enable requires \"schema\" and \"payload\" fields and may not contain additional \
         fields. If you are trying to deserialize plain JSON data, set schemas.enable=false in your converter \
         configuration.",
    )
}

impl Converter for JsonConverter {
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
        Ok(if self.write(schema, value, scratch)? { Some(scratch) } else { None })
    }

    fn to_connect(&self, _topic: &str, bytes: Option<Bytes>) -> Result<SchemaAndValue, ConvertError> {
        self.read(bytes)
    }
}

impl HeaderConverter for JsonConverter {
    fn class(&self) -> &str {
        Self::CLASS
    }

    fn from_connect_header(&self, _topic: &str, header: &Header) -> Result<Option<Bytes>, ConvertError> {
        let mut out = Vec::new();
        let written = self.write(header.schema.as_ref(), &header.value, &mut out)?;
        Ok(written.then(|| Bytes::from(out)))
    }

    fn to_connect_header(
        &self,
        _topic: &str,
        _key: &str,
        bytes: Option<Bytes>,
    ) -> Result<SchemaAndValue, ConvertError> {
        self.read(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_by_a_known_head_is_what_is_read_without_one() {
        let texts = [
            r#"{"schema":{"type":"string","optional":true},"payload":"a\"}"}"#,
            r#"{"schema":{"type":"string","optional":true},"payload":null}"#,
            r#"{"schema":{"type":"string","optional":true},"payload": "b" } "#,
            r#"{"schema":{"type":"string","optional":true},"payload":7}"#,
            r#"{"schema":{"type":"string","optional":true},"payload":"c","more":1}"#,
            r#"{"schema":{"type":"string","optional":true},"payload":"c""#,
            r#"{"schema":{"type":"string"},"payload":null}"#,
        ];
        let known = JsonConverter::new(JsonConverterOptions::default());
        for text in texts.iter().chain(&texts) {
            let read = |converter: &JsonConverter| {
                let read = converter.to_connect("t", Some(Bytes::from_static(text.as_bytes())));
                read.map(|read| (read.schema, read.value)).map_err(|error| error.to_string())
            };
            assert_eq!(read(&known), read(&JsonConverter::new(JsonConverterOptions::default())), "{text}");
        }
        assert!(known.cache.head(texts[0].as_bytes()).is_some());
    }
}

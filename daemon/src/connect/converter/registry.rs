//! Converters by class name.

use super::{
    ByteArrayConverter, ConvertError, Converter, HeaderConverter, JsonConverter, PrimitiveConverter, PrimitiveKind,
    SimpleHeaderConverter, StringConverter,
};
use levada_connector_api::Config;
use std::sync::Arc;

/// What `GET /connector-plugins` says of a converter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConverterInfo {
    /// Full class name.
    pub class: &'static str,
    /// Whether it converts keys and values.
    pub converter: bool,
    /// Whether it converts headers.
    pub header_converter: bool,
}

/// Every converter, in the order of the class names.
pub fn converters() -> Vec<ConverterInfo> {
    let both = |class| ConverterInfo { class, converter: true, header_converter: true };
    let mut all = vec![both(ByteArrayConverter::CLASS), both(JsonConverter::CLASS), both(StringConverter::CLASS)];
    all.extend(PrimitiveKind::ALL.map(|kind| both(kind.class())));
    all.push(ConverterInfo { class: SimpleHeaderConverter::CLASS, converter: false, header_converter: true });
    all.sort_by_key(|info| info.class);
    all
}

/// Whether `name` is the full class name, the simple one, or the simple one without `Converter`.
fn names(name: &str, class: &str) -> bool {
    let simple = class.rsplit('.').next().unwrap_or(class);
    name == class || name == simple || simple.strip_suffix("Converter") == Some(name)
}

fn unknown(name: &str) -> ConvertError {
    let known: Vec<_> = converters().iter().map(|info| info.class).collect();
    ConvertError::new(format!("class {name} could not be found; known converters are {}", known.join(", ")))
}

/// A converter for keys (`is_key`) or values; `config` holds its own keys, without a prefix.
pub fn create(class: &str, is_key: bool, config: &Config) -> Result<Arc<dyn Converter>, ConvertError> {
    // No converter of this set treats keys unlike values; those with a schema registry will.
    let _ = is_key;
    if names(class, StringConverter::CLASS) {
        return Ok(Arc::new(StringConverter::from_config(config)?));
    }
    if names(class, JsonConverter::CLASS) {
        return Ok(Arc::new(JsonConverter::from_config(config)?));
    }
    if names(class, ByteArrayConverter::CLASS) {
        return Ok(Arc::new(ByteArrayConverter::default()));
    }
    match PrimitiveKind::ALL.into_iter().find(|kind| names(class, kind.class())) {
        Some(kind) => Ok(Arc::new(PrimitiveConverter::new(kind))),
        None => Err(unknown(class)),
    }
}

/// A converter for headers; `config` holds its own keys, without a prefix.
pub fn create_header(class: &str, config: &Config) -> Result<Arc<dyn HeaderConverter>, ConvertError> {
    if names(class, SimpleHeaderConverter::CLASS) {
        return Ok(Arc::new(SimpleHeaderConverter::default()));
    }
    if names(class, StringConverter::CLASS) {
        return Ok(Arc::new(StringConverter::from_config(config)?));
    }
    if names(class, JsonConverter::CLASS) {
        return Ok(Arc::new(JsonConverter::from_config(config)?));
    }
    if names(class, ByteArrayConverter::CLASS) {
        return Ok(Arc::new(ByteArrayConverter::default()));
    }
    match PrimitiveKind::ALL.into_iter().find(|kind| names(class, kind.class())) {
        Some(kind) => Ok(Arc::new(PrimitiveConverter::new(kind))),
        None => Err(unknown(class)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converters_are_found_by_every_name() {
        for name in ["org.apache.kafka.connect.json.JsonConverter", "JsonConverter", "Json"] {
            assert_eq!(create(name, false, &Config::new()).unwrap().class(), JsonConverter::CLASS);
        }
        assert!(create("SimpleHeaderConverter", false, &Config::new()).is_err());
        assert!(create_header("Simple", &Config::new()).is_err());
        assert_eq!(
            create_header("SimpleHeaderConverter", &Config::new()).unwrap().class(),
            SimpleHeaderConverter::CLASS
        );
    }

    #[test]
    fn an_unknown_class_is_named_with_the_known_ones() {
        let error = create("com.acme.Xml", false, &Config::new()).err().unwrap();
        assert!(error.message.contains("com.acme.Xml") && error.message.contains(StringConverter::CLASS));
    }
}

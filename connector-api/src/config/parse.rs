//! From a configuration to the connector's own typed struct. The derive writes the trait's two
//! required functions; everything else is here.

use super::{Config, ConfigDef, ConfigErrors, ConfigField, HIDDEN, Key, KeyError};

/// A struct whose fields are the keys of a connector. Made by `#[derive(ConnectorConfig)]`.
pub trait ConnectorConfig: Sized {
    /// The keys.
    fn config_def() -> ConfigDef;

    /// Reads every field; `None` when at least one could not be, which `reader` then knows of.
    fn read(reader: &mut Reader<'_>) -> Option<Self>;

    /// The typed configuration, or all that is wrong with it.
    fn parse(config: &Config) -> Result<Self, ConfigErrors> {
        let def = Self::config_def();
        def.check(config)?;
        let mut reader = Reader { def: &def, config, errors: Vec::new() };
        match Self::read(&mut reader) {
            Some(typed) if reader.errors.is_empty() => Ok(typed),
            _ => Err(ConfigErrors(reader.errors)),
        }
    }
}

/// Hands typed values to the code that the derive writes.
pub struct Reader<'a> {
    def: &'a ConfigDef,
    config: &'a Config,
    errors: Vec<KeyError>,
}

impl Reader<'_> {
    /// The value of `name`, from the configuration or from the key's default.
    pub fn field<T: ConfigField>(&mut self, name: &str) -> Option<T> {
        let key = self.def.key(name);
        let text = self.config.get(name).or_else(|| key.and_then(|key| key.default.as_ref()));
        T::read(text.map(String::as_str))
            .map_err(|reason| {
                let secret = key.is_some_and(Key::is_secret);
                let shown = if secret { HIDDEN } else { text.map_or("null", String::as_str) };
                self.errors.push(KeyError::invalid(name, shown, &reason));
            })
            .ok()
    }
}

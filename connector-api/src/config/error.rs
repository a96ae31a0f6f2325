//! What is wrong with a configuration.

use crate::ConnectorError;
use std::fmt;

/// What is wrong with one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyError {
    /// Key.
    pub key: String,
    /// Text that names the value (never a secret) and the mend.
    pub message: String,
}

impl KeyError {
    /// An error of `key` in Kafka's own form: the value, the key, what is wrong with it.
    pub fn invalid(key: &str, value: &str, reason: &str) -> Self {
        Self { key: key.to_owned(), message: format!("Invalid value {value} for configuration {key}: {reason}") }
    }

    /// A required key that is not given, in Kafka's own words.
    pub fn missing(key: &str) -> Self {
        let message = format!("Missing required configuration \"{key}\" which has no default value.");
        Self { key: key.to_owned(), message }
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Everything that is wrong with a configuration, in order of the keys. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(pub Vec<KeyError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&error.message)?;
        }
        Ok(())
    }
}

impl From<ConfigErrors> for ConnectorError {
    fn from(errors: ConfigErrors) -> Self {
        Self::config(errors.to_string())
    }
}

//! `RegexRouter`: renames topics whose whole name matches.

use crate::connect::transform::{
    ConnectRecord, JavaRegex, Part, Plugin,
    java_regex::{RegexError, Replacement},
};
use levada_connector_api::{ConnectorConfig, ConnectorError, Result, config::KeyError};
use std::sync::Arc;

#[derive(Debug, ConnectorConfig)]
pub(super) struct Config {
    /// Regular expression to use for matching.
    #[config(importance = "high", check = check_regex)]
    regex: String,
    /// Replacement string.
    #[config(importance = "high")]
    replacement: String,
}

fn check_regex(text: &str) -> Result<(), String> {
    JavaRegex::new(text).map(drop).map_err(|error| error.to_string())
}

/// How many topics' answers are kept; past that they are forgotten together.
const KNOWN_TOPICS: usize = 1024;

pub(super) struct RegexRouter {
    regex: JavaRegex,
    replacement: Replacement,
    /// A task sees the same few topics over and over.
    known: std::collections::HashMap<Arc<str>, Arc<str>>,
}

impl RegexRouter {
    fn route(&self, topic: &Arc<str>) -> Result<Arc<str>, RegexError> {
        if !self.regex.matches(topic)? {
            return Ok(Arc::clone(topic));
        }
        Ok(self.regex.replace_first(topic, &self.replacement)?.into())
    }
}

impl Plugin for RegexRouter {
    type Config = Config;

    fn new(_: Part, config: Config) -> Result<Self, KeyError> {
        let regex = JavaRegex::new(&config.regex)
            .map_err(|error| KeyError::invalid("regex", &config.regex, &error.to_string()))?;
        let replacement = regex
            .replacement(&config.replacement)
            .map_err(|error| KeyError::invalid("replacement", &config.replacement, &error.to_string()))?;
        Ok(Self { regex, replacement, known: std::collections::HashMap::new() })
    }

    fn apply<R: ConnectRecord>(&mut self, mut record: R) -> Result<Option<R>> {
        let routed = match self.known.get(record.topic()) {
            Some(routed) => Arc::clone(routed),
            None => {
                let topic = record.topic();
                let routed = self.route(topic).map_err(|error| ConnectorError::data(error.to_string()))?;
                if self.known.len() >= KNOWN_TOPICS {
                    self.known.clear();
                }
                self.known.insert(Arc::clone(topic), Arc::clone(&routed));
                routed
            }
        };
        record.set_topic(routed);
        Ok(Some(record))
    }
}

//! Predicates: which records a transform is for (KIP-585).
//!
//! Made by [`crate::connect::transform::chain`] for the links that name one, and by validation for the keys of a class.

use crate::connect::transform::{ConnectRecord, JavaRegex, Part};
use levada_connector_api::{Config, ConfigDef, ConnectorConfig, ConnectorError, Result};

/// One predicate.
#[derive(Clone, Debug)]
pub enum Predicate {
    /// A header of that name exists.
    HasHeaderKey(String),
    /// The value is null.
    RecordIsTombstone,
    /// The whole topic name matches.
    TopicNameMatches(Box<JavaRegex>),
}

/// Keys of `HasHeaderKey`.
#[derive(Debug, ConnectorConfig)]
struct HasHeaderKeyConfig {
    /// The header name.
    #[config(importance = "medium", non_empty)]
    name: String,
}

/// Keys of `RecordIsTombstone`: none.
#[derive(Debug, ConnectorConfig)]
struct NoKeys {}

/// Keys of `TopicNameMatches`.
#[derive(Debug, ConnectorConfig)]
struct TopicNameMatchesConfig {
    /// A Java regular expression for matching against the name of a record's topic.
    #[config(importance = "medium", non_empty, check = check_regex)]
    pattern: String,
}

fn check_regex(text: &str) -> Result<(), String> {
    JavaRegex::new(text).map(drop).map_err(|error| error.to_string())
}

/// A class that `predicates.P.type` can name.
#[derive(Clone, Copy, Debug)]
pub struct Class {
    /// Full Java class name.
    pub name: &'static str,
    def: fn() -> ConfigDef,
}

impl Class {
    /// Its keys, without a prefix.
    pub fn config_def(&self) -> ConfigDef {
        (self.def)()
    }
}

const HAS_HEADER_KEY: &str = "org.apache.kafka.connect.transforms.predicates.HasHeaderKey";
const RECORD_IS_TOMBSTONE: &str = "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone";
const TOPIC_NAME_MATCHES: &str = "org.apache.kafka.connect.transforms.predicates.TopicNameMatches";

/// Every class, in the order of their names.
pub const CLASSES: [Class; 3] = [
    Class { name: HAS_HEADER_KEY, def: HasHeaderKeyConfig::config_def },
    Class { name: RECORD_IS_TOMBSTONE, def: NoKeys::config_def },
    Class { name: TOPIC_NAME_MATCHES, def: TopicNameMatchesConfig::config_def },
];

/// The class of a full or simple name.
pub fn find(name: &str) -> Option<Class> {
    CLASSES.into_iter().find(|class| class.name == name || class.name.rsplit('.').next() == Some(name))
}

/// A predicate from its own keys, `type` among them.
pub fn create(config: &Config) -> Result<Predicate> {
    let name = config.get("type").map(|name| name.trim()).unwrap_or_default();
    let class =
        find(name).ok_or_else(|| ConnectorError::config(format!("predicate class {name} could not be found")))?;
    match class.name {
        HAS_HEADER_KEY => Ok(Predicate::HasHeaderKey(HasHeaderKeyConfig::parse(config)?.name)),
        TOPIC_NAME_MATCHES => {
            let pattern = TopicNameMatchesConfig::parse(config)?.pattern;
            let regex = JavaRegex::new(&pattern).map_err(|error| ConnectorError::config(error.to_string()))?;
            Ok(Predicate::TopicNameMatches(Box::new(regex)))
        }
        _ => Ok(Predicate::RecordIsTombstone),
    }
}

impl Predicate {
    /// Whether it is true of a record.
    pub fn test<R: ConnectRecord>(&self, record: &R) -> Result<bool> {
        match self {
            Self::HasHeaderKey(name) => Ok(record.headers().iter().any(|header| header.key == *name.as_str())),
            Self::RecordIsTombstone => Ok(record.part(Part::Value).1.is_null()),
            Self::TopicNameMatches(regex) => {
                regex.matches(record.topic()).map_err(|error| ConnectorError::data(error.to_string()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_connector_api::{Header, SourceRecord, Value};

    fn made(pairs: &[(&str, &str)]) -> Result<Predicate> {
        create(&pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn headers_are_found_by_name() {
        let predicate = made(&[("type", HAS_HEADER_KEY), ("name", "h")]).unwrap();
        let mut record = SourceRecord::new("t", Value::Null);
        assert!(!predicate.test(&record).unwrap());
        record.headers.push(Header { key: "h".into(), schema: None, value: Value::Null });
        assert!(predicate.test(&record).unwrap());
    }

    #[test]
    fn topics_match_as_a_whole() {
        let predicate = made(&[("type", "TopicNameMatches"), ("pattern", "a+(?!b)c")]).unwrap();
        assert!(predicate.test(&SourceRecord::new("aac", Value::Null)).unwrap());
        assert!(!predicate.test(&SourceRecord::new("aacx", Value::Null)).unwrap());
    }

    #[test]
    fn wrong_keys_are_refused() {
        assert!(made(&[("type", "HasHeaderKey"), ("name", "")]).is_err());
        assert!(made(&[("type", "TopicNameMatches"), ("pattern", "(")]).is_err());
        assert!(made(&[("type", "NoSuch")]).unwrap_err().message.contains("NoSuch"));
    }
}

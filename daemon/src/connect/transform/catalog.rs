//! All transform classes by name, and how an instance is made of a configuration.

use super::{ConnectRecord, Part, Plugin, Transform, apache, debezium};
use levada_connector_api::{
    Config, ConfigDef, ConnectorConfig, ConnectorError, Result, SinkRecord, SourceRecord, config::KeyError,
};

/// Instances over one kind of record.
type Make<R> = fn(&'static str, Part, &Config) -> Result<Box<dyn Transform<R>>>;

/// One class that `transforms.A.type` can name.
#[derive(Clone, Copy)]
pub struct Class {
    /// Full Java class name.
    pub name: &'static str,
    part: Part,
    def: fn() -> ConfigDef,
    check: fn(Part, &Config) -> Result<(), KeyError>,
    source: Make<SourceRecord>,
    sink: Make<SinkRecord>,
}

impl Class {
    /// A class that looks at whole records.
    pub(super) const fn whole<T: Plugin>(name: &'static str) -> Self {
        Self::of::<T>(name, Part::Value)
    }

    /// The `$Key` or `$Value` class of a transform.
    pub(super) const fn of<T: Plugin>(name: &'static str, part: Part) -> Self {
        Self {
            name,
            part,
            def: T::Config::config_def,
            check: check::<T>,
            source: make::<T, SourceRecord>,
            sink: make::<T, SinkRecord>,
        }
    }

    /// Its keys, without a prefix.
    pub fn config_def(&self) -> ConfigDef {
        (self.def)()
    }

    /// What the keys' own checks do not find: whether an instance can be made. Only for a configuration that passed
    /// them.
    pub fn check(&self, config: &Config) -> Result<(), KeyError> {
        (self.check)(self.part, config)
    }

    /// An instance for source records.
    pub fn source(&self, config: &Config) -> Result<Box<dyn Transform<SourceRecord>>> {
        (self.source)(self.name, self.part, config)
    }

    /// An instance for sink records.
    pub fn sink(&self, config: &Config) -> Result<Box<dyn Transform<SinkRecord>>> {
        (self.sink)(self.name, self.part, config)
    }

    /// Whether `name` means this class: its full name, or the part after the last dot.
    fn is_called(&self, name: &str) -> bool {
        name == self.name || self.name.rsplit('.').next() == Some(name)
    }
}

impl std::fmt::Debug for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Class").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Every class, in the order of their names.
pub fn classes() -> Vec<Class> {
    let mut all = apache::classes();
    all.extend(debezium::classes());
    all.sort_by_key(|class| class.name);
    all
}

/// The class of a name.
pub fn find(name: &str) -> Option<Class> {
    let all = classes();
    let exact = all.iter().find(|class| class.name == name);
    // `Filter` is Apache's and Debezium's; a short name means Apache's.
    let short = || all.iter().filter(|class| class.is_called(name)).min_by_key(|class| class.name.starts_with("io."));
    exact.or_else(short).copied()
}

/// An instance with its class.
struct Instance<T> {
    class: &'static str,
    inner: T,
}

impl<T: Plugin, R: ConnectRecord> Transform<R> for Instance<T> {
    fn apply(&mut self, record: R) -> Result<Option<R>> {
        self.inner.apply(record)
    }

    fn class(&self) -> &str {
        self.class
    }
}

fn instance<T: Plugin>(part: Part, config: &Config) -> Result<T> {
    let typed = T::Config::parse(config)?;
    T::new(part, typed).map_err(|error| ConnectorError::config(error.message))
}

fn check<T: Plugin>(part: Part, config: &Config) -> Result<(), KeyError> {
    match T::Config::parse(config) {
        Ok(typed) => T::new(part, typed).map(drop),
        Err(errors) => errors.0.into_iter().next().map_or(Ok(()), Err),
    }
}

fn make<T: Plugin, R: ConnectRecord>(
    class: &'static str,
    part: Part,
    config: &Config,
) -> Result<Box<dyn Transform<R>>> {
    Ok(Box::new(Instance { class, inner: instance::<T>(part, config)? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_found_by_full_and_simple_name() {
        let name = |name: &str| find(name).map(|class| class.name);
        let cast = "org.apache.kafka.connect.transforms.Cast$Value";
        assert_eq!(name(cast), Some(cast));
        assert_eq!(name("Cast$Value"), Some(cast));
        assert_eq!(name("Filter"), Some("org.apache.kafka.connect.transforms.Filter"));
        assert_eq!(name("ExtractNewRecordState"), Some("io.debezium.transforms.ExtractNewRecordState"));
        assert_eq!(name("org.apache.kafka.connect.transforms.Cast"), None);
        assert_eq!(name(""), None);
    }

    #[test]
    fn every_key_has_a_name_and_a_text() {
        for class in classes() {
            for key in class.config_def().keys {
                assert!(!key.documentation.is_empty(), "{} {}", class.name, key.name);
            }
        }
    }
}

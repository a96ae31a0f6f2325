//! A connector's chain, from `transforms`, `transforms.A.*`, `predicates` and `predicates.P.*`.

use super::{Class, ConnectRecord, Transform, find};
use crate::connect::predicate::{self, Predicate};
use levada_connector_api::{Config, ConnectorError, Result, SinkRecord, SourceRecord};

/// A record kind that chains can be made for.
pub trait Chained: ConnectRecord {
    /// An instance of `class` for records of this kind.
    fn instance(class: &Class, config: &Config) -> Result<Box<dyn Transform<Self>>>;
}

impl Chained for SourceRecord {
    fn instance(class: &Class, config: &Config) -> Result<Box<dyn Transform<Self>>> {
        class.source(config)
    }
}

impl Chained for SinkRecord {
    fn instance(class: &Class, config: &Config) -> Result<Box<dyn Transform<Self>>> {
        class.sink(config)
    }
}

/// One link as it is configured.
struct Stage {
    alias: String,
    class: Option<String>,
    /// The transform's own keys, without prefix.
    config: Config,
    predicate: Option<String>,
    /// As given.
    negate: Option<String>,
}

/// The items of `transforms` or `predicates`.
pub fn aliases<'a>(config: &'a Config, list: &str) -> Vec<&'a str> {
    let text = config.get(list).map(String::as_str).unwrap_or_default();
    text.split(',').map(str::trim).filter(|alias| !alias.is_empty()).collect()
}

/// The keys below a prefix, without it.
pub fn below(config: &Config, prefix: &str) -> Config {
    config.iter().filter_map(|(key, value)| Some((key.strip_prefix(prefix)?.to_owned(), value.clone()))).collect()
}

/// The links of a configuration in order, unchecked.
fn stages(config: &Config) -> Vec<Stage> {
    let stage = |alias: &str| {
        let mut own = below(config, &format!("transforms.{alias}."));
        let mut take = |key: &str| own.shift_remove(key).map(|value| value.trim().to_owned());
        let (class, predicate, negate) = (take("type"), take("predicate"), take("negate"));
        let predicate = predicate.filter(|name| !name.is_empty());
        Stage { alias: alias.to_owned(), class, config: own, predicate, negate }
    };
    aliases(config, "transforms").into_iter().map(stage).collect()
}

/// Makes the chain of a validated configuration.
pub fn chain<R: Chained>(config: &Config) -> Result<Vec<Box<dyn Transform<R>>>> {
    stages(config).into_iter().map(|stage| link(config, &stage)).collect()
}

fn link<R: Chained>(config: &Config, stage: &Stage) -> Result<Box<dyn Transform<R>>> {
    let alias = &stage.alias;
    let within =
        |error: ConnectorError| ConnectorError::new(error.kind, format!("transforms.{alias}: {}", error.message));
    let name = stage.class.as_deref().unwrap_or_default();
    let class = find(name)
        .ok_or_else(|| ConnectorError::config(format!("transforms.{alias}.type: class {name} could not be found")))?;
    let inner = R::instance(&class, &stage.config).map_err(within)?;
    let Some(predicate) = &stage.predicate else { return Ok(inner) };
    let own = below(config, &format!("predicates.{predicate}."));
    let predicate = predicate::create(&own).map_err(within)?;
    let negate = stage.negate.as_deref().is_some_and(|text| text.eq_ignore_ascii_case("true"));
    Ok(Box::new(Guarded { predicate, negate, inner }))
}

/// A transform that is applied only where its predicate says so; other records pass it as they are.
struct Guarded<R> {
    predicate: Predicate,
    negate: bool,
    inner: Box<dyn Transform<R>>,
}

impl<R: ConnectRecord> Transform<R> for Guarded<R> {
    fn apply(&mut self, record: R) -> Result<Option<R>> {
        if self.predicate.test(&record)? == self.negate { Ok(Some(record)) } else { self.inner.apply(record) }
    }

    fn class(&self) -> &str {
        self.inner.class()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_connector_api::Value;

    fn config(pairs: &[(&str, &str)]) -> Config {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn through(config: &Config, record: SourceRecord) -> Option<SourceRecord> {
        let mut chain = chain::<SourceRecord>(config).unwrap();
        let mut current = record;
        for link in &mut chain {
            current = link.apply(current).unwrap()?;
        }
        Some(current)
    }

    #[test]
    fn links_are_applied_in_order_and_predicates_see_the_record_as_it_then_is() {
        let config = config(&[
            ("transforms", "route, drop"),
            ("transforms.route.type", "org.apache.kafka.connect.transforms.RegexRouter"),
            ("transforms.route.regex", "a-(.*)"),
            ("transforms.route.replacement", "b-$1"),
            ("transforms.drop.type", "Filter"),
            ("transforms.drop.predicate", "is-b"),
            ("predicates", "is-b"),
            ("predicates.is-b.type", "TopicNameMatches"),
            ("predicates.is-b.pattern", "b-.*"),
        ]);
        assert!(through(&config, SourceRecord::new("a-x", Value::Null)).is_none());
        assert_eq!(&*through(&config, SourceRecord::new("c", Value::Null)).unwrap().topic, "c");
    }

    #[test]
    fn a_negated_predicate_spares_what_it_matches() {
        let config = config(&[
            ("transforms", "drop"),
            ("transforms.drop.type", "Filter"),
            ("transforms.drop.predicate", "p"),
            ("transforms.drop.negate", "TRUE"),
            ("predicates", "p"),
            ("predicates.p.type", "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone"),
        ]);
        assert!(through(&config, SourceRecord::new("t", Value::Null)).is_some());
        assert!(through(&config, SourceRecord::new("t", Value::Int8(1))).is_none());
    }

    #[test]
    fn an_unknown_class_names_the_key() {
        let error = chain::<SourceRecord>(&config(&[("transforms", "a"), ("transforms.a.type", "x.Y")])).err().unwrap();
        assert!(error.message.contains("transforms.a.type") && error.message.contains("x.Y"), "{}", error.message);
    }
}

//! The broker's own key table in this crate's form.

use super::key::{KeyDef, Kind, Table};
use levada_broker::config::{BrokerConfig, key};

/// All keys of `[broker]`.
pub fn broker_keys() -> Vec<KeyDef> {
    // The directory is the node's affair: `node.data.dir`.
    BrokerConfig::keys().iter().filter(|key| !["log.dirs", "log.dir"].contains(&key.name)).map(translate).collect()
}

fn translate(def: &key::KeyDef) -> KeyDef {
    KeyDef {
        table: Table::Broker,
        name: def.name.into(),
        kind: kind(def),
        default: def.default.map(Into::into),
        doc: def.doc.into(),
    }
}

fn kind(def: &key::KeyDef) -> Kind {
    use key::{Allowed, KeyType};
    match (def.kind, def.allowed) {
        (KeyType::Boolean, _) => Kind::Boolean,
        (KeyType::Short | KeyType::Int | KeyType::Long, Allowed::Range(min, max)) => Kind::Integer(min, max),
        (KeyType::Short, _) => Kind::Integer(i64::from(i16::MIN), i64::from(i16::MAX)),
        (KeyType::Int, _) => Kind::Integer(i64::from(i32::MIN), i64::from(i32::MAX)),
        (KeyType::Long, _) => Kind::Integer(i64::MIN, i64::MAX),
        (KeyType::Double, Allowed::Fraction(min, max)) => Kind::Number(min, max),
        (KeyType::Double, _) => Kind::Number(f64::MIN, f64::MAX),
        (KeyType::List, Allowed::OneOf(words)) => Kind::ListOf(words),
        (KeyType::List, _) => Kind::List,
        (KeyType::String, Allowed::OneOf(words)) => Kind::OneOf(words),
        (KeyType::String, _) => Kind::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_of_the_brokers_is_a_value_of_its_key() {
        for key in broker_keys() {
            if let Some(default) = key.default.as_deref().filter(|default| !default.is_empty()) {
                assert_eq!(key.check(default), Ok(()), "{}", key.full_name());
            }
        }
    }
}

//! `transforms` and `predicates`: each alias brings a class, the class its keys, and a transform may name a predicate.

use super::Items;
use crate::connect::{
    predicate,
    transform::{self, below},
};
use levada_connector_api::{
    Config, ConfigDef,
    config::{Importance, Key, KeyError, Type, Width},
};

/// What an alias of a list stands for.
struct Kind {
    list: &'static str,
    group: &'static str,
    noun: &'static str,
    title: &'static str,
}

const TRANSFORM: Kind =
    Kind { list: "transforms", group: "Transforms", noun: "transformation", title: "Transformation" };
const PREDICATE: Kind = Kind { list: "predicates", group: "Predicates", noun: "predicate", title: "Predicate" };

/// Adds the keys of all aliases with what is wrong with them; what comes back are likely slips.
pub(super) fn check(items: &mut Items, config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    for alias in aliases(items, config, &TRANSFORM) {
        transform(items, config, &alias, &mut warnings);
    }
    for alias in aliases(items, config, &PREDICATE) {
        predicate(items, config, &alias, &mut warnings);
    }
    warnings
}

/// The aliases of a list; one that stands twice is an error of the list.
fn aliases(items: &mut Items, config: &Config, kind: &Kind) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for alias in transform::aliases(config, kind.list) {
        if seen.iter().any(|known| known == alias) {
            let text = config.get(kind.list).map(String::as_str).unwrap_or_default();
            let message = format!("Invalid value [{text}] for configuration {}: Duplicate alias provided.", kind.list);
            items.error(kind.list, Some(text), message);
        } else {
            seen.push(alias.to_owned());
        }
    }
    seen
}

fn transform(items: &mut Items, config: &Config, alias: &str, warnings: &mut Vec<String>) {
    let prefix = format!("transforms.{alias}.");
    let name = config.get(&format!("{prefix}type")).map(|name| name.trim());
    let class = name.and_then(transform::find);
    let mut keys = vec![class_key(&TRANSFORM, alias)];
    keys.extend(class.map(|class| class.config_def().keys).unwrap_or_default());
    keys.push(Key::new(
        "predicate",
        Type::String,
        Importance::Medium,
        "The alias of a predicate used to determine whether to apply this transformation.",
    ));
    keys.push(Key {
        default: Some("false".to_owned()),
        ..Key::new("negate", Type::Boolean, Importance::Medium, "Whether the configured predicate should be negated.")
    });
    let clean = add(items, config, keys, &TRANSFORM, alias, warnings);
    match (name, class) {
        (Some(name), None) => unknown(items, &prefix, name),
        (Some(_), Some(class)) if clean => {
            if let Err(error) = class.check(&below(config, &prefix)) {
                own_error(items, config, &prefix, &error);
            }
        }
        _ => {}
    }
    guard(items, config, &prefix);
}

/// A predicate that is named must be among `predicates`, and there is nothing to negate without one.
fn guard(items: &mut Items, config: &Config, prefix: &str) {
    let (key, negate) = (format!("{prefix}predicate"), format!("{prefix}negate"));
    let named = config.get(&key).map(|name| name.trim()).filter(|name| !name.is_empty());
    match named {
        Some(name) if !transform::aliases(config, "predicates").contains(&name) => {
            let message = format!(
                "Invalid value {name} for configuration {key}: no predicate has this alias; add it to predicates"
            );
            items.error(&key, Some(name), message);
        }
        None if config.contains_key(&negate) => {
            let value = config.get(&negate).map(String::as_str).unwrap_or_default();
            let message = format!("Invalid value {value} for configuration {negate}: there is no {key} to negate");
            items.error(&negate, Some(value), message);
        }
        _ => {}
    }
}

fn predicate(items: &mut Items, config: &Config, alias: &str, warnings: &mut Vec<String>) {
    let prefix = format!("predicates.{alias}.");
    let name = config.get(&format!("{prefix}type")).map(|name| name.trim());
    let class = name.and_then(predicate::find);
    let mut keys = vec![class_key(&PREDICATE, alias)];
    keys.extend(class.map(|class| class.config_def().keys).unwrap_or_default());
    add(items, config, keys, &PREDICATE, alias, warnings);
    if let (Some(name), None) = (name, class) {
        unknown(items, &prefix, name);
    }
}

fn class_key(kind: &Kind, alias: &str) -> Key {
    Key {
        required: true,
        width: Width::Long,
        display_name: format!("{} type for {alias}", kind.title),
        ..Key::new("type", Type::Class, Importance::High, format!("Class for the '{alias}' {}.", kind.noun))
    }
}

/// Adds keys under their full names, in a group of the alias's own; whether none of them is wrong. Keys of a known class
/// that it does not have are slips.
fn add(
    items: &mut Items,
    config: &Config,
    mut keys: Vec<Key>,
    kind: &Kind,
    alias: &str,
    warnings: &mut Vec<String>,
) -> bool {
    let prefix = format!("{}.{alias}.", kind.list);
    for (order, key) in keys.iter_mut().enumerate() {
        if key.display_name == key.name {
            key.display_name = format!("{prefix}{}", key.name);
        }
        key.name = format!("{prefix}{}", key.name);
        key.group = Some(format!("{}: {alias}", kind.group));
        key.order_in_group = i32::try_from(order).unwrap_or(i32::MAX);
    }
    let def = ConfigDef { keys, ..ConfigDef::default() };
    let unknown = def.unknown_keys(config, |key| !key.starts_with(&prefix));
    warnings.extend(unknown.iter().map(ToString::to_string));
    let validated = def.validate(config);
    let clean = validated.states.iter().all(|state| state.errors.is_empty());
    items.add(&def, validated);
    clean
}

fn unknown(items: &mut Items, prefix: &str, name: &str) {
    let key = format!("{prefix}type");
    let message = format!("Invalid value {name} for configuration {key}: Class {name} could not be found.");
    items.error(&key, Some(name), message);
}

/// An error that a class found itself, under the key's full name.
fn own_error(items: &mut Items, config: &Config, prefix: &str, error: &KeyError) {
    let key = format!("{prefix}{}", error.key);
    let message = error.message.replace(&format!("configuration {}:", error.key), &format!("configuration {key}:"));
    let message = message.replace(&format!("\"{}\"", error.key), &format!("\"{key}\""));
    items.error(&key, config.get(&key).map(String::as_str), message);
}

//! Rules of Connect's own that span several keys.

use super::{Converters, Items, Policy};
use crate::connect::transform::JavaRegex;
use levada_connector_api::{
    Config, ConfigDef, ConnectorKind,
    config::{Check, Importance, Key, Type, Width},
};

const CREATION: &str = "topic.creation.";

/// A list value's items.
fn list<'a>(config: &'a Config, key: &str) -> Vec<&'a str> {
    let text = config.get(key).map(String::as_str).unwrap_or_default();
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
}

fn given<'a>(config: &'a Config, key: &str) -> Option<&'a str> {
    config.get(key).map(|text| text.trim()).filter(|text| !text.is_empty())
}

/// Kafka's rule for names of topics (org.apache.kafka.common.internals.Topic).
fn is_topic_name(name: &str) -> bool {
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=249).contains(&name.len()) && !matches!(name, "." | "..") && name.chars().all(valid)
}

/// Exactly one of `topics` and `topics.regex`, and no group that belongs to the worker.
pub fn sink_topics(items: &mut Items, config: &Config, policy: &Policy) {
    let (topics, regex) = (given(config, "topics"), given(config, "topics.regex"));
    let error = match (topics, regex) {
        (Some(_), Some(_)) => "topics and topics.regex are mutually exclusive options, but both are set.",
        (None, None) => "Must configure one of topics or topics.regex",
        _ => "",
    };
    if !error.is_empty() {
        items.error("topics", topics, error);
        items.error("topics.regex", regex, error);
    }
    for topic in list(config, "topics").into_iter().filter(|topic| !is_topic_name(topic)) {
        let message = format!(
            "Invalid value {topic} for configuration topics: a topic's name has 1 to 249 characters out of a-z, A-Z, 0-9, '.', '_' and '-'"
        );
        items.error("topics", topics, message);
    }
    dead_letters(items, config);
    let name = config.get("name").map(String::as_str).unwrap_or_default();
    match given(config, "consumer.override.group.id") {
        Some(group) if group == policy.worker_group => items.error(
            "consumer.override.group.id",
            Some(group),
            format!("Consumer group {group} conflicts with Connect worker group {group}"),
        ),
        None if format!("connect-{name}") == policy.worker_group => items.error(
            "name",
            Some(name),
            format!(
                "Consumer group for sink connector named {name} conflicts with Connect worker group connect-{name}"
            ),
        ),
        _ => {}
    }
}

/// A sink must not read the topic that it puts its own failures into.
fn dead_letters(items: &mut Items, config: &Config) {
    const KEY: &str = "errors.deadletterqueue.topic.name";
    let Some(topic) = given(config, KEY) else { return };
    let regex = given(config, "topics.regex").and_then(|regex| JavaRegex::new(regex).ok());
    let read = if list(config, "topics").contains(&topic) {
        "topics"
    } else if regex.is_some_and(|regex| regex.matches(topic).unwrap_or(false)) {
        "topics.regex"
    } else {
        return;
    };
    let message = format!(
        "Invalid value {topic} for configuration {KEY}: the dead letter queue may not be among the topics that the connector reads ({read})"
    );
    items.error(KEY, Some(topic), message);
}

/// Converters named by the connector: the class must be known, and its keys are checked with their prefix removed.
pub fn converters(items: &mut Items, converters: &dyn Converters, config: &Config) {
    for name in ["key.converter", "value.converter", "header.converter"] {
        let Some(class) = config.get(name).map(|class| class.trim()) else { continue };
        let def =
            if name == "header.converter" { converters.header_converter(class) } else { converters.converter(class) };
        let Some(def) = def else {
            let message = format!("Invalid value {class} for configuration {name}: Class {class} could not be found.");
            items.error(name, Some(class), message);
            continue;
        };
        let def = prefixed(def, &format!("{name}."));
        items.add(&def, def.validate(config));
    }
}

/// A definition whose keys carry a prefix, so that error texts name the whole key. Rules are about keys without it: they are not
/// asked.
fn prefixed(mut def: ConfigDef, prefix: &str) -> ConfigDef {
    for key in &mut def.keys {
        key.name.insert_str(0, prefix);
    }
    def.rules.clear();
    def
}

/// Keys that Connect acts on and this worker does not yet: refused, never ignored.
pub fn not_yet(items: &mut Items, config: &Config) {
    let names = [
        ("offsets.storage.topic", "an offsets topic of a connector's own is not supported yet; remove the key"),
        ("connector.plugin.version", "choosing a plugin version is not supported yet; remove the key"),
        ("key.converter.plugin.version", "choosing a converter version is not supported yet; remove the key"),
        ("value.converter.plugin.version", "choosing a converter version is not supported yet; remove the key"),
        ("header.converter.plugin.version", "choosing a converter version is not supported yet; remove the key"),
    ];
    for (key, mend) in names {
        if let Some(value) = given(config, key) {
            items.error(key, Some(value), format!("Invalid value {value} for configuration {key}: {mend}"));
        }
    }
    if given(config, "exactly.once.support").is_some_and(|value| value.eq_ignore_ascii_case("required")) {
        items.error(
            "exactly.once.support",
            Some("required"),
            "This worker does not have exactly-once source support enabled.",
        );
    }
    if let Some(boundary) = given(config, "transaction.boundary").filter(|value| !value.eq_ignore_ascii_case("poll")) {
        let message = format!(
            "Invalid value {boundary} for configuration transaction.boundary: transactions are not supported yet; remove the key"
        );
        items.error("transaction.boundary", Some(boundary), message);
    }
}

/// Client settings that the worker's policy does not let connectors override, and those that would send records
/// elsewhere than the worker can.
pub fn client_overrides(items: &mut Items, config: &Config, policy: &str) {
    for prefix in ["producer.override.", "consumer.override.", "admin.override."] {
        let key = format!("{prefix}bootstrap.servers");
        if let Some(servers) = given(config, &key) {
            let message = format!(
                "Invalid value {servers} for configuration {key}: connectors read and write this node's own log, no other; remove the key"
            );
            items.error(&key, Some(servers), message);
        }
    }
    const PRINCIPAL: [&str; 3] = ["sasl.jaas.config", "sasl.mechanism", "security.protocol"];
    if policy == "All" {
        return;
    }
    for key in config.keys() {
        let below = ["producer.override.", "consumer.override.", "admin.override."]
            .iter()
            .find_map(|prefix| key.strip_prefix(prefix));
        let Some(name) = below else { continue };
        if policy == "Principal" && PRINCIPAL.contains(&name) {
            continue;
        }
        let message =
            format!("The '{policy}' policy does not allow '{name}' to be overridden in the connector configuration.");
        // The value may be a secret (invariant 12).
        items.error(key, None, message);
    }
}

/// `topic.creation.*`: the default group's two keys are required once any is set; each named group needs an include.
pub fn topic_creation(items: &mut Items, kind: ConnectorKind, config: &Config, policy: &Policy) {
    if kind != ConnectorKind::Source || !policy.topic_creation || !config.keys().any(|key| key.starts_with(CREATION)) {
        return;
    }
    let default = "default";
    add_group(items, group_def(default, true), config, default);
    let groups = list(config, "topic.creation.groups");
    let mut seen: Vec<&str> = Vec::new();
    for group in groups {
        if seen.contains(&group) {
            let text = config.get("topic.creation.groups").map(String::as_str).unwrap_or_default();
            let message =
                format!("Invalid value [{text}] for configuration topic.creation.groups: Duplicate alias provided.");
            items.error("topic.creation.groups", Some(text), message);
        } else if group != default {
            seen.push(group);
            add_group(items, group_def(group, false), config, group);
        }
    }
}

fn add_group(items: &mut Items, def: ConfigDef, config: &Config, group: &str) {
    let def = prefixed(def, &format!("{CREATION}{group}."));
    items.add(&def, def.validate(config));
}

fn group_def(group: &str, default: bool) -> ConfigDef {
    let shown = if default { "default".to_owned() } else { format!("Topic Creation: {group}") };
    let key = |name: &str, kind, required, check, order, display: &str, doc: &str| Key {
        required,
        check,
        group: Some(shown.clone()),
        order_in_group: order,
        width: Width::Long,
        display_name: format!("{display} {group}"),
        ..Key::new(name, kind, Importance::Low, doc)
    };
    let mut include = key(
        "include",
        Type::List,
        !default,
        Check::Custom(regexes),
        1,
        "Inclusion Topic Pattern for",
        "Regular expressions of the topics that the group's settings are for.",
    );
    include.default = default.then(|| ".*".to_owned());
    let mut exclude = key(
        "exclude",
        Type::List,
        false,
        Check::Custom(regexes),
        2,
        "Exclusion Topic Pattern for",
        "Regular expressions of topics that the group's settings are not for; wins over include.",
    );
    exclude.default = Some(String::new());
    let replication = key(
        "replication.factor",
        Type::Short,
        default,
        Check::Custom(positive_or_default),
        3,
        "Replication Factor for Topics in",
        "Replication factor of new topics; -1 for the broker's default.",
    );
    let partitions = key(
        "partitions",
        Type::Int,
        default,
        Check::Custom(positive_or_default),
        4,
        "Partition Count for Topics in",
        "Partition count of new topics; -1 for the broker's default.",
    );
    ConfigDef { keys: vec![include, exclude, replication, partitions], ..ConfigDef::default() }
}

fn positive_or_default(text: &str) -> Result<(), String> {
    match text.trim().parse::<i64>() {
        Ok(number) if number >= 1 || number == -1 => Ok(()),
        _ => Err("Value must be positive, or -1 to use the broker's default".to_owned()),
    }
}

fn regexes(text: &str) -> Result<(), String> {
    for pattern in text.split(',').map(str::trim).filter(|pattern| !pattern.is_empty()) {
        JavaRegex::new(pattern).map_err(|_| format!("Syntax error in regular expression: {pattern}"))?;
    }
    Ok(())
}

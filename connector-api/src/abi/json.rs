//! What crosses as JSON: configurations, what a connector says of itself, offsets, partitions. Small and
//! rare things; records have a layout of their own ([`super::batch`]).

use crate::{
    Committed, Config, ConfigDef, ConnectorError, ConnectorInfo, ConnectorKind, OffsetChange, Result, SignalTopic,
    SourceOffset, SourcePartition, TaskSignal, TopicPartition,
    config::{Check, Importance, Key, KeyError, Type, Width},
};
use serde_json::{Map, Value as Json, json};
use std::sync::Arc;

/// What can't be read as what it should be.
fn misfit(what: &str) -> ConnectorError {
    ConnectorError::fatal(format!("the other side of the plugin interface gave {what} in a form that can't be read"))
}

/// Reads JSON of any bytes; no bytes are `empty`.
pub fn parse(bytes: &[u8], what: &str) -> Result<Json> {
    serde_json::from_slice(bytes).map_err(|error| misfit(what).caused_by(error))
}

/// Text of a JSON value.
pub fn bytes(value: &Json) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// A configuration as a JSON object of texts.
pub fn of_config(config: &Config) -> Json {
    Json::Object(config.iter().map(|(key, value)| (key.clone(), json!(value))).collect())
}

/// Reads [`of_config`].
pub fn to_config(value: Json) -> Result<Config> {
    let Json::Object(map) = value else { return Err(misfit("a configuration")) };
    let pair = |(key, value)| match value {
        Json::String(text) => Ok((key, text)),
        _ => Err(misfit("a configuration")),
    };
    map.into_iter().map(pair).collect()
}

/// Reads an array of configurations.
pub fn to_configs(value: Json) -> Result<Vec<Config>> {
    let Json::Array(list) = value else { return Err(misfit("task configurations")) };
    list.into_iter().map(to_config).collect()
}

/// What a connector says of itself.
pub fn of_info(info: &ConnectorInfo) -> Json {
    json!({
        "class": info.class,
        "aliases": info.aliases,
        "version": info.version,
        "config": info.config_def.keys.iter().map(of_key).collect::<Vec<_>>(),
    })
}

/// Reads [`of_info`]; what a writer left out has its usual value.
pub fn to_info(value: &Json, kind: ConnectorKind) -> Result<ConnectorInfo> {
    let class = text(value, "class").filter(|class| !class.trim().is_empty()).ok_or_else(|| misfit("its class"))?;
    let keys = match value.get("config") {
        Some(Json::Array(keys)) => keys.iter().map(to_key).collect::<Result<_>>()?,
        None | Some(Json::Null) => Vec::new(),
        Some(_) => return Err(misfit("its configuration keys")),
    };
    Ok(ConnectorInfo {
        class,
        aliases: texts(value, "aliases"),
        kind,
        version: text(value, "version").unwrap_or_default(),
        config_def: ConfigDef { keys, ..ConfigDef::default() },
    })
}

/// A topic of signals.
pub fn of_signal_topic(topic: Option<&SignalTopic>) -> Json {
    topic.map_or(Json::Null, |topic| json!({ "topic": topic.topic, "key": topic.key, "from": topic.from }))
}

/// Reads [`of_signal_topic`].
pub fn to_signal_topic(value: &Json) -> Result<Option<SignalTopic>> {
    if value.is_null() {
        return Ok(None);
    }
    let wrong = || misfit("a signal topic");
    let topic = text(value, "topic").filter(|topic| !topic.is_empty()).ok_or_else(wrong)?;
    let from = value.get("from").and_then(Json::as_array).into_iter().flatten();
    let from = from.map(place).collect::<Option<_>>().ok_or_else(wrong)?;
    Ok(Some(SignalTopic { topic, key: text(value, "key").ok_or_else(wrong)?, from }))
}

/// Partition and offset.
fn place(value: &Json) -> Option<(i32, i64)> {
    let (partition, offset) = (value.get(0)?.as_i64()?, value.get(1)?.as_i64()?);
    Some((i32::try_from(partition).ok()?, offset))
}

/// Signals.
pub fn of_signals(signals: &[TaskSignal]) -> Json {
    signals.iter().map(|signal| json!({ "id": signal.id, "text": signal.text, "next": signal.next })).collect()
}

/// Reads [`of_signals`].
pub fn to_signals(value: &Json) -> Vec<TaskSignal> {
    let signal = |value: &Json| TaskSignal {
        id: text(value, "id").unwrap_or_default(),
        text: text(value, "text").unwrap_or_default(),
        next: value.get("next").and_then(place),
    };
    value.as_array().into_iter().flatten().map(signal).collect()
}

fn text(value: &Json, name: &str) -> Option<String> {
    value.get(name).and_then(Json::as_str).map(str::to_owned)
}

fn texts(value: &Json, name: &str) -> Vec<String> {
    let list = value.get(name).and_then(Json::as_array).into_iter().flatten();
    list.filter_map(Json::as_str).map(str::to_owned).collect()
}

fn of_key(key: &Key) -> Json {
    json!({
        "name": key.name,
        "type": key.kind.name(),
        "required": key.required,
        "default": key.default,
        "check": of_check(&key.check),
        "importance": key.importance.name(),
        "documentation": key.documentation,
        "group": key.group,
        "order_in_group": key.order_in_group,
        "width": key.width.name(),
        "display_name": key.display_name,
        "dependents": key.dependents,
    })
}

/// A function can't cross; the library's own `validate` tells what it finds.
fn of_check(check: &Check) -> Json {
    match check {
        Check::Any | Check::Custom(_) => Json::Null,
        Check::NonEmpty => json!({ "non_empty": true }),
        Check::Range { min, max } => json!({ "min": min, "max": max }),
        Check::OneOf(names) => json!({ "one_of": names }),
        Check::All(checks) => json!({ "all": checks.iter().map(of_check).collect::<Vec<_>>() }),
    }
}

fn to_check(value: &Json) -> Check {
    if value.get("non_empty").and_then(Json::as_bool) == Some(true) {
        return Check::NonEmpty;
    }
    if value.get("one_of").is_some() {
        return Check::OneOf(texts(value, "one_of"));
    }
    if let Some(Json::Array(checks)) = value.get("all") {
        return Check::All(checks.iter().map(to_check).collect());
    }
    let bound = |name: &str| value.get(name).and_then(Json::as_f64);
    match (bound("min"), bound("max")) {
        (None, None) => Check::Any,
        (min, max) => Check::Range { min, max },
    }
}

fn to_key(value: &Json) -> Result<Key> {
    let name = text(value, "name").filter(|name| !name.is_empty()).ok_or_else(|| misfit("the name of a key"))?;
    let kind = named(TYPES, Type::name, text(value, "type").as_deref().unwrap_or("STRING"));
    let kind = kind.ok_or_else(|| misfit(&format!("the type of key {name}")))?;
    let importance = text(value, "importance").and_then(|text| named(IMPORTANCES, Importance::name, &text));
    let documentation = text(value, "documentation").unwrap_or_default();
    let order = value.get("order_in_group").and_then(Json::as_i64).and_then(|order| i32::try_from(order).ok());
    Ok(Key {
        required: value.get("required").and_then(Json::as_bool).unwrap_or(false),
        default: text(value, "default"),
        check: value.get("check").map_or(Check::Any, to_check),
        group: text(value, "group"),
        order_in_group: order.unwrap_or(-1),
        width: text(value, "width").and_then(|text| named(WIDTHS, Width::name, &text)).unwrap_or_default(),
        display_name: text(value, "display_name").unwrap_or_else(|| name.clone()),
        dependents: texts(value, "dependents"),
        ..Key::new(name, kind, importance.unwrap_or(Importance::Medium), documentation)
    })
}

const TYPES: &[Type] = &[
    Type::Boolean,
    Type::String,
    Type::Int,
    Type::Short,
    Type::Long,
    Type::Double,
    Type::List,
    Type::Class,
    Type::Password,
];
const IMPORTANCES: &[Importance] = &[Importance::High, Importance::Medium, Importance::Low];
const WIDTHS: &[Width] = &[Width::None, Width::Short, Width::Medium, Width::Long];

fn named<T: Copy>(all: &[T], name: fn(T) -> &'static str, text: &str) -> Option<T> {
    all.iter().copied().find(|known| name(*known).eq_ignore_ascii_case(text))
}

/// What is wrong with a configuration.
pub fn of_key_errors(errors: &[KeyError]) -> Json {
    errors.iter().map(|error| json!({ "key": error.key, "message": error.message })).collect()
}

/// Reads [`of_key_errors`].
pub fn to_key_errors(value: &Json) -> Result<Vec<KeyError>> {
    let list = value.as_array().ok_or_else(|| misfit("what is wrong with a configuration"))?;
    let error = |value: &Json| {
        let (key, message) = (text(value, "key"), text(value, "message"));
        key.zip(message).map(|(key, message)| KeyError { key, message })
    };
    list.iter().map(|value| error(value).ok_or_else(|| misfit("what is wrong with a key"))).collect()
}

/// Pairs of partition and offset.
pub fn of_offsets<'a>(offsets: impl Iterator<Item = (&'a SourcePartition, Option<&'a SourceOffset>)>) -> Json {
    let object = |map: &Map<String, Json>| Json::Object(map.clone());
    offsets.map(|(partition, offset)| json!([object(partition), offset.map(object)])).collect()
}

/// Reads [`of_offsets`].
pub fn to_offsets(value: Json) -> Result<Vec<OffsetChange>> {
    let Json::Array(list) = value else { return Err(misfit("offsets")) };
    let pair = |value| match value {
        Json::Array(pair) => match <[Json; 2]>::try_from(pair) {
            Ok([Json::Object(partition), Json::Object(offset)]) => Ok((partition, Some(offset))),
            Ok([Json::Object(partition), Json::Null]) => Ok((partition, None)),
            _ => Err(misfit("an offset")),
        },
        _ => Err(misfit("an offset")),
    };
    list.into_iter().map(pair).collect()
}

/// Source partitions.
pub fn of_partitions(partitions: &[SourcePartition]) -> Json {
    partitions.iter().map(|partition| Json::Object(partition.clone())).collect()
}

/// Reads objects, or nulls, in an array.
pub fn to_objects(value: Json, what: &str) -> Result<Vec<Option<Map<String, Json>>>> {
    let Json::Array(list) = value else { return Err(misfit(what)) };
    let object = |value| match value {
        Json::Object(map) => Ok(Some(map)),
        Json::Null => Ok(None),
        _ => Err(misfit(what)),
    };
    list.into_iter().map(object).collect()
}

/// Topic partitions.
pub fn of_topic_partitions(partitions: &[TopicPartition]) -> Json {
    partitions.iter().map(|at| json!({ "topic": &*at.topic, "partition": at.partition })).collect()
}

/// Reads [`of_topic_partitions`].
pub fn to_topic_partitions(value: &Json) -> Result<Vec<TopicPartition>> {
    value.as_array().ok_or_else(|| misfit("partitions"))?.iter().map(to_topic_partition).collect()
}

fn to_topic_partition(value: &Json) -> Result<TopicPartition> {
    let topic = text(value, "topic").ok_or_else(|| misfit("a topic"))?;
    let partition = value.get("partition").and_then(Json::as_i64).and_then(|number| i32::try_from(number).ok());
    Ok(TopicPartition { topic: Arc::from(topic), partition: partition.ok_or_else(|| misfit("a partition"))? })
}

/// Partitions gained, and all that are held.
pub fn of_open(added: &[Committed], owned: &[TopicPartition]) -> Json {
    let added: Json = added
        .iter()
        .map(|committed| {
            let TopicPartition { topic, partition } = &committed.partition;
            let (offset, metadata) = (committed.offset, &committed.metadata);
            json!({ "topic": &**topic, "partition": partition, "offset": offset, "metadata": metadata })
        })
        .collect();
    json!({ "added": added, "owned": of_topic_partitions(owned) })
}

/// Reads [`of_open`].
pub fn to_open(value: &Json) -> Result<(Vec<Committed>, Vec<TopicPartition>)> {
    let added = value.get("added").and_then(Json::as_array).ok_or_else(|| misfit("partitions"))?;
    let committed = |value: &Json| {
        let offset = value.get("offset").and_then(Json::as_i64);
        Ok(Committed {
            partition: to_topic_partition(value)?,
            offset,
            metadata: text(value, "metadata").unwrap_or_default(),
        })
    };
    let added = added.iter().map(committed).collect::<Result<_>>()?;
    Ok((added, to_topic_partitions(value.get("owned").unwrap_or(&Json::Null))?))
}

/// Positions with metadata.
pub fn of_positions<'a>(positions: impl Iterator<Item = (&'a TopicPartition, i64, &'a str)>) -> Json {
    positions
        .map(|(at, offset, metadata)| {
            json!({ "topic": &*at.topic, "partition": at.partition, "offset": offset, "metadata": metadata })
        })
        .collect()
}

/// Reads [`of_positions`].
pub fn to_positions(value: &Json) -> Result<Vec<(TopicPartition, i64, String)>> {
    let list = value.as_array().ok_or_else(|| misfit("positions"))?;
    let position = |value: &Json| {
        let offset = value.get("offset").and_then(Json::as_i64).ok_or_else(|| misfit("a position"))?;
        Ok((to_topic_partition(value)?, offset, text(value, "metadata").unwrap_or_default()))
    };
    list.iter().map(position).collect()
}

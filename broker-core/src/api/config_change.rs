//! What AlterConfigs and IncrementalAlterConfigs have in common: checking new values and committing them.

use std::collections::BTreeMap;

use levada_wire::ErrorCode;

use super::config_view::{ConfigView, broker_entries, topic_entries};
use super::context::RequestContext;
use super::error_map::ToErrorCode;
use super::services::Services;
use crate::config::broker_keys::{BROKER_KEYS, broker_key};
use crate::config::key::{KeyType, MAX_VALUE, Update, ValueError, nearest, split_list};
use crate::config::topic_keys::{IGNORED_TOPIC_KEYS, topic_key};
use crate::quorum::topics::check_topic_config;
use crate::quorum::{ConfigResource, MetadataImage, MetadataRecord, QuorumError, change};
use crate::security::{Operation, Resource};

/// One operation on a key.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Set(String),
    Delete,
    Append(String),
    Subtract(String),
}

impl Op {
    fn value(&self) -> Option<&str> {
        match self {
            Self::Set(value) | Self::Append(value) | Self::Subtract(value) => Some(value),
            Self::Delete => None,
        }
    }
}

/// How the operations of a request relate to what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Keys that are not named keep their values.
    Incremental,
    /// Keys that are not named go back to their defaults.
    Replace,
}

/// Why configuration is not changed.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum ConfigChangeError {
    #[error(transparent)]
    Value(#[from] ValueError),
    #[error("topic does not exist")]
    UnknownTopic,
    #[error("{0}")]
    Request(String),
    #[error("{}", .0.message())]
    Refused(ErrorCode),
    #[error(transparent)]
    Quorum(#[from] QuorumError),
}

/// Change the configuration of one resource, all of `ops` or none.
pub(super) async fn alter<'a>(
    services: &Services,
    ctx: &RequestContext,
    (kind, name): (i8, &str),
    ops: &'a [(String, Op)],
    mode: Mode,
    validate_only: bool,
) -> Result<(), ConfigChangeError> {
    let resource = ConfigResource::from_wire(kind, name).ok_or_else(|| {
        ConfigChangeError::Request(format!("configuration of resource type {kind} name {name:?} cannot be changed"))
    })?;
    authorize(services, ctx, &resource)?;
    if let ConfigResource::Broker(Some(id)) = resource
        && id != services.config.node_id
    {
        return Err(ConfigChangeError::Request(format!("this is broker {}, not {id}", services.config.node_id)));
    }
    let too_long = |(key, op): &'a (String, Op)| Some((key, op.value().filter(|value| value.len() > MAX_VALUE)?));
    if let Some((key, value)) = ops.iter().find_map(too_long) {
        return Err(ValueError::TooLong { key: key.clone(), length: value.len() }.into());
    }
    let mut keys: Vec<&str> = ops.iter().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    if keys.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(ConfigChangeError::Request("a configuration key is named twice".to_owned()));
    }
    change(&*services.quorum, |image| {
        let mut records = decide(services, image, &resource, ops, mode)?;
        if validate_only {
            records.clear();
        }
        Ok::<_, ConfigChangeError>((records, ()))
    })
    .await
    .map(|_| ())
}

fn authorize(services: &Services, ctx: &RequestContext, resource: &ConfigResource) -> Result<(), ConfigChangeError> {
    let (what, code) = match resource {
        ConfigResource::Topic(name) => (Resource::topic(name), ErrorCode::TopicAuthorizationFailed),
        ConfigResource::Broker(_) => (Resource::CLUSTER, ErrorCode::ClusterAuthorizationFailed),
    };
    if services.authorizer.allows(&ctx.principal, Operation::AlterConfigs, what) {
        Ok(())
    } else {
        Err(ConfigChangeError::Refused(code))
    }
}

fn decide(
    services: &Services,
    image: &MetadataImage,
    resource: &ConfigResource,
    ops: &[(String, Op)],
    mode: Mode,
) -> Result<Vec<MetadataRecord>, ConfigChangeError> {
    if let ConfigResource::Topic(name) = resource
        && image.topic(name).is_none()
    {
        return Err(ConfigChangeError::UnknownTopic);
    }
    let current = image.config(resource).cloned().unwrap_or_default();
    let mut wanted: BTreeMap<String, String> = match mode {
        Mode::Incremental => (*current).clone(),
        Mode::Replace => BTreeMap::new(),
    };
    for (key, op) in ops {
        if matches!(resource, ConfigResource::Topic(_)) && IGNORED_TOPIC_KEYS.contains(&key.as_str()) {
            continue;
        }
        let value = match op {
            Op::Delete => None,
            Op::Set(value) => Some(value.clone()),
            Op::Append(_) | Op::Subtract(_) => {
                let now = wanted.get(key).cloned().or_else(|| effective(services, image, resource, key));
                Some(change_list(resource, key, op, now.as_deref().unwrap_or_default())?)
            }
        };
        check(resource, key, value.as_deref())?;
        match value {
            Some(value) => wanted.insert(key.clone(), value),
            None => wanted.remove(key),
        };
    }
    Ok(difference(resource, &current, &wanted))
}

fn difference(
    resource: &ConfigResource,
    current: &BTreeMap<String, String>,
    wanted: &BTreeMap<String, String>,
) -> Vec<MetadataRecord> {
    let record = |key: &String, value: Option<&String>| MetadataRecord::Config {
        resource: resource.clone(),
        key: key.clone(),
        value: value.cloned(),
    };
    let gone = current.keys().filter(|key| !wanted.contains_key(*key)).map(|key| record(key, None));
    let set = wanted.iter().filter(|(key, value)| current.get(*key) != Some(value));
    gone.chain(set.map(|(key, value)| record(key, Some(value)))).collect()
}

/// The value in force below a resource's own dynamic ones, for lists that are appended to.
fn effective(services: &Services, image: &MetadataImage, resource: &ConfigResource, key: &str) -> Option<String> {
    let view = ConfigView::new(services, image);
    let find = |mut entries: Box<dyn Iterator<Item = super::config_view::Entry> + '_>| {
        entries.find(|entry| entry.def.name == key).and_then(|entry| entry.value())
    };
    let nothing = BTreeMap::new();
    match resource {
        ConfigResource::Topic(_) => find(Box::new(topic_entries(view, &nothing))),
        ConfigResource::Broker(_) => find(Box::new(broker_entries(view))),
    }
}

fn change_list(resource: &ConfigResource, key: &str, op: &Op, now: &str) -> Result<String, ConfigChangeError> {
    let def = match resource {
        ConfigResource::Topic(_) => topic_key(key),
        ConfigResource::Broker(_) => broker_key(key),
    };
    if def.is_some_and(|def| def.kind != KeyType::List) {
        return Err(ConfigChangeError::Request(format!("{key} is not a list; append and subtract need one")));
    }
    let mut words: Vec<&str> = split_list(now).collect();
    match op {
        Op::Append(more) => {
            let new: Vec<&str> = split_list(more).filter(|word| !words.contains(word)).collect();
            words.extend(new);
        }
        Op::Subtract(less) => words.retain(|word| !split_list(less).any(|gone| gone == *word)),
        Op::Set(_) | Op::Delete => {}
    }
    Ok(words.join(","))
}

fn check(resource: &ConfigResource, key: &str, value: Option<&str>) -> Result<(), ConfigChangeError> {
    match resource {
        ConfigResource::Topic(_) => match value {
            Some(value) => Ok(check_topic_config(key, value)?),
            None => Ok(()),
        },
        ConfigResource::Broker(_) => {
            let Some(def) = broker_key(key) else {
                let nearest = nearest(key, BROKER_KEYS.iter().map(|def| def.name));
                return Err(ValueError::Unknown { key: key.to_owned(), nearest }.into());
            };
            if def.update == Update::ReadOnly {
                let text =
                    format!("{key} cannot be changed while the broker runs; set it in the configuration and restart");
                return Err(ConfigChangeError::Request(text));
            }
            value.map_or(Ok(()), |value| def.check(value)).map_err(Into::into)
        }
    }
}

/// Code and text of an outcome, for the answer.
pub(super) fn outcome(result: Result<(), ConfigChangeError>) -> (i16, Option<String>) {
    match result {
        Ok(()) => (ErrorCode::None.code(), None),
        Err(error) => (error.error_code().code(), Some(error.to_string())),
    }
}

//! Records of the three internal topics, in Kafka Connect's own forms.
//!
//! Keys are plain texts (offsets: a JSON array), values are JSON without a schema. What is written here can be read by
//! Connect's tools and the other way round. Anything that has another form is skipped by the readers, never fatal
//! (invariant 9): the topics can be written to by any client.

use bytes::Bytes;
use levada_connector_api::{Config, OffsetMap};
use serde_json::{Map, Value, json};

/// Whether a connector shall run, as kept in the config topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetState {
    /// Moves records.
    #[default]
    Started,
    /// Keeps its resources and moves nothing.
    Paused,
    /// Holds nothing; its offsets may be changed.
    Stopped,
}

impl TargetState {
    /// Connect's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Started => "STARTED",
            Self::Paused => "PAUSED",
            Self::Stopped => "STOPPED",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Started, Self::Paused, Self::Stopped].into_iter().find(|state| state.name() == name)
    }
}

/// A key of the config topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigKey {
    /// `connector-NAME`.
    Connector(String),
    /// `task-NAME-N`.
    Task(String, usize),
    /// `commit-NAME`.
    Commit(String),
    /// `target-state-NAME`.
    TargetState(String),
    /// `restart-connector-NAME`.
    Restart(String),
    /// `logger-cluster-NAMESPACE`.
    Logger(String),
}

impl ConfigKey {
    /// Reads a key; `None` for one that is not ours to act on (session keys, fencing, unknown ones).
    pub fn parse(key: &[u8]) -> Option<Self> {
        let key = std::str::from_utf8(key).ok()?;
        let rest = |prefix: &str| key.strip_prefix(prefix).filter(|rest| !rest.is_empty()).map(str::to_owned);
        if let Some(name) = rest("connector-") {
            return Some(Self::Connector(name));
        }
        if let Some(task) = rest("task-") {
            let (name, number) = task.rsplit_once('-')?;
            return Some(Self::Task(name.to_owned(), number.parse().ok()?));
        }
        rest("commit-")
            .map(Self::Commit)
            .or_else(|| rest("target-state-").map(Self::TargetState))
            .or_else(|| rest("restart-connector-").map(Self::Restart))
            .or_else(|| rest("logger-cluster-").map(Self::Logger))
    }

    /// The key's bytes.
    pub fn encode(&self) -> Bytes {
        Bytes::from(match self {
            Self::Connector(name) => format!("connector-{name}"),
            Self::Task(name, number) => format!("task-{name}-{number}"),
            Self::Commit(name) => format!("commit-{name}"),
            Self::TargetState(name) => format!("target-state-{name}"),
            Self::Restart(name) => format!("restart-connector-{name}"),
            Self::Logger(namespace) => format!("logger-cluster-{namespace}"),
        })
    }
}

/// `{"properties":{..}}`, the value of connector and task configs.
pub fn properties(config: &Config) -> Bytes {
    to_bytes(&json!({ "properties": config }))
}

/// Reads `{"properties":{..}}`; null values are left out.
pub fn parse_properties(value: &[u8]) -> Option<Config> {
    let value: Value = serde_json::from_slice(value).ok()?;
    let properties = value.get("properties")?.as_object()?;
    properties
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// `{"tasks":N}`: the task configs before it take effect.
pub fn commit(tasks: usize) -> Bytes {
    to_bytes(&json!({ "tasks": tasks }))
}

/// Reads `{"tasks":N}`.
pub fn parse_commit(value: &[u8]) -> Option<usize> {
    let value: Value = serde_json::from_slice(value).ok()?;
    value.get("tasks")?.as_u64()?.try_into().ok()
}

/// The value of a target state; workers from before STOPPED read it as PAUSED.
pub fn target_state(state: TargetState) -> Bytes {
    let old = if state == TargetState::Stopped { TargetState::Paused } else { state };
    to_bytes(&json!({ "state": old.name(), "state.v2": state.name() }))
}

/// Reads a target state, the newer field first.
pub fn parse_target_state(value: &[u8]) -> Option<TargetState> {
    let value: Value = serde_json::from_slice(value).ok()?;
    let field = value.get("state.v2").or_else(|| value.get("state"))?;
    TargetState::parse(field.as_str()?)
}

/// The value of a restart request.
pub fn restart(include_tasks: bool, only_failed: bool) -> Bytes {
    to_bytes(&json!({ "include-tasks": include_tasks, "only-failed": only_failed }))
}

/// Reads a restart request as (include tasks, only failed).
pub fn parse_restart(value: &[u8]) -> Option<(bool, bool)> {
    let value: Value = serde_json::from_slice(value).ok()?;
    let flag = |name: &str| value.get(name).and_then(Value::as_bool).unwrap_or(false);
    value.is_object().then(|| (flag("include-tasks"), flag("only-failed")))
}

/// The key of a source offset, `["NAME",{partition}]`, in the partition's own key order.
pub fn offset_key(connector: &str, partition: &OffsetMap) -> Bytes {
    to_bytes(&json!([connector, partition]))
}

/// Reads the key of a source offset.
pub fn parse_offset_key(key: &[u8]) -> Option<(String, OffsetMap)> {
    let mut parts: Vec<Value> = serde_json::from_slice(key).ok()?;
    match (parts.len(), parts.pop(), parts.pop()) {
        (2, Some(Value::Object(partition)), Some(Value::String(name))) => Some((name, partition)),
        _ => None,
    }
}

/// A JSON object from bytes.
pub fn parse_object(value: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(value).ok()
}

/// JSON without spaces.
pub fn to_bytes(value: &Value) -> Bytes {
    Bytes::from(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_keys_read_back_and_foreign_ones_are_skipped() {
        for key in [
            ConfigKey::Connector("a-b".into()),
            ConfigKey::Task("my-source".into(), 12),
            ConfigKey::Commit("x".into()),
            ConfigKey::TargetState("x".into()),
            ConfigKey::Restart("connector-y".into()),
            ConfigKey::Logger("a.b".into()),
        ] {
            assert_eq!(ConfigKey::parse(&key.encode()), Some(key));
        }
        for foreign in ["session-key", "tasks-fencing-x", "task-x-y", "connector-", "", "commit"] {
            assert_eq!(ConfigKey::parse(foreign.as_bytes()), None, "{foreign}");
        }
        assert_eq!(ConfigKey::parse(b"\xff"), None);
    }

    #[test]
    fn values_have_connects_exact_bytes() {
        let config: Config = [("name".to_owned(), "x".to_owned()), ("a".to_owned(), "1".to_owned())].into();
        assert_eq!(properties(&config), r#"{"properties":{"name":"x","a":"1"}}"#);
        assert_eq!(parse_properties(&properties(&config)), Some(config));
        assert_eq!(commit(2), r#"{"tasks":2}"#);
        assert_eq!(target_state(TargetState::Stopped), r#"{"state":"PAUSED","state.v2":"STOPPED"}"#);
        assert_eq!(parse_target_state(br#"{"state":"PAUSED"}"#), Some(TargetState::Paused));
        assert_eq!(parse_target_state(br#"{"state":"PAUSED","state.v2":"STOPPED"}"#), Some(TargetState::Stopped));
        assert_eq!(restart(true, false), r#"{"include-tasks":true,"only-failed":false}"#);
        let partition: OffsetMap = serde_json::from_str(r#"{"z":1,"a":"b"}"#).unwrap();
        assert_eq!(offset_key("c", &partition), r#"["c",{"z":1,"a":"b"}]"#);
        assert_eq!(parse_offset_key(&offset_key("c", &partition)), Some(("c".into(), partition)));
    }

    #[test]
    fn broken_values_are_nothing() {
        assert_eq!(parse_properties(b"{"), None);
        assert_eq!(parse_properties(br#"{"properties":{"a":1}}"#), None);
        assert_eq!(parse_commit(br#"{"tasks":-1}"#), None);
        assert_eq!(parse_target_state(br#"{"state":"HALF"}"#), None);
        assert_eq!(parse_offset_key(br#"["a"]"#), None);
        assert_eq!(parse_offset_key(br#"["a",{},1]"#), None);
    }
}

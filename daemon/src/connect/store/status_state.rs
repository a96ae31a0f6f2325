//! What the status topic says, and the forms of its records.

use super::record::to_bytes;
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Connect's states of connectors and tasks (invariant 11: nothing else is ever written).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not owned by a live worker.
    Unassigned,
    /// Running.
    Running,
    /// Resources kept, no records moved.
    Paused,
    /// Shut down; connectors only.
    Stopped,
    /// Ended by an error.
    Failed,
    /// A restart was asked for and is not finished.
    Restarting,
}

impl State {
    const ALL: [Self; 6] =
        [Self::Unassigned, Self::Running, Self::Paused, Self::Stopped, Self::Failed, Self::Restarting];

    /// Connect's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unassigned => "UNASSIGNED",
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Stopped => "STOPPED",
            Self::Failed => "FAILED",
            Self::Restarting => "RESTARTING",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// The status of a connector or task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// State.
    pub state: State,
    /// What happened, when it failed.
    pub trace: Option<String>,
    /// `host:port` of the worker that wrote it.
    pub worker_id: String,
    /// The worker group's generation at that time.
    pub generation: i64,
    /// Version of the plugin.
    pub version: Option<String>,
}

/// Whose status.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StatusKey {
    /// `status-connector-NAME`.
    Connector(String),
    /// `status-task-NAME-N`.
    Task(String, usize),
    /// `status-topic-TOPIC:connector-NAME`: the connector uses the topic.
    Topic {
        /// Connector.
        connector: String,
        /// Topic.
        topic: String,
    },
}

impl StatusKey {
    /// Reads a key of the status topic.
    pub fn parse(key: &[u8]) -> Option<Self> {
        let key = std::str::from_utf8(key).ok()?;
        if let Some(name) = key.strip_prefix("status-connector-") {
            return Some(Self::Connector(name.to_owned()));
        }
        if let Some(task) = key.strip_prefix("status-task-") {
            let (name, number) = task.rsplit_once('-')?;
            return Some(Self::Task(name.to_owned(), number.parse().ok()?));
        }
        // A topic's name holds no colon, so the first one ends it.
        let (topic, connector) = key.strip_prefix("status-topic-")?.split_once(":connector-")?;
        Some(Self::Topic { connector: connector.to_owned(), topic: topic.to_owned() })
    }

    /// The key's bytes.
    pub fn encode(&self) -> Bytes {
        Bytes::from(match self {
            Self::Connector(name) => format!("status-connector-{name}"),
            Self::Task(name, number) => format!("status-task-{name}-{number}"),
            Self::Topic { connector, topic } => format!("status-topic-{topic}:connector-{connector}"),
        })
    }

    /// The connector it belongs to.
    pub fn connector(&self) -> &str {
        match self {
            Self::Connector(name) | Self::Task(name, _) | Self::Topic { connector: name, .. } => name,
        }
    }
}

/// What stands under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatusValue {
    /// A connector's or task's status.
    Status(Status),
    /// A topic in use: the task that met it first, and when.
    Topic {
        /// Task.
        task: usize,
        /// Milliseconds since the epoch.
        discovered: i64,
    },
}

/// The value's bytes.
pub fn encode(key: &StatusKey, value: &StatusValue) -> Bytes {
    to_bytes(&match value {
        StatusValue::Status(status) => json!({
            "state": status.state.name(),
            "trace": status.trace,
            "worker_id": status.worker_id,
            "generation": status.generation,
            "version": status.version,
        }),
        StatusValue::Topic { task, discovered } => {
            let StatusKey::Topic { connector, topic } = key else { return Bytes::from_static(b"null") };
            json!({ "topic": {
                "name": topic,
                "connector": connector,
                "task": task,
                "discoverTimestamp": discovered,
            } })
        }
    })
}

/// Reads a value; `None` when it has no form we know.
pub fn parse(key: &StatusKey, value: &[u8]) -> Option<StatusValue> {
    let value: Value = serde_json::from_slice(value).ok()?;
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    if let StatusKey::Topic { .. } = key {
        let topic = value.get("topic")?;
        let number = |name: &str| topic.get(name).and_then(Value::as_i64);
        return Some(StatusValue::Topic {
            task: number("task").and_then(|task| task.try_into().ok()).unwrap_or_default(),
            discovered: number("discoverTimestamp").unwrap_or_default(),
        });
    }
    Some(StatusValue::Status(Status {
        state: State::parse(&text("state")?)?,
        trace: text("trace"),
        worker_id: text("worker_id").unwrap_or_default(),
        generation: value.get("generation").and_then(Value::as_i64).unwrap_or_default(),
        version: text("version"),
    }))
}

/// The replay: everything that is not deleted.
#[derive(Clone, Debug, Default)]
pub struct StatusState {
    entries: BTreeMap<StatusKey, StatusValue>,
}

impl StatusState {
    /// Applies one record.
    pub fn apply(&mut self, key: &[u8], value: Option<&[u8]>) {
        let Some(key) = StatusKey::parse(key) else { return };
        match value.map(|value| parse(&key, value)) {
            Some(Some(value)) => self.put(key, value),
            Some(None) => {}
            None => self.remove(&key),
        }
    }

    /// Sets a value.
    pub fn put(&mut self, key: StatusKey, value: StatusValue) {
        self.entries.insert(key, value);
    }

    /// Removes a value.
    pub fn remove(&mut self, key: &StatusKey) {
        self.entries.remove(key);
    }

    /// The value of a key.
    pub fn get(&self, key: &StatusKey) -> Option<&StatusValue> {
        self.entries.get(key)
    }

    /// A connector's status.
    pub fn connector(&self, name: &str) -> Option<&Status> {
        match self.entries.get(&StatusKey::Connector(name.to_owned()))? {
            StatusValue::Status(status) => Some(status),
            StatusValue::Topic { .. } => None,
        }
    }

    /// A connector's tasks by number.
    pub fn tasks(&self, name: &str) -> impl Iterator<Item = (usize, &Status)> {
        let bounds = StatusKey::Task(name.to_owned(), 0)..=StatusKey::Task(name.to_owned(), usize::MAX);
        self.entries.range(bounds).filter_map(|(key, value)| match (key, value) {
            (StatusKey::Task(_, number), StatusValue::Status(status)) => Some((*number, status)),
            _ => None,
        })
    }

    /// The topics a connector uses, sorted.
    pub fn topics(&self, name: &str) -> Vec<String> {
        let of_connector = self.entries.keys().filter_map(|key| match key {
            StatusKey::Topic { connector, topic } if connector == name => Some(topic.clone()),
            _ => None,
        });
        of_connector.collect()
    }

    /// All keys with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&StatusKey, &StatusValue)> {
        self.entries.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: State) -> StatusValue {
        let worker_id = "127.0.0.1:8083".to_owned();
        StatusValue::Status(Status { state, trace: None, worker_id, generation: 3, version: Some("1".into()) })
    }

    #[test]
    fn records_have_connects_form() {
        let key = StatusKey::Task("my-c".into(), 10);
        assert_eq!(key.encode(), "status-task-my-c-10");
        let value = status(State::Running);
        let bytes = encode(&key, &value);
        assert_eq!(
            bytes,
            r#"{"state":"RUNNING","trace":null,"worker_id":"127.0.0.1:8083","generation":3,"version":"1"}"#
        );
        assert_eq!(parse(&key, &bytes), Some(value));
        let key = StatusKey::Topic { connector: "c:connector-d".into(), topic: "t".into() };
        assert_eq!(key.encode(), "status-topic-t:connector-c:connector-d");
        assert_eq!(StatusKey::parse(&key.encode()), Some(key.clone()));
        let value = StatusValue::Topic { task: 2, discovered: 5 };
        let bytes = encode(&key, &value);
        assert_eq!(bytes, r#"{"topic":{"name":"t","connector":"c:connector-d","task":2,"discoverTimestamp":5}}"#);
        assert_eq!(parse(&key, &bytes), Some(value));
    }

    #[test]
    fn replay_keeps_the_last_and_forgets_the_deleted() {
        let mut state = StatusState::default();
        for number in [0usize, 2, 10] {
            let key = StatusKey::Task("c".into(), number);
            state.apply(&key.encode(), Some(&encode(&key, &status(State::Running))));
        }
        let key = StatusKey::Task("c".into(), 2);
        state.apply(&key.encode(), Some(&encode(&key, &status(State::Failed))));
        state.apply(b"status-task-c-0", None);
        state.apply(b"status-task-c-9", Some(b"garbage"));
        let tasks: Vec<_> = state.tasks("c").map(|(number, status)| (number, status.state)).collect();
        assert_eq!(tasks, [(2, State::Failed), (10, State::Running)]);
        assert_eq!(state.tasks("d").count(), 0);
    }
}

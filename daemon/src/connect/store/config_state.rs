//! What the config topic says: pure replay of its records.
//!
//! Task configs take effect only with the commit that follows them, so that a reader never acts on half of a change.

use super::record::{self, ConfigKey, TargetState};
use levada_connector_api::Config;
use std::collections::{BTreeMap, HashMap};

/// One connector as the topic has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectorEntry {
    /// Its configuration; `None` when only tasks or a target state are known (the connector is deleted or not yet
    /// made), and then it is not listed.
    pub config: Option<Config>,
    /// Committed task configurations.
    pub tasks: Vec<Config>,
    /// Whether it shall run.
    pub target: TargetState,
    /// Task configurations without a commit.
    pending: HashMap<usize, Config>,
}

/// What a record changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// A connector is new or has another configuration.
    Connector(String),
    /// A connector is gone.
    Removed(String),
    /// A connector's task set was committed.
    Tasks(String),
    /// A connector's target state was written.
    Target(String),
    /// A restart was asked for.
    Restart {
        /// Connector.
        connector: String,
        /// Tasks too.
        include_tasks: bool,
        /// Only what has failed.
        only_failed: bool,
    },
    /// A log level was set for all workers.
    Logger(String, String),
}

/// The replay.
#[derive(Clone, Debug, Default)]
pub struct ConfigState {
    connectors: BTreeMap<String, ConnectorEntry>,
}

impl ConfigState {
    /// Names of the connectors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.connectors.iter().filter(|(_, entry)| entry.config.is_some()).map(|(name, _)| name.as_str())
    }

    /// A connector that has a configuration.
    pub fn connector(&self, name: &str) -> Option<&ConnectorEntry> {
        self.connectors.get(name).filter(|entry| entry.config.is_some())
    }

    /// A connector's configuration.
    pub fn config(&self, name: &str) -> Option<&Config> {
        self.connectors.get(name)?.config.as_ref()
    }

    /// How many connectors there are.
    pub fn len(&self) -> usize {
        self.names().count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Applies one record. `None` when it changes nothing or is in no form we know.
    pub fn apply(&mut self, key: &[u8], value: Option<&[u8]>) -> Option<ConfigChange> {
        match (ConfigKey::parse(key)?, value) {
            (ConfigKey::Connector(name), Some(value)) => {
                let config = record::parse_properties(value)?;
                self.entry(&name).config = Some(config);
                Some(ConfigChange::Connector(name))
            }
            (ConfigKey::Connector(name), None) => self.remove(name),
            (ConfigKey::Task(name, number), Some(value)) => {
                let config = record::parse_properties(value)?;
                self.entry(&name).pending.insert(number, config);
                None
            }
            (ConfigKey::Commit(name), Some(value)) => self.commit(name, record::parse_commit(value)?),
            (ConfigKey::TargetState(name), Some(value)) => {
                self.entry(&name).target = record::parse_target_state(value)?;
                Some(ConfigChange::Target(name))
            }
            (ConfigKey::TargetState(name), None) => {
                let entry = self.connectors.get_mut(&name)?;
                entry.target = TargetState::Started;
                entry.config.is_some().then_some(ConfigChange::Target(name))
            }
            (ConfigKey::Restart(connector), Some(value)) => {
                let (include_tasks, only_failed) = record::parse_restart(value)?;
                Some(ConfigChange::Restart { connector, include_tasks, only_failed })
            }
            (ConfigKey::Logger(namespace), Some(value)) => {
                let level = record::parse_object(value)?.get("level")?.as_str()?.to_owned();
                Some(ConfigChange::Logger(namespace, level))
            }
            (ConfigKey::Task(..) | ConfigKey::Commit(_) | ConfigKey::Restart(_) | ConfigKey::Logger(_), None) => None,
        }
    }

    fn entry(&mut self, name: &str) -> &mut ConnectorEntry {
        self.connectors.entry(name.to_owned()).or_default()
    }

    fn remove(&mut self, name: String) -> Option<ConfigChange> {
        let removed = self.connectors.remove(&name)?;
        removed.config.is_some().then_some(ConfigChange::Removed(name))
    }

    /// Makes the task configs before this commit the effective ones. Configs of an unchanged task need not be
    /// written again; a set with a hole is left as it was (compaction or a crash tore it), and the connector's next
    /// start computes it anew.
    fn commit(&mut self, name: String, count: usize) -> Option<ConfigChange> {
        let entry = self.connectors.entry(name.clone()).or_default();
        let former = std::mem::take(&mut entry.tasks);
        let mut pending = std::mem::take(&mut entry.pending);
        if count > former.len() + pending.len() {
            entry.tasks = former;
            return None;
        }
        let tasks: Option<Vec<Config>> =
            (0..count).map(|number| pending.remove(&number).or_else(|| former.get(number).cloned())).collect();
        let whole = tasks.is_some();
        entry.tasks = tasks.unwrap_or(former);
        (whole && entry.config.is_some()).then_some(ConfigChange::Tasks(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Config {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn put(state: &mut ConfigState, key: &ConfigKey, value: &[u8]) -> Option<ConfigChange> {
        state.apply(&key.encode(), Some(value))
    }

    #[test]
    fn tasks_take_effect_only_with_their_commit() {
        let mut state = ConfigState::default();
        let connector = ConfigKey::Connector("c".into());
        let commit = ConfigKey::Commit("c".into());
        assert_eq!(
            put(&mut state, &connector, &record::properties(&config(&[("name", "c")]))),
            Some(ConfigChange::Connector("c".into()))
        );
        put(&mut state, &ConfigKey::Task("c".into(), 0), &record::properties(&config(&[("t", "0")])));
        assert!(state.connector("c").unwrap().tasks.is_empty());
        assert_eq!(put(&mut state, &commit, &record::commit(1)), Some(ConfigChange::Tasks("c".into())));
        assert_eq!(state.connector("c").unwrap().tasks, [config(&[("t", "0")])]);
        // A commit whose tasks are not all there keeps the former set, and one of a huge count costs nothing.
        assert_eq!(put(&mut state, &commit, &record::commit(2)), None);
        assert_eq!(put(&mut state, &commit, br#"{"tasks":9007199254740993}"#), None);
        assert_eq!(state.connector("c").unwrap().tasks.len(), 1);
        assert_eq!(put(&mut state, &commit, &record::commit(0)), Some(ConfigChange::Tasks("c".into())));
        assert!(state.connector("c").unwrap().tasks.is_empty());
    }

    #[test]
    fn a_removed_connector_takes_its_tasks_and_target_with_it() {
        let mut state = ConfigState::default();
        let key = ConfigKey::Connector("c".into());
        put(&mut state, &ConfigKey::TargetState("c".into()), &record::target_state(TargetState::Paused));
        assert_eq!(state.names().count(), 0, "a target state alone is no connector");
        put(&mut state, &key, &record::properties(&config(&[("name", "c")])));
        assert_eq!(state.connector("c").unwrap().target, TargetState::Paused);
        assert_eq!(state.apply(&key.encode(), None), Some(ConfigChange::Removed("c".into())));
        assert_eq!(state.apply(&key.encode(), None), None);
        put(&mut state, &key, &record::properties(&config(&[("name", "c")])));
        assert_eq!(state.connector("c").unwrap().target, TargetState::Started);
    }

    #[test]
    fn records_in_no_known_form_change_nothing() {
        let mut state = ConfigState::default();
        assert_eq!(state.apply(b"connector-x", Some(b"no json")), None);
        assert_eq!(state.apply(b"session-key", Some(b"{}")), None);
        assert!(state.is_empty());
    }
}

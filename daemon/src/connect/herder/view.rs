//! What anyone may read of the herder's state without asking it.

use super::{
    error::HerderError,
    events::EventLog,
    model::{ConnectorDescription, ConnectorStatus},
};
use crate::connect::{
    health::{self, Health},
    plugin::Registry,
    sink_task::SinkTaskOptions,
    store::{ConfigState, StatusStore},
    task::{TaskHealth, TaskId},
    worker::RunningTask,
};
use levada_connector_api::Config;
use levada_env::{Instant, time::Duration};
use parking_lot::RwLock;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::watch;

/// The herder's read side. Only the herder writes.
pub struct View {
    pub(super) config: Arc<RwLock<ConfigState>>,
    pub(super) statuses: Arc<StatusStore>,
    pub(super) registry: Arc<Registry>,
    pub(super) events: EventLog,
    pub(super) tasks: RwLock<BTreeMap<TaskId, Arc<dyn RunningTask>>>,
    pub(super) ready: watch::Sender<bool>,
    /// What is being done to connectors, and since when.
    pub(super) operations: RwLock<BTreeMap<String, (&'static str, Instant)>>,
}

impl View {
    /// Whether the internal topics have been read.
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Waits until the internal topics have been read: before that, a list of connectors would be a lie.
    pub async fn wait_ready(&self) {
        let mut ready = self.ready.subscribe();
        // The sender lives as long as this view, so waiting can't fail.
        let _ = ready.wait_for(|ready| *ready).await;
    }

    /// What is being done to a connector, and for how long.
    pub fn operation(&self, name: &str) -> Option<(&'static str, Duration)> {
        self.operations.read().get(name).map(|(what, since)| (*what, since.elapsed()))
    }

    /// Names of all connectors, sorted.
    pub fn names(&self) -> Vec<String> {
        self.config.read().names().map(str::to_owned).collect()
    }

    /// Whether there is such a connector.
    pub fn contains(&self, name: &str) -> bool {
        self.config.read().connector(name).is_some()
    }

    /// A connector's configuration and task count.
    pub fn describe(&self, name: &str) -> Option<ConnectorDescription> {
        let state = self.config.read();
        let entry = state.connector(name)?;
        let config = entry.config.clone()?;
        let kind = self.kind(&config);
        Some(ConnectorDescription { name: name.to_owned(), config, tasks: entry.tasks.len(), kind })
    }

    /// A connector's committed task configurations.
    pub fn task_configs(&self, name: &str) -> Option<Vec<Config>> {
        self.config.read().connector(name).map(|entry| entry.tasks.clone())
    }

    /// A connector's status and its tasks'.
    pub fn status(&self, name: &str) -> Option<ConnectorStatus> {
        let kind = self.config.read().config(name).map_or("unknown", |config| self.kind(config));
        self.statuses.read(|all| {
            let connector = all.connector(name)?.clone();
            let tasks = all.tasks(name).map(|(number, status)| (number, status.clone())).collect();
            Some(ConnectorStatus { name: name.to_owned(), connector, tasks, kind })
        })
    }

    /// Whether a consumer group is that of a sink that exists.
    pub fn owns_group(&self, group: &str) -> bool {
        let state = self.config.read();
        if let Some(name) = group.strip_prefix("connect-")
            && state.config(name).is_some_and(|config| SinkTaskOptions::group(name, config) == group)
        {
            return true;
        }
        let overridden = |name: &str| {
            let config = state.config(name);
            config.and_then(|config| config.get("consumer.override.group.id")).is_some_and(|own| own == group)
        };
        state.names().any(overridden)
    }

    /// The topics a connector has used.
    pub fn topics(&self, name: &str) -> Vec<String> {
        self.statuses.read(|all| all.topics(name))
    }

    /// What happened to connectors.
    pub fn events(&self) -> &EventLog {
        &self.events
    }

    /// The known plugins.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The tasks that run here.
    pub fn running_tasks(&self) -> Vec<(TaskId, Arc<dyn RunningTask>)> {
        self.tasks.read().iter().map(|(id, task)| (id.clone(), Arc::clone(task))).collect()
    }

    /// What the tasks of a connector among `running` say of themselves, and how that makes the connector, whose `status`
    /// is given.
    pub fn health(
        &self,
        name: &str,
        status: Option<&ConnectorStatus>,
        running: &[(TaskId, Arc<dyn RunningTask>)],
    ) -> (Vec<(usize, TaskHealth)>, Health) {
        let tasks = running.iter().filter(|(id, _)| *id.connector == *name);
        let tasks: Vec<_> = tasks.map(|(id, task)| (id.task, task.health())).collect();
        let health = health::derive(status, &tasks, self.operation(name));
        (tasks, health)
    }

    /// A connector's configuration, or the 404 for it.
    pub(super) fn config_of(&self, name: &str) -> Result<Config, HerderError> {
        let config = self.config.read().config(name).cloned();
        config.ok_or_else(|| HerderError::connector_not_found(name))
    }

    fn kind(&self, config: &Config) -> &'static str {
        self.registry.kind_name(config.get("connector.class").map(|class| class.trim()))
    }
}

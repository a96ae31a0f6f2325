//! Runs connectors and tasks for the herder.
//!
//! The [`Worker`] trait is what the herder sees; [`ConnectWorker`] is the one that runs real plugins. Every call into
//! plugin code happens on a thread of its own with a deadline (invariant 10), so a plugin that hangs costs one thread.

mod calls;
mod connector;
mod launch;
mod options;

pub use calls::PluginCalls;
pub use launch::ConnectWorker;
pub use options::{ConverterDefaults, RestartPolicy, WorkerOptions};

use super::{
    bus::BoxFuture,
    plugin::Plugin,
    task::{SignalError, TargetState, TaskHealth, TaskId, TaskMetrics},
};
use levada_connector_api::{Config, ConnectorContext, OffsetChange, Progress, TaskSignal};
use levada_env::time::Duration;
use std::sync::Arc;

/// Why a connector or task could not be started, as its status will tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Several lines; the first starts with a class name like Connect's.
    pub trace: String,
}

impl Failure {
    /// From a text without a class.
    pub fn connect(message: impl AsRef<str>) -> Self {
        Self { trace: format!("org.apache.kafka.connect.errors.ConnectException: {}", message.as_ref()) }
    }

    /// What happened, in one line without a class.
    pub fn text(&self) -> &str {
        let line = self.trace.lines().next().unwrap_or_default();
        line.split_once("Exception: ").map_or(line, |(_, text)| text)
    }

    /// Whether the same again may work later.
    pub fn is_retriable(&self) -> bool {
        is_retriable(&self.trace)
    }
}

/// Whether a trace tells of a passing cause. The class name at its start (or behind a "Caused by") is the contract
/// between runners and restart policy, as it is between Connect and the tools that read its statuses.
pub fn is_retriable(trace: &str) -> bool {
    names(trace, "org.apache.kafka.connect.errors.RetriableException")
}

/// Whether a trace tells that the configuration is wrong, by the same contract.
pub fn is_config(trace: &str) -> bool {
    names(trace, "org.apache.kafka.common.config.ConfigException")
}

/// Whether the error of a trace, or one that caused it, is of that class.
fn names(trace: &str, class: &str) -> bool {
    trace.lines().any(|line| line.strip_prefix("Caused by: ").unwrap_or(line).starts_with(class))
}

/// A started connector.
pub trait RunningConnector: Send + Sync {
    /// Its version.
    fn version(&self) -> String;

    /// The class of its tasks.
    fn task_class(&self) -> String;

    /// Asks it to divide its work.
    fn task_configs(&self, max_tasks: usize) -> BoxFuture<'_, Result<Vec<Config>, Failure>>;

    /// Ends it.
    fn stop(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// A started task; see [`super::task::TaskHandle`].
pub trait RunningTask: Send + Sync {
    /// Moves records again.
    fn resume(&self);
    /// Moves no records and keeps resources.
    fn pause(&self);
    /// Tells it to stop, without waiting.
    fn request_stop(&self);
    /// Stops it; after `graceful` it is abandoned and can write nothing any more (invariant 8).
    fn stop(&self, graceful: Duration) -> BoxFuture<'_, ()>;
    /// Its counters.
    fn metrics(&self) -> Option<Arc<TaskMetrics>>;
    /// Its derived health.
    fn health(&self) -> TaskHealth;
    /// How far it said it has come, and when; see [`super::task::TaskHandle::progress`].
    fn progress(&self) -> Option<(i64, Progress)> {
        None
    }
    /// Asks something of it; see [`super::task::TaskHandle::signal`].
    fn signal(&self, _signal: TaskSignal) -> Result<(), SignalError> {
        Err(SignalError::NotTaken)
    }
}

/// What a task is started from.
#[derive(Clone, Debug)]
pub struct TaskLaunch {
    /// Which task.
    pub id: TaskId,
    /// The connector's plugin.
    pub plugin: Arc<Plugin>,
    /// The connector's configuration.
    pub connector: Config,
    /// The task's configuration.
    pub config: Config,
    /// Whether it moves records from the start.
    pub target: TargetState,
}

/// Starts connectors and tasks.
pub trait Worker: Send + Sync {
    /// The way for other calls into plugin code, with the same deadline and the same limit of hanging threads.
    fn calls(&self) -> &PluginCalls;

    /// Makes and starts a connector.
    fn start_connector(
        &self,
        context: ConnectorContext,
        plugin: Arc<Plugin>,
        config: Config,
    ) -> BoxFuture<'_, Result<Box<dyn RunningConnector>, Failure>>;

    /// Makes and starts a task. Its further life is told to the status listener.
    fn start_task(&self, launch: TaskLaunch) -> BoxFuture<'_, Result<Arc<dyn RunningTask>, Failure>>;

    /// Whether a configuration has values that are kept elsewhere and are read anew at each start (a rotated password, say):
    /// one that is wrong now may be right later.
    fn has_values_elsewhere(&self, _config: &Config) -> bool {
        false
    }

    /// Asks a connector's plugin about a change of its offsets: `Ok(true)` when it vouches for it.
    fn alter_offsets(
        &self,
        plugin: Arc<Plugin>,
        config: Config,
        changes: Vec<OffsetChange>,
    ) -> BoxFuture<'_, Result<bool, Failure>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_passing_causes_are_retriable() {
        assert!(is_retriable("org.apache.kafka.connect.errors.RetriableException: later\n\tat poll"));
        assert!(is_retriable(
            "org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler\nCaused by: \
             org.apache.kafka.connect.errors.RetriableException: later"
        ));
        assert!(!is_retriable("org.apache.kafka.common.config.ConfigException: RetriableException"));
        assert!(!Failure::connect("x").is_retriable());
        assert!(
            is_config("org.apache.kafka.common.config.ConfigException: x") && !is_config(&Failure::connect("x").trace)
        );
    }
}

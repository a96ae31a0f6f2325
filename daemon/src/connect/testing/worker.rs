//! A worker whose connectors and tasks only remember what was done to them.

use crate::connect::{
    bus::BoxFuture,
    herder::TaskReports,
    plugin::{Factory, Origin, Plugin, Registry},
    task::{
        AbandonedThreads, SignalError, TargetState, TaskHealth, TaskId, TaskMetrics, TaskStatus, TaskStatusListener,
    },
    worker::{Failure, PluginCalls, RunningConnector, RunningTask, TaskLaunch, Worker},
};
use levada_connector_api::{
    Config, ConfigDef, ConnectorContext, ConnectorError, ConnectorInfo, ConnectorKind, OffsetChange, TaskSignal,
    config::{Check, Importance, Key, KeyError, Rule, Type},
};
use levada_env::time::Duration;
use parking_lot::Mutex;
use std::sync::Arc;

/// `FakeSource` and `FakeSink`, each with a required key `file` and a number `batch.size`.
pub fn registry() -> Registry {
    let keys = || {
        vec![
            Key {
                required: true,
                check: Check::Custom(not_hanging),
                ..Key::new("file", Type::String, Importance::High, "A file.")
            },
            Key {
                default: Some("2000".into()),
                check: Check::Range { min: Some(1.0), max: None },
                ..Key::new("batch.size", Type::Int, Importance::Low, "A number.")
            },
        ]
    };
    let mut registry = Registry::default();
    for (class, kind) in
        [("test.FakeSourceConnector", ConnectorKind::Source), ("test.FakeSinkConnector", ConnectorKind::Sink)]
    {
        let info = ConnectorInfo {
            class: class.into(),
            aliases: Vec::new(),
            kind,
            version: "1.2.3".into(),
            config_def: ConfigDef { keys: keys(), advice: vec![Rule::new(advice)], ..ConfigDef::default() },
        };
        let factory = Factory::Source(Arc::new(|| Err(ConnectorError::fatal("fakes are not made by factories"))));
        registry.add(Plugin { info, factory, origin: Origin::Static });
    }
    registry
}

/// Nobody's error, but somebody may want to know.
fn advice(config: &Config) -> Vec<KeyError> {
    let lone = config.get("batch.size").is_some_and(|size| size == "1");
    lone.then(|| KeyError { key: "batch.size".into(), message: "more is faster".into() }).into_iter().collect()
}

#[expect(clippy::unnecessary_wraps, reason = "the type that a key's check has")]
fn not_hanging(text: &str) -> Result<(), String> {
    if text == "hang" {
        loop {
            levada_env::thread::block_for(Duration::from_secs(3600));
        }
    }
    Ok(())
}

/// Starts fakes. `task.count` in a connector's configuration says how many tasks it makes, `fail=TEXT` lets it fail,
/// `fail.task=TEXT` its tasks, `panic` and `panic.task` let their starts panic, `hang` lets a connector's start hang and
/// `file=hang` the check of its configuration.
pub struct FakeWorker {
    reports: Arc<TaskReports>,
    log: Arc<Mutex<Vec<String>>>,
    calls: PluginCalls,
    contexts: Mutex<Vec<ConnectorContext>>,
    count: Arc<Mutex<Option<usize>>>,
    tasks_may_start: Arc<tokio::sync::RwLock<()>>,
}

/// Threads that may hang in fakes.
pub const MOST_HANGING: usize = 2;

impl FakeWorker {
    /// Its tasks report to `reports`.
    pub fn new(reports: Arc<TaskReports>, call_timeout: Duration) -> Self {
        let calls = PluginCalls::new(Arc::new(AbandonedThreads::new(MOST_HANGING)), call_timeout);
        let (log, contexts, count) = (Arc::default(), Mutex::default(), Arc::default());
        Self { reports, log, calls, contexts, count, tasks_may_start: Arc::default() }
    }

    /// What was done since the last time, in order.
    pub fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lock())
    }

    /// What was done so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().clone()
    }

    /// Starts of tasks wait until what this gives is dropped.
    pub async fn hold_tasks(&self) -> tokio::sync::OwnedRwLockWriteGuard<()> {
        Arc::clone(&self.tasks_may_start).write_owned().await
    }

    /// Lets all connectors make so many tasks from now on, and those that run ask for it.
    pub fn divide_into(&self, tasks: usize) {
        *self.count.lock() = Some(tasks);
        for context in self.contexts.lock().iter() {
            context.request_task_reconfiguration();
        }
    }

    /// Lets a running task fail.
    pub fn fail_task(&self, connector: &str, task: usize, trace: &str) {
        let id = TaskId { connector: connector.into(), task };
        self.reports.task_status(&id, TaskStatus::Failed { trace: trace.to_owned() });
    }
}

impl Worker for FakeWorker {
    fn calls(&self) -> &PluginCalls {
        &self.calls
    }

    fn start_connector(
        &self,
        context: ConnectorContext,
        _: Arc<Plugin>,
        config: Config,
    ) -> BoxFuture<'_, Result<Box<dyn RunningConnector>, Failure>> {
        let name = context.name.clone();
        self.log.lock().push(format!("start {name}"));
        self.contexts.lock().push(context);
        let count = Arc::clone(&self.count);
        let connector = FakeConnector { name, config, count, log: Arc::clone(&self.log) };
        Box::pin(async move {
            assert!(!connector.config.contains_key("panic"), "asked to");
            if connector.config.contains_key("hang") {
                std::future::pending::<()>().await;
            }
            match connector.config.get("fail") {
                Some(trace) => Err(Failure { trace: trace.clone() }),
                None => Ok(Box::new(connector) as Box<dyn RunningConnector>),
            }
        })
    }

    fn start_task(&self, launch: TaskLaunch) -> BoxFuture<'_, Result<Arc<dyn RunningTask>, Failure>> {
        Box::pin(async move {
            let _may = self.tasks_may_start.read().await;
            self.log.lock().push(format!("start {}", launch.id));
            assert!(!launch.connector.contains_key("panic.task"), "asked to");
            if let Some(trace) = launch.connector.get("fail.task") {
                return Err(Failure { trace: trace.clone() });
            }
            let paused = launch.target == TargetState::Paused;
            let task = FakeTask { id: launch.id, reports: Arc::clone(&self.reports), log: Arc::clone(&self.log) };
            task.report(if paused { TaskStatus::Paused } else { TaskStatus::Running });
            Ok(Arc::new(task) as Arc<dyn RunningTask>)
        })
    }

    fn alter_offsets(&self, _: Arc<Plugin>, _: Config, _: Vec<OffsetChange>) -> BoxFuture<'_, Result<bool, Failure>> {
        Box::pin(async { Ok(true) })
    }
}

struct FakeConnector {
    name: String,
    config: Config,
    count: Arc<Mutex<Option<usize>>>,
    log: Arc<Mutex<Vec<String>>>,
}

impl RunningConnector for FakeConnector {
    fn version(&self) -> String {
        "1.2.3".to_owned()
    }

    fn task_class(&self) -> String {
        "test.FakeTask".to_owned()
    }

    fn task_configs(&self, _: usize) -> BoxFuture<'_, Result<Vec<Config>, Failure>> {
        let count: usize = self.config.get("task.count").map_or(1, |count| count.parse().unwrap());
        let count = self.count.lock().unwrap_or(count);
        let file = self.config.get("file").cloned().unwrap_or_default();
        let task = |number: usize| {
            let own = self.config.get(&format!("task.{number}")).cloned().unwrap_or_default();
            [("file".to_owned(), file.clone()), ("own".to_owned(), own)].into()
        };
        let tasks = (0..count).map(task).collect();
        Box::pin(async move { Ok(tasks) })
    }

    fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
        self.log.lock().push(format!("stop {}", self.name));
        Box::pin(async {})
    }
}

struct FakeTask {
    id: TaskId,
    reports: Arc<TaskReports>,
    log: Arc<Mutex<Vec<String>>>,
}

impl FakeTask {
    fn report(&self, status: TaskStatus) {
        self.reports.task_status(&self.id, status);
    }
}

impl RunningTask for FakeTask {
    fn resume(&self) {
        self.log.lock().push(format!("resume {}", self.id));
        self.report(TaskStatus::Running);
    }

    fn pause(&self) {
        self.log.lock().push(format!("pause {}", self.id));
        self.report(TaskStatus::Paused);
    }

    fn request_stop(&self) {}

    fn stop(&self, _: Duration) -> BoxFuture<'_, ()> {
        self.log.lock().push(format!("stop {}", self.id));
        self.report(TaskStatus::Unassigned);
        Box::pin(async {})
    }

    fn metrics(&self) -> Option<Arc<TaskMetrics>> {
        None
    }

    fn health(&self) -> TaskHealth {
        TaskHealth::default()
    }

    fn signal(&self, signal: TaskSignal) -> Result<(), SignalError> {
        if self.id.connector.starts_with("deaf") {
            return Err(SignalError::NotTaken);
        }
        if signal.text.contains("surrogate-key") {
            return Err(SignalError::Refused("it has no such keys".to_owned()));
        }
        self.log.lock().push(format!("signal {}: {}", self.id, signal.text));
        Ok(())
    }
}

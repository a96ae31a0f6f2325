//! Operations on one connector that take time: they run apart from the herder and report when they are done.

use super::{
    command::{Done, Outcome, Started, StartedTask},
    progress::tasks_max,
    slot::Instance,
};
use crate::connect::{
    plugin::{Plugin, Registry},
    store::{ConnectorEntry, TargetState},
    task::{self, TaskId},
    worker::{Failure, RunningTask, TaskLaunch, Worker},
};
use levada_connector_api::{Config, ConnectorContext};
use levada_env::time::{Duration, Instant};
use std::sync::Arc;
use tokio::sync::mpsc::Sender;

/// One operation. Its end is always reported, whatever the plugin does: calls into it have deadlines, and a panic ends
/// only the part it happens in. A connector whose operation is never reported could not be changed any more.
#[derive(Clone)]
pub(super) struct Operation {
    pub name: String,
    pub worker: Arc<dyn Worker>,
    pub registry: Arc<Registry>,
    pub graceful: Duration,
}

impl Operation {
    pub(super) async fn stop_instance(self, instance: Option<Instance>, done: Sender<Done>) {
        let stop = async move {
            if let Some(instance) = instance {
                instance.running.stop().await;
            }
        };
        let _ = guarded("stop of the connector", stop).await;
        self.report(Outcome::InstanceStopped, &done).await;
    }

    pub(super) async fn start_instance(self, config: Config, done: Sender<Done>) {
        let (operation, of_start, asked) = (self.clone(), config.clone(), done.clone());
        let start = async move {
            let plugin = operation.plugin(&of_start)?;
            operation.start(plugin, &of_start, asked).await
        };
        let started = guarded("start of the connector", start).await.and_then(|started| started);
        self.report(Outcome::InstanceStarted { config, started }, &done).await;
    }

    async fn start(&self, plugin: Arc<Plugin>, config: &Config, asked: Sender<Done>) -> Result<Started, Failure> {
        let name = self.name.clone();
        let context = ConnectorContext::new(&*self.name).with_reconfiguration(move || {
            // Without room it is lost, and the connector asks again.
            let _ = asked.try_send(Done { name: name.clone(), outcome: Outcome::DivisionAsked });
        });
        let running = self.worker.start_connector(context, plugin, config.clone()).await?;
        let tasks = running.task_configs(tasks_max(config)).await;
        Ok(Started { running, tasks })
    }

    /// Asks a running connector to divide its work anew.
    pub(super) async fn divide(self, instance: Option<Instance>, done: Sender<Done>) {
        let divide = async move {
            let tasks = match &instance {
                Some(instance) => instance.running.task_configs(tasks_max(&instance.config)).await,
                None => Err(Failure::connect("the connector does not run")),
            };
            (instance, tasks)
        };
        let divided = guarded("division of the work", divide).await;
        let (instance, tasks) = divided.unwrap_or_else(|failure| (None, Err(failure)));
        self.report(Outcome::Divided { instance, tasks }, &done).await;
    }

    /// Tells all tasks before it waits for the first, so that they stop together within the time of one.
    pub(super) async fn stop_tasks(self, numbers: Vec<usize>, running: Vec<Arc<dyn RunningTask>>, done: Sender<Done>) {
        let deadline = Instant::now() + self.graceful;
        let stop = async move {
            for task in &running {
                task.request_stop();
            }
            for task in running {
                task.stop(deadline.saturating_duration_since(Instant::now())).await;
            }
        };
        let _ = guarded("stop of the tasks", stop).await;
        self.report(Outcome::TasksStopped(numbers), &done).await;
    }

    pub(super) async fn start_tasks(self, entry: ConnectorEntry, numbers: Vec<usize>, done: Sender<Done>) {
        let connector = entry.config.unwrap_or_default();
        let mut tasks = Vec::with_capacity(numbers.len());
        for number in numbers {
            let config = entry.tasks.get(number).cloned().unwrap_or_default();
            let (operation, of_connector, of_task) = (self.clone(), connector.clone(), config.clone());
            let start = async move {
                let launch = TaskLaunch {
                    id: TaskId { connector: operation.name.as_str().into(), task: number },
                    plugin: operation.plugin(&of_connector)?,
                    connector: of_connector,
                    config: of_task,
                    target: task_target(entry.target),
                };
                operation.worker.start_task(launch).await
            };
            let started = guarded("start of the task", start).await.and_then(|started| started);
            let paused = entry.target == TargetState::Paused;
            tasks.push(StartedTask { number, config, connector: connector.clone(), paused, started });
        }
        self.report(Outcome::TasksStarted(tasks), &done).await;
    }

    fn plugin(&self, config: &Config) -> Result<Arc<Plugin>, Failure> {
        let class = config.get("connector.class").map(|class| class.trim()).unwrap_or_default();
        let plugin = self.registry.find(class).cloned();
        plugin.ok_or_else(|| {
            Failure::connect(format!("no connector class is called {class}; install the plugin and restart the worker"))
        })
    }

    async fn report(self, outcome: Outcome, done: &Sender<Done>) {
        // The herder is gone at shutdown; then nobody needs to know.
        let _ = done.send(Done { name: self.name, outcome }).await;
    }
}

/// Runs `part` as a task of its own, so that its panic is a failure like any other.
async fn guarded<T: Send + 'static>(what: &str, part: impl Future<Output = T> + Send + 'static) -> Result<T, Failure> {
    tokio::spawn(part).await.map_err(|ended| {
        tracing::error!(%ended, "the {what} panicked");
        Failure::connect(format!("the {what} panicked"))
    })
}

/// The target that a task's runner knows.
fn task_target(target: TargetState) -> task::TargetState {
    if target == TargetState::Paused { task::TargetState::Paused } else { task::TargetState::Started }
}

//! What becomes of an operation's end or a task's report: statuses, task configurations, restarts.

use super::{
    actor::{Actor, version_of},
    command::{Done, Outcome, Started, StartedTask},
    slot::{Instance, TaskSlot},
    view::View,
};
use crate::connect::{
    bus,
    store::{State, StatusKey, TargetState},
    task::{TaskId, TaskStatus},
    worker::{Failure, RunningConnector, is_config, is_retriable},
};
use levada_connector_api::{Config, ConnectorKind};
use std::sync::Arc;

impl Actor {
    pub(super) async fn finished(&mut self, done: Done) {
        let Done { name, outcome } = done;
        if let Outcome::RestartDue(task) = outcome {
            self.restart_due(&name, task);
            return self.reconcile(&name);
        }
        if let Outcome::DivisionAsked = outcome {
            if let Some(slot) = self.slots.get_mut(&name) {
                slot.divide = true;
            }
            return self.reconcile(&name);
        }
        self.view.operations.write().remove(&name);
        let Some(slot) = self.slots.get_mut(&name) else { return };
        slot.busy = false;
        match outcome {
            Outcome::InstanceStopped | Outcome::Released | Outcome::RestartDue(_) | Outcome::DivisionAsked => {}
            Outcome::Divided { instance, tasks } => self.divided(&name, instance, tasks).await,
            Outcome::InstanceStarted { config, started } => self.instance_started(&name, config, started).await,
            Outcome::TasksStopped(numbers) => self.tasks_stopped(&name, &numbers),
            Outcome::TasksStarted(tasks) => self.tasks_started(&name, tasks),
        }
        self.reconcile(&name);
    }

    pub(super) async fn instance_started(&mut self, name: &str, config: Config, started: Result<Started, Failure>) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        (slot.restart, slot.divide) = (false, false);
        let outcome = match started {
            Ok(Started { running, tasks }) => {
                let tasks = tasks.and_then(|tasks| finish_task_configs(name, &config, &*running, &self.view, tasks));
                let version = running.version();
                slot.instance = Some(Instance { running, config: config.clone() });
                slot.failed = None;
                tasks.map(|tasks| (tasks, version))
            }
            Err(failure) => Err(failure),
        };
        // The configuration may have changed meanwhile; then this start counts for nothing.
        let Some(entry) = self.entry(name).filter(|entry| entry.config.as_ref() == Some(&config)) else { return };
        match outcome {
            Ok((tasks, version)) => {
                let key = StatusKey::Connector(name.to_owned());
                self.view.statuses.put(key, State::Running, None, Some(version));
                self.view.events.add(name, "running", None, format!("connector runs, {} task(s)", tasks.len()));
                if tasks != entry.tasks && entry.target == TargetState::Started {
                    match self.store.put_tasks(name, &tasks).await {
                        Ok(changes) => self.changed(changes),
                        Err(error) => self.connector_failed(name, &config, bus_failure(&error)),
                    }
                }
            }
            Err(failure) => self.connector_failed(name, &config, failure),
        }
    }

    /// Takes what a running connector has divided anew. What passes is asked for again by the connector.
    async fn divided(&mut self, name: &str, instance: Option<Instance>, tasks: Result<Vec<Config>, Failure>) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        slot.divide = false;
        // A lost instance is made anew.
        let Some(instance) = instance else { return };
        let config = instance.config.clone();
        let tasks = tasks.and_then(|tasks| finish_task_configs(name, &config, &*instance.running, &self.view, tasks));
        let version = instance.running.version();
        slot.instance = Some(instance);
        let failed = tasks.is_ok() && slot.failed.take().is_some();
        let Some(entry) = self.entry(name).filter(|entry| entry.config.as_ref() == Some(&config)) else { return };
        if failed {
            // An earlier division did not succeed.
            self.view.statuses.put(StatusKey::Connector(name.to_owned()), State::Running, None, Some(version));
        }
        match tasks {
            Ok(tasks) if tasks == entry.tasks || entry.target != TargetState::Started => {}
            Ok(tasks) => {
                self.view.events.add(name, "divided", None, format!("work divided anew, {} task(s)", tasks.len()));
                match self.store.put_tasks(name, &tasks).await {
                    Ok(changes) => self.changed(changes),
                    Err(error) => self.not_divided(name, &config, bus_failure(&error)),
                }
            }
            Err(failure) => self.not_divided(name, &config, failure),
        }
    }

    fn not_divided(&mut self, name: &str, config: &Config, failure: Failure) {
        if failure.is_retriable() {
            self.view.events.add(name, "warning", None, format!("work not divided anew: {}", failure.text()));
        } else {
            self.connector_failed(name, config, failure);
        }
    }

    fn connector_failed(&mut self, name: &str, config: &Config, failure: Failure) {
        tracing::error!(connector = name, trace = failure.trace, "connector failed");
        if let Some(slot) = self.slots.get_mut(name) {
            slot.failed = Some(config.clone());
        }
        self.view.events.add(name, "failed", None, failure.trace.clone());
        let key = StatusKey::Connector(name.to_owned());
        let version = self.entry(name).map(|entry| version_of(&self.view, &entry));
        let passing = self.may_pass(config, &failure.trace);
        self.restarts.failed(&self.options.restart, name, None, passing, &self.done.0);
        self.view.statuses.put_safe(key, State::Failed, Some(failure.trace), version);
    }

    fn tasks_stopped(&mut self, name: &str, numbers: &[usize]) {
        let wanted = self.entry(name).map_or(0, |entry| entry.tasks.len());
        let Some(slot) = self.slots.get_mut(name) else { return };
        for number in numbers {
            slot.tasks.remove(number);
            let id = TaskId { connector: name.into(), task: *number };
            self.view.tasks.write().remove(&id);
            if *number >= wanted {
                self.reports.forget(&id);
                self.view.statuses.remove(StatusKey::Task(name.to_owned(), *number));
            }
        }
    }

    fn tasks_started(&mut self, name: &str, tasks: Vec<StartedTask>) {
        for StartedTask { number, config, connector, paused, started } in tasks {
            let id = TaskId { connector: name.into(), task: number };
            let Some(slot) = self.slots.get_mut(name) else { return };
            let failure = started.as_ref().err().cloned();
            let running = started.ok();
            if let Some(running) = &running {
                self.view.tasks.write().insert(id.clone(), Arc::clone(running));
            }
            let failed = failure.is_some();
            slot.tasks.insert(number, TaskSlot { config, connector, running, paused, failed, restart: false });
            if let Some(failure) = failure {
                tracing::error!(connector = name, task = number, trace = failure.trace, "task could not be started");
                let version = self.entry(name).map(|entry| version_of(&self.view, &entry));
                let key = StatusKey::Task(name.to_owned(), number);
                self.view.statuses.put_safe(key, State::Failed, Some(failure.trace.clone()), version);
                self.task_failed(name, number, &failure.trace);
            }
        }
        // A task may have reported before it was in its slot.
        self.task_reports();
    }

    pub(super) fn task_reports(&mut self) {
        for (id, status) in self.reports.take() {
            let name = id.connector.to_string();
            let Some(task) = self.slots.get_mut(&name).and_then(|slot| slot.tasks.get_mut(&id.task)) else { continue };
            match status {
                TaskStatus::Failed { trace } => {
                    task.failed = true;
                    self.task_failed(&name, id.task, &trace);
                }
                TaskStatus::Running | TaskStatus::Paused => {
                    task.failed = false;
                    let text = if status == TaskStatus::Running { "task runs" } else { "task is paused" };
                    self.view.events.add(&name, "task", Some(id.task), text);
                }
                TaskStatus::Unassigned => {}
            }
        }
    }

    fn task_failed(&mut self, name: &str, task: usize, trace: &str) {
        self.view.events.add(name, "failed", Some(task), trace);
        let passing = self.entry(name).is_some_and(|entry| {
            let own = entry.tasks.get(task).is_some_and(|config| self.may_pass(config, trace));
            own || entry.config.as_ref().is_some_and(|config| self.may_pass(config, trace))
        });
        self.restarts.failed(&self.options.restart, name, Some(task), passing, &self.done.0);
    }

    /// Whether a start later may go well: also with a configuration that was wrong, where part of it is kept elsewhere. A
    /// password that was changed on the server is changed in its file a little later.
    fn may_pass(&self, config: &Config, trace: &str) -> bool {
        is_retriable(trace) || (is_config(trace) && self.worker.has_values_elsewhere(config))
    }
}

fn bus_failure(error: &bus::BusError) -> Failure {
    let class = if error.is_retriable() { "RetriableException" } else { "ConnectException" };
    let text = format!("the task configurations could not be written: {error}");
    Failure { trace: format!("org.apache.kafka.connect.errors.{class}: {text}") }
}

/// Adds what the worker puts into every task configuration, and holds the connector to `tasks.max`.
fn finish_task_configs(
    name: &str,
    config: &Config,
    running: &dyn RunningConnector,
    view: &View,
    tasks: Vec<Config>,
) -> Result<Vec<Config>, Failure> {
    let max = tasks_max(config);
    if tasks.len() > max {
        let text = format!(
            "The connector {name} has generated {} tasks, which is greater than {max}, the maximum number of tasks it \
             is configured to create.",
            tasks.len()
        );
        let enforced = config.get("tasks.max.enforce").is_none_or(|value| !value.trim().eq_ignore_ascii_case("false"));
        if enforced {
            return Err(Failure::connect(text));
        }
        tracing::warn!(connector = name, "{text}");
    }
    let class = running.task_class();
    let sink = config
        .get("connector.class")
        .and_then(|class| view.registry.find(class.trim()))
        .is_some_and(|plugin| plugin.info.kind == ConnectorKind::Sink);
    let finish = |mut task: Config| {
        task.insert("task.class".to_owned(), class.clone());
        for key in ["topics", "topics.regex"].into_iter().filter(|_| sink) {
            if let Some(value) = config.get(key) {
                task.insert(key.to_owned(), value.clone());
            }
        }
        task
    };
    Ok(tasks.into_iter().map(finish).collect())
}

/// `tasks.max`.
pub(super) fn tasks_max(config: &Config) -> usize {
    config.get("tasks.max").and_then(|value| value.trim().parse().ok()).unwrap_or(1)
}

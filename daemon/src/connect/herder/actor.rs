//! The herder's own loop: the only writer of the config topic and the only owner of what runs.
//!
//! A change is appended, read back and then acted on: [`next_step`] compares what the topic says with what runs and
//! names the next operation. Operations call plugin code and wait for tasks, so each runs apart and reports when it is
//! done; there is one at a time per connector, and connectors never wait for each other (invariant 10).

use super::{
    command::{Command, Done, Held, Reply},
    error::HerderError,
    model::RestartRequest,
    reports::TaskReports,
    restarts::Restarts,
    slot::{Slot, Step, next_step},
    view::View,
};
use crate::connect::{
    bus,
    store::{ConfigChange, ConfigStore, ConnectorEntry, State, StatusKey, TargetState},
    task::TaskId,
    worker::{Worker, WorkerOptions},
};
use levada_connector_api::Config;
use levada_env::{
    Instant,
    time::{self, Duration},
};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::mpsc;

/// Everything the herder owns.
pub(super) struct Actor {
    pub options: WorkerOptions,
    pub worker: Arc<dyn Worker>,
    pub store: ConfigStore,
    pub view: Arc<View>,
    pub reports: Arc<TaskReports>,
    pub commands: mpsc::Receiver<Command>,
    pub done: (mpsc::Sender<Done>, mpsc::Receiver<Done>),
    pub slots: BTreeMap<String, Slot>,
    pub waiters: BTreeMap<String, Vec<Waiter>>,
    pub restarts: Restarts,
}

/// Who waits for a connector to be as wanted.
pub(super) enum Waiter {
    /// Anyone.
    Settled(Reply<()>),
    /// Who asked for the connector's restart.
    Restarted(Reply<()>),
    /// Who asked for a task's restart.
    TaskRestarted(usize, Reply<()>),
    /// Who wants to change offsets.
    Hold(Reply<Held>),
}

/// Waits between tries to read the topics at start.
const LOAD_RETRY: Duration = Duration::from_millis(500);

impl Actor {
    /// Reads the topics, starts what they say and serves until it is shut down.
    pub(super) async fn run(mut self) {
        while let Err(error) = self.load().await {
            tracing::error!(%error, "the worker's topics could not be read, will try again");
            if self.wait_while_unready().await {
                return;
            }
        }
        self.view.ready.send_replace(true);
        let names: Vec<String> = self.slots.keys().cloned().collect();
        for name in names {
            self.reconcile(&name);
        }
        loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(Command::Shutdown { reply }) => {
                        self.shutdown().await;
                        let _ = reply.send(Ok(()));
                        return;
                    }
                    Some(command) => self.handle(command).await,
                    None => return self.shutdown().await,
                },
                Some(done) = self.done.1.recv() => self.finished(done).await,
                () = self.reports.arrived() => self.task_reports(),
            }
            // A write that failed may have changed something all the same.
            let untold = self.store.take_untold();
            self.changed(untold);
        }
    }

    async fn load(&mut self) -> bus::Result<()> {
        self.store.refresh().await?;
        self.view.statuses.load().await?;
        // A former process's states are no longer true (invariant 11): nothing runs yet.
        let names = self.view.names();
        for name in names {
            let target = self.entry(&name).map(|entry| entry.target);
            if target == Some(TargetState::Started) {
                self.view.statuses.change(StatusKey::Connector(name.clone()), State::Unassigned);
            }
            let tasks: Vec<usize> = self.view.statuses.read(|all| all.tasks(&name).map(|(number, _)| number).collect());
            for number in tasks {
                self.view.statuses.change(StatusKey::Task(name.clone(), number), State::Unassigned);
            }
            self.slots.insert(name, Slot::default());
        }
        self.drop_stale_statuses();
        Ok(())
    }

    /// A crash may have left statuses of connectors and tasks that are gone.
    fn drop_stale_statuses(&self) {
        let tasks_of = |name: &str| self.view.config.read().connector(name).map(|entry| entry.tasks.len());
        let stale = |key: &&StatusKey| match key {
            StatusKey::Task(name, number) => tasks_of(name).is_none_or(|tasks| *number >= tasks),
            key => tasks_of(key.connector()).is_none(),
        };
        let stale: Vec<StatusKey> =
            self.view.statuses.read(|all| all.iter().map(|(key, _)| key).filter(stale).cloned().collect());
        for key in stale {
            self.view.statuses.remove(key);
        }
    }

    /// Refuses what comes before the topics are read. True when the herder shall end.
    async fn wait_while_unready(&mut self) -> bool {
        let wait = time::sleep(LOAD_RETRY);
        tokio::pin!(wait);
        loop {
            tokio::select! {
                () = &mut wait => return false,
                command = self.commands.recv() => match command {
                    Some(Command::Shutdown { reply }) => {
                        let _ = reply.send(Ok(()));
                        return true;
                    }
                    Some(command) => command.refuse(HerderError::NotReady),
                    None => return true,
                },
            }
        }
    }

    async fn handle(&mut self, command: Command) {
        match command {
            Command::Put { name, config, target, create_only, expected, reply } => {
                let _ = reply.send(self.put(&name, &config, target, create_only, expected).await);
            }
            Command::Delete { name, reply } => self.delete(name, reply).await,
            Command::SetTarget { name, target, reply } => {
                let _ = reply.send(self.set_target(&name, target).await);
            }
            Command::Stop { name, reply } => self.stop(name, reply).await,
            Command::RestartConnector { name, reply } => self.restart_connector(name, reply),
            Command::Restart { name, request, reply } => {
                let _ = reply.send(self.restart(&name, request).await);
            }
            Command::RestartTask { name, task, reply } => self.restart_task(name, task, reply),
            Command::HoldStopped { name, reply } => self.hold_stopped(name, reply),
            Command::ResetTopics { name, reply } => {
                for topic in self.view.topics(&name) {
                    self.view.statuses.remove(StatusKey::Topic { connector: name.clone(), topic });
                }
                let _ = reply.send(Ok(()));
            }
            Command::Ping { reply } | Command::Shutdown { reply } => {
                let _ = reply.send(Ok(()));
            }
        }
    }

    async fn put(
        &mut self,
        name: &str,
        config: &Config,
        target: Option<TargetState>,
        create_only: bool,
        expected: Option<Config>,
    ) -> Result<bool, HerderError> {
        let known = self.view.config.read().config(name).cloned();
        if create_only && known.is_some() {
            return Err(HerderError::AlreadyExists(name.to_owned()));
        }
        if expected.is_some() && expected != known {
            return Err(HerderError::Conflict);
        }
        let changes = self.store.put_connector(name, config, target).await?;
        let kind = if known.is_none() { "created" } else { "updated" };
        self.view.events.add(name, kind, None, format!("configuration {kind}"));
        self.changed(changes);
        Ok(known.is_none())
    }

    async fn delete(&mut self, name: String, reply: Reply<()>) {
        if !self.view.contains(&name) {
            let _ = reply.send(Err(HerderError::connector_not_found(&name)));
            return;
        }
        match self.store.remove_connector(&name).await {
            Ok(changes) => {
                self.wait(&name, Waiter::Settled(reply));
                self.changed(changes);
            }
            Err(error) => {
                let _ = reply.send(Err(error.into()));
            }
        }
    }

    async fn set_target(&mut self, name: &str, target: TargetState) -> Result<(), HerderError> {
        if !self.view.contains(name) {
            return Err(HerderError::unknown_connector(name));
        }
        let changes = self.store.put_target(name, target).await?;
        self.view.events.add(name, "target", None, format!("target state is {}", target.name()));
        self.changed(changes);
        Ok(())
    }

    /// Task configs go before the target state, as Connect writes them: a reader in between sees a connector that
    /// merely has no tasks.
    async fn stop(&mut self, name: String, reply: Reply<()>) {
        let Some(entry) = self.entry(&name) else {
            let _ = reply.send(Err(HerderError::unknown_connector(&name)));
            return;
        };
        let mut changes = Vec::new();
        let written = async {
            if !entry.tasks.is_empty() {
                changes.extend(self.store.put_tasks(&name, &[]).await?);
            }
            changes.extend(self.store.put_target(&name, TargetState::Stopped).await?);
            Ok::<(), bus::BusError>(())
        }
        .await;
        match written {
            Ok(()) => {
                self.view.events.add(&name, "target", None, "target state is STOPPED");
                self.wait(&name, Waiter::Settled(reply));
            }
            Err(error) => {
                // The task configurations may be gone while the target is what it was.
                if let Some(slot) = self.slots.get_mut(&name) {
                    slot.restart = true;
                }
                let _ = reply.send(Err(error.into()));
            }
        }
        self.changed(changes);
    }

    fn hold_stopped(&mut self, name: String, reply: Reply<Held>) {
        match self.entry(&name) {
            None => {
                let _ = reply.send(Err(HerderError::connector_not_found(&name)));
            }
            Some(entry) if entry.target != TargetState::Stopped || !entry.tasks.is_empty() => {
                let _ = reply.send(Err(HerderError::BadRequest(not_stopped(&name))));
            }
            Some(_) => {
                self.wait(&name, Waiter::Hold(reply));
                self.reconcile(&name);
            }
        }
    }

    pub(super) fn entry(&self, name: &str) -> Option<ConnectorEntry> {
        self.view.config.read().connector(name).cloned()
    }

    pub(super) fn wait(&mut self, name: &str, waiter: Waiter) {
        self.waiters.entry(name.to_owned()).or_default().push(waiter);
    }

    /// Acts on what was read back from the config topic.
    pub(super) fn changed(&mut self, changes: Vec<ConfigChange>) {
        for change in changes {
            let name = match change {
                ConfigChange::Connector(name) => {
                    let slot = self.slots.entry(name.clone()).or_default();
                    slot.failed = None;
                    self.restarts.forget(&name);
                    name
                }
                ConfigChange::Target(name) => {
                    let stopped = self.entry(&name).is_some_and(|entry| entry.target == TargetState::Stopped);
                    let slot = self.slots.entry(name.clone()).or_default();
                    if stopped {
                        slot.failed = None;
                        slot.restart = true;
                    }
                    name
                }
                ConfigChange::Removed(name) => {
                    if let Some(slot) = self.slots.get_mut(&name) {
                        slot.restart = true;
                    }
                    name
                }
                ConfigChange::Tasks(name) => name,
                ConfigChange::Restart { connector, include_tasks, only_failed } => {
                    self.apply_restart(&connector, RestartRequest { include_tasks, only_failed });
                    connector
                }
                ConfigChange::Logger(..) => continue,
            };
            self.reconcile(&name);
        }
    }

    /// Brings what runs of a connector one operation nearer to what is wanted.
    pub(super) fn reconcile(&mut self, name: &str) {
        loop {
            let entry = self.entry(name);
            let Some(slot) = self.slots.get_mut(name).filter(|slot| !slot.busy) else { return };
            match next_step(entry.as_ref(), slot) {
                Step::Nothing => return self.settled(name),
                Step::Forget => return self.forget(name),
                Step::SetPaused(tasks, pause) => {
                    for number in tasks {
                        let Some(task) = slot.tasks.get_mut(&number) else { continue };
                        task.paused = pause;
                        if let Some(running) = &task.running {
                            if pause { running.pause() } else { running.resume() }
                        }
                    }
                }
                step => {
                    slot.busy = true;
                    return self.begin(name, step, entry);
                }
            }
        }
    }

    fn begin(&mut self, name: &str, step: Step, entry: Option<ConnectorEntry>) {
        let operation = super::operation::Operation {
            name: name.to_owned(),
            worker: Arc::clone(&self.worker),
            registry: Arc::clone(&self.view.registry),
            graceful: self.options.graceful_timeout,
        };
        if let Some(what) = step.name() {
            self.view.operations.write().insert(name.to_owned(), (what, Instant::now()));
        }
        let done = self.done.0.clone();
        let Some(slot) = self.slots.get_mut(name) else { return };
        match step {
            Step::StopInstance => {
                let instance = slot.instance.take();
                tokio::spawn(operation.stop_instance(instance, done));
            }
            Step::StopTasks(numbers) => {
                let running = numbers
                    .iter()
                    .filter_map(|number| slot.tasks.get(number))
                    .filter_map(|task| task.running.clone())
                    .collect();
                tokio::spawn(operation.stop_tasks(numbers, running, done));
            }
            Step::StartInstance => {
                let config = entry.and_then(|entry| entry.config).unwrap_or_default();
                tokio::spawn(operation.start_instance(config, done));
            }
            Step::Divide => {
                let instance = slot.instance.take();
                tokio::spawn(operation.divide(instance, done));
            }
            Step::StartTasks(numbers) => {
                let Some(entry) = entry else { return };
                for number in &numbers {
                    let id = TaskId { connector: name.into(), task: *number };
                    self.reports.set_version(&id, version_of(&self.view, &entry));
                }
                tokio::spawn(operation.start_tasks(entry, numbers, done));
            }
            Step::Nothing | Step::Forget | Step::SetPaused(..) => {}
        }
    }
}

pub(super) fn not_stopped(name: &str) -> String {
    format!(
        "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the \
         specified connector by issuing a 'PUT' request to the '/connectors/{name}/stop' endpoint"
    )
}

pub(super) fn version_of(view: &View, entry: &ConnectorEntry) -> String {
    let class = entry.config.as_ref().and_then(|config| config.get("connector.class"));
    let plugin = class.and_then(|class| view.registry.find(class.trim()));
    plugin.map(|plugin| plugin.info.version.clone()).unwrap_or_default()
}

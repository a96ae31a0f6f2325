//! The herder's own loop: the only writer of the config topic and the only owner of what runs.
//!
//! A change is appended, read back and then acted on: [`next_step`] compares what the topic says with what runs and
//! names the next operation. Operations call plugin code and wait for tasks, so each runs apart and reports when it is
//! done; there is one at a time per connector, and connectors never wait for each other (invariant 10).

use super::{
    command::{Command, Done, Held, Outcome, Reply, Started, StartedTask},
    error::HerderError,
    model::RestartRequest,
    reports::TaskReports,
    restarts::Restarts,
    slot::{Instance, Slot, Step, TaskSlot, next_step},
    view::View,
};
use crate::connect::{
    bus,
    store::{ConfigChange, ConfigStore, ConnectorEntry, State, StatusKey, TargetState},
    task::{self, TaskId, TaskStatus},
    worker::{Failure, Worker, WorkerOptions},
};
use levada_connector_api::{Config, ConnectorKind};
use levada_env::time::{self, Duration};
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
                        slot.restart = false;
                    }
                    name
                }
                ConfigChange::Removed(name) | ConfigChange::Tasks(name) => name,
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

    async fn finished(&mut self, done: Done) {
        let Done { name, outcome } = done;
        if let Outcome::RestartDue(task) = outcome {
            self.restart_due(&name, task);
            return self.reconcile(&name);
        }
        let Some(slot) = self.slots.get_mut(&name) else { return };
        slot.busy = false;
        match outcome {
            Outcome::InstanceStopped | Outcome::Released | Outcome::RestartDue(_) => {}
            Outcome::InstanceStarted { config, started } => self.instance_started(&name, config, started).await,
            Outcome::TasksStopped(numbers) => self.tasks_stopped(&name, &numbers),
            Outcome::TasksStarted(tasks) => self.tasks_started(&name, tasks),
        }
        self.reconcile(&name);
    }

    async fn instance_started(&mut self, name: &str, config: Config, started: Result<Started, Failure>) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        slot.restart = false;
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

    fn connector_failed(&mut self, name: &str, config: &Config, failure: Failure) {
        tracing::error!(connector = name, trace = failure.trace, "connector failed");
        if let Some(slot) = self.slots.get_mut(name) {
            slot.failed = Some(config.clone());
        }
        self.view.events.add(name, "failed", None, failure.trace.clone());
        let key = StatusKey::Connector(name.to_owned());
        let version = self.entry(name).map(|entry| version_of(&self.view, &entry));
        self.restarts.failed(&self.options.restart, name, None, failure.is_retriable(), &self.done.0);
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

    fn task_reports(&mut self) {
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
        let retriable = crate::connect::worker::is_retriable(trace);
        self.restarts.failed(&self.options.restart, name, Some(task), retriable, &self.done.0);
    }

    /// Everything is as wanted: shows it and tells who waits.
    fn settled(&mut self, name: &str) {
        let Some(entry) = self.entry(name) else { return };
        let Some(slot) = self.slots.get(name) else { return };
        let shown = match entry.target {
            TargetState::Stopped => Some(State::Stopped),
            TargetState::Paused if slot.failed.is_none() => Some(State::Paused),
            TargetState::Paused | TargetState::Started => None,
        };
        let now = self.view.statuses.read(|all| all.connector(name).map(|status| status.state));
        if let Some(state) = shown.filter(|state| Some(*state) != now) {
            let key = StatusKey::Connector(name.to_owned());
            self.view.statuses.put(key, state, None, Some(version_of(&self.view, &entry)));
        }
        self.answer_waiters(name, entry.config.unwrap_or_default());
    }

    fn answer_waiters(&mut self, name: &str, config: Config) {
        let mut waiters = self.waiters.remove(name).unwrap_or_default().into_iter();
        for waiter in waiters.by_ref() {
            let Some(slot) = self.slots.get_mut(name) else { return };
            match waiter {
                Waiter::Settled(reply) => drop(reply.send(Ok(()))),
                Waiter::Restarted(reply) => {
                    let failed = slot.failed.is_some();
                    let text = format!("Failed to start connector: {name}");
                    drop(reply.send(if failed { Err(HerderError::Plugin(text)) } else { Ok(()) }));
                }
                Waiter::TaskRestarted(number, reply) => {
                    let started = slot.tasks.get(&number).is_some_and(|task| task.running.is_some());
                    let text = format!("Failed to start task: {name}-{number}");
                    drop(reply.send(if started { Ok(()) } else { Err(HerderError::Plugin(text)) }));
                }
                Waiter::Hold(reply) => {
                    let stopped = slot.instance.is_none() && slot.tasks.is_empty();
                    let Ok(permit) = self.done.0.clone().try_reserve_owned() else {
                        drop(reply.send(Err(HerderError::Conflict)));
                        continue;
                    };
                    if !stopped {
                        drop(reply.send(Err(HerderError::BadRequest(not_stopped(name)))));
                        continue;
                    }
                    slot.busy = true;
                    let held = Held { name: name.to_owned(), config: config.clone(), permit: Some(permit) };
                    // Where nobody waits any more, dropping it releases the connector.
                    drop(reply.send(Ok(held)));
                    break;
                }
            }
        }
        let left: Vec<Waiter> = waiters.collect();
        if !left.is_empty() {
            self.waiters.insert(name.to_owned(), left);
        }
    }

    /// Nothing of a deleted connector runs any more.
    fn forget(&mut self, name: &str) {
        self.slots.remove(name);
        self.restarts.forget(name);
        self.view.events.forget(name);
        let keys: Vec<StatusKey> = self
            .view
            .statuses
            .read(|all| all.iter().map(|(key, _)| key).filter(|key| key.connector() == name).cloned().collect());
        for key in keys {
            self.view.statuses.remove(key);
        }
        for waiter in self.waiters.remove(name).unwrap_or_default() {
            match waiter {
                Waiter::Settled(reply) => drop(reply.send(Ok(()))),
                Waiter::Restarted(reply) | Waiter::TaskRestarted(_, reply) => {
                    drop(reply.send(Err(HerderError::connector_not_found(name))));
                }
                Waiter::Hold(reply) => drop(reply.send(Err(HerderError::connector_not_found(name)))),
            }
        }
    }

    /// Takes in what operations under way have started, so that it is stopped too.
    async fn await_operations(&mut self, deadline: time::Instant) {
        while self.slots.values().any(|slot| slot.busy) {
            let Ok(Some(Done { name, outcome })) = time::timeout_at(deadline, self.done.1.recv()).await else { return };
            let Some(slot) = self.slots.get_mut(&name) else { continue };
            match outcome {
                Outcome::RestartDue(_) => continue,
                Outcome::InstanceStarted { config, started: Ok(Started { running, .. }) } => {
                    slot.instance = Some(Instance { running, config });
                }
                Outcome::TasksStarted(tasks) => {
                    for task in tasks {
                        let id = TaskId { connector: name.as_str().into(), task: task.number };
                        if let Ok(running) = task.started {
                            self.view.tasks.write().insert(id, running);
                        }
                    }
                }
                _ => {}
            }
            slot.busy = false;
        }
    }

    /// Stops all tasks together, then the connectors, and shows that nothing runs here any more.
    async fn shutdown(&mut self) {
        let deadline = time::Instant::now() + self.options.graceful_timeout;
        self.await_operations(deadline).await;
        let tasks: Vec<_> = self.view.running_tasks();
        for (_, task) in &tasks {
            task.request_stop();
        }
        for (_, task) in tasks {
            task.stop(deadline.saturating_duration_since(time::Instant::now())).await;
        }
        self.view.tasks.write().clear();
        for (name, slot) in std::mem::take(&mut self.slots) {
            let Some(instance) = slot.instance else { continue };
            let left = deadline.saturating_duration_since(time::Instant::now()).max(Duration::from_millis(100));
            if time::timeout(left, instance.running.stop()).await.is_err() {
                tracing::warn!(connector = name, "connector did not stop in time");
            }
            self.view.statuses.change(StatusKey::Connector(name), State::Unassigned);
        }
        if time::timeout(Duration::from_secs(5), self.view.statuses.flush()).await.is_err() {
            tracing::warn!("the last statuses could not be written in time");
        }
    }
}

impl Command {
    /// Answers with an error.
    fn refuse(self, error: HerderError) {
        match self {
            Self::Put { reply, .. } => drop(reply.send(Err(error))),
            Self::Restart { reply, .. } => drop(reply.send(Err(error))),
            Self::HoldStopped { reply, .. } => drop(reply.send(Err(error))),
            Self::Ping { reply } => drop(reply.send(Ok(()))),
            Self::Delete { reply, .. }
            | Self::SetTarget { reply, .. }
            | Self::Stop { reply, .. }
            | Self::RestartConnector { reply, .. }
            | Self::RestartTask { reply, .. }
            | Self::ResetTopics { reply, .. }
            | Self::Shutdown { reply } => drop(reply.send(Err(error))),
        }
    }
}

fn not_stopped(name: &str) -> String {
    format!(
        "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the \
         specified connector by issuing a 'PUT' request to the '/connectors/{name}/stop' endpoint"
    )
}

fn version_of(view: &View, entry: &ConnectorEntry) -> String {
    let class = entry.config.as_ref().and_then(|config| config.get("connector.class"));
    let plugin = class.and_then(|class| view.registry.find(class.trim()));
    plugin.map(|plugin| plugin.info.version.clone()).unwrap_or_default()
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
    running: &dyn crate::connect::worker::RunningConnector,
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

/// The target that a task's runner knows.
pub(super) fn task_target(target: TargetState) -> task::TargetState {
    if target == TargetState::Paused { task::TargetState::Paused } else { task::TargetState::Started }
}

//! When everything is as wanted, when a connector is gone, and when the whole herder ends.

use super::{
    actor::{Actor, Waiter, not_stopped, version_of},
    command::{Done, Held, Outcome, Started},
    error::HerderError,
    slot::Instance,
};
use crate::connect::{
    store::{State, StatusKey, TargetState},
    task::TaskId,
};
use levada_connector_api::Config;
use levada_env::time::{self, Duration};

impl Actor {
    /// Everything is as wanted: shows it and tells who waits.
    pub(super) fn settled(&mut self, name: &str) {
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
    pub(super) fn forget(&mut self, name: &str) {
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
                Outcome::RestartDue(_) | Outcome::DivisionAsked => continue,
                Outcome::Divided { instance, .. } => slot.instance = instance,
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
    pub(super) async fn shutdown(&mut self) {
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

//! Restarts: those that are asked for, and those of failures that may pass.

use super::{
    actor::{Actor, Waiter},
    command::{Done, Outcome, Reply},
    error::HerderError,
    model::{ConnectorStatus, RestartRequest},
};
use crate::connect::{
    store::{State, StatusKey, TargetState},
    worker::RestartPolicy,
};
use levada_env::time::{self, Duration, Instant};
use std::collections::BTreeMap;
use tokio::sync::mpsc::Sender;

/// A connector (`None`) or one of its tasks.
type Who = (String, Option<usize>);

/// Counts failures in a row, for the waits between automatic restarts.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    failures: BTreeMap<Who, (u32, Instant)>,
}

impl Restarts {
    /// Plans a restart after a failure; the failure stays visible until then.
    pub(super) fn failed(
        &mut self,
        policy: &RestartPolicy,
        name: &str,
        task: Option<usize>,
        retriable: bool,
        done: &Sender<Done>,
    ) {
        let RestartPolicy::Retry { initial, max } = *policy else { return };
        if !retriable {
            return;
        }
        let (count, last) = self.failures.entry((name.to_owned(), task)).or_insert((0, Instant::now()));
        // After a long time without a failure the next one is a new story.
        if last.elapsed() > max.saturating_mul(2) {
            *count = 0;
        }
        let wait = backoff(initial, max, *count);
        *count += 1;
        *last = Instant::now();
        tracing::info!(connector = name, task, wait_ms = wait.as_millis() as u64, "restart planned");
        let (done, name) = (done.clone(), name.to_owned());
        tokio::spawn(async move {
            time::sleep(wait).await;
            let _ = done.send(Done { name, outcome: Outcome::RestartDue(task) }).await;
        });
    }

    /// Begins to count anew.
    pub(super) fn forget(&mut self, name: &str) {
        self.failures.retain(|(connector, _), _| connector != name);
    }
}

fn backoff(initial: Duration, max: Duration, failures: u32) -> Duration {
    initial.saturating_mul(1 << failures.min(20)).min(max)
}

impl Actor {
    pub(super) fn restart_connector(&mut self, name: String, reply: Reply<()>) {
        if !self.view.contains(&name) {
            let _ = reply.send(Err(HerderError::NotFound(format!("Unknown connector: {name}"))));
            return;
        }
        self.restarts.forget(&name);
        self.wait(&name, Waiter::Restarted(reply));
        self.apply_restart(&name, RestartRequest::default());
        self.reconcile(&name);
    }

    /// Writes the request; what it covers restarts when it is read back.
    pub(super) async fn restart(
        &mut self,
        name: &str,
        request: RestartRequest,
    ) -> Result<ConnectorStatus, HerderError> {
        if !self.view.contains(name) {
            return Err(HerderError::NotFound(format!("Unknown connector: {name}")));
        }
        let status = self.view.status(name);
        let status = status.ok_or_else(|| HerderError::NotFound(format!("Status for connector {name} not found")))?;
        self.restarts.forget(name);
        let changes = self.store.put_restart(name, request.include_tasks, request.only_failed).await?;
        self.changed(changes);
        Ok(request.plan(status))
    }

    pub(super) fn restart_task(&mut self, name: String, task: usize, reply: Reply<()>) {
        let Some(entry) = self.entry(&name) else {
            let _ = reply.send(Err(HerderError::NotFound(format!("Unknown connector: {name}"))));
            return;
        };
        if task >= entry.tasks.len() {
            let _ = reply.send(Err(HerderError::NotFound(format!("Unknown task: {name}-{task}"))));
            return;
        }
        self.mark_task(&name, task);
        self.wait(&name, Waiter::TaskRestarted(task, reply));
        self.reconcile(&name);
    }

    pub(super) fn apply_restart(&mut self, name: &str, request: RestartRequest) {
        let Some(status) = self.view.status(name) else { return };
        let started = self.entry(name).is_some_and(|entry| entry.target == TargetState::Started);
        let Some(slot) = self.slots.get_mut(name) else { return };
        if started && request.covers_connector(status.connector.state) {
            slot.restart = true;
            self.view.statuses.change(StatusKey::Connector(name.to_owned()), State::Restarting);
        }
        for (number, task) in &status.tasks {
            if request.covers_task(task.state) {
                self.mark_task(name, *number);
            }
        }
    }

    /// A planned restart's time has come; it is done only if the failure is still there.
    pub(super) fn restart_due(&mut self, name: &str, task: Option<usize>) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        match task {
            None if slot.failed.is_some() => {
                self.view.events.add(name, "restart", None, "automatic restart after a failure");
                let started = self.entry(name).is_some_and(|entry| entry.target == TargetState::Started);
                if let Some(slot) = self.slots.get_mut(name).filter(|_| started) {
                    slot.restart = true;
                    self.view.statuses.change(StatusKey::Connector(name.to_owned()), State::Restarting);
                }
            }
            Some(number) if slot.tasks.get(&number).is_some_and(|task| task.failed) => {
                self.view.events.add(name, "restart", Some(number), "automatic restart after a failure");
                self.mark_task(name, number);
            }
            _ => {}
        }
    }

    fn mark_task(&mut self, name: &str, number: usize) {
        let Some(task) = self.slots.get_mut(name).and_then(|slot| slot.tasks.get_mut(&number)) else { return };
        task.restart = true;
        self.view.statuses.change(StatusKey::Task(name.to_owned(), number), State::Restarting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let wait = |failures| backoff(Duration::from_secs(5), Duration::from_secs(60), failures).as_secs();
        assert_eq!([0, 1, 2, 3, 4, 99].map(wait), [5, 10, 20, 40, 60, 60]);
    }
}

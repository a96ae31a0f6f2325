//! Derived health of a connector (invariant 11): Connect's states say what was wanted and what broke; this says
//! whether it also moves. Pure; REST's `/v1` paths and metrics call it. Never written into Connect's own states.

use super::{herder::ConnectorStatus, store::State, task::TaskHealth};
use levada_env::time::Duration;

/// How a connector is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthState {
    /// Not started yet.
    Starting,
    /// As wanted.
    Healthy,
    /// Paused on request.
    Paused,
    /// Stopped on request.
    Stopped,
    /// Some of it has failed.
    Degraded,
    /// It runs and does not move though there is work.
    Stalled,
    /// None of it works.
    Failed,
}

impl HealthState {
    /// Name for people and machines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "STARTING",
            Self::Healthy => "HEALTHY",
            Self::Paused => "PAUSED",
            Self::Stopped => "STOPPED",
            Self::Degraded => "DEGRADED",
            Self::Stalled => "STALLED",
            Self::Failed => "FAILED",
        }
    }
}

/// A connector's health and why it is not better.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// How it is.
    pub state: HealthState,
    /// One line for each cause.
    pub causes: Vec<String>,
}

/// A call into a connector that lasts longer is a stall. Below the 10 s within which it must be seen (invariant 11).
const SLOW_CALL: Duration = Duration::from_secs(8);

/// Work that lies this long without progress is a stall.
const NO_PROGRESS: Duration = Duration::from_secs(8);

/// Derives the health from the statuses, from what the running tasks say, and from what is being done to the connector
/// and for how long. One that has never started has no status.
pub fn derive(
    status: Option<&ConnectorStatus>,
    tasks: &[(usize, TaskHealth)],
    operation: Option<(&'static str, Duration)>,
) -> Health {
    let slow = operation.filter(|(_, age)| *age > SLOW_CALL);
    let slow = slow.map(|(what, age)| format!("connector: its {what} has been running for {} s", age.as_secs()));
    let Some(status) = status else {
        let state = if slow.is_some() { HealthState::Stalled } else { HealthState::Starting };
        return Health { state, causes: slow.into_iter().collect() };
    };
    let mut causes = Vec::new();
    let connector = status.connector.state;
    if connector == State::Failed {
        causes.push(format!("connector: {}", first_line(status.connector.trace.as_deref())));
    }
    let failed: Vec<_> = status.tasks.iter().filter(|(_, task)| task.state == State::Failed).collect();
    for (number, task) in &failed {
        causes.push(format!("task {number}: {}", first_line(task.trace.as_deref())));
    }
    let failures = !causes.is_empty();
    causes.extend(slow);
    causes.extend(tasks.iter().filter_map(|(number, health)| stall(*number, health)));
    let all_failed = !status.tasks.is_empty() && failed.len() == status.tasks.len();
    let unsettled = |state| matches!(state, State::Unassigned | State::Restarting);
    let state = if all_failed || (connector == State::Failed && status.tasks.is_empty()) {
        HealthState::Failed
    } else if failures {
        HealthState::Degraded
    } else if connector == State::Paused {
        HealthState::Paused
    } else if connector == State::Stopped {
        HealthState::Stopped
    } else if !causes.is_empty() {
        HealthState::Stalled
    } else if unsettled(connector) || status.tasks.iter().any(|(_, task)| unsettled(task.state)) {
        HealthState::Starting
    } else {
        HealthState::Healthy
    };
    Health { state, causes }
}

fn stall(number: usize, health: &TaskHealth) -> Option<String> {
    if health.abandoned {
        return Some(format!("task {number}: its thread hangs in connector code"));
    }
    if let Some((call, age)) = health.call.filter(|(_, age)| *age > SLOW_CALL) {
        return Some(format!("task {number}: {call} has been running for {} s", age.as_secs()));
    }
    if let Some(error) = &health.retrying {
        return Some(format!("task {number}: tried again and again: {error}"));
    }
    let since = health.since_progress;
    if since <= NO_PROGRESS {
        return None;
    }
    if let Some(lag) = health.lag.filter(|lag| *lag > 0) {
        return Some(format!("task {number}: {lag} records behind and no progress for {} s", since.as_secs()));
    }
    (health.in_flight_bytes > 0).then(|| {
        let bytes = health.in_flight_bytes;
        format!("task {number}: {bytes} bytes wait for the log and no progress for {} s", since.as_secs())
    })
}

fn first_line(trace: Option<&str>) -> &str {
    trace.and_then(|trace| trace.lines().next()).unwrap_or("failed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::store::Status;

    fn status(connector: State, tasks: &[State]) -> ConnectorStatus {
        let one = |state| Status {
            state,
            trace: (state == State::Failed).then(|| "boom\n\tat put".to_owned()),
            worker_id: String::new(),
            generation: 1,
            version: None,
        };
        let tasks = tasks.iter().map(|state| one(*state)).enumerate().collect();
        ConnectorStatus { name: "c".into(), connector: one(connector), tasks, kind: "sink" }
    }

    #[test]
    fn health_follows_states_and_progress() {
        use State::{Failed, Paused, Running, Stopped, Unassigned};
        let cases: [(State, &[State], HealthState); 8] = [
            (Running, &[Running, Running], HealthState::Healthy),
            (Running, &[Running, Failed], HealthState::Degraded),
            (Running, &[Failed, Failed], HealthState::Failed),
            (Failed, &[], HealthState::Failed),
            (Failed, &[Running], HealthState::Degraded),
            (Paused, &[Paused], HealthState::Paused),
            (Stopped, &[], HealthState::Stopped),
            (Running, &[Unassigned], HealthState::Starting),
        ];
        for (connector, tasks, wanted) in cases {
            assert_eq!(derive(Some(&status(connector, tasks)), &[], None).state, wanted, "{connector:?} {tasks:?}");
        }
        let stuck = TaskHealth { since_progress: Duration::from_secs(60), lag: Some(5), ..TaskHealth::default() };
        let health = derive(Some(&status(Running, &[Running])), &[(0, stuck)], None);
        assert_eq!(health.state, HealthState::Stalled);
        assert_eq!(health.causes, ["task 0: 5 records behind and no progress for 60 s"]);
        let idle = TaskHealth { since_progress: Duration::from_secs(999), lag: Some(0), ..TaskHealth::default() };
        assert_eq!(derive(Some(&status(Running, &[Running])), &[(0, idle)], None).state, HealthState::Healthy);
        let retried = TaskHealth { retrying: Some("disk full".to_owned()), ..TaskHealth::default() };
        let derived = derive(Some(&status(State::Running, &[State::Running])), &[(0, retried)], None);
        assert_eq!(derived.state, HealthState::Stalled);
        assert!(derived.causes[0].contains("disk full"), "{:?}", derived.causes);
        let slow = TaskHealth { call: Some(("put", Duration::from_secs(11))), ..TaskHealth::default() };
        assert_eq!(derive(Some(&status(Running, &[Running])), &[(0, slow)], None).state, HealthState::Stalled);
        assert_eq!(derive(Some(&status(Running, &[Failed])), &[], None).causes, ["task 0: boom"]);
        let operation = |seconds| Some(("start", Duration::from_secs(seconds)));
        assert_eq!(derive(None, &[], operation(1)).state, HealthState::Starting);
        let hangs = derive(None, &[], operation(9));
        assert_eq!(
            (hangs.state, hangs.causes),
            (HealthState::Stalled, vec!["connector: its start has been running for 9 s".into()])
        );
        assert_eq!(derive(Some(&status(Running, &[Running])), &[], operation(9)).state, HealthState::Stalled);
    }
}

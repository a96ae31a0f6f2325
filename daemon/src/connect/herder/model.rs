//! What the herder tells of connectors.

use crate::connect::store::{State, Status};
use levada_connector_api::{Config, OffsetMap};

/// A connector's configuration and tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectorDescription {
    /// Name.
    pub name: String,
    /// Configuration as stored.
    pub config: Config,
    /// How many tasks it has.
    pub tasks: usize,
    /// `source`, `sink` or `unknown`.
    pub kind: &'static str,
}

/// A connector's status and its tasks'.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectorStatus {
    /// Name.
    pub name: String,
    /// The connector's own.
    pub connector: Status,
    /// The tasks' by number.
    pub tasks: Vec<(usize, Status)>,
    /// `source`, `sink` or `unknown`.
    pub kind: &'static str,
}

/// Offsets of a connector: partitions with their offsets.
pub type Offsets = Vec<(OffsetMap, Option<OffsetMap>)>;

/// What a restart is asked to cover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestartRequest {
    /// Tasks too.
    pub include_tasks: bool,
    /// Only what has failed.
    pub only_failed: bool,
}

impl RestartRequest {
    /// Whether the connector's own instance is restarted.
    pub fn covers_connector(self, state: State) -> bool {
        !self.only_failed || state == State::Failed
    }

    /// Whether a task is restarted.
    pub fn covers_task(self, state: State) -> bool {
        self.include_tasks && (!self.only_failed || state == State::Failed)
    }

    /// The statuses with what is planned shown as RESTARTING.
    pub fn plan(self, mut status: ConnectorStatus) -> ConnectorStatus {
        if self.covers_connector(status.connector.state) {
            status.connector.state = State::Restarting;
        }
        for (_, task) in &mut status.tasks {
            if self.covers_task(task.state) {
                task.state = State::Restarting;
            }
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_marks_only_what_it_covers_and_keeps_traces() {
        let status = |state| Status {
            state,
            trace: (state == State::Failed).then(|| "old".to_owned()),
            worker_id: "w".into(),
            generation: 1,
            version: None,
        };
        let before = ConnectorStatus {
            name: "c".into(),
            connector: status(State::Running),
            tasks: vec![(0, status(State::Failed)), (1, status(State::Running))],
            kind: "source",
        };
        let states = |plan: &ConnectorStatus| {
            (plan.connector.state, plan.tasks.iter().map(|(_, task)| task.state).collect::<Vec<_>>())
        };
        let failed = RestartRequest { include_tasks: true, only_failed: true }.plan(before.clone());
        assert_eq!(states(&failed), (State::Running, vec![State::Restarting, State::Running]));
        assert_eq!(failed.tasks[0].1.trace.as_deref(), Some("old"));
        let all = RestartRequest { include_tasks: true, only_failed: false }.plan(before.clone());
        assert_eq!(states(&all), (State::Restarting, vec![State::Restarting, State::Restarting]));
        let connector = RestartRequest { include_tasks: false, only_failed: false }.plan(before);
        assert_eq!(states(&connector), (State::Restarting, vec![State::Failed, State::Running]));
    }
}

//! What this worker runs of one connector, and the pure decision what to do next.

use crate::connect::{
    store::{ConnectorEntry, TargetState},
    validate::is_worker_key,
    worker::{RunningConnector, RunningTask},
};
use levada_connector_api::Config;
use std::{collections::BTreeMap, sync::Arc};

/// A connector's instance that runs.
pub(super) struct Instance {
    pub running: Box<dyn RunningConnector>,
    /// The configuration it was started with.
    pub config: Config,
}

/// A task's incarnation.
pub(super) struct TaskSlot {
    /// The task configuration it was (or was to be) started with.
    pub config: Config,
    /// The connector's configuration at that time.
    pub connector: Config,
    /// `None` when it could not even be started.
    pub running: Option<Arc<dyn RunningTask>>,
    /// Whether it was last told to be paused.
    pub paused: bool,
    /// Whether it reported FAILED.
    pub failed: bool,
    /// Whether it shall be made anew.
    pub restart: bool,
}

/// What runs of one connector.
#[derive(Default)]
pub(super) struct Slot {
    pub instance: Option<Instance>,
    /// The configuration of the last start that failed; it is not tried again before something changes.
    pub failed: Option<Config>,
    /// Whether the instance shall be made anew: on request, or because the connector was stopped or deleted since its
    /// start. The task configurations that it made are gone then, so it can't serve what is wanted next, even where its
    /// own configuration is the same.
    pub restart: bool,
    /// Whether the connector has asked for its work to be divided anew.
    pub divide: bool,
    pub tasks: BTreeMap<usize, TaskSlot>,
    /// Whether an operation is under way; there is at most one per connector.
    pub busy: bool,
}

/// The next operation on a connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Everything is as wanted.
    Nothing,
    /// Ends the instance.
    StopInstance,
    /// Starts an instance of the wanted configuration.
    StartInstance,
    /// Asks the instance for task configurations.
    Divide,
    /// Ends these tasks and forgets them.
    StopTasks(Vec<usize>),
    /// Starts these tasks.
    StartTasks(Vec<usize>),
    /// Pauses (`true`) or resumes these tasks.
    SetPaused(Vec<usize>, bool),
    /// Nothing runs and nothing shall: forgets the connector.
    Forget,
}

impl Step {
    /// Its name for people; `None` where nothing takes time.
    pub(super) fn name(&self) -> Option<&'static str> {
        match self {
            Self::StopInstance => Some("stop"),
            Self::StartInstance => Some("start"),
            Self::Divide => Some("division of its work"),
            Self::StopTasks(_) => Some("stop of its tasks"),
            Self::StartTasks(_) => Some("start of its tasks"),
            Self::Nothing | Self::SetPaused(..) | Self::Forget => None,
        }
    }
}

/// Decides the next operation from what the config topic says and what runs.
pub(super) fn next_step(wanted: Option<&ConnectorEntry>, slot: &Slot) -> Step {
    let target = wanted.map_or(TargetState::Stopped, |entry| entry.target);
    let config = wanted.and_then(|entry| entry.config.as_ref());
    let runs = target == TargetState::Started;
    if let Some(instance) = &slot.instance
        && (!runs || slot.restart || Some(&instance.config) != config)
    {
        return Step::StopInstance;
    }
    let tasks: &[Config] = match wanted {
        Some(entry) if target != TargetState::Stopped => &entry.tasks,
        _ => &[],
    };
    let stop: Vec<usize> = slot
        .tasks
        .iter()
        .filter(|(number, task)| is_outdated(task, tasks.get(**number), config))
        .map(|(n, _)| *n)
        .collect();
    // Tasks that go for good go first, so that STOPPED and deletion are quick; changed ones only after the connector
    // itself has taken the new configuration.
    if !runs && !stop.is_empty() {
        return Step::StopTasks(stop);
    }
    if runs && slot.instance.is_none() && (slot.restart || slot.failed.as_ref() != config) {
        return Step::StartInstance;
    }
    // Before tasks that the present division asks for are started.
    if runs && slot.divide && slot.instance.is_some() {
        return Step::Divide;
    }
    if !stop.is_empty() {
        return Step::StopTasks(stop);
    }
    let start: Vec<usize> = (0..tasks.len()).filter(|number| !slot.tasks.contains_key(number)).collect();
    if !start.is_empty() {
        return Step::StartTasks(start);
    }
    let pause = target == TargetState::Paused;
    let turn: Vec<usize> = slot.tasks.iter().filter(|(_, task)| task.paused != pause).map(|(n, _)| *n).collect();
    if !turn.is_empty() {
        return Step::SetPaused(turn, pause);
    }
    if wanted.is_none() { Step::Forget } else { Step::Nothing }
}

/// Whether a task can't go on as it is.
fn is_outdated(task: &TaskSlot, wanted: Option<&Config>, connector: Option<&Config>) -> bool {
    let (Some(wanted), Some(connector)) = (wanted, connector) else { return true };
    task.restart || task.config != *wanted || worker_keys_differ(&task.connector, connector)
}

/// Whether two configurations of a connector differ in what the worker itself reads for its tasks. A key that only
/// the plugin reads shows in the task's own configuration.
fn worker_keys_differ(a: &Config, b: &Config) -> bool {
    let one_way = |a: &Config, b: &Config| a.iter().any(|(key, value)| is_worker_key(key) && b.get(key) != Some(value));
    one_way(a, b) || one_way(b, a)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::{
        bus::BoxFuture,
        store::{
            ConfigState,
            record::{self, ConfigKey},
        },
        worker::Failure,
    };

    struct Fake;

    impl RunningConnector for Fake {
        fn version(&self) -> String {
            String::new()
        }
        fn task_class(&self) -> String {
            String::new()
        }
        fn task_configs(&self, _: usize) -> BoxFuture<'_, Result<Vec<Config>, Failure>> {
            Box::pin(async { Ok(Vec::new()) })
        }
        fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
            Box::pin(async {})
        }
    }

    fn config(pairs: &[(&str, &str)]) -> Config {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn wanted(connector: &Config, tasks: &[Config], target: TargetState) -> ConnectorEntry {
        let mut state = ConfigState::default();
        let mut put = |key: ConfigKey, value: bytes::Bytes| state.apply(&key.encode(), Some(&value));
        put(ConfigKey::Connector("c".into()), record::properties(connector));
        for (number, task) in tasks.iter().enumerate() {
            put(ConfigKey::Task("c".into(), number), record::properties(task));
        }
        put(ConfigKey::Commit("c".into()), record::commit(tasks.len()));
        put(ConfigKey::TargetState("c".into()), record::target_state(target));
        state.connector("c").unwrap().clone()
    }

    fn task(connector: &Config, config: &Config) -> TaskSlot {
        let (config, connector) = (config.clone(), connector.clone());
        TaskSlot { config, connector, running: None, paused: false, failed: false, restart: false }
    }

    fn running(connector: &Config, tasks: &[Config]) -> Slot {
        Slot {
            instance: Some(Instance { running: Box::new(Fake), config: connector.clone() }),
            tasks: tasks.iter().map(|config| task(connector, config)).enumerate().collect(),
            ..Slot::default()
        }
    }

    #[test]
    fn a_new_connector_starts_its_instance_then_its_tasks() {
        let connector = config(&[("name", "c")]);
        let tasks = [config(&[("t", "0")]), config(&[("t", "1")])];
        let entry = wanted(&connector, &tasks, TargetState::Started);
        assert_eq!(next_step(Some(&entry), &Slot::default()), Step::StartInstance);
        let mut slot = running(&connector, &[]);
        assert_eq!(next_step(Some(&entry), &slot), Step::StartTasks(vec![0, 1]));
        slot.tasks.insert(0, task(&connector, &tasks[0]));
        assert_eq!(next_step(Some(&entry), &slot), Step::StartTasks(vec![1]));
        assert_eq!(next_step(Some(&entry), &running(&connector, &tasks)), Step::Nothing);
    }

    #[test]
    fn an_update_restarts_the_instance_and_only_changed_tasks() {
        let old = config(&[("name", "c"), ("file", "a")]);
        let new = config(&[("name", "c"), ("file", "b")]);
        let tasks = [config(&[("t", "0")]), config(&[("t", "1")])];
        let entry = wanted(&new, &[tasks[0].clone(), config(&[("t", "changed")])], TargetState::Started);
        let mut slot = running(&old, &tasks);
        assert_eq!(next_step(Some(&entry), &slot), Step::StopInstance);
        slot.instance = None;
        assert_eq!(next_step(Some(&entry), &slot), Step::StartInstance);
        slot.instance = Some(Instance { running: Box::new(Fake), config: new.clone() });
        assert_eq!(next_step(Some(&entry), &slot), Step::StopTasks(vec![1]));
    }

    #[test]
    fn a_change_of_converters_restarts_all_tasks() {
        let old = config(&[("name", "c")]);
        let new = config(&[("name", "c"), ("value.converter.schemas.enable", "false")]);
        let tasks = [config(&[("t", "0")])];
        let mut slot = running(&old, &tasks);
        slot.instance = Some(Instance { running: Box::new(Fake), config: new.clone() });
        let entry = wanted(&new, &tasks, TargetState::Started);
        assert_eq!(next_step(Some(&entry), &slot), Step::StopTasks(vec![0]));
    }

    #[test]
    fn a_failed_start_is_not_tried_again_until_something_changes() {
        let connector = config(&[("name", "c")]);
        let entry = wanted(&connector, &[], TargetState::Started);
        let mut slot = Slot { failed: Some(connector.clone()), ..Slot::default() };
        assert_eq!(next_step(Some(&entry), &slot), Step::Nothing);
        slot.restart = true;
        assert_eq!(next_step(Some(&entry), &slot), Step::StartInstance);
        slot.restart = false;
        let changed = wanted(&config(&[("name", "c"), ("x", "y")]), &[], TargetState::Started);
        assert_eq!(next_step(Some(&changed), &slot), Step::StartInstance);
    }

    #[test]
    fn pause_keeps_tasks_and_ends_the_instance() {
        let connector = config(&[("name", "c")]);
        let tasks = [config(&[("t", "0")])];
        let entry = wanted(&connector, &tasks, TargetState::Paused);
        let mut slot = running(&connector, &tasks);
        assert_eq!(next_step(Some(&entry), &slot), Step::StopInstance);
        slot.instance = None;
        assert_eq!(next_step(Some(&entry), &slot), Step::SetPaused(vec![0], true));
        slot.tasks.get_mut(&0).unwrap().paused = true;
        assert_eq!(next_step(Some(&entry), &slot), Step::Nothing);
        let entry = wanted(&connector, &tasks, TargetState::Started);
        assert_eq!(next_step(Some(&entry), &slot), Step::StartInstance);
        slot.instance = Some(Instance { running: Box::new(Fake), config: connector.clone() });
        assert_eq!(next_step(Some(&entry), &slot), Step::SetPaused(vec![0], false));
    }

    #[test]
    fn an_instance_that_was_to_stop_is_made_anew_even_if_it_is_wanted_again() {
        let connector = config(&[("name", "c")]);
        let entry = wanted(&connector, &[], TargetState::Started);
        let mut slot = Slot { restart: true, ..running(&connector, &[]) };
        assert_eq!(next_step(Some(&entry), &slot), Step::StopInstance);
        slot.instance = None;
        assert_eq!(next_step(Some(&entry), &slot), Step::StartInstance);
    }

    #[test]
    fn work_is_divided_anew_while_the_connector_runs() {
        let connector = config(&[("name", "c")]);
        let tasks = [config(&[("t", "0")])];
        let mut slot = Slot { divide: true, ..running(&connector, &tasks) };
        let entry = wanted(&connector, &tasks, TargetState::Started);
        assert_eq!(next_step(Some(&entry), &slot), Step::Divide);
        slot.restart = true;
        assert_eq!(next_step(Some(&entry), &slot), Step::StopInstance, "a new instance divides anyway");
        slot.restart = false;
        let paused = wanted(&connector, &tasks, TargetState::Paused);
        assert_eq!(next_step(Some(&paused), &slot), Step::StopInstance);
        slot.divide = false;
        assert_eq!(next_step(Some(&entry), &slot), Step::Nothing);
    }

    #[test]
    fn stop_and_delete_end_everything() {
        let connector = config(&[("name", "c")]);
        let tasks = [config(&[("t", "0")])];
        let entry = wanted(&connector, &[], TargetState::Stopped);
        for (wanted, last) in [(Some(&entry), Step::Nothing), (None, Step::Forget)] {
            let mut slot = running(&connector, &tasks);
            assert_eq!(next_step(wanted, &slot), Step::StopInstance);
            slot.instance = None;
            assert_eq!(next_step(wanted, &slot), Step::StopTasks(vec![0]));
            slot.tasks.clear();
            assert_eq!(next_step(wanted, &slot), last);
        }
    }
}

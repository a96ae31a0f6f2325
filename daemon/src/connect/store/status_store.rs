//! The status topic: what connectors and tasks are doing, for this worker and whoever reads the topic.
//!
//! A status is in effect in memory at once, and a writer of its own brings it to the topic: only the last value of
//! each key, so that the backlog is bounded by the number of keys however slow the log is (invariant 9). Task threads
//! call in here, so nothing blocks.

use super::{
    status_state::{self, State, Status, StatusKey, StatusState, StatusValue},
    topic::InternalTopic,
};
use crate::connect::bus::{self, WriteRecord};
use levada_env::time::{self, Duration};
use parking_lot::{Mutex, RwLock};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};
use tokio::sync::Notify;

/// Statuses in one append.
const BATCH: usize = 256;

/// Waits between tries to write, the last one repeated.
const BACKOFF: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(10)];

/// The status topic with its replay.
pub struct StatusStore {
    topic: InternalTopic,
    worker_id: String,
    state: RwLock<StatusState>,
    generation: AtomicI64,
    backlog: Mutex<Backlog>,
    wake: Notify,
    drained: Notify,
}

/// Keys whose value the topic does not have yet. Pure state.
#[derive(Debug, Default)]
struct Backlog {
    dirty: BTreeSet<StatusKey>,
    /// Whether an append of keys that are not dirty any more is under way.
    writing: bool,
}

impl Backlog {
    /// Keys for the next append.
    fn take(&mut self) -> Vec<StatusKey> {
        let keys: Vec<StatusKey> = self.dirty.iter().take(BATCH).cloned().collect();
        for key in &keys {
            self.dirty.remove(key);
        }
        self.writing = !keys.is_empty();
        keys
    }

    /// The append of `keys` has ended.
    fn wrote(&mut self, keys: Vec<StatusKey>, well: bool) {
        self.writing = false;
        if !well {
            self.dirty.extend(keys);
        }
    }

    fn is_written(&self) -> bool {
        self.dirty.is_empty() && !self.writing
    }
}

impl StatusStore {
    /// Over `topic`; statuses carry `worker_id`.
    pub fn new(topic: InternalTopic, worker_id: String) -> Arc<Self> {
        Arc::new(Self {
            topic,
            worker_id,
            state: RwLock::default(),
            generation: AtomicI64::new(1),
            backlog: Mutex::default(),
            wake: Notify::new(),
            drained: Notify::new(),
        })
    }

    /// Reads the topic. This worker's generation is above all that were.
    pub async fn load(&self) -> bus::Result<()> {
        let mut loaded = StatusState::default();
        self.topic
            .load(|record| loaded.apply(record.key.as_deref().unwrap_or_default(), record.value.as_deref()))
            .await?;
        let newest = loaded.iter().filter_map(|(_, value)| match value {
            StatusValue::Status(status) => Some(status.generation),
            StatusValue::Topic { .. } => None,
        });
        self.generation.store(newest.max().unwrap_or_default().saturating_add(1), Ordering::Release);
        *self.state.write() = loaded;
        Ok(())
    }

    /// Sees the state.
    pub fn read<T>(&self, look: impl FnOnce(&StatusState) -> T) -> T {
        look(&self.state.read())
    }

    /// Sets a connector's or task's state.
    pub fn put(&self, key: StatusKey, state: State, trace: Option<String>, version: Option<String>) {
        self.update(key, |_| Some(self.status(state, trace, version)));
    }

    /// As [`StatusStore::put`], unless another worker of a newer generation has written since: its word counts
    /// (invariant 8).
    pub fn put_safe(&self, key: StatusKey, state: State, trace: Option<String>, version: Option<String>) {
        self.update(key, |known| (!self.is_newer(known)).then(|| self.status(state, trace, version)));
    }

    /// A task has ended in order: UNASSIGNED, but one that was stopped to be restarted shows RESTARTING until it runs
    /// again. As safe as [`StatusStore::put_safe`].
    pub fn ended(&self, key: StatusKey, version: Option<String>) {
        self.update(key, |known| {
            let restarting = matches!(known, Some(StatusValue::Status(known)) if known.state == State::Restarting);
            (!restarting && !self.is_newer(known)).then(|| self.status(State::Unassigned, None, version))
        });
    }

    /// Keeps version and trace of a status and changes its state; without effect when there is none.
    pub fn change(&self, key: StatusKey, to: State) {
        self.update(key, |known| match known {
            Some(StatusValue::Status(known)) => Some(self.status(to, known.trace.clone(), known.version.clone())),
            _ => None,
        });
    }

    /// Notes that a connector uses a topic.
    pub fn put_topic(&self, connector: &str, task: usize, topic: &str, now: i64) {
        let key = StatusKey::Topic { connector: connector.to_owned(), topic: topic.to_owned() };
        self.update(key, |known| known.is_none().then_some(StatusValue::Topic { task, discovered: now }));
    }

    /// Removes a status.
    pub fn remove(&self, key: StatusKey) {
        let mut all = self.state.write();
        all.remove(&key);
        self.mark(key);
    }

    /// Sees a key's value and sets it by one step: nobody writes in between, and whoever sees the new value finds it
    /// in the backlog too.
    fn update(&self, key: StatusKey, decide: impl FnOnce(Option<&StatusValue>) -> Option<StatusValue>) {
        let mut all = self.state.write();
        let Some(value) = decide(all.get(&key)) else { return };
        all.put(key.clone(), value);
        self.mark(key);
    }

    fn status(&self, state: State, trace: Option<String>, version: Option<String>) -> StatusValue {
        StatusValue::Status(Status {
            state,
            trace,
            worker_id: self.worker_id.clone(),
            generation: self.generation.load(Ordering::Acquire),
            version: version.filter(|version| !version.is_empty()),
        })
    }

    /// Whether another worker's newer word stands.
    fn is_newer(&self, known: Option<&StatusValue>) -> bool {
        let own = self.generation.load(Ordering::Acquire);
        matches!(known, Some(StatusValue::Status(known)) if known.worker_id != self.worker_id && known.generation > own)
    }

    /// Called with the state locked.
    fn mark(&self, key: StatusKey) {
        self.backlog.lock().dirty.insert(key);
        self.wake.notify_one();
    }

    /// Writes the backlog for ever; the herder runs it as a task of its own and drops it after a last
    /// [`StatusStore::flush`].
    pub async fn run_writer(self: Arc<Self>) {
        let mut failures = 0usize;
        loop {
            let keys = self.backlog.lock().take();
            if keys.is_empty() {
                self.drained.notify_waiters();
                self.wake.notified().await;
                continue;
            }
            let records = self.records(&keys);
            let outcome = self.topic.write(records).await;
            self.backlog.lock().wrote(keys, outcome.is_ok());
            match outcome {
                Ok(()) => failures = 0,
                Err(error) => {
                    tracing::warn!(topic = self.topic.name(), %error, "statuses could not be written, will try again");
                    let wait = BACKOFF.get(failures).or(BACKOFF.last()).copied().unwrap_or_default();
                    failures += 1;
                    time::sleep(wait).await;
                }
            }
        }
    }

    fn records(&self, keys: &[StatusKey]) -> Vec<WriteRecord> {
        let state = self.state.read();
        keys.iter()
            .map(|key| WriteRecord {
                partition: None,
                key: key.encode(),
                value: state.get(key).map(|value| status_state::encode(key, value)),
            })
            .collect()
    }

    /// Waits until everything is written.
    pub async fn flush(&self) {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            if self.backlog.lock().is_written() {
                return;
            }
            drained.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::{store::TopicSpec, testing::MemoryBus};
    use std::sync::atomic::AtomicBool;

    fn store() -> Arc<StatusStore> {
        let name = "connect-status".to_owned();
        let spec = TopicSpec { name, partitions: 1, replication_factor: 1, exact_partitions: false };
        StatusStore::new(InternalTopic::new(MemoryBus::new(), spec), "127.0.0.1:8083".to_owned())
    }

    #[test]
    fn what_could_not_be_written_is_never_taken_for_written() {
        let mut backlog = Backlog::default();
        backlog.dirty.insert(StatusKey::Connector("c".into()));
        let keys = backlog.take();
        assert!(!backlog.is_written(), "an append is under way");
        backlog.wrote(keys, false);
        assert!(!backlog.is_written());
        let keys = backlog.take();
        backlog.wrote(keys, true);
        assert!(backlog.is_written());
    }

    #[test]
    fn a_change_of_state_loses_no_trace_that_is_put_meanwhile() {
        let (store, done) = (store(), AtomicBool::new(false));
        let key = || StatusKey::Task("c".into(), 0);
        store.put(key(), State::Failed, None, None);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    store.change(key(), State::Restarting);
                }
            });
            for number in 0..20_000 {
                let trace = number.to_string();
                store.put(key(), State::Failed, Some(trace.clone()), None);
                let kept = store.read(|all| all.tasks("c").next().and_then(|(_, status)| status.trace.clone()));
                if kept.as_ref() != Some(&trace) {
                    done.store(true, Ordering::Release);
                    panic!("trace {trace} was put and {kept:?} is kept");
                }
            }
            done.store(true, Ordering::Release);
        });
    }

    #[test]
    fn a_task_that_ends_for_a_restart_goes_on_showing_it() {
        let store = store();
        let key = || StatusKey::Task("c".into(), 0);
        let state = || store.read(|all| all.tasks("c").next().map(|(_, status)| status.state));
        store.put(key(), State::Running, None, None);
        store.change(key(), State::Restarting);
        store.ended(key(), None);
        assert_eq!(state(), Some(State::Restarting));
        store.put(key(), State::Running, None, None);
        store.ended(key(), None);
        assert_eq!(state(), Some(State::Unassigned));
    }
}

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
use std::{collections::BTreeSet, sync::Arc};
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
    generation: RwLock<i64>,
    backlog: Mutex<Backlog>,
    wake: Notify,
    drained: Notify,
}

#[derive(Debug, Default)]
struct Backlog {
    dirty: BTreeSet<StatusKey>,
    writing: bool,
}

impl StatusStore {
    /// Over `topic`; statuses carry `worker_id`.
    pub fn new(topic: InternalTopic, worker_id: String) -> Arc<Self> {
        Arc::new(Self {
            topic,
            worker_id,
            state: RwLock::default(),
            generation: RwLock::new(1),
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
        *self.generation.write() = newest.max().unwrap_or_default().saturating_add(1);
        *self.state.write() = loaded;
        Ok(())
    }

    /// Sees the state.
    pub fn read<T>(&self, look: impl FnOnce(&StatusState) -> T) -> T {
        look(&self.state.read())
    }

    /// Sets a connector's or task's state.
    pub fn put(&self, key: StatusKey, state: State, trace: Option<String>, version: Option<String>) {
        let status = Status {
            state,
            trace,
            worker_id: self.worker_id.clone(),
            generation: *self.generation.read(),
            version: version.filter(|version| !version.is_empty()),
        };
        self.state.write().put(key.clone(), StatusValue::Status(status));
        self.mark(key);
    }

    /// As [`StatusStore::put`], unless another worker of a newer generation has written since: its word counts
    /// (invariant 8).
    pub fn put_safe(&self, key: StatusKey, state: State, trace: Option<String>, version: Option<String>) {
        let own = *self.generation.read();
        let newer = self.read(|all| match all.get(&key) {
            Some(StatusValue::Status(known)) => known.worker_id != self.worker_id && known.generation > own,
            _ => false,
        });
        if !newer {
            self.put(key, state, trace, version);
        }
    }

    /// Keeps version and trace of a status and changes its state; without effect when there is none.
    pub fn change(&self, key: StatusKey, to: State) {
        let known = self.read(|all| match all.get(&key) {
            Some(StatusValue::Status(known)) => Some((known.trace.clone(), known.version.clone())),
            _ => None,
        });
        if let Some((trace, version)) = known {
            self.put(key, to, trace, version);
        }
    }

    /// Notes that a connector uses a topic.
    pub fn put_topic(&self, connector: &str, task: usize, topic: &str, now: i64) {
        let key = StatusKey::Topic { connector: connector.to_owned(), topic: topic.to_owned() };
        if self.read(|all| all.get(&key).is_some()) {
            return;
        }
        self.state.write().put(key.clone(), StatusValue::Topic { task, discovered: now });
        self.mark(key);
    }

    /// Removes a status.
    pub fn remove(&self, key: StatusKey) {
        self.state.write().remove(&key);
        self.mark(key);
    }

    fn mark(&self, key: StatusKey) {
        self.backlog.lock().dirty.insert(key);
        self.wake.notify_one();
    }

    /// Writes the backlog for ever; the herder runs it as a task of its own and drops it after a last
    /// [`StatusStore::flush`].
    pub async fn run_writer(self: Arc<Self>) {
        let mut failures = 0usize;
        loop {
            let keys = self.take();
            if keys.is_empty() {
                self.drained.notify_waiters();
                self.wake.notified().await;
                continue;
            }
            let records = self.records(&keys);
            let outcome = self.topic.write(records).await;
            self.backlog.lock().writing = false;
            match outcome {
                Ok(()) => failures = 0,
                Err(error) => {
                    tracing::warn!(topic = self.topic.name(), %error, "statuses could not be written, will try again");
                    self.backlog.lock().dirty.extend(keys);
                    let wait = BACKOFF.get(failures).or(BACKOFF.last()).copied().unwrap_or_default();
                    failures += 1;
                    time::sleep(wait).await;
                }
            }
        }
    }

    fn take(&self) -> Vec<StatusKey> {
        let mut backlog = self.backlog.lock();
        let keys: Vec<StatusKey> = backlog.dirty.iter().take(BATCH).cloned().collect();
        for key in &keys {
            backlog.dirty.remove(key);
        }
        backlog.writing = !keys.is_empty();
        keys
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
            {
                let backlog = self.backlog.lock();
                if backlog.dirty.is_empty() && !backlog.writing {
                    return;
                }
            }
            drained.await;
        }
    }
}

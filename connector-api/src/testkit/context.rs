//! The runtime's side of a task, for tests.

use crate::{
    ConnectorError, Progress, Result, SignalTopic, SinkRecord, SinkTaskContext, SourceOffset, SourcePartition,
    SourceTaskContext, TaskSignal, TopicPartition,
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Committed source offsets; they outlive the tasks that made them.
#[derive(Clone, Debug, Default)]
pub struct Offsets(Arc<Mutex<BTreeMap<String, SourceOffset>>>);

impl Offsets {
    /// The committed offset of a partition.
    pub fn get(&self, partition: &SourcePartition) -> Option<SourceOffset> {
        lock(&self.0).get(&key(partition)).cloned()
    }

    /// Commits.
    pub fn set(&self, partition: &SourcePartition, offset: SourceOffset) {
        lock(&self.0).insert(key(partition), offset);
    }

    /// How many partitions have an offset.
    pub fn len(&self) -> usize {
        lock(&self.0).len()
    }

    /// Whether no partition has one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn key(partition: &SourcePartition) -> String {
    serde_json::Value::Object(partition.clone()).to_string()
}

#[derive(Debug, Default)]
struct Stop {
    asked: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    fn ask(&self) {
        *lock(&self.asked) = true;
        self.changed.notify_all();
    }

    fn wait(&self, most: Duration) -> bool {
        let asked = lock(&self.asked);
        let waited = self.changed.wait_timeout_while(asked, most, |asked| !*asked);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Context of a source task.
#[derive(Debug, Default)]
pub struct SourceContext {
    offsets: Offsets,
    stop: Stop,
    warnings: Mutex<Vec<String>>,
    progress: Mutex<Option<Progress>>,
    signals: Mutex<Vec<TaskSignal>>,
    accepted: Mutex<Option<SignalTopic>>,
}

impl SourceContext {
    /// Signals the task.
    pub fn signal(&self, signal: TaskSignal) {
        lock(&self.signals).push(signal);
    }

    /// The topic that the task takes signals of.
    pub fn signal_topic(&self) -> Option<SignalTopic> {
        lock(&self.accepted).clone()
    }

    /// How far the task last said it is.
    pub fn progress(&self) -> Option<Progress> {
        lock(&self.progress).clone()
    }

    /// Over committed offsets.
    pub fn new(offsets: Offsets) -> Arc<Self> {
        Arc::new(Self { offsets, ..Self::default() })
    }

    /// Asks the task to stop.
    pub fn cancel(&self) {
        self.stop.ask();
    }

    /// What the task told people.
    pub fn warnings(&self) -> Vec<String> {
        lock(&self.warnings).clone()
    }
}

impl SourceTaskContext for SourceContext {
    fn connector(&self) -> &'static str {
        "test"
    }

    fn task(&self) -> usize {
        0
    }

    fn offsets(&self, partitions: &[SourcePartition]) -> Result<Vec<Option<SourceOffset>>> {
        Ok(partitions.iter().map(|partition| self.offsets.get(partition)).collect())
    }

    fn cancelled(&self) -> bool {
        self.stop.wait(Duration::ZERO)
    }

    fn wait(&self, timeout: Duration) -> bool {
        self.stop.wait(timeout)
    }

    fn set_progress(&self, progress: Progress) {
        *lock(&self.progress) = Some(progress);
    }

    fn accept_signals(&self, topic: Option<&SignalTopic>) -> Result<()> {
        *lock(&self.accepted) = topic.cloned();
        Ok(())
    }

    fn take_signals(&self) -> Vec<TaskSignal> {
        std::mem::take(&mut lock(&self.signals))
    }

    fn warn(&self, text: &str) {
        lock(&self.warnings).push(text.to_owned());
    }
}

/// Context of a sink task.
#[derive(Debug, Default)]
pub struct SinkContext {
    stop: Stop,
    commits: AtomicUsize,
    warnings: Mutex<Vec<String>>,
    tolerant: AtomicBool,
    reported: Mutex<Vec<(SinkRecord, String)>>,
    lossy: AtomicBool,
    seeks: Mutex<Vec<(TopicPartition, i64)>>,
    progress: Mutex<Option<Progress>>,
}

impl SinkContext {
    /// From now on records that the task reports count as handled, as with `errors.tolerance=all`.
    pub fn tolerate_errors(&self) {
        self.tolerant.store(true, Ordering::SeqCst);
    }

    /// Records that the task reported and that count as handled, each with its error's text.
    pub fn reported(&self) -> Vec<(SinkRecord, String)> {
        lock(&self.reported).clone()
    }

    /// From now on, or no longer, the dead letter queue refuses what it was handed.
    pub fn lose_reports(&self, lose: bool) {
        self.lossy.store(lose, Ordering::SeqCst);
    }

    /// Where the task asked to read on, in order.
    pub fn seeks(&self) -> Vec<(TopicPartition, i64)> {
        lock(&self.seeks).clone()
    }

    /// How far the task last said it is.
    pub fn progress(&self) -> Option<Progress> {
        lock(&self.progress).clone()
    }

    /// Asks the task to stop.
    pub fn cancel(&self) {
        self.stop.ask();
    }

    /// How often the task asked for a commit.
    pub fn requested_commits(&self) -> usize {
        self.commits.load(Ordering::SeqCst)
    }

    /// What the task told people.
    pub fn warnings(&self) -> Vec<String> {
        lock(&self.warnings).clone()
    }
}

impl SinkTaskContext for SinkContext {
    fn connector(&self) -> &'static str {
        "test"
    }

    fn task(&self) -> usize {
        0
    }

    fn request_commit(&self) {
        self.commits.fetch_add(1, Ordering::SeqCst);
    }

    fn set_retry_backoff(&self, _backoff: Duration) {}

    fn report(&self, record: &SinkRecord, error: ConnectorError) -> Result<()> {
        if !self.tolerant.load(Ordering::SeqCst) {
            return Err(error);
        }
        lock(&self.reported).push((record.clone(), error.to_string()));
        Ok(())
    }

    fn flush_reports(&self) -> Result<()> {
        if self.lossy.load(Ordering::SeqCst) && !lock(&self.reported).is_empty() {
            return Err(ConnectorError::fatal("the dead letter queue refuses records"));
        }
        Ok(())
    }

    fn seek(&self, partition: &TopicPartition, offset: i64) -> Result<()> {
        lock(&self.seeks).push((partition.clone(), offset));
        Ok(())
    }

    fn set_progress(&self, progress: Progress) {
        *lock(&self.progress) = Some(progress);
    }

    fn cancelled(&self) -> bool {
        self.stop.wait(Duration::ZERO)
    }

    fn warn(&self, text: &str) {
        lock(&self.warnings).push(text.to_owned());
    }
}

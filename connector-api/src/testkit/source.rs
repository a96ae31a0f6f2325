//! Drives a source task.

use super::{Offsets, SourceContext};
use crate::{Checkpoint, Config, ConnectorContext, Result, SourceConnector, SourceRecord, SourceTask, Value};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a harness waits before it says that a task hangs. Not a measure: far above what is needed.
const HANG: Duration = Duration::from_secs(180);
/// The wait a poll is given.
const POLL: Duration = Duration::from_millis(20);

/// A started source task with its offsets.
pub struct SourceRun {
    /// The runtime's side.
    pub context: Arc<SourceContext>,
    /// The task.
    pub task: Box<dyn SourceTask>,
    /// What was polled since the last commit, in order.
    pub pending: Vec<Checkpoint>,
    offsets: Offsets,
}

impl SourceRun {
    /// Starts the connector and its first task.
    pub fn start(connector: &mut dyn SourceConnector, config: Config, offsets: &Offsets) -> Result<Self> {
        let mut runs = Self::start_all(connector, config, 1, offsets)?;
        assert!(!runs.is_empty(), "a connector has at least one task");
        Ok(runs.swap_remove(0))
    }

    /// Starts the connector and all of its tasks.
    pub fn start_all(
        connector: &mut dyn SourceConnector,
        config: Config,
        max_tasks: usize,
        offsets: &Offsets,
    ) -> Result<Vec<Self>> {
        connector.info().config_def.check(&config)?;
        connector.start(ConnectorContext::new("test"), config)?;
        let configs = connector.task_configs(max_tasks)?;
        assert!(configs.len() <= max_tasks, "no more tasks than allowed");
        configs.into_iter().map(|config| Self::start_task(connector.task(), config, offsets)).collect()
    }

    /// Starts a task.
    pub fn start_task(mut task: Box<dyn SourceTask>, config: Config, offsets: &Offsets) -> Result<Self> {
        let context = SourceContext::new(offsets.clone());
        task.start(Arc::clone(&context) as _, config)?;
        Ok(Self { context, task, offsets: offsets.clone(), pending: Vec::new() })
    }

    /// One poll. Checks what every batch must keep to.
    pub fn poll(&mut self) -> Result<Vec<SourceRecord>> {
        let batch = self.task.poll(POLL)?;
        let mut last = 0;
        for checkpoint in &batch.checkpoints {
            assert!(checkpoint.after >= last, "checkpoints are ordered by `after`");
            assert!(checkpoint.after <= batch.records.len(), "a checkpoint is about records of its own batch");
            last = checkpoint.after;
        }
        self.pending.extend(batch.checkpoints);
        Ok(batch.records)
    }

    /// Polls until there are `count` records; panics when there are more, or none for very long.
    pub fn take(&mut self, count: usize) -> Result<Vec<SourceRecord>> {
        let (mut records, mut since) = (Vec::new(), Instant::now());
        while records.len() < count {
            let more = self.poll()?;
            if !more.is_empty() {
                since = Instant::now();
            }
            records.extend(more);
            assert!(since.elapsed() < HANG, "{} of {count} records, then nothing: {records:?}", records.len());
        }
        assert_eq!(records.len(), count, "more records than expected: {records:?}");
        Ok(records)
    }

    /// The values of [`SourceRun::take`], as text.
    pub fn take_texts(&mut self, count: usize) -> Vec<String> {
        let records = self.take(count).unwrap_or_else(|error| panic!("poll failed: {error}"));
        records.iter().map(|record| text(&record.value)).collect()
    }

    /// Polls some times, for what should not bring records, and panics if it does.
    pub fn expect_nothing(&mut self) {
        for _ in 0..5 {
            let records = self.poll().unwrap_or_else(|error| panic!("poll failed: {error}"));
            assert!(records.is_empty(), "records where none should be: {records:?}");
        }
    }

    /// Polls until `done` says so; panics when it never does.
    pub fn poll_until(&mut self, mut done: impl FnMut(&Self) -> bool) -> Vec<SourceRecord> {
        let (mut records, since) = (Vec::new(), Instant::now());
        while !done(self) {
            records.extend(self.poll().unwrap_or_else(|error| panic!("poll failed: {error}")));
            assert!(since.elapsed() < HANG, "it never came");
        }
        records
    }

    /// Polls until it fails and gives the error's text.
    pub fn take_error(&mut self) -> crate::ConnectorError {
        let since = Instant::now();
        loop {
            match self.poll() {
                Err(error) => return error,
                Ok(_) => assert!(since.elapsed() < HANG, "no error came"),
            }
        }
    }

    /// Everything polled so far is acknowledged: its offsets are committed.
    pub fn commit(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        let committed: Vec<_> =
            pending.into_iter().map(|checkpoint| (checkpoint.partition, checkpoint.offset)).collect();
        for (partition, offset) in &committed {
            self.offsets.set(partition, offset.clone());
        }
        self.task.committed(&committed)
    }

    /// Stops in order, without a last commit.
    pub fn stop(mut self) {
        self.context.cancel();
        self.task.stop();
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_string(),
        other => format!("{other:?}"),
    }
}

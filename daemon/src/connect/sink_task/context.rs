//! What a sink task sees of the runtime.

use super::{dead_letters::Failed, record::SharedDeadLetters};
use crate::connect::{
    bus::ConsumedRecord,
    converter::Converter,
    task::{ErrorPolicy, FailedRecord, Shared, Stage, TaskFailure},
};
use bytes::Bytes;
use levada_connector_api::{ConnectorError, ErrorKind, Progress, Result, SinkRecord, SinkTaskContext, TopicPartition};
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// The context given to [`levada_connector_api::SinkTask::start`].
pub(super) struct Context {
    shared: Arc<Shared>,
    commit_requested: AtomicBool,
    /// Milliseconds; `u64::MAX` when the task has set none.
    retry_backoff_ms: AtomicU64,
    reports: Reports,
    /// Where the task wants to read on.
    seeks: Mutex<Vec<(TopicPartition, i64)>>,
}

/// What a reported record meets.
pub(super) struct Reports {
    pub(super) errors: ErrorPolicy,
    pub(super) dead_letters: SharedDeadLetters,
    pub(super) key_converter: Arc<dyn Converter>,
    pub(super) value_converter: Arc<dyn Converter>,
    /// Longest wait for the dead letter queue.
    pub(super) timeout: Duration,
}

/// The class that Connect names for records that a task reports.
const SINK_TASK: &str = "org.apache.kafka.connect.sink.SinkTask";

impl Context {
    pub(super) fn new(shared: Arc<Shared>, reports: Reports) -> Self {
        let (commit_requested, retry_backoff_ms) = (AtomicBool::new(false), AtomicU64::new(u64::MAX));
        Self { shared, commit_requested, retry_backoff_ms, reports, seeks: Mutex::default() }
    }

    /// The record as it was fetched; one that is not kept any more is converted back.
    fn original(&self, partition: &TopicPartition, record: &SinkRecord) -> Result<ConsumedRecord> {
        let kept =
            self.reports.dead_letters.lock().as_ref().and_then(|letters| letters.original(partition, record.offset));
        if let Some(kept) = kept {
            return Ok(kept);
        }
        let back = |converter: &dyn Converter, schema, value| {
            let mut scratch = Vec::new();
            let bytes = converter.from_connect(&record.topic, schema, value, &mut scratch)?;
            Ok::<_, ConnectorError>(bytes.map(Bytes::copy_from_slice))
        };
        Ok(ConsumedRecord {
            offset: record.offset,
            timestamp: record.timestamp,
            timestamp_type: record.timestamp_type,
            key: back(&*self.reports.key_converter, record.key_schema.as_ref(), &record.key)?,
            value: back(&*self.reports.value_converter, record.value_schema.as_ref(), &record.value)?,
            headers: Vec::new(),
        })
    }

    /// Takes the places where the task wants to read on.
    pub(super) fn take_seeks(&self) -> Vec<(TopicPartition, i64)> {
        std::mem::take(&mut self.seeks.lock())
    }

    /// Takes a request for a commit.
    pub(super) fn take_commit_request(&self) -> bool {
        self.commit_requested.swap(false, Ordering::AcqRel)
    }

    /// The wait that the task has set for its next retry, once.
    pub(super) fn take_retry_backoff(&self) -> Option<Duration> {
        match self.retry_backoff_ms.swap(u64::MAX, Ordering::AcqRel) {
            u64::MAX => None,
            millis => Some(Duration::from_millis(millis)),
        }
    }
}

impl SinkTaskContext for Context {
    fn connector(&self) -> &str {
        &self.shared.id.connector
    }

    fn task(&self) -> usize {
        self.shared.id.task
    }

    fn request_commit(&self) {
        self.commit_requested.store(true, Ordering::Release);
        self.shared.wake_bus();
    }

    fn set_retry_backoff(&self, backoff: Duration) {
        let millis = u64::try_from(backoff.as_millis()).unwrap_or(u64::MAX - 1).min(u64::MAX - 1);
        self.retry_backoff_ms.store(millis, Ordering::Release);
    }

    fn report(&self, record: &SinkRecord, error: ConnectorError) -> Result<()> {
        let (shared, topic) = (&*self.shared, record.original_topic());
        let place = format!("topic {topic}, partition {}, offset {}", record.partition, record.offset);
        let failed = FailedRecord { stage: Stage::TaskPut, class: SINK_TASK, place };
        let now = shared.runtime.clock.wall_ms();
        if !self.reports.errors.tolerates(&shared.id, &shared.metrics, &failed, &error, now) {
            // What is reported is bad for good, whatever the task calls it.
            let kind = if error.kind == ErrorKind::Retriable { ErrorKind::Data } else { error.kind };
            return Err(ConnectorError { kind, ..error });
        }
        if self.reports.dead_letters.lock().is_none() {
            return Ok(());
        }
        let partition = TopicPartition { topic: Arc::clone(topic), partition: record.partition };
        let original = self.original(&partition, record)?;
        let failed = Failed { stage: Stage::TaskPut, class: SINK_TASK, error: &error };
        match &mut *self.reports.dead_letters.lock() {
            Some(letters) => letters.report(shared, &partition, &original, &failed).map_err(unreported),
            None => Ok(()),
        }
    }

    fn flush_reports(&self) -> Result<()> {
        let shared = &*self.shared;
        let mut letters = self.reports.dead_letters.lock();
        let Some(letters) = &mut *letters else { return Ok(()) };
        letters.settle(shared, self.reports.timeout).map_err(unreported)?;
        // A task whose partitions are another's is told that they are settled when they are not.
        if letters.is_settled() { Ok(()) } else { Err(ConnectorError::cancelled()) }
    }

    fn seek(&self, partition: &TopicPartition, offset: i64) -> Result<()> {
        self.seeks.lock().push((partition.clone(), offset));
        Ok(())
    }

    fn set_progress(&self, progress: Progress) {
        self.shared.set_progress(progress);
    }

    fn cancelled(&self) -> bool {
        self.shared.stopping()
    }
}

fn unreported(failure: TaskFailure) -> ConnectorError {
    if failure.cancelled { ConnectorError::cancelled() } else { ConnectorError::fatal(failure.trace) }
}

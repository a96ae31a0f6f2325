//! Sinks: from topics to the outside world.

use crate::{Config, ConnectorContext, ConnectorError, ConnectorInfo, OffsetChange, Progress, Result, SinkRecord};
use std::{sync::Arc, time::Duration};

/// A topic partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
}

/// A committed position with the text that the sink stored beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Topic partition.
    pub partition: TopicPartition,
    /// The next offset to consume; `None` when nothing was committed.
    pub offset: Option<i64>,
    /// Metadata of the commit, at most 4096 bytes; empty when there is none.
    pub metadata: String,
}

/// A sink connector: checks configurations and divides the work. See [`crate::SourceConnector`] for the rules.
pub trait SinkConnector: Send + Sync {
    /// What it is.
    fn info(&self) -> ConnectorInfo;

    /// Starts with a configuration that its [`crate::ConfigDef`] has accepted.
    fn start(&mut self, context: ConnectorContext, config: Config) -> Result<()>;

    /// Task configurations, at most `max_tasks`.
    fn task_configs(&self, max_tasks: usize) -> Result<Vec<Config>>;

    /// A new, not yet started task.
    fn task(&self) -> Box<dyn SinkTask>;

    /// Checks a change of committed offsets, as [`crate::SourceConnector::alter_offsets`]. A sink that keeps offsets of its
    /// own changes them too; without any partition all of the connector's are to be forgotten.
    fn alter_offsets(&self, _config: &Config, _changes: &[OffsetChange]) -> Result<bool> {
        Ok(true)
    }

    /// Releases what `start` took.
    fn stop(&mut self) {}
}

/// What the runtime offers a sink task. Cheap to clone.
pub trait SinkTaskContext: Send + Sync {
    /// The connector's name.
    fn connector(&self) -> &str;

    /// The task's number.
    fn task(&self) -> usize;

    /// Asks for a `pre_commit` and commit soon instead of at the next interval.
    fn request_commit(&self);

    /// Sets the wait before a `put` that failed with a retriable error is tried again.
    fn set_retry_backoff(&self, backoff: Duration);

    /// True once the task shall stop; long calls check it.
    fn cancelled(&self) -> bool;

    /// Tells people something that they should see but that fails nothing. Never a secret (invariant 12).
    fn warn(&self, text: &str) {
        tracing::warn!(connector = self.connector(), task = self.task(), "{text}");
    }

    /// Hands a record that can't be written to the connector's error handling (Connect's errant record reporter). With
    /// `Ok` the record counts as handled, by `errors.tolerance=all`, and is in the dead letter queue where there is one:
    /// the task goes on without it. The error that comes back otherwise is for the task to return from `put`.
    fn report(&self, _record: &SinkRecord, error: ConnectorError) -> Result<()> {
        Err(error)
    }

    /// Waits until the records that were reported, and those that a converter or transform refused, are safe in the dead
    /// letter queue, where there is one. For a sink that keeps its offsets beside what it writes, to be called before it
    /// writes one that is past them: otherwise they are waited for before the group's offsets are committed. The error is
    /// for the task to return.
    fn flush_reports(&self) -> Result<()> {
        Ok(())
    }

    /// Reads on at `offset` in a partition that the call of `open` gives to the task, whatever its group has committed: for
    /// a sink that keeps its offsets beside what it writes. It takes effect when `open` returns.
    fn seek(&self, partition: &TopicPartition, offset: i64) -> Result<()> {
        Err(ConnectorError::fatal(format!(
            "this runtime can't read partition {}-{} from offset {offset}; set that offset by PATCH \
             /connectors/{}/offsets while the connector is stopped",
            partition.topic,
            partition.partition,
            self.connector()
        )))
    }

    /// Tells how far the task has come; the last word stands until the next. Cheap enough for once a second, not for each
    /// record.
    fn set_progress(&self, _progress: Progress) {}
}

/// Writes the records of the partitions it is given. Lives on a thread of its own.
pub trait SinkTask: Send {
    /// Called once, first.
    fn start(&mut self, context: Arc<dyn SinkTaskContext>, config: Config) -> Result<()>;

    /// Partitions that now belong to the task, each with what it committed last (offset and
    /// metadata), so that a sink can be exactly-once by keeping state beside its offset. `owned` is
    /// every partition the task holds after this call.
    fn open(&mut self, _added: &[Committed], _owned: &[TopicPartition]) -> Result<()> {
        Ok(())
    }

    /// Takes records in order. They may be buffered; nothing is durable before `pre_commit` says so.
    /// The same records come again after a retriable error.
    fn put(&mut self, records: &[SinkRecord]) -> Result<()>;

    /// Makes durable what was put and says what to commit: for each partition in `consumed` (the
    /// next offset after the last `put`) at most that offset, with metadata. Leaving a partition out
    /// commits nothing for it; an owned partition that is not in `consumed` may be given with the
    /// offset it has committed already, to store other metadata beside it. All entries are committed by one request.
    fn pre_commit(&mut self, consumed: &[(TopicPartition, i64)]) -> Result<Vec<(TopicPartition, i64, String)>>;

    /// Tells that the last `pre_commit`'s answer is committed.
    fn committed(&mut self) -> Result<()> {
        Ok(())
    }

    /// Partitions taken away, after a last `pre_commit`. With `lost` they already belong to another
    /// owner and nothing may be written for them any more.
    fn close(&mut self, _partitions: &[TopicPartition], _lost: bool) -> Result<()> {
        Ok(())
    }

    /// Called once, last; also after a failed call.
    fn stop(&mut self) {}

    /// What it is, for statuses and logs.
    fn version(&self) -> String {
        String::new()
    }
}

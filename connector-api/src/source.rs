//! Sources: from the outside world into topics.

use crate::{
    Config, ConnectorContext, ConnectorError, ConnectorInfo, ExactlyOnceSupport, OffsetChange, Progress, Result,
    SourceOffset, SourcePartition, SourceRecord,
};
use std::{sync::Arc, time::Duration};

/// A source connector: checks configurations and divides the work.
///
/// One value serves one configured connector. No call may block for long; the runtime gives each a
/// deadline and fails the connector when it passes.
pub trait SourceConnector: Send + Sync {
    /// What it is.
    fn info(&self) -> ConnectorInfo;

    /// Starts with a configuration that its [`crate::ConfigDef`] has accepted.
    fn start(&mut self, context: ConnectorContext, config: Config) -> Result<()>;

    /// Task configurations, at most `max_tasks`.
    fn task_configs(&self, max_tasks: usize) -> Result<Vec<Config>>;

    /// A new, not yet started task.
    fn task(&self) -> Box<dyn SourceTask>;

    /// Whether exactly-once works with this configuration.
    fn exactly_once_support(&self, _config: &Config) -> ExactlyOnceSupport {
        ExactlyOnceSupport::Unsupported
    }

    /// Checks a change of stored offsets; `Ok(true)` when the connector vouches for it, `Ok(false)`
    /// when it has no opinion, an error when it refuses.
    fn alter_offsets(&self, _config: &Config, _changes: &[OffsetChange]) -> Result<bool> {
        Ok(false)
    }

    /// Releases what `start` took.
    fn stop(&mut self) {}
}

/// A poll's records and the offsets that become true once they are acknowledged.
///
/// Invariant 7: the offset of a [`Checkpoint`] is committed only after the records before it, in this
/// batch and in all earlier ones, have been acknowledged by the log: all of them, or those of its own
/// source partition, as its [`Reach`] says.
#[derive(Debug, Default)]
pub struct SourceBatch {
    /// Records in order.
    pub records: Vec<SourceRecord>,
    /// Offsets, ordered by `after`.
    pub checkpoints: Vec<Checkpoint>,
}

/// "The first `after` records of this batch bring `partition` to `offset`".
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// How many records of the batch stand before it; may be 0 or all of them.
    pub after: usize,
    /// Source partition.
    pub partition: Arc<SourcePartition>,
    /// Source offset.
    pub offset: SourceOffset,
    /// Which records before it the offset stands for.
    pub reach: Reach,
}

impl Checkpoint {
    /// One that waits for all records before it.
    pub fn new(after: usize, partition: Arc<SourcePartition>, offset: SourceOffset) -> Self {
        Self { after, partition, offset, reach: Reach::All }
    }

    /// The same, but it waits for records of its own partition only: see what [`Reach::Partition`] asks of the task.
    #[must_use]
    pub fn of_its_partition(self) -> Self {
        Self { reach: Reach::Partition, ..self }
    }
}

/// Which records a [`Checkpoint`]'s offset waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// All that were handed over before it. Always right.
    #[default]
    All,
    /// Only records of its own source partition, so that a topic partition which is stuck holds back no other
    /// source partition. The task vouches that all records between the checkpoint before this one, of whatever
    /// partition, and this one belong to this one's partition, and that the offset says nothing of other partitions'
    /// records.
    Partition,
}

/// What the runtime offers a source task. Cheap to clone.
pub trait SourceTaskContext: Send + Sync {
    /// The connector's name.
    fn connector(&self) -> &str;

    /// The task's number.
    fn task(&self) -> usize;

    /// The committed offset of each partition, in order; `None` where there is none.
    fn offsets(&self, partitions: &[SourcePartition]) -> Result<Vec<Option<SourceOffset>>>;

    /// True once the task shall stop; a `poll` that waits checks it at least each 100 ms, or waits on
    /// [`SourceTaskContext::wait`].
    fn cancelled(&self) -> bool;

    /// Sleeps up to `timeout` and returns early when the task shall stop, and then with `true`. It may return early for
    /// other reasons.
    fn wait(&self, timeout: Duration) -> bool;

    /// Ends a running [`SourceTaskContext::wait`], or the next one, early: for a task that waits for something outside of
    /// the process, which can so sleep for as long as a poll may. Where there is none a task wakes by itself.
    fn waker(&self) -> Option<Arc<dyn Fn() + Send + Sync>> {
        None
    }

    /// Tells people something that they should see but that fails nothing. Never a secret (invariant 12).
    fn warn(&self, text: &str) {
        tracing::warn!(connector = self.connector(), task = self.task(), "{text}");
    }

    /// Tells how far the task has come; the last word stands until the next. Cheap enough for once a second, not for each
    /// record.
    fn set_progress(&self, _progress: Progress) {}

    /// Says that the task takes signals from now on, asking for them by [`SourceTaskContext::take_signals`]: those of the
    /// worker's REST interface, and those of a topic where it is given. An error where the runtime has none.
    fn accept_signals(&self, _topic: Option<&SignalTopic>) -> Result<()> {
        Err(ConnectorError::fatal("this runtime hands over no signals"))
    }

    /// Gives the runtime a way to say at once that a signal can't be followed, to who asks for it by the REST interface. It
    /// must not block; what it lets pass may still be refused later.
    fn check_signals(&self, _check: SignalCheck) {}

    /// The signals that came since the last call, in order.
    fn take_signals(&self) -> Vec<TaskSignal> {
        Vec::new()
    }
}

/// A topic whose records are signals for a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignalTopic {
    /// Topic.
    pub topic: String,
    /// Key that its records must have; others are for other tasks.
    pub key: String,
    /// For each partition the offset of the first record that counts. Of partitions that are not named, what comes from
    /// now on counts; a signal without a text tells where that is.
    pub from: Vec<(i32, i64)>,
}

/// Tells why a signal can't be followed.
pub type SignalCheck = Arc<dyn Fn(&TaskSignal) -> Result<()> + Send + Sync>;

/// Something that a running task is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskSignal {
    /// Its name, for logs.
    pub id: String,
    /// What it asks for: JSON, `{"type": ..., "data": {...}}`; empty when it only tells a position.
    pub text: String,
    /// Of a topic's record: its partition and the offset of the next one. The task keeps it with its source offset and
    /// gives it back by [`SignalTopic::from`].
    pub next: Option<(i32, i64)>,
}

/// Moves records of one task configuration. Lives on a thread of its own.
pub trait SourceTask: Send {
    /// Called once, first.
    fn start(&mut self, context: Arc<dyn SourceTaskContext>, config: Config) -> Result<()>;

    /// The next records. Waits for some, but no longer than about `max_wait`; an empty batch says
    /// there are none yet. `max_wait` is a hint that keeps pause, stop and offset commits prompt.
    fn poll(&mut self, max_wait: Duration) -> Result<SourceBatch>;

    /// Tells which offsets are now committed in the offsets topic.
    fn committed(&mut self, _offsets: &[(Arc<SourcePartition>, SourceOffset)]) -> Result<()> {
        Ok(())
    }

    /// Called once, last; also after a failed call.
    fn stop(&mut self) {}

    /// What it is, for statuses and logs.
    fn version(&self) -> String {
        String::new()
    }
}

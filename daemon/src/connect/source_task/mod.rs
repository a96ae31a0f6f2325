//! Source tasks: `poll -> transforms -> convert -> append -> acks in order -> commit offsets`.
//!
//! Called by the herder through [`SourceTaskSpec::spawn`]. One named thread for each task; waits
//! for the log run on the worker's runtime. Offsets are committed only up to the longest
//! acknowledged prefix of their source partition's records (invariant 7).

mod commit;
mod context;
mod options;
mod record;
mod runner;
mod signals;
mod topics;

pub use options::{SourceTaskOptions, TopicCreation, TopicCreationRule};

use crate::connect::{
    bus::{self, BoxFuture, OwnerToken},
    converter::{Converter, HeaderConverter},
    task::{StartError, TargetState, TaskHandle, TaskId, TaskRuntime},
    transform::Transform,
};
use levada_connector_api::{Config, SourceOffset, SourcePartition, SourceRecord, SourceTask};
use std::sync::Arc;

/// Where source offsets are kept: the worker's offsets topic, whose records have the JSON array
/// `["NAME",{partition}]` as key. Implemented by the herder's offset store.
pub trait OffsetStore: Send + Sync {
    /// The committed offset of each partition of `connector`, in order.
    fn read<'a>(
        &'a self,
        connector: &'a str,
        partitions: &'a [SourcePartition],
    ) -> BoxFuture<'a, bus::Result<Vec<Option<SourceOffset>>>>;

    /// Commits offsets; done when the log has acknowledged them. Refuses, before it appends
    /// anything, when `owner` is revoked (invariant 8).
    fn write<'a>(
        &'a self,
        connector: &'a str,
        offsets: &'a [(Arc<SourcePartition>, SourceOffset)],
        owner: &'a OwnerToken,
    ) -> BoxFuture<'a, bus::Result<()>>;
}

/// Everything that makes a source task.
pub struct SourceTaskSpec {
    /// Which task.
    pub id: TaskId,
    /// The task's configuration, handed to it as it is.
    pub config: Config,
    /// What the runner itself reads from the connector's and the worker's configuration.
    pub options: SourceTaskOptions,
    /// Converter of keys.
    pub key_converter: Arc<dyn Converter>,
    /// Converter of values.
    pub value_converter: Arc<dyn Converter>,
    /// Converter of headers.
    pub header_converter: Arc<dyn HeaderConverter>,
    /// Transforms, first to last.
    pub transforms: Vec<Box<dyn Transform<SourceRecord>>>,
    /// Where offsets are kept.
    pub offsets: Arc<dyn OffsetStore>,
}

impl SourceTaskSpec {
    /// Starts the task on a thread of its own. The answer comes at once; whether the task's own
    /// start works is told to the status listener.
    pub fn spawn(
        self,
        runtime: TaskRuntime,
        task: Box<dyn SourceTask>,
        target: TargetState,
    ) -> Result<TaskHandle, StartError> {
        runner::spawn(self, runtime, task, target)
    }
}

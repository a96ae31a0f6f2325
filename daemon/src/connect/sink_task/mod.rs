//! Sink tasks: `fetch -> convert -> transforms -> put -> pre_commit -> commit`.
//!
//! Called by the herder through [`SinkTaskSpec::spawn`]. One named thread for each task; the task is
//! a member of the consumer group `connect-NAME`, whose heartbeats go on in the background. An
//! offset is committed only after the task said it is durable (invariant 7).

mod commit;
mod context;
mod dead_letters;
mod offsets;
mod options;
mod record;
mod runner;

pub use options::{DeadLetterOptions, SinkTaskOptions};

use crate::connect::{
    converter::{Converter, HeaderConverter},
    task::{StartError, TargetState, TaskHandle, TaskId, TaskRuntime},
    transform::Transform,
};
use levada_connector_api::{Config, SinkRecord, SinkTask};
use std::sync::Arc;

/// Everything that makes a sink task.
pub struct SinkTaskSpec {
    /// Which task.
    pub id: TaskId,
    /// The task's configuration, handed to it as it is.
    pub config: Config,
    /// What the runner itself reads from the connector's and the worker's configuration.
    pub options: SinkTaskOptions,
    /// Converter of keys.
    pub key_converter: Arc<dyn Converter>,
    /// Converter of values.
    pub value_converter: Arc<dyn Converter>,
    /// Converter of headers.
    pub header_converter: Arc<dyn HeaderConverter>,
    /// Transforms, first to last.
    pub transforms: Vec<Box<dyn Transform<SinkRecord>>>,
}

impl SinkTaskSpec {
    /// Starts the task on a thread of its own. The answer comes at once; whether the task's own
    /// start works is told to the status listener.
    pub fn spawn(
        self,
        runtime: TaskRuntime,
        task: Box<dyn SinkTask>,
        target: TargetState,
    ) -> Result<TaskHandle, StartError> {
        runner::spawn(self, runtime, task, target)
    }
}

//! A source task of a library behind [`SourceTask`].

use super::{
    call::{Instance, call, missing},
    context,
};
use crate::{
    Config, Result, SourceBatch, SourceOffset, SourcePartition, SourceTask, SourceTaskContext,
    abi::{
        batch, json,
        layout::{self, Slice},
    },
};
use std::{sync::Arc, time::Duration};

/// One task.
pub struct HostSourceTask {
    table: &'static layout::SourceTask,
    instance: Instance,
}

impl HostSourceTask {
    /// A task that the library made.
    pub fn new(table: &'static layout::SourceTask, instance: Instance) -> Self {
        Self { table, instance }
    }
}

impl SourceTask for HostSourceTask {
    fn start(&mut self, context: Arc<dyn SourceTaskContext>, config: Config) -> Result<()> {
        let start = self.table.start.ok_or_else(|| missing("start"))?;
        let config = json::bytes(&json::of_config(&config));
        let context = context::source(context);
        // SAFETY: the instance is of this table, the configuration outlives the call, the context is the task's now.
        unsafe { call(|out| start(self.instance.0, context, Slice::of(&config), out)) }.map(drop)
    }

    fn poll(&mut self, max_wait: Duration) -> Result<SourceBatch> {
        let poll = self.table.poll.ok_or_else(|| missing("poll"))?;
        let max_wait = u64::try_from(max_wait.as_millis()).unwrap_or(u64::MAX);
        // SAFETY: the instance is of this table.
        let answer = unsafe { call(|out| poll(self.instance.0, max_wait, out)) }?;
        batch::read_source(answer.into_bytes())
    }

    fn committed(&mut self, offsets: &[(Arc<SourcePartition>, SourceOffset)]) -> Result<()> {
        let Some(committed) = self.table.committed else { return Ok(()) };
        let offsets = offsets.iter().map(|(partition, offset)| (&**partition, Some(offset)));
        let offsets = json::bytes(&json::of_offsets(offsets));
        // SAFETY: the instance is of this table, and the offsets outlive the call.
        unsafe { call(|out| committed(self.instance.0, Slice::of(&offsets), out)) }.map(drop)
    }

    fn stop(&mut self) {
        let Some(stop) = self.table.stop else { return };
        // SAFETY: the instance is of this table.
        if let Err(error) = unsafe { call(|out| stop(self.instance.0, out)) } {
            tracing::warn!(%error, "source task did not stop in order");
        }
    }

    fn version(&self) -> String {
        let Some(version) = self.table.version else { return String::new() };
        // SAFETY: the instance is of this table.
        let answer = unsafe { call(|out| version(self.instance.0, out)) };
        answer.map(|text| String::from_utf8_lossy(text.as_ref()).into_owned()).unwrap_or_default()
    }
}

impl Drop for HostSourceTask {
    fn drop(&mut self) {
        if let Some(release) = self.table.release {
            // SAFETY: the instance is of this table, and this is its last call.
            unsafe { release(self.instance.0) }
        }
    }
}

//! A sink task of a library behind [`SinkTask`].

use super::{
    call::{Instance, call, missing},
    context,
};
use crate::{
    Committed, Config, Result, SinkRecord, SinkTask, SinkTaskContext, TopicPartition,
    abi::{
        batch, json,
        layout::{self, Buffer, Slice},
    },
};
use std::sync::Arc;

/// One task.
pub struct HostSinkTask {
    table: &'static layout::SinkTask,
    instance: Instance,
}

impl HostSinkTask {
    /// A task that the library made.
    pub fn new(table: &'static layout::SinkTask, instance: Instance) -> Self {
        Self { table, instance }
    }
}

impl SinkTask for HostSinkTask {
    fn start(&mut self, context: Arc<dyn SinkTaskContext>, config: Config) -> Result<()> {
        let start = self.table.start.ok_or_else(|| missing("start"))?;
        let config = json::bytes(&json::of_config(&config));
        let context = context::sink(context);
        // SAFETY: the instance is of this table, the configuration outlives the call, the context is the task's now.
        unsafe { call(|out| start(self.instance.0, context, Slice::of(&config), out)) }.map(drop)
    }

    fn open(&mut self, added: &[Committed], owned: &[TopicPartition]) -> Result<()> {
        let Some(open) = self.table.open else { return Ok(()) };
        let partitions = json::bytes(&json::of_open(added, owned));
        // SAFETY: the instance is of this table, and the partitions outlive the call.
        unsafe { call(|out| open(self.instance.0, Slice::of(&partitions), out)) }.map(drop)
    }

    fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        let put = self.table.put.ok_or_else(|| missing("put"))?;
        let mut batch = Buffer::of(batch::write_sink(records)?);
        // SAFETY: the instance is of this table, and the batch is a buffer that the library may take over.
        let answer = unsafe { call(|out| put(self.instance.0, &raw mut batch, out)) };
        // SAFETY: what is left is our own buffer, or zeros.
        drop(unsafe { batch.take() });
        answer.map(drop)
    }

    fn pre_commit(&mut self, consumed: &[(TopicPartition, i64)]) -> Result<Vec<(TopicPartition, i64, String)>> {
        let pre_commit = self.table.pre_commit.ok_or_else(|| missing("pre_commit"))?;
        let consumed = json::bytes(&json::of_positions(consumed.iter().map(|(at, offset)| (at, *offset, ""))));
        // SAFETY: the instance is of this table, and the positions outlive the call.
        let answer = unsafe { call(|out| pre_commit(self.instance.0, Slice::of(&consumed), out)) }?;
        if answer.as_ref().is_empty() {
            return Ok(Vec::new());
        }
        json::to_positions(&json::parse(answer.as_ref(), "positions")?)
    }

    fn committed(&mut self) -> Result<()> {
        let Some(committed) = self.table.committed else { return Ok(()) };
        // SAFETY: the instance is of this table.
        unsafe { call(|out| committed(self.instance.0, out)) }.map(drop)
    }

    fn close(&mut self, partitions: &[TopicPartition], lost: bool) -> Result<()> {
        let Some(close) = self.table.close else { return Ok(()) };
        let partitions = json::bytes(&json::of_topic_partitions(partitions));
        // SAFETY: the instance is of this table, and the partitions outlive the call.
        unsafe { call(|out| close(self.instance.0, Slice::of(&partitions), i32::from(lost), out)) }.map(drop)
    }

    fn stop(&mut self) {
        let Some(stop) = self.table.stop else { return };
        // SAFETY: the instance is of this table.
        if let Err(error) = unsafe { call(|out| stop(self.instance.0, out)) } {
            tracing::warn!(%error, "sink task did not stop in order");
        }
    }

    fn version(&self) -> String {
        let Some(version) = self.table.version else { return String::new() };
        // SAFETY: the instance is of this table.
        let answer = unsafe { call(|out| version(self.instance.0, out)) };
        answer.map(|text| String::from_utf8_lossy(text.as_ref()).into_owned()).unwrap_or_default()
    }
}

impl Drop for HostSinkTask {
    fn drop(&mut self) {
        if let Some(release) = self.table.release {
            // SAFETY: the instance is of this table, and this is its last call.
            unsafe { release(self.instance.0) }
        }
    }
}

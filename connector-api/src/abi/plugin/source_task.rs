//! Table of source tasks. Each shim is called with what the table documents: that is its safety contract.

use super::task::{self, task};
use crate::{
    SourceTask,
    abi::{
        batch,
        guard::guard,
        json,
        layout::{self, Buffer, Handle, Slice, Status},
    },
};
use std::{sync::Arc, time::Duration};

type Task = dyn SourceTask;

/// The one table of all source tasks.
pub static TABLE: layout::SourceTask = layout::SourceTask {
    struct_size: size_of::<layout::SourceTask>() as u32,
    reserved: 0,
    start: Some(task::start::<Task>),
    poll: Some(poll),
    committed: Some(committed),
    stop: Some(task::stop::<Task>),
    version: Some(task::version::<Task>),
    release: Some(task::release::<Task>),
};

unsafe extern "C" fn poll(handle: Handle, max_wait_ms: u64, out: *mut Buffer) -> Status {
    let body = || {
        // SAFETY: the handle is one of ours.
        let batch = unsafe { task::<Task>(handle)? }.poll(Duration::from_millis(max_wait_ms))?;
        if batch.records.is_empty() && batch.checkpoints.is_empty() {
            return Ok(Vec::new());
        }
        batch::write_source(&batch)
    };
    // SAFETY: `out` is the caller's place for the answer.
    unsafe { guard(out, body) }
}

unsafe extern "C" fn committed(handle: Handle, offsets: Slice, out: *mut Buffer) -> Status {
    let body = || {
        // SAFETY: the handle is one of ours, the slice lives as long as this call.
        let (task, offsets) = unsafe { (task::<Task>(handle)?, offsets.bytes()) };
        let offsets: Vec<_> = json::to_offsets(json::parse(offsets, "offsets")?)?
            .into_iter()
            .filter_map(|(partition, offset)| Some((Arc::new(partition), offset?)))
            .collect();
        task.committed(&offsets)?;
        Ok(Vec::new())
    };
    // SAFETY: `out` is the caller's place for the answer.
    unsafe { guard(out, body) }
}

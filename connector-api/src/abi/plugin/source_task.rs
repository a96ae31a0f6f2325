//! Table of source tasks. Each shim is called with what the table documents: that is its safety contract.

use super::context::SourceContext;
use crate::{
    ConnectorError, Result, SourceTask,
    abi::{
        batch,
        guard::guard,
        json,
        layout::{self, Buffer, Handle, Slice, Status},
    },
};
use std::{ptr, sync::Arc, time::Duration};

type Task = Box<dyn SourceTask>;

/// The one table of all source tasks.
pub static TABLE: layout::SourceTask = layout::SourceTask {
    struct_size: size_of::<layout::SourceTask>() as u32,
    reserved: 0,
    start: Some(start),
    poll: Some(poll),
    committed: Some(committed),
    stop: Some(stop),
    version: Some(version),
    release: Some(release),
};

/// Hands a task out.
pub fn into_handle(task: Task) -> Handle {
    Box::into_raw(Box::new(task)).cast()
}

/// # Safety
/// `handle` is null or comes from [`into_handle`], was not released, and no other call is going on.
unsafe fn task<'a>(handle: Handle) -> Result<&'a mut Task> {
    // SAFETY: by contract.
    unsafe { handle.cast::<Task>().as_mut() }.ok_or_else(|| ConnectorError::fatal("the task's handle is null"))
}

unsafe extern "C" fn start(
    handle: Handle,
    context: *const layout::SourceContext,
    config: Slice,
    out: *mut Buffer,
) -> Status {
    let body = || {
        // SAFETY: the context now belongs to the task, the slice lives as long as this call.
        let (context, config) = unsafe { (SourceContext::take(context)?, config.bytes()) };
        let config = json::to_config(json::parse(config, "a configuration")?)?;
        // SAFETY: the handle is one of ours.
        unsafe { task(handle)? }.start(Arc::new(context), config)?;
        Ok(Vec::new())
    };
    // SAFETY: `out` is the caller's place for the answer.
    unsafe { guard(out, body) }
}

unsafe extern "C" fn poll(handle: Handle, max_wait_ms: u64, out: *mut Buffer) -> Status {
    let body = || {
        // SAFETY: the handle is one of ours.
        let batch = unsafe { task(handle)? }.poll(Duration::from_millis(max_wait_ms))?;
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
        let (task, offsets) = unsafe { (task(handle)?, offsets.bytes()) };
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

unsafe extern "C" fn stop(handle: Handle, out: *mut Buffer) -> Status {
    let body = || {
        // SAFETY: the handle is one of ours.
        unsafe { task(handle)? }.stop();
        Ok(Vec::new())
    };
    // SAFETY: `out` is the caller's place for the answer.
    unsafe { guard(out, body) }
}

unsafe extern "C" fn version(handle: Handle, out: *mut Buffer) -> Status {
    // SAFETY: the handle is one of ours, `out` is the caller's place for the answer.
    unsafe { guard(out, || Ok(task(handle)?.version().into_bytes())) }
}

unsafe extern "C" fn release(handle: Handle) {
    let body = || {
        if !handle.is_null() {
            // SAFETY: made by `into_handle`, released once, no call is going on.
            drop(unsafe { Box::from_raw(handle.cast::<Task>()) });
        }
        Ok(Vec::new())
    };
    // SAFETY: no place for an answer is given.
    unsafe { guard(ptr::null_mut(), body) };
}

//! Table of sink tasks. Each shim is called with what the table documents: that is its safety contract.

use super::context::SinkContext;
use crate::{
    ConnectorError, Result, SinkTask,
    abi::{
        batch,
        guard::guard,
        json,
        layout::{self, Buffer, Handle, Slice, Status},
    },
};
use std::{ptr, sync::Arc};

type Task = Box<dyn SinkTask>;

/// The one table of all sink tasks.
pub static TABLE: layout::SinkTask = layout::SinkTask {
    struct_size: size_of::<layout::SinkTask>() as u32,
    reserved: 0,
    start: Some(start),
    open: Some(open),
    put: Some(put),
    pre_commit: Some(pre_commit),
    committed: Some(committed),
    close: Some(close),
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
    context: *const layout::SinkContext,
    config: Slice,
    out: *mut Buffer,
) -> Status {
    let body = || {
        // SAFETY: the context now belongs to the task, the slice lives as long as this call.
        let (context, config) = unsafe { (SinkContext::take(context)?, config.bytes()) };
        let config = json::to_config(json::parse(config, "a configuration")?)?;
        // SAFETY: the handle is one of ours.
        unsafe { task(handle)? }.start(Arc::new(context), config)?;
        Ok(Vec::new())
    };
    // SAFETY: `out` is the caller's place for the answer.
    unsafe { guard(out, body) }
}

unsafe extern "C" fn open(handle: Handle, partitions: Slice, out: *mut Buffer) -> Status {
    let body = || {
        // SAFETY: the handle is one of ours, the slice lives as long as this call.
        let (task, partitions) = unsafe { (task(handle)?, partitions.bytes()) };
        let (added, owned) = json::to_open(&json::parse(partitions, "partitions")?)?;
        task.open(&added, &owned)?;
        Ok(Vec::new())
    };
    // SAFETY: `out` is the caller's place for the answer.
    unsafe { guard(out, body) }
}

unsafe extern "C" fn put(handle: Handle, batch: *mut Buffer, out: *mut Buffer) -> Status {
    let body = || {
        // SAFETY: the handle is one of ours; the batch is a filled buffer that may be kept.
        let (task, bytes) = unsafe {
            let batch = batch.as_mut().ok_or_else(|| ConnectorError::fatal("the batch is null"))?;
            (task(handle)?, batch.take().into_bytes())
        };
        task.put(&batch::read_sink(bytes)?)?;
        Ok(Vec::new())
    };
    // SAFETY: `out` is the caller's place for the answer.
    unsafe { guard(out, body) }
}

unsafe extern "C" fn pre_commit(handle: Handle, consumed: Slice, out: *mut Buffer) -> Status {
    let body = || {
        // SAFETY: the handle is one of ours, the slice lives as long as this call.
        let (task, consumed) = unsafe { (task(handle)?, consumed.bytes()) };
        let consumed = json::to_positions(&json::parse(consumed, "positions")?)?;
        let consumed: Vec<_> = consumed.into_iter().map(|(at, offset, _)| (at, offset)).collect();
        let answer = task.pre_commit(&consumed)?;
        let answer = answer.iter().map(|(at, offset, metadata)| (at, *offset, metadata.as_str()));
        Ok(json::bytes(&json::of_positions(answer)))
    };
    // SAFETY: `out` is the caller's place for the answer.
    unsafe { guard(out, body) }
}

unsafe extern "C" fn committed(handle: Handle, out: *mut Buffer) -> Status {
    // SAFETY: the handle is one of ours, `out` is the caller's place for the answer.
    unsafe { guard(out, || task(handle)?.committed().map(|()| Vec::new())) }
}

unsafe extern "C" fn close(handle: Handle, partitions: Slice, lost: i32, out: *mut Buffer) -> Status {
    let body = || {
        // SAFETY: the handle is one of ours, the slice lives as long as this call.
        let (task, partitions) = unsafe { (task(handle)?, partitions.bytes()) };
        task.close(&json::to_topic_partitions(&json::parse(partitions, "partitions")?)?, lost != 0)?;
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

//! Table of sink tasks. Each shim is called with what the table documents: that is its safety contract.

use super::task::{self, task};
use crate::{
    ConnectorError, SinkTask,
    abi::{
        batch,
        guard::guard,
        json,
        layout::{self, Buffer, Handle, Slice, Status},
    },
};
type Task = dyn SinkTask;

/// The one table of all sink tasks.
pub static TABLE: layout::SinkTask = layout::SinkTask {
    struct_size: size_of::<layout::SinkTask>() as u32,
    reserved: 0,
    start: Some(task::start::<Task>),
    open: Some(open),
    put: Some(put),
    pre_commit: Some(pre_commit),
    committed: Some(committed),
    close: Some(close),
    stop: Some(task::stop::<Task>),
    version: Some(task::version::<Task>),
    release: Some(task::release::<Task>),
};

unsafe extern "C" fn open(handle: Handle, partitions: Slice, out: *mut Buffer) -> Status {
    let body = || {
        // SAFETY: the handle is one of ours, the slice lives as long as this call.
        let (task, partitions) = unsafe { (task::<Task>(handle)?, partitions.bytes()) };
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
            (task::<Task>(handle)?, batch.take().into_bytes())
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
        let (task, consumed) = unsafe { (task::<Task>(handle)?, consumed.bytes()) };
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
    unsafe { guard(out, || task::<Task>(handle)?.committed().map(|()| Vec::new())) }
}

unsafe extern "C" fn close(handle: Handle, partitions: Slice, lost: i32, out: *mut Buffer) -> Status {
    let body = || {
        // SAFETY: the handle is one of ours, the slice lives as long as this call.
        let (task, partitions) = unsafe { (task::<Task>(handle)?, partitions.bytes()) };
        task.close(&json::to_topic_partitions(&json::parse(partitions, "partitions")?)?, lost != 0)?;
        Ok(Vec::new())
    };
    // SAFETY: `out` is the caller's place for the answer.
    unsafe { guard(out, body) }
}

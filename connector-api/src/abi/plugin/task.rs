//! What the tables of source and sink tasks have in common. Each shim is called with what the table documents: that
//! is its safety contract.

use super::context::{SinkContext, SourceContext};
use crate::{
    Config, ConnectorError, Result, SinkTask, SourceTask,
    abi::{
        guard::guard,
        json,
        layout::{self, Buffer, Handle, Slice, Status},
    },
};
use std::{ptr, sync::Arc};

/// A kind of task, as its shims need it.
pub trait Task {
    /// What the daemon hands to its start.
    type Raw;
    /// The same as the task sees it.
    type Context;

    /// Takes a context over, so that it is given back whatever comes.
    ///
    /// # Safety
    /// `raw` is null or as the layout describes it.
    unsafe fn take(raw: *const Self::Raw) -> Result<Self::Context>;

    /// Starts it.
    fn start(&mut self, context: Self::Context, config: Config) -> Result<()>;

    /// Ends it.
    fn stop(&mut self);

    /// What it is.
    fn version(&self) -> String;
}

macro_rules! task {
    ($task:ident, $context:ident) => {
        impl Task for dyn $task {
            type Raw = layout::$context;
            type Context = $context;

            unsafe fn take(raw: *const Self::Raw) -> Result<$context> {
                // SAFETY: by contract.
                unsafe { $context::take(raw) }
            }

            fn start(&mut self, context: $context, config: Config) -> Result<()> {
                $task::start(self, Arc::new(context), config)
            }

            fn stop(&mut self) {
                $task::stop(self);
            }

            fn version(&self) -> String {
                $task::version(self)
            }
        }
    };
}

task!(SourceTask, SourceContext);
task!(SinkTask, SinkContext);

/// Hands a task out.
pub fn into_handle<T: ?Sized>(task: Box<T>) -> Handle {
    Box::into_raw(Box::new(task)).cast()
}

/// The task behind a handle.
///
/// # Safety
/// `handle` is null or comes from [`into_handle`] with the same `T`, was not released, and no other call is going on.
pub unsafe fn task<'a, T: ?Sized + 'a>(handle: Handle) -> Result<&'a mut T> {
    // SAFETY: by contract.
    let task = unsafe { handle.cast::<Box<T>>().as_mut() };
    task.map(|task| &mut **task).ok_or_else(|| ConnectorError::fatal("the task's handle is null"))
}

pub unsafe extern "C" fn start<T: Task + ?Sized>(
    handle: Handle,
    context: *const T::Raw,
    config: Slice,
    out: *mut Buffer,
) -> Status {
    let body = || {
        // SAFETY: the context now belongs to the task, the slice lives as long as this call.
        let (context, config) = unsafe { (T::take(context)?, config.bytes()) };
        let config = json::to_config(json::parse(config, "a configuration")?)?;
        // SAFETY: the handle is one of ours.
        unsafe { task::<T>(handle)? }.start(context, config)?;
        Ok(Vec::new())
    };
    // SAFETY: `out` is the caller's place for the answer.
    unsafe { guard(out, body) }
}

pub unsafe extern "C" fn stop<T: Task + ?Sized>(handle: Handle, out: *mut Buffer) -> Status {
    // SAFETY: the handle is one of ours.
    let body = || unsafe { task::<T>(handle) }.map(|task| task.stop()).map(|()| Vec::new());
    // SAFETY: `out` is the caller's place for the answer.
    unsafe { guard(out, body) }
}

pub unsafe extern "C" fn version<T: Task + ?Sized>(handle: Handle, out: *mut Buffer) -> Status {
    // SAFETY: the handle is one of ours, `out` is the caller's place for the answer.
    unsafe { guard(out, || Ok(task::<T>(handle)?.version().into_bytes())) }
}

pub unsafe extern "C" fn release<T: ?Sized>(handle: Handle) {
    let body = || {
        if !handle.is_null() {
            // SAFETY: made by `into_handle`, released once, no call is going on.
            drop(unsafe { Box::from_raw(handle.cast::<Box<T>>()) });
        }
        Ok(Vec::new())
    };
    // SAFETY: no place for an answer is given.
    unsafe { guard(ptr::null_mut(), body) };
}

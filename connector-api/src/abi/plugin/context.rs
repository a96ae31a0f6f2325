//! The daemon's context as the task sees it: callbacks behind the usual traits.

use crate::{
    ConnectorError, Result, SinkTaskContext, SourceOffset, SourcePartition, SourceTaskContext,
    abi::{
        json,
        layout::{self, Buffer, Slice},
        status,
    },
};
use std::time::Duration;

/// Context of a source task; gives the context back when the last reference is dropped.
pub struct SourceContext {
    raw: *const layout::SourceContext,
    connector: String,
    task: usize,
}

/// Context of a sink task; as [`SourceContext`].
pub struct SinkContext {
    raw: *const layout::SinkContext,
    connector: String,
    task: usize,
}

// SAFETY: the daemon's calls may come from any thread, by contract of the context.
unsafe impl Send for SourceContext {}
// SAFETY: as above.
unsafe impl Sync for SourceContext {}
// SAFETY: as above.
unsafe impl Send for SinkContext {}
// SAFETY: as above.
unsafe impl Sync for SinkContext {}

macro_rules! context {
    ($name:ident) => {
        impl $name {
            /// Takes the context over.
            ///
            /// # Safety
            /// `raw` is null or a context as the layout describes it, which now belongs to this value.
            pub unsafe fn take(raw: *const layout::$name) -> Result<Self> {
                // SAFETY: by contract.
                let Some(context) = (unsafe { raw.as_ref() }) else {
                    return Err(ConnectorError::fatal("the context is null"));
                };
                if (context.struct_size as usize) < size_of::<layout::$name>() {
                    return Err(ConnectorError::fatal("the daemon's context is older than this library knows"));
                }
                // SAFETY: the name is valid until `release`.
                let connector = String::from_utf8_lossy(unsafe { context.connector.bytes() }).into_owned();
                Ok(Self { raw, connector, task: context.task as usize })
            }

            fn raw(&self) -> &layout::$name {
                // SAFETY: checked in `take`, and valid until `drop` gives it back.
                unsafe { &*self.raw }
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                if let Some(release) = self.raw().release {
                    // SAFETY: called once; nothing of the context is used afterwards.
                    unsafe { release(self.raw().handle) }
                }
            }
        }
    };
}

context!(SourceContext);
context!(SinkContext);

fn missing(call: &str) -> ConnectorError {
    ConnectorError::fatal(format!("the daemon's context has no `{call}`"))
}

impl SourceTaskContext for SourceContext {
    fn connector(&self) -> &str {
        &self.connector
    }

    fn task(&self) -> usize {
        self.task
    }

    fn offsets(&self, partitions: &[SourcePartition]) -> Result<Vec<Option<SourceOffset>>> {
        let call = self.raw().offsets.ok_or_else(|| missing("offsets"))?;
        let asked = json::bytes(&json::of_partitions(partitions));
        let mut out = Buffer::EMPTY;
        // SAFETY: the arguments live as long as the call, and `out` is filled as a buffer is.
        let (status, answer) = unsafe { (call(self.raw().handle, Slice::of(&asked), &raw mut out), out.take()) };
        if status != status::OK {
            return Err(status::error_of(status, answer.as_ref()));
        }
        let offsets = json::to_objects(json::parse(answer.as_ref(), "offsets")?, "offsets")?;
        if offsets.len() != partitions.len() {
            return Err(ConnectorError::fatal("the daemon gave another number of offsets than was asked for"));
        }
        Ok(offsets)
    }

    fn cancelled(&self) -> bool {
        // SAFETY: the context is valid.
        self.raw().cancelled.is_none_or(|call| unsafe { call(self.raw().handle) } != 0)
    }

    fn wait(&self, timeout: Duration) -> bool {
        let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        // SAFETY: the context is valid.
        self.raw().wait.is_none_or(|call| unsafe { call(self.raw().handle, millis) } != 0)
    }

    fn warn(&self, text: &str) {
        if let Some(call) = self.raw().warn {
            // SAFETY: the context is valid and the text lives as long as the call.
            unsafe { call(self.raw().handle, Slice::of(text.as_bytes())) }
        }
    }
}

impl SinkTaskContext for SinkContext {
    fn connector(&self) -> &str {
        &self.connector
    }

    fn task(&self) -> usize {
        self.task
    }

    fn request_commit(&self) {
        if let Some(call) = self.raw().request_commit {
            // SAFETY: the context is valid.
            unsafe { call(self.raw().handle) }
        }
    }

    fn set_retry_backoff(&self, backoff: Duration) {
        if let Some(call) = self.raw().set_retry_backoff {
            // SAFETY: the context is valid.
            unsafe { call(self.raw().handle, u64::try_from(backoff.as_millis()).unwrap_or(u64::MAX)) }
        }
    }

    fn cancelled(&self) -> bool {
        // SAFETY: the context is valid.
        self.raw().cancelled.is_none_or(|call| unsafe { call(self.raw().handle) } != 0)
    }

    fn warn(&self, text: &str) {
        if let Some(call) = self.raw().warn {
            // SAFETY: the context is valid and the text lives as long as the call.
            unsafe { call(self.raw().handle, Slice::of(text.as_bytes())) }
        }
    }
}

//! The daemon's context as the task sees it: callbacks behind the usual traits.

use crate::{
    ConnectorError, Progress, Result, SignalTopic, SinkRecord, SinkTaskContext, SourceOffset, SourcePartition,
    SourceTaskContext, TaskSignal, TopicPartition,
    abi::{
        batch, json,
        layout::{self, Buffer, Slice},
        status,
    },
};
use std::{
    mem::{MaybeUninit, offset_of},
    ptr,
    time::Duration,
};

/// Context of a source task; gives the context back when the last reference is dropped.
pub struct SourceContext {
    /// A copy of the daemon's table, so that calls a later version adds may be missing in it.
    raw: layout::SourceContext,
    connector: String,
    task: usize,
}

/// Context of a sink task; as [`SourceContext`].
pub struct SinkContext {
    /// As above.
    raw: layout::SinkContext,
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
    ($name:ident, $least:expr) => {
        impl $name {
            /// Takes the context over.
            ///
            /// # Safety
            /// `raw` is null or a context as the layout describes it, which now belongs to this value.
            pub unsafe fn take(raw: *const layout::$name) -> Result<Self> {
                if raw.is_null() {
                    return Err(ConnectorError::fatal("the context is null"));
                }
                // SAFETY: every version of the struct begins with its size.
                let size = unsafe { raw.cast::<u32>().read() } as usize;
                // A daemon of an earlier minor version has no calls after the first ones.
                if size < $least {
                    return Err(ConnectorError::fatal("the daemon's context is older than this library knows"));
                }
                let mut table = MaybeUninit::<layout::$name>::zeroed();
                let known = size.min(size_of::<layout::$name>());
                // SAFETY: both are at least so long, and a call that stays all zeros is a missing one.
                let table = unsafe {
                    ptr::copy_nonoverlapping(raw.cast::<u8>(), table.as_mut_ptr().cast::<u8>(), known);
                    table.assume_init()
                };
                // SAFETY: the name is valid until `release`.
                let connector = String::from_utf8_lossy(unsafe { table.connector.bytes() }).into_owned();
                let task = table.task as usize;
                Ok(Self { raw: table, connector, task })
            }

            fn raw(&self) -> &layout::$name {
                &self.raw
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

/// The context of a connector, for [`crate::ConnectorContext`]; gives it back when it is dropped.
pub struct ConnectorContext {
    /// A copy of the daemon's table.
    raw: layout::ConnectorContext,
}

// SAFETY: the daemon's calls may come from any thread, by contract of the context.
unsafe impl Send for ConnectorContext {}
// SAFETY: as above.
unsafe impl Sync for ConnectorContext {}

impl ConnectorContext {
    /// Takes the context over; `None` where there is none.
    ///
    /// # Safety
    /// `raw` is null or a context as the layout describes it, which now belongs to this value.
    pub unsafe fn take(raw: *const layout::ConnectorContext) -> Option<Self> {
        // SAFETY: by contract, and it has had this size from the first.
        let raw = unsafe { raw.as_ref() }?;
        Some(Self { raw: layout::ConnectorContext { ..*raw } })
    }

    /// Asks for new task configurations.
    pub fn request_task_reconfiguration(&self) {
        if let Some(call) = self.raw.request_task_reconfiguration {
            // SAFETY: the context is valid.
            unsafe { call(self.raw.handle) }
        }
    }
}

impl Drop for ConnectorContext {
    fn drop(&mut self) {
        if let Some(release) = self.raw.release {
            // SAFETY: called once; nothing of the context is used afterwards.
            unsafe { release(self.raw.handle) }
        }
    }
}

context!(SourceContext, offset_of!(layout::SourceContext, progress));
context!(SinkContext, offset_of!(layout::SinkContext, report));

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

    fn set_progress(&self, progress: Progress) {
        if let Some(call) = self.raw().progress {
            let json = progress.to_json().to_string();
            // SAFETY: the context is valid and the text lives as long as the call.
            unsafe { call(self.raw().handle, Slice::of(json.as_bytes())) }
        }
    }

    fn accept_signals(&self, topic: Option<&SignalTopic>) -> Result<()> {
        let call = self.raw().accept_signals.ok_or_else(|| missing("accept_signals"))?;
        let topic = json::bytes(&json::of_signal_topic(topic));
        let mut out = Buffer::EMPTY;
        // SAFETY: the arguments live as long as the call, and `out` is filled as a buffer is.
        let (status, answer) = unsafe { (call(self.raw().handle, Slice::of(&topic), &raw mut out), out.take()) };
        if status == status::OK { Ok(()) } else { Err(status::error_of(status, answer.as_ref())) }
    }

    fn take_signals(&self) -> Vec<TaskSignal> {
        let Some(call) = self.raw().take_signals else { return Vec::new() };
        let mut out = Buffer::EMPTY;
        // SAFETY: `out` is filled as a buffer is.
        let (status, answer) = unsafe { (call(self.raw().handle, &raw mut out), out.take()) };
        if status != status::OK {
            return Vec::new();
        }
        // The daemon writes them by `of_signals`; what is none is left out.
        json::parse(answer.as_ref(), "signals").map(|signals| json::to_signals(&signals)).unwrap_or_default()
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

    fn report(&self, record: &SinkRecord, error: ConnectorError) -> Result<()> {
        let Some(call) = self.raw().report else { return Err(error) };
        let batch = batch::write_sink(std::slice::from_ref(record))?;
        let text = status::text_of(&error);
        let (batch, text) = (Slice::of(&batch), Slice::of(text.as_bytes()));
        let mut out = Buffer::EMPTY;
        // SAFETY: the arguments live as long as the call, and `out` is filled as a buffer is.
        let (answer, bytes) =
            unsafe { (call(self.raw().handle, batch, status::of_error(&error), text, &raw mut out), out.take()) };
        if answer == status::OK { Ok(()) } else { Err(status::error_of(answer, bytes.as_ref())) }
    }

    fn seek(&self, partition: &TopicPartition, offset: i64) -> Result<()> {
        let call = self.raw().seek.ok_or_else(|| missing("seek"))?;
        let topic = Slice::of(partition.topic.as_bytes());
        let mut out = Buffer::EMPTY;
        // SAFETY: the arguments live as long as the call, and `out` is filled as a buffer is.
        let (answer, bytes) =
            unsafe { (call(self.raw().handle, topic, partition.partition, offset, &raw mut out), out.take()) };
        if answer == status::OK { Ok(()) } else { Err(status::error_of(answer, bytes.as_ref())) }
    }

    fn flush_reports(&self) -> Result<()> {
        // A runtime without it waits for them before it commits the group's offsets.
        let Some(call) = self.raw().flush_reports else { return Ok(()) };
        let mut out = Buffer::EMPTY;
        // SAFETY: the context is valid, and `out` is filled as a buffer is.
        let (answer, bytes) = unsafe { (call(self.raw().handle, &raw mut out), out.take()) };
        if answer == status::OK { Ok(()) } else { Err(status::error_of(answer, bytes.as_ref())) }
    }

    fn set_progress(&self, progress: Progress) {
        if let Some(call) = self.raw().progress {
            let json = progress.to_json().to_string();
            // SAFETY: the context is valid and the text lives as long as the call.
            unsafe { call(self.raw().handle, Slice::of(json.as_bytes())) }
        }
    }
}

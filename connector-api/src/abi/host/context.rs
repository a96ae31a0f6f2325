//! The daemon's contexts as tables of callbacks. A context lives until the library releases it.

use crate::{
    ConnectorContext, ConnectorError, Progress, Result, SinkTaskContext, SourceTaskContext, TopicPartition,
    abi::{
        batch,
        guard::{caught, guard},
        json,
        layout::{self, Buffer, Slice, Status},
        status,
    },
};
use bytes::Bytes;
use std::{ffi::c_void, ptr, sync::Arc, time::Duration};

/// A context with the table that points to it.
struct Held<T: ?Sized, Raw> {
    raw: Raw,
    connector: String,
    context: Arc<T>,
}

type HeldSource = Held<dyn SourceTaskContext, layout::SourceContext>;
type HeldSink = Held<dyn SinkTaskContext, layout::SinkContext>;

/// The table of a source's context; whoever takes it releases it.
pub fn source(context: Arc<dyn SourceTaskContext>) -> *const layout::SourceContext {
    let raw = layout::SourceContext {
        struct_size: size_of::<layout::SourceContext>() as u32,
        task: u32::try_from(context.task()).unwrap_or(u32::MAX),
        handle: ptr::null_mut(),
        connector: Slice::of(&[]),
        offsets: Some(offsets),
        cancelled: Some(source_cancelled),
        wait: Some(wait),
        warn: Some(source_warn),
        release: Some(source_release),
        progress: Some(source_progress),
        accept_signals: Some(accept_signals),
        take_signals: Some(take_signals),
    };
    let held: *mut HeldSource =
        Box::into_raw(Box::new(Held { raw, connector: context.connector().to_owned(), context }));
    // SAFETY: made a moment ago, and not shared yet.
    unsafe {
        (*held).raw.handle = held.cast();
        (*held).raw.connector = Slice::of((*held).connector.as_bytes());
        &raw const (*held).raw
    }
}

/// The table of a sink's context; whoever takes it releases it.
pub fn sink(context: Arc<dyn SinkTaskContext>) -> *const layout::SinkContext {
    let raw = layout::SinkContext {
        struct_size: size_of::<layout::SinkContext>() as u32,
        task: u32::try_from(context.task()).unwrap_or(u32::MAX),
        handle: ptr::null_mut(),
        connector: Slice::of(&[]),
        request_commit: Some(request_commit),
        set_retry_backoff: Some(set_retry_backoff),
        cancelled: Some(sink_cancelled),
        warn: Some(sink_warn),
        release: Some(sink_release),
        report: Some(report),
        progress: Some(sink_progress),
        seek: Some(seek),
        flush_reports: Some(flush_reports),
    };
    let held: *mut HeldSink = Box::into_raw(Box::new(Held { raw, connector: context.connector().to_owned(), context }));
    // SAFETY: made a moment ago, and not shared yet.
    unsafe {
        (*held).raw.handle = held.cast();
        (*held).raw.connector = Slice::of((*held).connector.as_bytes());
        &raw const (*held).raw
    }
}

/// A connector's context with the table that points to it.
struct HeldConnector {
    raw: layout::ConnectorContext,
    context: ConnectorContext,
}

/// The table of a connector's context; whoever takes it releases it.
pub fn connector(context: ConnectorContext) -> *const layout::ConnectorContext {
    let raw = layout::ConnectorContext {
        struct_size: size_of::<layout::ConnectorContext>() as u32,
        reserved: 0,
        handle: ptr::null_mut(),
        request_task_reconfiguration: Some(request_task_reconfiguration),
        release: Some(connector_release),
    };
    let held = Box::into_raw(Box::new(HeldConnector { raw, context }));
    // SAFETY: made a moment ago, and not shared yet.
    unsafe {
        (*held).raw.handle = held.cast();
        &raw const (*held).raw
    }
}

unsafe extern "C" fn request_task_reconfiguration(handle: *mut c_void) {
    let body = || {
        // SAFETY: the handle is one of ours.
        if let Some(held) = unsafe { handle.cast::<HeldConnector>().as_ref() } {
            held.context.request_task_reconfiguration();
        }
        Ok(())
    };
    // There is no place for an error.
    let _ = caught(body);
}

unsafe extern "C" fn connector_release(handle: *mut c_void) {
    let body = || {
        if !handle.is_null() {
            // SAFETY: made in `connector`, released once.
            drop(unsafe { Box::from_raw(handle.cast::<HeldConnector>()) });
        }
        Ok(())
    };
    // There is no place for an error.
    let _ = caught(body);
}

/// # Safety
/// `handle` is null or that of a context made above which was not released.
unsafe fn context<'a, T: ?Sized, Raw: 'a>(handle: *mut c_void) -> Result<&'a T> {
    // SAFETY: by contract.
    let held = unsafe { handle.cast::<Held<T, Raw>>().as_ref() };
    held.map(|held| &*held.context).ok_or_else(|| ConnectorError::fatal("the context's handle is null"))
}

/// # Safety
/// As [`context`].
unsafe fn source_context<'a>(handle: *mut c_void) -> Result<&'a dyn SourceTaskContext> {
    // SAFETY: by contract.
    unsafe { context::<dyn SourceTaskContext, layout::SourceContext>(handle) }
}

/// # Safety
/// As [`context`].
unsafe fn sink_context<'a>(handle: *mut c_void) -> Result<&'a dyn SinkTaskContext> {
    // SAFETY: by contract.
    unsafe { context::<dyn SinkTaskContext, layout::SinkContext>(handle) }
}

/// # Safety
/// `text` lives as long as the call.
unsafe fn warned(text: Slice, warn: impl FnOnce(&str)) {
    // SAFETY: by contract.
    warn(&String::from_utf8_lossy(unsafe { text.bytes() }));
}

// The safety contract of each callback is its documentation in the table.

unsafe extern "C" fn offsets(handle: *mut c_void, partitions: Slice, out: *mut Buffer) -> Status {
    let body = || {
        // SAFETY: the handle is one of ours, the slice lives as long as this call.
        let (context, partitions) = unsafe { (source_context(handle)?, partitions.bytes()) };
        let partitions = json::to_objects(json::parse(partitions, "partitions")?, "partitions")?;
        let partitions: Vec<_> = partitions.into_iter().map(Option::unwrap_or_default).collect();
        let offsets = context.offsets(&partitions)?;
        Ok(json::bytes(&offsets.into_iter().map(serde_json::Value::from).collect()))
    };
    // SAFETY: `out` is the caller's place for the answer.
    unsafe { guard(out, body) }
}

unsafe extern "C" fn source_cancelled(handle: *mut c_void) -> i32 {
    // SAFETY: the handle is one of ours.
    caught(|| Ok(i32::from(unsafe { source_context(handle)? }.cancelled()))).unwrap_or(1)
}

unsafe extern "C" fn wait(handle: *mut c_void, timeout_ms: u64) -> i32 {
    // SAFETY: the handle is one of ours.
    caught(|| Ok(i32::from(unsafe { source_context(handle)? }.wait(Duration::from_millis(timeout_ms))))).unwrap_or(1)
}

unsafe extern "C" fn source_warn(handle: *mut c_void, text: Slice) {
    let body = || {
        // SAFETY: the handle is one of ours, the text lives as long as this call.
        unsafe { warned(text, |text| source_context(handle).into_iter().for_each(|context| context.warn(text))) };
        Ok(())
    };
    // There is no place for an error.
    let _ = caught(body);
}

unsafe extern "C" fn source_release(handle: *mut c_void) {
    let body = || {
        if !handle.is_null() {
            // SAFETY: made in `source`, released once.
            drop(unsafe { Box::from_raw(handle.cast::<HeldSource>()) });
        }
        Ok(())
    };
    // There is no place for an error.
    let _ = caught(body);
}

unsafe extern "C" fn request_commit(handle: *mut c_void) {
    // SAFETY: the handle is one of ours. There is no place for an error.
    let _ = caught(|| unsafe { sink_context(handle) }.map(|context| context.request_commit()));
}

unsafe extern "C" fn set_retry_backoff(handle: *mut c_void, backoff_ms: u64) {
    let backoff = Duration::from_millis(backoff_ms);
    // SAFETY: the handle is one of ours. There is no place for an error.
    let _ = caught(|| unsafe { sink_context(handle) }.map(|context| context.set_retry_backoff(backoff)));
}

unsafe extern "C" fn sink_cancelled(handle: *mut c_void) -> i32 {
    // SAFETY: the handle is one of ours.
    caught(|| Ok(i32::from(unsafe { sink_context(handle)? }.cancelled()))).unwrap_or(1)
}

unsafe extern "C" fn sink_warn(handle: *mut c_void, text: Slice) {
    let body = || {
        // SAFETY: the handle is one of ours, the text lives as long as this call.
        unsafe { warned(text, |text| sink_context(handle).into_iter().for_each(|context| context.warn(text))) };
        Ok(())
    };
    // There is no place for an error.
    let _ = caught(body);
}

unsafe extern "C" fn sink_release(handle: *mut c_void) {
    let body = || {
        if !handle.is_null() {
            // SAFETY: made in `sink`, released once.
            drop(unsafe { Box::from_raw(handle.cast::<HeldSink>()) });
        }
        Ok(())
    };
    // There is no place for an error.
    let _ = caught(body);
}

unsafe extern "C" fn report(handle: *mut c_void, record: Slice, status: i32, text: Slice, out: *mut Buffer) -> Status {
    let body = || {
        // SAFETY: the handle is one of ours, the slices live as long as this call.
        let (context, record, text) = unsafe { (sink_context(handle)?, record.bytes(), text.bytes()) };
        let records = batch::read_sink(Bytes::copy_from_slice(record))?;
        let [record] = &records[..] else {
            return Err(ConnectorError::fatal("a report is of one record"));
        };
        context.report(record, status::error_of(status, text))?;
        Ok(Vec::new())
    };
    // SAFETY: `out` is the caller's place for the answer.
    unsafe { guard(out, body) }
}

unsafe extern "C" fn seek(handle: *mut c_void, topic: Slice, partition: i32, offset: i64, out: *mut Buffer) -> Status {
    let body = || {
        // SAFETY: the handle is one of ours, the slice lives as long as this call.
        let (context, topic) = unsafe { (sink_context(handle)?, topic.bytes()) };
        let topic = std::str::from_utf8(topic).map_err(|_| ConnectorError::fatal("a topic is no UTF-8"))?;
        context.seek(&TopicPartition { topic: topic.into(), partition }, offset)?;
        Ok(Vec::new())
    };
    // SAFETY: `out` is the caller's place for the answer.
    unsafe { guard(out, body) }
}

unsafe extern "C" fn flush_reports(handle: *mut c_void, out: *mut Buffer) -> Status {
    let body = || {
        // SAFETY: the handle is one of ours.
        unsafe { sink_context(handle)? }.flush_reports()?;
        Ok(Vec::new())
    };
    // SAFETY: `out` is the caller's place for the answer.
    unsafe { guard(out, body) }
}

/// # Safety
/// `progress` lives as long as the call.
unsafe fn read_progress(progress: Slice) -> Result<Progress> {
    // SAFETY: by contract.
    let bytes = unsafe { progress.bytes() };
    let json: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(bytes).map_err(|_| ConnectorError::fatal("a progress is no JSON object"))?;
    Ok(Progress::from_json(&json))
}

unsafe extern "C" fn source_progress(handle: *mut c_void, progress: Slice) {
    // SAFETY: the handle is one of ours, the text lives as long as this call. There is no place for an error.
    let _ = caught(|| unsafe {
        source_context(handle)?.set_progress(read_progress(progress)?);
        Ok(())
    });
}

unsafe extern "C" fn accept_signals(handle: *mut c_void, topic: Slice, out: *mut Buffer) -> Status {
    let body = || {
        // SAFETY: the handle is one of ours, the slice lives as long as this call.
        let (context, topic) = unsafe { (source_context(handle)?, topic.bytes()) };
        context.accept_signals(json::to_signal_topic(&json::parse(topic, "signal topic")?)?.as_ref())?;
        Ok(Vec::new())
    };
    // SAFETY: `out` is the caller's place for the answer.
    unsafe { guard(out, body) }
}

unsafe extern "C" fn take_signals(handle: *mut c_void, out: *mut Buffer) -> Status {
    // SAFETY: the handle is one of ours.
    let body = || Ok(json::bytes(&json::of_signals(&unsafe { source_context(handle)? }.take_signals())));
    // SAFETY: `out` is the caller's place for the answer.
    unsafe { guard(out, body) }
}

unsafe extern "C" fn sink_progress(handle: *mut c_void, progress: Slice) {
    // SAFETY: the handle is one of ours, the text lives as long as this call. There is no place for an error.
    let _ = caught(|| unsafe {
        sink_context(handle)?.set_progress(read_progress(progress)?);
        Ok(())
    });
}

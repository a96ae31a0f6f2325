//! The structs that cross the boundary. `connector.h` is printed from this file.
//!
//! Rules that make it last: a struct only grows at its end and says its size first, so each side knows
//! how much the other has; a call that may be missing is null; nobody frees what the other allocated,
//! but calls its `release`; no panic and no C++ exception crosses.

use super::describe::{CType, abi_struct};
use std::ffi::c_void;

/// First eight bytes of the entry: `LEVADA` and two bytes that no text has.
pub const MAGIC: u64 = u64::from_le_bytes(*b"LEVADA\x01\xFE");
/// The ABI's major version; a library with another one is refused. It stays 0 until a second placement
/// and a connector other than the file connectors have used it.
pub const ABI_MAJOR: u16 = 0;
/// The ABI's minor version; it grows with each addition at the end of a struct.
pub const ABI_MINOR: u16 = 5;
/// Name of the symbol that a library exports.
pub const ENTRY_SYMBOL: &str = "levada_plugin_entry";

/// [`Connector::kind`] of a source.
pub const KIND_SOURCE: u32 = 1;
/// [`Connector::kind`] of a sink.
pub const KIND_SINK: u32 = 2;

/// What a call answers: 0, or how it failed, and maybe why ([`super::status`]).
pub type Status = i32;

/// A `*const T` inside an array of pointers.
#[repr(transparent)]
pub struct Pointer<T>(pub *const T);

/// An instance, opaque to the other side.
pub type Handle = *mut c_void;

abi_struct! {
    /// Bytes that belong to the caller and are valid until the call returns. Text is UTF-8 without a
    /// closing zero. `data` may be null when `len` is 0.
    #[derive(Clone, Copy, Debug)]
    struct Slice = "levada_slice" {
        /// First byte.
        data: *const u8,
        /// Number of bytes.
        len: usize,
    } calls {}

    /// Bytes handed over. Who receives it calls `release(owner, data, len)` once, on any thread, when it
    /// needs the bytes no more; a null `release` says that there is nothing to free (static data).
    /// A receiver hands in a buffer of zeros to be filled.
    #[derive(Debug)]
    struct Buffer = "levada_buffer" {
        /// First byte.
        data: *mut u8,
        /// Number of bytes.
        len: usize,
        /// Whatever `release` needs.
        owner: *mut c_void,
    } calls {
        /// Frees the bytes.
        release(owner: *mut c_void, data: *mut u8, len: usize) -> ();
    }

    /// What the daemon offers a source task. It belongs to the task from `start` on, also when `start`
    /// fails, and is valid until the task calls `release`. All calls may come from any thread.
    struct SourceContext = "levada_source_context" {
        /// Size of this struct in the daemon.
        struct_size: u32,
        /// Number of the task.
        task: u32,
        /// First argument of the calls.
        handle: *mut c_void,
        /// Name of the connector; valid until `release`.
        connector: Slice,
    } calls {
        /// Committed offsets. `partitions`: JSON array of source partitions. Answer: JSON array of as many
        /// offsets, null where there is none.
        offsets(handle: *mut c_void, partitions: Slice, out: *mut Buffer) -> i32;
        /// 1 once the task shall stop, 0 before. Long calls ask at least each 100 ms.
        cancelled(handle: *mut c_void) -> i32;
        /// Sleeps up to `timeout_ms`; returns 1, and early, when the task shall stop.
        wait(handle: *mut c_void, timeout_ms: u64) -> i32;
        /// Tells people something that fails nothing. Never a secret.
        warn(handle: *mut c_void, text: Slice) -> ();
        /// Gives the context back; nothing of it may be used after that.
        release(handle: *mut c_void) -> ();
        /// May be missing (minor version 2). Tells how far the task has come: JSON object {"phase", "tables", "rows",
        /// "eta_ms", "lag_ms", "lag_bytes", "items"}, each of them optional (docs/plugins.md).
        progress(handle: *mut c_void, progress: Slice) -> ();
        /// May be missing (minor version 4). The task takes signals from now on. `topic`: JSON null, or an object {"topic",
        /// "key", "from": [[partition, offset]]}: that topic's records with that key are signals too, from these offsets on.
        accept_signals(handle: *mut c_void, topic: Slice, out: *mut Buffer) -> i32;
        /// May be missing (minor version 4). The signals since the last call: JSON array of {"id", "text", "next":
        /// [partition, offset] or null}; one without a text only tells a position.
        take_signals(handle: *mut c_void, out: *mut Buffer) -> i32;
    }

    /// What the daemon offers a sink task; the rules are those of the source's context.
    struct SinkContext = "levada_sink_context" {
        /// Size of this struct in the daemon.
        struct_size: u32,
        /// Number of the task.
        task: u32,
        /// First argument of the calls.
        handle: *mut c_void,
        /// Name of the connector; valid until `release`.
        connector: Slice,
    } calls {
        /// Asks for `pre_commit` and a commit soon.
        request_commit(handle: *mut c_void) -> ();
        /// Sets the wait before a `put` that failed with LEVADA_RETRIABLE is tried again.
        set_retry_backoff(handle: *mut c_void, backoff_ms: u64) -> ();
        /// 1 once the task shall stop, 0 before.
        cancelled(handle: *mut c_void) -> i32;
        /// Tells people something that fails nothing. Never a secret.
        warn(handle: *mut c_void, text: Slice) -> ();
        /// Gives the context back; nothing of it may be used after that.
        release(handle: *mut c_void) -> ();
        /// May be missing (minor version 2). Hands a record that can't be written to the connector's error handling:
        /// `record` is a sink batch of that record, `status` and `text` say how it failed, as a call of the task would.
        /// With 0 the record counts as handled; another status, with its text in `out`, is for `put` to answer.
        report(handle: *mut c_void, record: Slice, status: i32, text: Slice, out: *mut Buffer) -> i32;
        /// May be missing (minor version 2). Tells how far the task has come: JSON object {"phase", "tables", "rows",
        /// "eta_ms", "lag_ms", "lag_bytes", "items"}, each of them optional (docs/plugins.md).
        progress(handle: *mut c_void, progress: Slice) -> ();
        /// May be missing (minor version 3). To be called in `open` only: reading goes on at `offset` in a partition that
        /// the call gives to the task, whatever its group has committed, once `open` returns 0. Another status than 0,
        /// with its text in `out`, refuses.
        seek(handle: *mut c_void, topic: Slice, partition: i32, offset: i64, out: *mut Buffer) -> i32;
        /// May be missing (minor version 5). Waits until the records that were reported, and those that a converter or
        /// transform refused, are safe in the dead letter queue. A sink that keeps its offsets itself calls it before it
        /// writes one that is past them; another status than 0, with its text in `out`, is for the task to answer.
        flush_reports(handle: *mut c_void, out: *mut Buffer) -> i32;
    }

    /// A source's tasks. Calls to one task come one at a time, from whatever thread.
    struct SourceTask = "levada_source_task" {
        /// Size of this struct in the library.
        struct_size: u32,
        /// Zero.
        reserved: u32,
    } calls {
        /// First call. `config`: JSON object of texts.
        start(task: *mut c_void, context: *const SourceContext, config: Slice, out: *mut Buffer) -> i32;
        /// Next records, as a source batch. Waits for some, but not much longer than `max_wait_ms`. No bytes
        /// at all mean: none yet.
        poll(task: *mut c_void, max_wait_ms: u64, out: *mut Buffer) -> i32;
        /// May be null. Offsets now committed: JSON array of [partition, offset] pairs.
        committed(task: *mut c_void, offsets: Slice, out: *mut Buffer) -> i32;
        /// Last call, also after a failed one.
        stop(task: *mut c_void, out: *mut Buffer) -> i32;
        /// May be null. The task's version as text.
        version(task: *mut c_void, out: *mut Buffer) -> i32;
        /// Frees the task.
        release(task: *mut c_void) -> ();
    }

    /// A sink's tasks. Calls to one task come one at a time, from whatever thread.
    struct SinkTask = "levada_sink_task" {
        /// Size of this struct in the library.
        struct_size: u32,
        /// Zero.
        reserved: u32,
    } calls {
        /// First call. `config`: JSON object of texts.
        start(task: *mut c_void, context: *const SinkContext, config: Slice, out: *mut Buffer) -> i32;
        /// May be null. Partitions gained and held: JSON object {"added": [{"topic", "partition", "offset" or
        /// null, "metadata"}], "owned": [{"topic", "partition"}]}.
        open(task: *mut c_void, partitions: Slice, out: *mut Buffer) -> i32;
        /// Takes a sink batch. The task may keep the buffer by copying the struct and setting the original to
        /// zeros; otherwise the caller releases it.
        put(task: *mut c_void, batch: *mut Buffer, out: *mut Buffer) -> i32;
        /// Makes durable what was put. `consumed`: JSON array of {"topic", "partition", "offset"}. Answer: JSON
        /// array of {"topic", "partition", "offset", "metadata"} to commit; no bytes commit nothing.
        pre_commit(task: *mut c_void, consumed: Slice, out: *mut Buffer) -> i32;
        /// May be null. The answer of the last `pre_commit` is committed.
        committed(task: *mut c_void, out: *mut Buffer) -> i32;
        /// May be null. Partitions taken away: JSON array of {"topic", "partition"}. With `lost` 1 they belong to
        /// another owner already.
        close(task: *mut c_void, partitions: Slice, lost: i32, out: *mut Buffer) -> i32;
        /// Last call, also after a failed one.
        stop(task: *mut c_void, out: *mut Buffer) -> i32;
        /// May be null. The task's version as text.
        version(task: *mut c_void, out: *mut Buffer) -> i32;
        /// Frees the task.
        release(task: *mut c_void) -> ();
    }

    /// What the daemon offers a connector (minor version 5). It belongs to the connector from `start_in` on, also when that
    /// fails, and is valid until the connector calls `release`, at the latest when it is released itself. All calls may
    /// come from any thread.
    struct ConnectorContext = "levada_connector_context" {
        /// Size of this struct in the daemon.
        struct_size: u32,
        /// Zero.
        reserved: u32,
        /// First argument of the calls.
        handle: *mut c_void,
    } calls {
        /// Asks for `task_configs` soon; then tasks whose configuration has changed start anew. Returns at once. It may get
        /// lost while much else happens, so who needs it asks again.
        request_task_reconfiguration(handle: *mut c_void) -> ();
        /// Gives the context back; nothing of it may be used after that.
        release(handle: *mut c_void) -> ();
    }

    /// A connector class. `info`, `create` and `validate` may be called at any time from several threads;
    /// calls to one instance come one at a time, from whatever thread. A failing call puts an error text
    /// into `out`: the message, then after a zero byte each the causes underneath.
    struct Connector = "levada_connector" {
        /// Size of this struct in the library.
        struct_size: u32,
        /// LEVADA_SOURCE or LEVADA_SINK.
        kind: u32,
        /// Calls to its tasks, for a source; null for a sink.
        source_task: *const SourceTask,
        /// Calls to its tasks, for a sink; null for a source.
        sink_task: *const SinkTask,
    } calls {
        /// What it is, without being started: JSON object {"class", "aliases", "version", "config"}, where
        /// "config" is an array of keys (docs/plugins.md).
        info(out: *mut Buffer) -> i32;
        /// Makes an instance.
        create(connector: *mut *mut c_void, out: *mut Buffer) -> i32;
        /// Starts it. `config`: JSON object of texts, accepted by the keys and by `validate`.
        start(connector: *mut c_void, name: Slice, config: Slice, out: *mut Buffer) -> i32;
        /// Task configurations: JSON array of objects of texts, at most `max_tasks`.
        task_configs(connector: *mut c_void, max_tasks: u32, out: *mut Buffer) -> i32;
        /// Makes a task, not started.
        create_task(connector: *mut c_void, task: *mut *mut c_void, out: *mut Buffer) -> i32;
        /// Releases what `start` took.
        stop(connector: *mut c_void, out: *mut Buffer) -> i32;
        /// Frees the instance.
        release(connector: *mut c_void) -> ();
        /// May be null. What is wrong with `config`, beside what the keys say: JSON array of {"key", "message"}.
        validate(config: Slice, out: *mut Buffer) -> i32;
        /// May be null, then no. Sources: 1 into `supported` when exactly-once works with `config`.
        exactly_once(connector: *mut c_void, config: Slice, supported: *mut i32, out: *mut Buffer) -> i32;
        /// May be null. Checks a change of offsets, JSON array of [partition, offset or null] pairs: 1 into
        /// `vouched` when the connector vouches for it. An error refuses.
        alter_offsets(connector: *mut c_void, config: Slice, changes: Slice, vouched: *mut i32, out: *mut Buffer) -> i32;
        /// May be null or missing (minor version 5), then `start` is called. The same with what the daemon offers.
        start_in(connector: *mut c_void, context: *const ConnectorContext, name: Slice, config: Slice, out: *mut Buffer) -> i32;
    }

    /// The one symbol of a library, `levada_plugin_entry`. It is data, read before anything is called.
    struct PluginEntry = "levada_plugin" {
        /// LEVADA_MAGIC.
        magic: u64,
        /// Size of this struct in the library.
        struct_size: u32,
        /// LEVADA_ABI_MAJOR that the library was made for.
        abi_major: u16,
        /// LEVADA_ABI_MINOR that the library was made for.
        abi_minor: u16,
        /// Name of the library, for people.
        name: Slice,
        /// Version of the library.
        version: Slice,
        /// The connector classes.
        connectors: *const Pointer<Connector>,
        /// How many.
        connector_count: u32,
        /// Zero.
        reserved: u32,
    } calls {}
}

// SAFETY: the tables are constants; nothing behind their pointers is ever written.
unsafe impl Sync for Connector {}
// SAFETY: as above.
unsafe impl Sync for PluginEntry {}
// SAFETY: as above; it only ever points to a constant table.
unsafe impl<T: Sync> Sync for Pointer<T> {}

impl<T: CType> std::fmt::Debug for Pointer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "*const {}", T::c_name())
    }
}

impl std::fmt::Debug for PluginEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PluginEntry").field("connector_count", &self.connector_count).finish_non_exhaustive()
    }
}

//! What a library exports, checked.

use super::{call::call, connector::HostConnector};
use crate::{
    ConnectorError, ConnectorInfo, ConnectorKind, Result, SinkConnector, SourceConnector,
    abi::{
        json,
        layout::{
            ABI_MAJOR, ABI_MINOR, Connector, KIND_SINK, KIND_SOURCE, MAGIC, PluginEntry, SinkTask, Slice, SourceTask,
        },
    },
    config::{KeyError, Rule},
};
use std::{
    mem::{MaybeUninit, offset_of},
    ptr,
};

/// Connectors that one library may have.
const MAX_CONNECTORS: u32 = 1024;

/// Why a library can't be used. The texts stand in logs and in the list of plugins.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// The file could not be loaded.
    #[error("it can't be loaded as a library: {0}")]
    Load(String),
    /// It is a library of something else.
    #[error("it has no symbol `levada_plugin_entry`, so it is no connector library")]
    NoEntry,
    /// The symbol is something else.
    #[error("its `levada_plugin_entry` does not start with the mark of a plugin entry")]
    Magic,
    /// Made for another interface.
    #[error(
        "it was made for version {major}.{minor} of the plugin interface; this daemon has {ABI_MAJOR}.{ABI_MINOR}: build it against the daemon's version"
    )]
    Version {
        /// Its major version.
        major: u16,
        /// Its minor version.
        minor: u16,
    },
    /// A struct is smaller than its version says.
    #[error("its {what} has {found} bytes where version 0.1 has {needed}")]
    Size {
        /// Which struct.
        what: &'static str,
        /// Its size.
        found: u32,
        /// Size it needs.
        needed: usize,
    },
    /// Its tables contradict themselves.
    #[error("connector {index}: {what}")]
    Table {
        /// Place in the list of connectors.
        index: u32,
        /// What is wrong.
        what: String,
    },
    /// It has none.
    #[error("it has {0} connectors; 1 to {MAX_CONNECTORS} are possible")]
    Count(u32),
    /// A connector does not say what it is.
    #[error("connector {index} does not say what it is: {cause}")]
    Info {
        /// Place in the list of connectors.
        index: u32,
        /// Why.
        cause: ConnectorError,
    },
}

/// A library that passed the checks.
#[derive(Debug)]
pub struct Library {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The version of the interface it was made for.
    pub abi: (u16, u16),
    /// Its connector classes.
    pub connectors: Vec<LibraryConnector>,
}

/// A connector class of a library.
#[derive(Clone, Debug)]
pub struct LibraryConnector {
    /// What it says of itself. Rules in it ask the library.
    pub info: ConnectorInfo,
    table: &'static Connector,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Library {
    /// Checks an entry and asks its connectors what they are.
    ///
    /// # Safety
    /// `entry` points to at least the 16 bytes before its `name`; if these are those of a plugin entry,
    /// then all of it is as [`PluginEntry`] describes, and stays so for the life of the process.
    pub unsafe fn from_entry(entry: *const PluginEntry) -> Result<Self, LibraryError> {
        // SAFETY: the first fields are there, by contract.
        let (magic, size, major, minor) = unsafe {
            let magic = (&raw const (*entry).magic).read_unaligned();
            let size = (&raw const (*entry).struct_size).read_unaligned();
            let major = (&raw const (*entry).abi_major).read_unaligned();
            (magic, size, major, (&raw const (*entry).abi_minor).read_unaligned())
        };
        if magic != MAGIC {
            return Err(LibraryError::Magic);
        }
        if major != ABI_MAJOR {
            return Err(LibraryError::Version { major, minor });
        }
        sized("entry", size, size_of::<PluginEntry>())?;
        // SAFETY: it is a plugin entry of our major version and of sufficient size.
        let entry: &'static PluginEntry = unsafe { &*entry };
        if entry.connector_count == 0 || entry.connector_count > MAX_CONNECTORS || entry.connectors.is_null() {
            return Err(LibraryError::Count(entry.connector_count));
        }
        let mut connectors = Vec::new();
        for index in 0..entry.connector_count {
            // SAFETY: the array has that many pointers, each null or to a table for ever.
            let table = unsafe { whole((*entry.connectors.add(index as usize)).0, index)? };
            connectors.push(LibraryConnector::check(table, index)?);
        }
        // SAFETY: both are constants of the library.
        let text = |slice: Slice| String::from_utf8_lossy(unsafe { slice.bytes() }).into_owned();
        Ok(Self { name: text(entry.name), version: text(entry.version), abi: (major, minor), connectors })
    }
}

fn sized(what: &'static str, found: u32, needed: usize) -> Result<(), LibraryError> {
    if (found as usize) < needed { Err(LibraryError::Size { what, found, needed }) } else { Ok(()) }
}

/// A connector's table as this version has it: calls that came after the library's version are missing.
///
/// # Safety
/// `table` is null or points to as many bytes as it begins by saying, for ever.
unsafe fn whole(table: *const Connector, index: u32) -> Result<&'static Connector, LibraryError> {
    if table.is_null() {
        return Err(LibraryError::Table { index, what: "its table is null".to_owned() });
    }
    // SAFETY: every version of the struct begins with its size.
    let size = unsafe { table.cast::<u32>().read() };
    // Minor version 5 has put a call behind this.
    sized("connector table", size, offset_of!(Connector, start_in))?;
    if size as usize >= size_of::<Connector>() {
        // SAFETY: by contract, and it is long enough.
        return Ok(unsafe { &*table });
    }
    let mut whole = MaybeUninit::<Connector>::zeroed();
    // SAFETY: both are so long, and a call that stays all zeros is a missing one.
    let whole = unsafe {
        ptr::copy_nonoverlapping(table.cast::<u8>(), whole.as_mut_ptr().cast::<u8>(), size as usize);
        whole.assume_init()
    };
    // Libraries are never unloaded, and neither are their tables.
    Ok(Box::leak(Box::new(whole)))
}

/// The first of these calls that is missing.
macro_rules! first_missing {
    ($table:expr, $($call:ident),*) => {
        [$((stringify!($call), $table.$call.is_none())),*].into_iter().find(|(_, missing)| *missing).map(|(call, _)| call)
    };
}

impl LibraryConnector {
    fn check(table: &'static Connector, index: u32) -> Result<Self, LibraryError> {
        let wrong = |what: String| LibraryError::Table { index, what };
        // SAFETY: null, or a table for ever, by contract of the entry.
        let (source, sink) = unsafe { (table.source_task.as_ref(), table.sink_task.as_ref()) };
        let missing = match (table.kind, source, sink) {
            (KIND_SOURCE, Some(tasks), _) => {
                sized("task table", tasks.struct_size, size_of::<SourceTask>())?;
                first_missing!(tasks, start, poll, stop, release)
            }
            (KIND_SINK, _, Some(tasks)) => {
                sized("task table", tasks.struct_size, size_of::<SinkTask>())?;
                first_missing!(tasks, start, put, pre_commit, stop, release)
            }
            (KIND_SOURCE | KIND_SINK, ..) => return Err(wrong("it has no table of tasks".to_owned())),
            (kind, ..) => return Err(wrong(format!("its kind {kind} is neither source nor sink"))),
        };
        let calls = first_missing!(table, info, create, start, task_configs, create_task, stop, release);
        if let Some(call) = missing.or(calls) {
            return Err(wrong(format!("its call `{call}` is missing")));
        }
        let info = ask_info(table).map_err(|cause| LibraryError::Info { index, cause })?;
        Ok(Self { info, table })
    }

    /// A new instance of a source.
    pub fn source(&self) -> Result<Box<dyn SourceConnector>> {
        match self.info.kind {
            ConnectorKind::Source => Ok(Box::new(HostConnector::create(self.table, self.info.clone())?)),
            ConnectorKind::Sink => Err(ConnectorError::fatal(format!("{} is no source", self.info.class))),
        }
    }

    /// A new instance of a sink.
    pub fn sink(&self) -> Result<Box<dyn SinkConnector>> {
        match self.info.kind {
            ConnectorKind::Sink => Ok(Box::new(HostConnector::create(self.table, self.info.clone())?)),
            ConnectorKind::Source => Err(ConnectorError::fatal(format!("{} is no sink", self.info.class))),
        }
    }
}

fn ask_info(table: &'static Connector) -> Result<ConnectorInfo> {
    let info = table.info.ok_or_else(|| super::call::missing("info"))?;
    // SAFETY: the place goes to the table's call.
    let answer = unsafe { call(|out| info(out)) }?;
    let kind = if table.kind == KIND_SOURCE { ConnectorKind::Source } else { ConnectorKind::Sink };
    let mut info = json::to_info(&json::parse(answer.as_ref(), "what it is")?, kind)?;
    if table.validate.is_some() {
        let first = info.config_def.keys.first().map(|key| key.name.clone());
        info.config_def.rules.push(Rule::always(move |config| {
            let config = json::bytes(&json::of_config(config));
            validate(table, &config).unwrap_or_else(|error| {
                let message = format!("The connector could not check the configuration: {error}");
                first.iter().map(|key| KeyError { key: key.clone(), message: message.clone() }).collect()
            })
        }));
    }
    Ok(info)
}

fn validate(table: &Connector, config: &[u8]) -> Result<Vec<KeyError>> {
    let Some(validate) = table.validate else { return Ok(Vec::new()) };
    // SAFETY: the place goes to the table's call, and the configuration outlives it.
    let answer = unsafe { call(|out| validate(Slice::of(config), out)) }?;
    if answer.as_ref().is_empty() {
        return Ok(Vec::new());
    }
    json::to_key_errors(&json::parse(answer.as_ref(), "what is wrong with a configuration")?)
}

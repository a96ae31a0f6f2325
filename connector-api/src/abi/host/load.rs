//! Gets the entry out of a file.

use super::{Library, LibraryError};
use crate::abi::layout::{ENTRY_SYMBOL, PluginEntry};
use libloading::os::unix::{Library as Handle, RTLD_LOCAL, RTLD_NOW};
use std::path::Path;

/// Loads a library for the life of the process and checks it. Runs the library's constructors: do it for
/// the first time in a process that may die of it.
///
/// # Safety
/// The library's constructors are sound, and if it has the symbol `levada_plugin_entry` with a plugin entry's
/// mark, then that is one.
pub unsafe fn load(path: &Path) -> Result<Library, LibraryError> {
    // A bare name would be looked for in the system's directories.
    let path = std::path::absolute(path).map_err(|error| LibraryError::Load(error.to_string()))?;
    // All symbols now, so that one that is missing shows here and not in a task; none of them for others.
    // SAFETY: by contract.
    let library = unsafe { Handle::open(Some(&path), RTLD_NOW | RTLD_LOCAL) };
    let library = library.map_err(|error| LibraryError::Load(error_text(&error)))?;
    // SAFETY: the symbol is data; only its address is taken here.
    let entry = unsafe { library.get::<*const PluginEntry>(ENTRY_SYMBOL).map(|symbol| *symbol) };
    // Tasks, buffers and thread-locals may point into it for ever.
    std::mem::forget(library);
    let entry = entry.ok().filter(|entry| !entry.is_null()).ok_or(LibraryError::NoEntry)?;
    // SAFETY: by contract.
    unsafe { Library::from_entry(entry) }
}

/// The loader's own text, which names the cause.
fn error_text(error: &libloading::Error) -> String {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    cause.unwrap_or_else(|| error.to_string())
}

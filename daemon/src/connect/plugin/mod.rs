//! Plugins: what `connector.class` can name, and where it comes from.
//!
//! The [`Registry`] is filled once at start, from the connectors compiled in and from whatever discovery finds in
//! `plugin.path`; after that it is only read. Making a connector runs plugin code: call [`Factory`] through
//! [`crate::connect::worker::PluginCalls`], never on the herder.

mod discovery;
mod dylib;
mod registry;
mod report;

pub use discovery::{SCAN_COMMAND, Scanned, Scanner, scan_in_this_process};
pub use dylib::{Hangs, Placement, add_libraries};
pub use registry::{Factory, Origin, Plugin, Refused, Registry, Superseded};
pub use report::{Report, ScannedClass};

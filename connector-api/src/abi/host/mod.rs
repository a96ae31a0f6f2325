//! The daemon's side: a library's tables behind the traits of this crate.
//!
//! [`Library::from_entry`] checks all that can be checked before anything is called;
//! [`load`] (feature `host`) gets the entry out of a file.

mod call;
mod connector;
mod context;
mod library;
#[cfg(feature = "host")]
mod load;
mod sink_task;
mod source_task;

pub use library::{Library, LibraryConnector, LibraryError};
#[cfg(feature = "host")]
pub use load::load;

//! Plugins: what `connector.class` can name, and where it comes from.
//!
//! The [`Registry`] is filled once at start, from the connectors compiled in and from whatever discovery finds in
//! `plugin.path`; after that it is only read. Making a connector runs plugin code: call [`Factory`] through
//! [`crate::connect::worker::PluginCalls`], never on the herder.

pub mod dylib;
mod registry;

pub use registry::{Factory, Origin, Plugin, Refused, Registry};

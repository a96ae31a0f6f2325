//! The library's side: makes the tables of a connector written in Rust.
//!
//! [`crate::export_connectors!`] is all that an author needs of it. Every shim catches panics, so that
//! none crosses the boundary; it becomes a fatal error with the panic's text (invariant 10).

mod connector;
mod context;
mod sink_task;
mod source_task;
mod task;

use super::layout::{ABI_MAJOR, ABI_MINOR, Connector, MAGIC, PluginEntry, Pointer, Slice};

pub use connector::{OfSink, OfSource};

/// A type that is a connector; `Kind` is found by inference, as no type is both.
pub trait Export<Kind> {
    /// Its table.
    const CONNECTOR: &'static Connector;
}

impl PluginEntry {
    /// The entry of a library.
    pub const fn new(name: &'static str, version: &'static str, connectors: &'static [Pointer<Connector>]) -> Self {
        Self {
            magic: MAGIC,
            struct_size: size_of::<Self>() as u32,
            abi_major: ABI_MAJOR,
            abi_minor: ABI_MINOR,
            name: Slice::of(name.as_bytes()),
            version: Slice::of(version.as_bytes()),
            connectors: connectors.as_ptr(),
            connector_count: connectors.len() as u32,
            reserved: 0,
        }
    }
}

/// The entry of a library with these connectors, as a constant expression.
#[macro_export]
macro_rules! plugin_entry {
    ($($connector:ty),+ $(,)?) => {{
        const CONNECTORS: &[$crate::abi::layout::Pointer<$crate::abi::layout::Connector>] = &[$(
            $crate::abi::layout::Pointer(<$connector as $crate::abi::plugin::Export<_>>::CONNECTOR)
        ),+];
        $crate::abi::layout::PluginEntry::new(
            ::core::env!("CARGO_PKG_NAME"),
            ::core::env!("CARGO_PKG_VERSION"),
            CONNECTORS,
        )
    }};
}

/// Makes a `cdylib` crate a connector library: exports `levada_plugin_entry` with these connectors, each a
/// type that is [`Default`] and a [`crate::SourceConnector`] or a [`crate::SinkConnector`].
///
/// ```
/// # use levada_connector_api::*;
/// # #[derive(Default)] struct Numbers;
/// # impl SourceConnector for Numbers {
/// #     fn info(&self) -> ConnectorInfo { unimplemented!() }
/// #     fn start(&mut self, _: ConnectorContext, _: Config) -> Result<()> { Ok(()) }
/// #     fn task_configs(&self, _: usize) -> Result<Vec<Config>> { Ok(vec![]) }
/// #     fn task(&self) -> Box<dyn SourceTask> { unimplemented!() }
/// # }
/// levada_connector_api::export_connectors!(Numbers);
/// ```
#[macro_export]
macro_rules! export_connectors {
    ($($connector:ty),+ $(,)?) => {
        /// What the daemon reads first.
        #[unsafe(no_mangle)]
        #[allow(non_upper_case_globals)]
        pub static levada_plugin_entry: $crate::abi::layout::PluginEntry = $crate::plugin_entry!($($connector),+);
    };
}

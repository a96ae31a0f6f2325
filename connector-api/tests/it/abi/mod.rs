//! The plugin interface: the batch layout, the header, and connectors called through their tables.

mod arbitrary;
mod batch;
mod c_connector;
mod header;
mod refused;
mod rust_connector;
mod shims;

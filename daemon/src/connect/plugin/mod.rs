//! Plugins: what `connector.class` can name, and where it comes from.

pub mod dylib;

//! The node's configuration: defaults, `levada.toml`, `LEVADA_*` and flags, each winning over the one before.
//!
//! `cli` calls [`Settings::resolve`] once; `node` and what it wires read typed values from the result. All that is
//! wrong is told at once.

mod broker;
mod environment;
mod file;
pub mod key;
mod keys;
mod resolve;
mod settings;
pub mod suggest;

#[cfg(test)]
mod tests;

pub use broker::broker_keys;
pub use key::{KeyDef, Kind, Table};
pub use keys::own_keys;
pub use resolve::{ConfigError, Inputs, secret};
pub use settings::{Setting, Settings, Source};

/// Every known key.
pub fn all_keys() -> Vec<KeyDef> {
    let mut keys = own_keys();
    keys.extend(broker_keys());
    keys
}

//! Configuration: the map a connector is posted with, and the definition of its keys.
//!
//! A definition is declared once, by `#[derive(ConnectorConfig)]` on the connector's config struct;
//! from it come validation ([`ConfigDef::validate`]), Connect's ConfigDef answers ([`Key::info`]),
//! the JSON Schema ([`ConfigDef::json_schema`]), and the reference docs ([`ConfigDef::reference`]).
//!
//! Invariants: every error of a configuration is told at once, and no text made here ever holds the
//! value of a secret key (invariant 12).

mod def;
mod error;
mod family;
mod field;
mod info;
mod json_schema;
mod parse;
mod suggest;
mod validate;

pub use def::{Check, ConfigDef, Importance, Key, Rule, Type, Width};
pub use error::{ConfigErrors, KeyError};
pub use family::KeyFamily;
pub use field::{ConfigEnum, ConfigField, Secret};
pub use parse::{ConnectorConfig, Reader};
pub use suggest::{UnknownKey, nearest};
pub use validate::{HIDDEN, KeyState, Validated};

use indexmap::IndexMap;

/// A connector's or task's configuration: text to text, in the order it was posted.
pub type Config = IndexMap<String, String>;

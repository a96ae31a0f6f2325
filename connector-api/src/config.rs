//! Configuration: the map a connector is posted with, and the definition of its keys.
//!
//! A definition is declared once, by `#[derive(ConnectorConfig)]` on the connector's config struct;
//! from it come validation, Connect's ConfigDef answers, the JSON Schema, and the reference docs.

use crate::Value;
use indexmap::IndexMap;

/// A connector's or task's configuration: text to text, in the order it was posted.
pub type Config = IndexMap<String, String>;

/// Connect's configuration types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `true` or `false`, any case.
    Boolean,
    /// Text.
    String,
    /// 32-bit integer.
    Int,
    /// 16-bit integer.
    Short,
    /// 64-bit integer.
    Long,
    /// Double-precision number.
    Double,
    /// Comma-separated texts.
    List,
    /// Name of a plugin class.
    Class,
    /// Secret text; never shown.
    Password,
}

/// How much a key matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Importance {
    /// High.
    High,
    /// Medium.
    Medium,
    /// Low.
    Low,
}

/// Width of an input field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Width {
    /// Not said.
    #[default]
    None,
    /// Short.
    Short,
    /// Medium.
    Medium,
    /// Long.
    Long,
}

/// What a value must be, beyond its type.
#[derive(Clone, Debug, Default)]
pub enum Check {
    /// Anything of the type.
    #[default]
    Any,
    /// Not the empty text.
    NonEmpty,
    /// A number within bounds, both inclusive.
    Range {
        /// Least value.
        min: Option<f64>,
        /// Greatest value.
        max: Option<f64>,
    },
    /// One of these texts.
    OneOf(Vec<String>),
    /// Whatever the function accepts; its error says what is wrong.
    Custom(fn(&str) -> Result<(), String>),
}

/// One key.
#[derive(Clone, Debug)]
pub struct Key {
    /// Name.
    pub name: String,
    /// Type.
    pub kind: Type,
    /// Whether it must be given.
    pub required: bool,
    /// Value when it is not given, as text.
    pub default: Option<String>,
    /// What it may be.
    pub check: Check,
    /// How much it matters.
    pub importance: Importance,
    /// Text for people.
    pub documentation: String,
    /// Group it is shown in.
    pub group: Option<String>,
    /// Place in the group; -1 without one.
    pub order_in_group: i32,
    /// Width of its input field.
    pub width: Width,
    /// Name for people.
    pub display_name: String,
    /// Keys whose meaning depends on this one.
    pub dependents: Vec<String>,
}

/// All keys of a connector.
#[derive(Clone, Debug, Default)]
pub struct ConfigDef {
    /// In order of declaration.
    pub keys: Vec<Key>,
}

/// What is wrong with one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyError {
    /// Key.
    pub key: String,
    /// Text that names the value (never a secret) and the mend.
    pub message: String,
}

/// A typed value of a key, for connectors that read their configuration by hand.
pub type ParsedValue = Value;

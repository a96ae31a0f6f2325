//! The definition of keys: what is known of a configuration before one is seen.

use super::{Config, KeyError};
use std::{fmt, sync::Arc};

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

impl Type {
    /// Connect's name of it, as in its REST answers and error texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Short => "SHORT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Class => "CLASS",
            Self::Password => "PASSWORD",
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
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

impl Importance {
    /// Connect's name of it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::High => "HIGH",
            Self::Medium => "MEDIUM",
            Self::Low => "LOW",
        }
    }
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

impl Width {
    /// Connect's name of it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Short => "SHORT",
            Self::Medium => "MEDIUM",
            Self::Long => "LONG",
        }
    }
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
    /// One of these texts; each of them, for a list.
    OneOf(Vec<String>),
    /// Whatever the function accepts; its error says what is wrong.
    Custom(fn(&str) -> Result<(), String>),
    /// All of these; the first that refuses is told.
    All(Vec<Check>),
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

impl Key {
    /// An optional key without default, check or group.
    pub fn new(name: impl Into<String>, kind: Type, importance: Importance, documentation: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            display_name: name.clone(),
            name,
            kind,
            required: false,
            default: None,
            check: Check::Any,
            importance,
            documentation: documentation.into(),
            group: None,
            order_in_group: -1,
            width: Width::None,
            dependents: Vec::new(),
        }
    }

    /// Whether its value must never be shown (invariant 12).
    pub fn is_secret(&self) -> bool {
        self.kind == Type::Password
    }
}

/// A rule over several keys; what it finds is told beside the errors of single keys.
#[derive(Clone)]
pub struct Rule {
    check: Arc<RuleFn>,
    always: bool,
}

type RuleFn = dyn Fn(&Config) -> Vec<KeyError> + Send + Sync;

impl Rule {
    /// A rule that is only asked when every key for itself is right.
    pub fn new(check: impl Fn(&Config) -> Vec<KeyError> + Send + Sync + 'static) -> Self {
        Self { check: Arc::new(check), always: false }
    }

    /// A rule that is always asked; what it says of a key that is wrong for itself is left out. For
    /// checks of single keys that live elsewhere, as those of a plugin library do.
    pub fn always(check: impl Fn(&Config) -> Vec<KeyError> + Send + Sync + 'static) -> Self {
        Self { check: Arc::new(check), always: true }
    }

    pub(super) fn applies(&self, all_right: bool) -> bool {
        all_right || self.always
    }

    pub(super) fn ask(&self, config: &Config) -> Vec<KeyError> {
        (self.check)(config)
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule").field("always", &self.always).finish_non_exhaustive()
    }
}

/// All keys of a connector.
#[derive(Clone, Debug, Default)]
pub struct ConfigDef {
    /// In order of declaration.
    pub keys: Vec<Key>,
    /// Rules over several keys.
    pub rules: Vec<Rule>,
    /// What may be unintended, or better otherwise, though it works: asked only where somebody wants to know.
    pub advice: Vec<Rule>,
}

impl ConfigDef {
    /// The key of that name.
    pub fn key(&self, name: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// What a configuration's key of that name is an instance of: the key itself, or else the family that covers it.
    pub fn key_or_family(&self, name: &str) -> Option<&Key> {
        self.key(name).or_else(|| self.keys.iter().find(|key| key.covers(name)))
    }

    /// These keys, then those of `other` that are not among them, with the rules of both.
    pub fn merged(mut self, other: Self) -> Self {
        for key in other.keys {
            if self.key(&key.name).is_none() {
                self.keys.push(key);
            }
        }
        self.rules.extend(other.rules);
        self.advice.extend(other.advice);
        self
    }

    /// What may be unintended in a configuration that has no errors, each with the key that it is about.
    pub fn advice(&self, config: &Config) -> Vec<KeyError> {
        self.advice.iter().flat_map(|rule| rule.ask(config)).collect()
    }
}

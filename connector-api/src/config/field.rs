//! How a field's Rust type reads a key's text.

use super::{Check, Type};
use std::{fmt, time::Duration};

/// A type that a field of a `#[derive(ConnectorConfig)]` struct may have.
pub trait ConfigField: Sized {
    /// Connect's type of the key.
    const TYPE: Type;
    /// Whether a key without value and without default is fine.
    const OPTIONAL: bool = false;

    /// What the type itself asks of the value.
    fn check() -> Check {
        Check::Any
    }

    /// Reads the value; `None` when it is neither given nor has a default. The error says what the
    /// text is not, without repeating it.
    fn read(text: Option<&str>) -> Result<Self, String>;
}

const NULL: &str = "Value must be non-null";

macro_rules! numbers {
    ($($rust:ty => $kind:ident),*) => {$(
        impl ConfigField for $rust {
            const TYPE: Type = Type::$kind;
            fn read(text: Option<&str>) -> Result<Self, String> {
                let text = text.ok_or(NULL)?.trim();
                text.parse().map_err(|_| format!("Not a number of type {}", Self::TYPE))
            }
        }
    )*};
}

numbers!(i16 => Short, i32 => Int, i64 => Long, f64 => Double);

impl ConfigField for bool {
    const TYPE: Type = Type::Boolean;
    fn read(text: Option<&str>) -> Result<Self, String> {
        let text = text.ok_or(NULL)?.trim();
        if text.eq_ignore_ascii_case("true") {
            Ok(true)
        } else if text.eq_ignore_ascii_case("false") {
            Ok(false)
        } else {
            Err("Expected value to be either true or false".to_owned())
        }
    }
}

impl ConfigField for String {
    const TYPE: Type = Type::String;
    fn read(text: Option<&str>) -> Result<Self, String> {
        Ok(text.ok_or(NULL)?.trim().to_owned())
    }
}

/// Milliseconds.
impl ConfigField for Duration {
    const TYPE: Type = Type::Long;
    fn check() -> Check {
        Check::Range { min: Some(0.0), max: None }
    }
    fn read(text: Option<&str>) -> Result<Self, String> {
        let millis = i64::read(text)?;
        u64::try_from(millis).map(Self::from_millis).map_err(|_| "Value must be at least 0".to_owned())
    }
}

impl ConfigField for Vec<String> {
    const TYPE: Type = Type::List;
    fn read(text: Option<&str>) -> Result<Self, String> {
        Ok(list_items(text.ok_or(NULL)?).map(str::to_owned).collect())
    }
}

/// The texts of a list value.
pub(super) fn list_items(text: &str) -> impl Iterator<Item = &str> {
    let text = text.trim();
    text.split(',').map(str::trim).filter(move |_| !text.is_empty())
}

impl<T: ConfigField> ConfigField for Option<T> {
    const TYPE: Type = T::TYPE;
    const OPTIONAL: bool = true;
    fn check() -> Check {
        T::check()
    }
    fn read(text: Option<&str>) -> Result<Self, String> {
        text.map(|text| T::read(Some(text))).transpose()
    }
}

/// Text that must never be shown: its `Debug` and `Display` hide it (invariant 12).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(super::HIDDEN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(super::HIDDEN)
    }
}

impl ConfigField for Secret {
    const TYPE: Type = Type::Password;
    fn read(text: Option<&str>) -> Result<Self, String> {
        Ok(Self(text.ok_or(NULL)?.trim().to_owned()))
    }
}

/// An enum whose variants are named by texts; `#[derive(ConfigEnum)]` writes it.
pub trait ConfigEnum: Sized + Copy + 'static {
    /// Text and variant, in order of declaration.
    const VARIANTS: &'static [(&'static str, Self)];
}

impl<T: ConfigEnum> ConfigField for T {
    const TYPE: Type = Type::String;
    fn check() -> Check {
        Check::OneOf(T::VARIANTS.iter().map(|(name, _)| (*name).to_owned()).collect())
    }
    fn read(text: Option<&str>) -> Result<Self, String> {
        let text = text.ok_or(NULL)?.trim();
        let found = T::VARIANTS.iter().find(|(name, _)| *name == text).map(|(_, variant)| *variant);
        found.ok_or_else(|| {
            let names: Vec<_> = T::VARIANTS.iter().map(|(name, _)| *name).collect();
            format!("String must be one of: {}", names.join(", "))
        })
    }
}

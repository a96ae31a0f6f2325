//! Keys of which only the form is known beforehand, as `column.mask.with.5.chars`.
//!
//! They are declared once, by Debezium's way to name them: what differs from key to key stands in parentheses, as in
//! `column.mask.with.(d+).chars`. Any text that is not empty may stand there; what it must be is up to a rule.

use super::{ConfigField, Key, Type};

/// The field of such keys in a `#[derive(ConnectorConfig)]` struct. It holds nothing: the keys and their values are looked
/// up in the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyFamily;

impl ConfigField for KeyFamily {
    const TYPE: Type = Type::List;
    const OPTIONAL: bool = true;

    fn read(_text: Option<&str>) -> Result<Self, String> {
        Ok(Self)
    }
}

impl Key {
    /// Whether it stands for all keys of a form.
    pub fn is_family(&self) -> bool {
        self.name.contains('(')
    }

    /// Whether a key of this name is of the form that it stands for.
    pub fn covers(&self, name: &str) -> bool {
        let parts: Vec<_> = self.fixed_parts().collect();
        // A key that is no family is one part.
        let [first, middle @ .., last] = parts.as_slice() else { return false };
        let mut rest = name.strip_prefix(first);
        for part in middle {
            rest = rest.and_then(behind_one).and_then(|rest| rest.split_once(part)).map(|(_, rest)| rest);
        }
        rest.and_then(behind_one).is_some_and(|rest| rest.ends_with(last))
    }

    /// The form as a regular expression over the whole of a key's name.
    pub(super) fn pattern(&self) -> String {
        let escaped = |part: &str| part.replace('.', "\\.");
        format!("^{}$", self.fixed_parts().map(escaped).collect::<Vec<_>>().join(".+"))
    }

    /// What stands before, between and behind the parentheses.
    fn fixed_parts(&self) -> impl Iterator<Item = &str> {
        self.name.split('(').enumerate().map(|(place, part)| match part.split_once(')') {
            Some((_, fixed)) if place > 0 => fixed,
            _ => part,
        })
    }
}

/// The text behind its first character, which stands for what differs.
fn behind_one(text: &str) -> Option<&str> {
    let mut characters = text.chars();
    characters.next()?;
    Some(characters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Importance;

    fn key(name: &str) -> Key {
        Key::new(name, Type::List, Importance::Medium, "Of a form.")
    }

    #[test]
    fn a_family_covers_the_names_of_its_form() {
        let chars = key("column.mask.with.(d+).chars");
        assert!(chars.covers("column.mask.with.5.chars"));
        assert!(chars.covers("column.mask.with.five.chars"), "a rule says what is wrong with it");
        for other in ["column.mask.with.chars", "column.mask.with..chars", "column.mask.with.5.char", "a"] {
            assert!(!chars.covers(other), "{other}");
        }
        let hash = key("column.mask.hash.([^.]+).with.salt.(.+)");
        assert!(hash.covers("column.mask.hash.SHA-256.with.salt.é.x"));
        assert!(!hash.covers("column.mask.hash.SHA-256.with.salt."));
        assert_eq!(hash.pattern(), "^column\\.mask\\.hash\\..+\\.with\\.salt\\..+$");
        assert!(!key("slot.name").covers("slot.name"), "a key of its own is no family");
    }
}

//! Values that must never be shown, to be hidden in logs, traces and statuses (invariant 12): whatever config providers gave.
//!
//! One list for the process, as there is one log. Values shorter than [`LEAST`] bytes are not on it: hiding each `1` of a
//! text protects nothing.

use levada_connector_api::config::HIDDEN;
use parking_lot::RwLock;
use std::borrow::Cow;

/// Length from which a value is hidden wherever it stands.
pub const LEAST: usize = 4;
/// Most values that are remembered; the oldest are forgotten.
const MOST: usize = 4096;

static VALUES: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// Remembers a value.
pub fn add(value: &str) {
    // A file's line end is no part of what a text would show.
    let value = value.trim_end_matches(['\r', '\n']);
    if value.len() < LEAST || VALUES.read().iter().any(|known| known == value) {
        return;
    }
    let mut values = VALUES.write();
    if values.len() >= MOST {
        values.remove(0);
    }
    values.push(value.to_owned());
    // Longer values first: one may be a part of another.
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
}

/// The text with every remembered value hidden.
pub fn masked(text: &str) -> Cow<'_, str> {
    let mut masked = Cow::Borrowed(text);
    for value in VALUES.read().iter() {
        if masked.contains(value.as_str()) {
            masked = Cow::Owned(masked.replace(value.as_str(), HIDDEN));
        }
    }
    masked
}

/// The text with placeholders in the places of values that are long enough to be told from chance.
pub fn with_placeholders<'a>(text: &str, values: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut values: Vec<_> = values.filter(|(value, _)| value.len() >= LEAST).collect();
    values.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
    values.into_iter().fold(text.to_owned(), |text, (value, placeholder)| text.replace(value, placeholder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembered_values_are_hidden_longest_first() {
        add("hush-hush");
        add("hush-hush-more\n");
        add("abc");
        assert_eq!(masked("a hush-hush b hush-hush-more c abc"), "a [hidden] b [hidden] c abc");
        assert!(matches!(masked("nothing"), Cow::Borrowed(_)));
    }
}

//! Values that must never be shown, to be hidden in logs, traces and statuses (invariant 12): whatever config providers gave.
//!
//! One list for the process, as there is one log. Values shorter than [`LEAST`] bytes are not on it: hiding each `1` of a
//! text protects nothing. A value of a key that is not for secrets, as a user's name, may be a common word: it is on it from
//! [`LEAST_OPEN`] bytes, and hidden where it stands as a word. Names of modules are left as they are.

use levada_connector_api::config::HIDDEN;
use parking_lot::RwLock;
use std::borrow::Cow;

/// Length from which a secret is hidden wherever it stands.
pub const LEAST: usize = 4;
/// Length from which a value of another key is hidden.
const LEAST_OPEN: usize = 8;
/// Most values that are remembered; the oldest are forgotten.
const MOST: usize = 4096;

static VALUES: RwLock<Vec<Known>> = RwLock::new(Vec::new());

struct Known {
    value: String,
    /// Whether its key is one for secrets.
    secret: bool,
}

/// Remembers a value, of a key for secrets or of another.
pub fn add(value: &str, secret: bool) {
    // A file's line end is no part of what a text would show.
    let value = value.trim_end_matches(['\r', '\n']);
    let least = if secret { LEAST } else { LEAST_OPEN };
    let is_known = |known: &Known| known.value == value && (known.secret || !secret);
    if value.len() < least || VALUES.read().iter().any(is_known) {
        return;
    }
    let mut values = VALUES.write();
    values.retain(|known| known.value != value);
    if values.len() >= MOST {
        values.remove(0);
    }
    values.push(Known { value: value.to_owned(), secret });
    // Longer values first: one may be a part of another.
    values.sort_by_key(|known| std::cmp::Reverse(known.value.len()));
}

/// The text with every remembered value hidden.
pub fn masked(text: &str) -> Cow<'_, str> {
    let mut masked = Cow::Borrowed(text);
    for known in VALUES.read().iter() {
        if masked.contains(known.value.as_str()) {
            masked = Cow::Owned(known.hidden_in(&masked));
        }
    }
    masked
}

impl Known {
    fn hidden_in(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for (at, value) in text.match_indices(self.value.as_str()) {
            let (before, after) =
                (text.get(..at).unwrap_or_default(), text.get(at + value.len()..).unwrap_or_default());
            out.push_str(text.get(from..at).unwrap_or_default());
            out.push_str(if self.is_hidden_between(before, after) { HIDDEN } else { value });
            from = at + value.len();
        }
        out.push_str(text.get(from..).unwrap_or_default());
        out
    }

    fn is_hidden_between(&self, before: &str, after: &str) -> bool {
        let of_word = |c: char| c.is_alphanumeric() || c == '_';
        let of_path = |c: char| of_word(c) || c == ':';
        let path_before = before.rsplit(|c| !of_path(c)).next().unwrap_or_default();
        let path_after = after.split(|c| !of_path(c)).next().unwrap_or_default();
        if path_before.starts_with("levada") && (path_before.contains("::") || path_after.contains("::")) {
            return false;
        }
        self.secret || !before.ends_with(of_word) && !after.starts_with(of_word)
    }
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
        add("hush-hush", true);
        add("hush-hush-more\n", true);
        add("abc", true);
        assert_eq!(masked("a hush-hush b hush-hush-more c abc"), "a [hidden] b [hidden] c abc");
        assert!(matches!(masked("nothing"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_common_word_hides_no_module_and_no_part_of_a_word() {
        add("postgrey", false);
        add("short", false);
        let line = "WARN levada_connector_postgrey::reading: role postgrey may not, a short postgreys";
        assert_eq!(masked(line), "WARN levada_connector_postgrey::reading: role [hidden] may not, a short postgreys");
        // The same value of a key for secrets is hidden within words too.
        add("postgrey", true);
        assert_eq!(
            masked("levada_connector_postgrey::reading: xpostgreyx"),
            "levada_connector_postgrey::reading: x[hidden]x"
        );
    }
}

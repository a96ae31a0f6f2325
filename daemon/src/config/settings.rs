//! The effective configuration: every key with its value and where that came from.

use super::key::{Table, split_list};
use std::{collections::BTreeMap, fmt, time::Duration};

/// Where a value came from, the strongest last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Nothing said otherwise.
    Default,
    /// A configuration file.
    File(String),
    /// A variable of the environment.
    Environment(String),
    /// A flag.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(name) | Self::Environment(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Text, trimmed.
    pub value: String,
    /// Its origin.
    pub source: Source,
}

/// The effective configuration. Values have been checked against their keys.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    values: BTreeMap<(Table, String), Setting>,
}

impl Settings {
    pub(super) fn set(&mut self, table: Table, name: String, setting: Setting) {
        self.values.insert((table, name), setting);
    }

    /// These settings with one value more, as if a flag had given it unchecked. For tests and for nodes started inside
    /// another process.
    pub fn with(mut self, table: Table, name: &str, value: &str) -> Self {
        let setting = Setting { value: value.to_owned(), source: Source::Flag("code".to_owned()) };
        self.set(table, name.to_owned(), setting);
        self
    }

    /// All values by table and name.
    pub fn iter(&self) -> impl Iterator<Item = (Table, &str, &Setting)> {
        self.values.iter().map(|((table, name), setting)| (*table, name.as_str(), setting))
    }

    /// A key's text; `None` when it is unset or empty.
    pub fn get(&self, table: Table, name: &str) -> Option<&str> {
        let setting = self.values.get(&(table, name.to_owned()))?;
        Some(setting.value.as_str()).filter(|value| !value.is_empty())
    }

    /// A key's text, or the empty text.
    pub fn text(&self, table: Table, name: &str) -> &str {
        self.get(table, name).unwrap_or_default()
    }

    /// A key's number; 0 when it is unset.
    pub fn integer(&self, table: Table, name: &str) -> i64 {
        self.get(table, name).and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// A key given in milliseconds.
    pub fn millis(&self, table: Table, name: &str) -> Duration {
        Duration::from_millis(u64::try_from(self.integer(table, name)).unwrap_or_default())
    }

    /// A key's truth value; false when it is unset.
    pub fn boolean(&self, table: Table, name: &str) -> bool {
        self.text(table, name).eq_ignore_ascii_case("true")
    }

    /// A key's list.
    pub fn list(&self, table: Table, name: &str) -> Vec<String> {
        split_list(self.text(table, name)).map(str::to_owned).collect()
    }

    /// All values below a prefix such as `key.converter.`, with the prefix removed.
    pub fn below(&self, table: Table, prefix: &str) -> Vec<(String, String)> {
        self.iter()
            .filter(|(of, ..)| *of == table)
            .filter_map(|(_, name, setting)| Some((name.strip_prefix(prefix)?.to_owned(), setting.value.clone())))
            .collect()
    }

    /// The values of a table that were given, defaults left out.
    pub fn given(&self, table: Table) -> BTreeMap<String, String> {
        self.iter()
            .filter(|(of, _, setting)| *of == table && setting.source != Source::Default)
            .map(|(_, name, setting)| (name.to_owned(), setting.value.clone()))
            .collect()
    }
}

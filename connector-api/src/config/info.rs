//! Connect's REST form of keys and of their values, and the reference documentation.

use super::{ConfigDef, HIDDEN, Key, KeyState};
use serde_json::{Value as Json, json};
use std::fmt::Write;

impl Key {
    /// Connect's definition object. The place in the group stands under both of the names that
    /// Connect has used for it.
    pub fn info(&self) -> Json {
        let default = self.default.as_deref().map(|text| if self.is_secret() { HIDDEN } else { text });
        json!({
            "name": self.name,
            "type": self.kind.name(),
            "required": self.required,
            "default_value": default,
            "importance": self.importance.name(),
            "documentation": self.documentation,
            "group": self.group,
            "order_in_group": self.order_in_group,
            "order": self.order_in_group,
            "width": self.width.name(),
            "display_name": self.display_name,
            "dependents": self.dependents,
        })
    }
}

impl KeyState<'_> {
    /// Connect's pair of definition and value in a validation answer.
    pub fn info(&self) -> Json {
        json!({
            "definition": self.key.info(),
            "value": {
                "name": self.key.name,
                "value": self.value,
                "recommended_values": self.key.check.recommended(),
                "errors": self.errors,
                "visible": true,
            },
        })
    }
}

impl super::Check {
    /// The values to offer, when only some are right.
    pub fn recommended(&self) -> Vec<String> {
        match self {
            Self::OneOf(names) => names.clone(),
            Self::All(checks) => checks.iter().flat_map(Self::recommended).collect(),
            _ => Vec::new(),
        }
    }
}

impl ConfigDef {
    /// Connect's list of definitions.
    pub fn info(&self) -> Vec<Json> {
        self.keys.iter().map(Key::info).collect()
    }

    /// The groups of the keys, in order of first use.
    pub fn groups(&self) -> Vec<&str> {
        let mut groups: Vec<&str> = Vec::new();
        for group in self.keys.iter().filter_map(|key| key.group.as_deref()) {
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        groups
    }

    /// The keys as a Markdown table.
    pub fn reference(&self) -> String {
        let mut table = "| key | type | default | what it is |\n| --- | --- | --- | --- |\n".to_owned();
        for key in &self.keys {
            let default = match (&key.default, key.required) {
                (_, true) => "required".to_owned(),
                (None, _) => "none".to_owned(),
                (Some(text), _) if text.is_empty() => "empty".to_owned(),
                (Some(text), _) => format!("`{text}`"),
            };
            let text = key.documentation.replace('\n', " ").replace('|', "\\|");
            let kind = key.kind.name().to_lowercase();
            // Writing to a String can't fail.
            let _ = writeln!(table, "| `{}` | {kind} | {default} | {text} |", key.name);
        }
        table
    }
}

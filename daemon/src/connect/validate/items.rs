//! A validation answer while it is put together: keys with values and errors, in the order tools show them.

use crate::connect::config_provider::Resolved;
use levada_connector_api::{
    Config,
    config::{ConfigDef, HIDDEN, KeyState, Validated},
};
use serde_json::{Value as Json, json};

/// One key of the answer.
#[derive(Clone, Debug)]
pub struct Item {
    /// Name.
    pub name: String,
    /// Its definition in REST form; `None` for a key that is only there because of an error.
    definition: Option<Json>,
    /// Value as it may be shown.
    value: Option<String>,
    recommended: Vec<String>,
    /// Whole error texts.
    pub errors: Vec<String>,
}

impl Item {
    /// From a definition's answer.
    pub fn of(state: KeyState<'_>) -> Self {
        let (name, definition) = (state.key.name.clone(), Some(state.key.info()));
        let recommended = state.key.check.recommended();
        Self { name, definition, value: state.value, recommended, errors: state.errors }
    }

    fn bare(name: &str, value: Option<&str>) -> Self {
        let value = value.map(str::to_owned);
        Self { name: name.to_owned(), definition: None, value, recommended: Vec::new(), errors: Vec::new() }
    }

    /// REST form.
    pub fn info(&self) -> Json {
        json!({
            "definition": self.definition,
            "value": {
                "name": self.name,
                "value": self.value,
                "recommended_values": self.recommended,
                "errors": self.errors,
                "visible": true,
            },
        })
    }
}

/// All keys of the answer.
#[derive(Clone, Debug, Default)]
pub struct Items {
    list: Vec<Item>,
    groups: Vec<String>,
}

impl Items {
    /// Adds what a definition says of the configuration. A key that is there already is replaced where it stands, as
    /// a plugin's definition of a common key wins over ours; what was said of a key before anything defined it stays.
    pub fn add(&mut self, def: &ConfigDef, validated: Validated<'_>) {
        for group in def.groups() {
            if !self.groups.iter().any(|known| known == group) {
                self.groups.push(group.to_owned());
            }
        }
        for state in validated.states {
            let mut item = Item::of(state);
            match self.list.iter_mut().find(|known| known.name == item.name) {
                Some(known) => {
                    if known.definition.is_none() {
                        item.errors.splice(0..0, std::mem::take(&mut known.errors));
                    }
                    *known = item;
                }
                None => self.list.push(item),
            }
        }
        for stray in validated.strays {
            self.error(&stray.key, None, stray.message);
        }
    }

    /// Adds an error to a key; one that no definition has is put first, as Connect does.
    pub fn error(&mut self, name: &str, value: Option<&str>, message: impl Into<String>) {
        let at = self.list.iter().position(|item| item.name == name).unwrap_or_else(|| {
            self.list.insert(0, Item::bare(name, value));
            0
        });
        if let Some(item) = self.list.get_mut(at) {
            item.errors.push(message.into());
        }
    }

    /// Puts placeholders back in the places of what they were resolved to (invariant 12).
    pub fn restore(&mut self, stored: &Config, resolved: &Resolved) {
        if resolved.is_plain() {
            return;
        }
        for item in &mut self.list {
            let replaced = stored.get(&item.name).filter(|text| resolved.config.get(&item.name) != Some(text));
            match (&mut item.value, replaced) {
                (Some(value), Some(text)) if value != HIDDEN => text.clone_into(value),
                (Some(value), None) => *value = resolved.masked(value),
                _ => {}
            }
            for error in &mut item.errors {
                // A short value is not looked for in a text, but it may be all that the error is about.
                let given = replaced.and_then(|text| Some((resolved.config.get(&item.name)?, text)));
                if let Some((value, text)) = given.filter(|(value, _)| !value.is_empty()) {
                    *error = error.replace(value.as_str(), text);
                }
                *error = resolved.masked(error);
            }
        }
    }

    /// Whether a key has no error so far.
    pub fn is_clean(&self, name: &str) -> bool {
        self.list.iter().find(|item| item.name == name).is_none_or(|item| item.errors.is_empty())
    }

    /// Adds a group that has no keys.
    pub fn group(&mut self, name: &str) {
        if !self.groups.iter().any(|known| known == name) {
            self.groups.push(name.to_owned());
        }
    }

    /// Keys in order.
    pub fn list(&self) -> &[Item] {
        &self.list
    }

    /// Groups in order of first use.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// All error texts in order of the keys.
    pub fn errors(&self) -> impl Iterator<Item = &str> {
        self.list.iter().flat_map(|item| item.errors.iter().map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_connector_api::config::{Importance, Key, KeyError, Rule, Type};

    #[test]
    fn what_a_rule_says_of_a_key_that_another_definition_has_stays() {
        let key = |name: &str| Key::new(name, Type::Int, Importance::Low, "");
        let rules = vec![Rule::new(|_| vec![KeyError::invalid("b", "1", "must be 2")])];
        let first = ConfigDef { keys: vec![key("a")], rules, ..ConfigDef::default() };
        let second = ConfigDef { keys: vec![key("b")], ..ConfigDef::default() };
        let config = Config::from([("b".to_owned(), "1".to_owned())]);
        let mut items = Items::default();
        items.add(&first, first.validate(&config));
        items.add(&second, second.validate(&config));
        assert_eq!(items.errors().collect::<Vec<_>>(), ["Invalid value 1 for configuration b: must be 2"]);
        assert_eq!(items.list().len(), 2);
    }
}

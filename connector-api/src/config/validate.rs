//! Checks a configuration against a definition, with the texts Kafka's own tools and users know.

use super::{Check, Config, ConfigDef, ConfigErrors, ConfigField, Key, KeyError, Secret, Type, field::list_items};
use indexmap::IndexMap;

/// What stands in the place of a secret.
pub const HIDDEN: &str = "[hidden]";

/// A key of a definition as one configuration has it.
#[derive(Clone, Debug)]
pub struct KeyState<'a> {
    /// Key.
    pub key: &'a Key,
    /// Given or default value as it may be shown; `None` when there is none or it is ill-typed.
    pub value: Option<String>,
    /// Whole error texts.
    pub errors: Vec<String>,
}

/// What a definition says of a configuration.
#[derive(Clone, Debug)]
pub struct Validated<'a> {
    /// Every key with its value and everything that is wrong with it, in order of declaration.
    pub states: Vec<KeyState<'a>>,
    /// What rules say of keys that the definition does not know.
    pub strays: Vec<KeyError>,
}

impl Validated<'_> {
    /// Everything that is wrong, in order of the keys.
    pub fn errors(self) -> Vec<KeyError> {
        let told = |state: KeyState<'_>| {
            let key = &state.key.name;
            state.errors.into_iter().map(|message| KeyError { key: key.clone(), message }).collect::<Vec<_>>()
        };
        self.states.into_iter().flat_map(told).chain(self.strays).collect()
    }
}

impl ConfigDef {
    /// What is to be said of `config`.
    ///
    /// Keys of `config` that the definition does not know are none of its business (Connect keeps
    /// them); see [`ConfigDef::unknown_keys`].
    pub fn validate(&self, config: &Config) -> Validated<'_> {
        let mut states: Vec<_> = self.keys.iter().map(|key| key.state(config.get(&key.name))).collect();
        let mut strays = Vec::new();
        let wrong: Vec<bool> = states.iter().map(|state| !state.errors.is_empty()).collect();
        let all_right = !wrong.contains(&true);
        let rules = self.rules.iter().filter(|rule| rule.applies(all_right));
        for error in rules.flat_map(|rule| rule.ask(config)) {
            let named = self.key_or_family(&error.key).map(|key| &key.name);
            match states.iter_mut().zip(&wrong).find(|(state, _)| Some(&state.key.name) == named) {
                Some((state, false)) => {
                    let given = config.get(&state.key.name).filter(|_| state.key.is_secret());
                    state.errors.push(without(error.message, given.map(String::as_str)));
                }
                Some((_, true)) => {}
                None => strays.push(error),
            }
        }
        Validated { states, strays }
    }

    /// Everything that is wrong, in order of the keys.
    pub fn check(&self, config: &Config) -> Result<(), ConfigErrors> {
        let errors = self.validate(config).errors();
        if errors.is_empty() { Ok(()) } else { Err(ConfigErrors(errors)) }
    }

    /// `config` as it may be logged or shown: secrets hidden, unknown keys kept.
    pub fn redacted(&self, config: &Config) -> IndexMap<String, String> {
        let shown = |(name, value): (&String, &String)| {
            let secret = self.key_or_family(name).is_some_and(Key::is_secret);
            (name.clone(), if secret { HIDDEN.to_owned() } else { value.clone() })
        };
        config.iter().map(shown).collect()
    }
}

impl Key {
    /// This key as a configuration gives it (`None`: not at all).
    pub fn state(&self, given: Option<&String>) -> KeyState<'_> {
        let mut state = KeyState { key: self, value: None, errors: Vec::new() };
        let Some(text) = given.or(self.default.as_ref()) else {
            if self.required {
                state.errors.push(KeyError::missing(&self.name).message);
            }
            return state;
        };
        let secret = self.is_secret().then_some(text.as_str());
        match self.kind.check(text) {
            Ok(shown) => state.value = Some(if secret.is_some() { HIDDEN.to_owned() } else { shown }),
            Err(reason) => return self.refused(state, text, &reason),
        }
        match self.check.accepts(self.kind, text) {
            Ok(()) => state,
            Err(reason) => self.refused(state, text, &without(reason, secret)),
        }
    }

    fn refused<'a>(&self, mut state: KeyState<'a>, text: &str, reason: &str) -> KeyState<'a> {
        let shown = if self.is_secret() { HIDDEN } else { text };
        state.errors.push(KeyError::invalid(&self.name, shown, reason).message);
        state
    }
}

/// `message` with no trace of `secret` (invariant 12): the check that made it is not ours.
fn without(message: String, secret: Option<&str>) -> String {
    match secret.map(str::trim) {
        Some(secret) if !secret.is_empty() => message.replace(secret, HIDDEN),
        _ => message,
    }
}

impl Type {
    /// The value as Connect shows it, or what it is not.
    fn check(self, text: &str) -> Result<String, String> {
        fn shown<T: ConfigField + ToString>(text: &str) -> Result<String, String> {
            T::read(Some(text)).map(|value| value.to_string())
        }
        match self {
            Self::Boolean => shown::<bool>(text),
            Self::Short => shown::<i16>(text),
            Self::Int => shown::<i32>(text),
            Self::Long => shown::<i64>(text),
            Self::Double => shown::<f64>(text),
            Self::Password => shown::<Secret>(text),
            Self::String | Self::Class => shown::<String>(text),
            Self::List => Ok(list_items(text).collect::<Vec<_>>().join(",")),
        }
    }
}

impl Check {
    /// Whether a value that is of the key's type passes; the error says what it must be.
    pub fn accepts(&self, kind: Type, text: &str) -> Result<(), String> {
        let text = text.trim();
        match self {
            Self::Any => Ok(()),
            Self::NonEmpty if !text.is_empty() => Ok(()),
            Self::NonEmpty if kind == Type::List => Err("List must not be empty".to_owned()),
            Self::NonEmpty => Err("String must be non-empty".to_owned()),
            Self::Range { min, max } => in_range(text, *min, *max),
            Self::OneOf(names) if kind == Type::List => list_items(text).try_for_each(|item| one_of(item, names)),
            Self::OneOf(names) => one_of(text, names),
            Self::Custom(check) => check(text),
            Self::All(checks) => checks.iter().try_for_each(|check| check.accepts(kind, text)),
        }
    }
}

fn one_of(text: &str, names: &[String]) -> Result<(), String> {
    if names.iter().any(|name| name == text) {
        Ok(())
    } else {
        Err(format!("String must be one of: {}", names.join(", ")))
    }
}

fn in_range(text: &str, min: Option<f64>, max: Option<f64>) -> Result<(), String> {
    let value: f64 = text.parse().map_err(|_| "Not a number".to_owned())?;
    match (min, max) {
        (Some(min), _) if value < min || value.is_nan() => Err(format!("Value must be at least {min}")),
        (_, Some(max)) if value > max || value.is_nan() => Err(format!("Value must be no more than {max}")),
        _ => Ok(()),
    }
}

//! Debezium's `ReselectColumnsPostProcessor`: `post.processors=NAME` and the keys that begin with `NAME.`.

use crate::filter::{Choice, check_patterns};
use levada_connector_api::{Config, config::KeyError};

const KEY: &str = "post.processors";
const CLASS: &str = "io.debezium.processors.reselect.ReselectColumnsPostProcessor";

/// Which values are read from their tables, and how.
#[derive(Clone, Debug)]
pub struct Reselect {
    columns: Choice,
    /// Large values that did not change and were not sent.
    pub unavailable: bool,
    /// Nulls.
    pub nulls: bool,
    /// Find the row by the event's key and not by the table's.
    pub event_key: bool,
    /// Fail when the values can't be read.
    pub fail: bool,
}

impl Reselect {
    /// Of a configuration that [`check`] has accepted; `None` where there is no such processor.
    pub fn of(config: &Config) -> Option<Self> {
        let name = names(config).into_iter().next()?;
        read(config, &name, &mut Vec::new())
    }

    /// Whether values of a column are read.
    pub fn column(&self, schema: &str, table: &str, column: &str) -> bool {
        self.columns.is_all() || self.columns.chooses(&format!("{schema}.{table}:{column}"))
    }
}

fn names(config: &Config) -> Vec<String> {
    let text = config.get(KEY).map_or("", String::as_str);
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// What is wrong with the processors; told at `post.processors`, since their own keys are none of the definition's.
pub fn check(config: &Config) -> Vec<KeyError> {
    let mut errors = Vec::new();
    let names = names(config);
    for name in &names {
        read(config, name, &mut errors);
    }
    if names.len() > 1 {
        errors.push("one post-processor is as many as there can be".to_owned());
    }
    let given = config.get(KEY).map_or("", String::as_str);
    errors.into_iter().map(|reason| KeyError::invalid(KEY, given, &reason)).collect()
}

fn read(config: &Config, name: &str, errors: &mut Vec<String>) -> Option<Reselect> {
    let value = |key: &str| config.get(&format!("{name}.{key}")).map(|value| value.trim());
    if value("type") != Some(CLASS) {
        errors.push(format!("{name}.type must be {CLASS}; other post-processors are Java classes and are not run"));
        return None;
    }
    let mut flag = |key: &str, default: bool| match value(key).map(str::to_ascii_lowercase).as_deref() {
        None | Some("") => default,
        Some("true") => true,
        Some("false") => false,
        Some(other) => {
            errors.push(format!("{name}.{key} must be true or false, not {other}"));
            default
        }
    };
    let (unavailable, nulls) = (flag("reselect.unavailable.values", true), flag("reselect.null.values", true));
    let event_key = flag("reselect.use.event.key", false);
    let fail = match value("reselect.error.handling.mode").unwrap_or("warn").to_ascii_lowercase().as_str() {
        "warn" | "" => false,
        "fail" => true,
        other => {
            errors.push(format!("{name}.reselect.error.handling.mode must be warn or fail, not {other}"));
            false
        }
    };
    let mut list = |key: &str| {
        let text = value(key).filter(|text| !text.is_empty())?;
        errors.extend(check_patterns(text).err().map(|reason| format!("{name}.{key}: {reason}")));
        Some(text.split(',').map(|pattern| pattern.trim().to_owned()).collect::<Vec<_>>())
    };
    let (include, exclude) = (list("reselect.columns.include.list"), list("reselect.columns.exclude.list"));
    if include.is_some() && exclude.is_some() {
        errors
            .push(format!("{name}.reselect.columns.include.list and .exclude.list are both given; use one of the two"));
    }
    let columns = Choice::new(include.as_ref(), exclude.as_ref());
    Some(Reselect { columns, unavailable, nulls, event_key, fail })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Config {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn debeziums_keys_and_defaults_are_known() {
        assert!(Reselect::of(&config(&[])).is_none());
        let minimal = config(&[(KEY, "r"), ("r.type", CLASS)]);
        assert_eq!(check(&minimal), []);
        let read = Reselect::of(&minimal).unwrap();
        assert!(read.unavailable && read.nulls && !read.event_key && !read.fail && read.column("s", "t", "c"));
        let full = config(&[
            (KEY, "r"),
            ("r.type", CLASS),
            ("r.reselect.columns.include.list", "s.t:big, s.u:.*"),
            ("r.reselect.null.values", "false"),
            ("r.reselect.use.event.key", "true"),
            ("r.reselect.error.handling.mode", "FAIL"),
        ]);
        assert_eq!(check(&full), []);
        let read = Reselect::of(&full).unwrap();
        assert!(read.unavailable && !read.nulls && read.event_key && read.fail);
        assert!(read.column("s", "T", "big") && read.column("s", "u", "x") && !read.column("s", "t", "small"));
    }

    #[test]
    fn what_is_wrong_is_told_all_at_once() {
        let wrong = config(&[
            (KEY, "r, other"),
            ("r.type", CLASS),
            ("r.reselect.columns.include.list", "a(b"),
            ("r.reselect.columns.exclude.list", "c"),
            ("r.reselect.null.values", "maybe"),
            ("r.reselect.error.handling.mode", "skip"),
            ("other.type", "com.example.Other"),
        ]);
        let told: Vec<_> = check(&wrong).into_iter().map(|error| error.message).collect();
        for words in ["a(b", "use one of the two", "maybe", "skip", "other.type", "as many as"] {
            assert!(told.iter().any(|text| text.contains(words)), "{words}: {told:?}");
        }
        assert_eq!(told.len(), 6, "{told:?}");
    }
}

//! What one configuration key is, and whether a value fits it.
//!
//! The tables of `[node]` and `[worker]` are made of these; the broker's own table is translated into them, so that
//! help texts, did-you-mean and type checks are the same for all three.

use std::{borrow::Cow, fmt};

/// The table of `levada.toml` a key stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// The process itself.
    Node,
    /// The log and its Kafka listener.
    Broker,
    /// The Connect worker and its REST listener.
    Worker,
}

impl Table {
    /// All tables, in the order they are shown.
    pub const ALL: [Self; 3] = [Self::Node, Self::Broker, Self::Worker];

    /// The name in files, flags and (upper-case) the environment.
    pub fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Broker => "broker",
            Self::Worker => "worker",
        }
    }

    /// The table of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a value must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A whole number within bounds, both included.
    Integer(i64, i64),
    /// A number within bounds, both included.
    Number(f64, f64),
    /// Any text.
    Text,
    /// Any text that is not empty.
    NonEmpty,
    /// Comma-separated texts.
    List,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Comma-separated words of these.
    ListOf(&'static [&'static str]),
    /// The name is a prefix: everything below it is passed on as it is.
    Prefix,
}

/// One key.
#[derive(Clone, Debug)]
pub struct KeyDef {
    /// Table.
    pub table: Table,
    /// Kafka's, Connect's or our name, without the table; ends with a dot for [`Kind::Prefix`].
    pub name: Cow<'static, str>,
    /// What a value must be.
    pub kind: Kind,
    /// Value where none is given; `None` leaves the key unset.
    pub default: Option<Cow<'static, str>>,
    /// Text for people.
    pub doc: Cow<'static, str>,
}

impl KeyDef {
    /// `table.name`.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.table, self.name)
    }

    /// Checks a value; the error says what it must be instead.
    pub fn check(&self, value: &str) -> Result<(), String> {
        let value = value.trim();
        match self.kind {
            Kind::Text | Kind::List | Kind::Prefix => Ok(()),
            Kind::Boolean if matches!(value.to_ascii_lowercase().as_str(), "true" | "false") => Ok(()),
            Kind::Boolean => Err("must be true or false".into()),
            Kind::NonEmpty if !value.is_empty() => Ok(()),
            Kind::NonEmpty => Err("must not be empty".into()),
            Kind::Integer(min, max) => match value.parse::<i64>() {
                Ok(number) if (min..=max).contains(&number) => Ok(()),
                _ => Err(format!("must be a whole number {}", bounds(min, max))),
            },
            Kind::Number(min, max) => match value.parse::<f64>() {
                Ok(number) if (min..=max).contains(&number) => Ok(()),
                _ => Err(format!("must be a number from {min} to {max}")),
            },
            Kind::OneOf(words) if words.contains(&value) => Ok(()),
            Kind::OneOf(words) => Err(format!("must be one of {}", words.join(", "))),
            Kind::ListOf(words) => match split_list(value).find(|word| !words.contains(word)) {
                None => Ok(()),
                Some(word) => Err(format!("must be a list of {}; `{word}` is none of them", words.join(", "))),
            },
        }
    }
}

/// The elements of a comma-separated list, trimmed, without empty ones.
pub fn split_list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn bounds(min: i64, max: i64) -> String {
    match (min, max) {
        (min, i64::MAX) => format!("of at least {min}"),
        (i64::MIN, max) => format!("of at most {max}"),
        (min, max) => format!("from {min} to {max}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: Kind) -> KeyDef {
        KeyDef { table: Table::Node, name: "k".into(), kind, default: None, doc: "".into() }
    }

    #[test]
    fn a_value_is_checked_and_the_error_says_what_fits() {
        assert!(key(Kind::Boolean).check("TRUE").is_ok());
        assert_eq!(key(Kind::Boolean).check("yes").unwrap_err(), "must be true or false");
        assert!(key(Kind::Integer(0, i64::MAX)).check(" 5 ").is_ok());
        assert_eq!(key(Kind::Integer(0, i64::MAX)).check("abc").unwrap_err(), "must be a whole number of at least 0");
        assert_eq!(key(Kind::Integer(1, 9)).check("10").unwrap_err(), "must be a whole number from 1 to 9");
        assert!(key(Kind::Number(0.0, 1.0)).check("1.5").is_err());
        assert_eq!(key(Kind::OneOf(&["a", "b"])).check("c").unwrap_err(), "must be one of a, b");
        assert!(key(Kind::ListOf(&["a", "b"])).check("b, a").is_ok());
        assert!(key(Kind::ListOf(&["a", "b"])).check("a,x").unwrap_err().contains("`x`"));
        assert!(key(Kind::NonEmpty).check(" ").is_err());
    }
}

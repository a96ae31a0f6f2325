//! `column.mask.*` and `column.truncate.*`: what is hidden before it leaves the process.

use crate::filter::{Patterns, check_patterns};
use levada_connector_api::{Config, Str, Value, config::KeyError};
use ring::digest;

/// What is done to the text of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mask {
    /// Asterisks, also for null.
    Fixed(String),
    /// At most so many UTF-16 units.
    Truncate(usize),
    /// A digest in hexadecimal digits, at most so many.
    Hash {
        /// Digest.
        algorithm: Algorithm,
        /// Put before the value.
        salt: String,
        /// Whether the value is digested as Java serializes it, as Debezium's first version does.
        serialized: bool,
        /// Length of the column.
        length: Option<usize>,
    },
}

/// A digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "SHA-1" | "SHA1" | "SHA" => Self::Sha1,
            "SHA-256" => Self::Sha256,
            "SHA-384" => Self::Sha384,
            "SHA-512" => Self::Sha512,
            _ => return None,
        })
    }

    fn ring(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }
}

/// The masks of a configuration, in order of its keys.
#[derive(Clone, Debug, Default)]
pub struct Masks(Vec<(Patterns, Mask)>);

impl Masks {
    /// Of the configuration's keys.
    pub fn new(config: &Config) -> Self {
        let found = config.iter().filter_map(|(key, value)| {
            let mask = mask(key)?.ok()?;
            Some((Patterns::new(&value.split(',').collect::<Vec<_>>()), mask))
        });
        Self(found.collect())
    }

    /// The mask of a column, its declared length in it.
    pub fn of(&self, schema: &str, table: &str, column: &str, length: Option<usize>) -> Option<Mask> {
        if self.0.is_empty() {
            return None;
        }
        let name = format!("{schema}.{table}.{column}");
        let (_, mask) = self.0.iter().find(|(patterns, _)| patterns.matches(&name))?;
        Some(match mask.clone() {
            Mask::Hash { algorithm, salt, serialized, .. } => Mask::Hash { algorithm, salt, serialized, length },
            Mask::Truncate(most) if length.is_some_and(|length| length <= most) => return None,
            mask => mask,
        })
    }
}

/// What is wrong with the keys.
pub fn check(config: &Config) -> Vec<KeyError> {
    let wrong = |(key, value): (&String, &String)| {
        let reason = match mask(key)? {
            Err(reason) => reason,
            Ok(_) => check_patterns(value).err()?,
        };
        Some(KeyError::invalid(key, value, &reason))
    };
    config.iter().filter_map(wrong).collect()
}

/// The mask that a key stands for; `None` for other keys.
fn mask(key: &str) -> Option<Result<Mask, String>> {
    let number = |text: &str| text.parse::<usize>().map_err(|_| format!("\"{text}\" is no number of characters"));
    if let Some(count) = key.strip_prefix("column.mask.with.").and_then(|key| key.strip_suffix(".chars")) {
        return Some(number(count).map(|count| Mask::Fixed("*".repeat(count.min(65_535)))));
    }
    if let Some(count) = key.strip_prefix("column.truncate.to.").and_then(|key| key.strip_suffix(".chars")) {
        return Some(number(count).map(Mask::Truncate));
    }
    let rest = key.strip_prefix("column.mask.hash.")?;
    let (serialized, rest) = match rest.strip_prefix("v2.") {
        Some(rest) => (false, rest),
        None => (true, rest),
    };
    let (name, salt) = rest.split_once(".with.salt.")?;
    let known = Algorithm::named(name)
        .ok_or_else(|| format!("\"{name}\" is no digest known here; use SHA-1, SHA-256, SHA-384 or SHA-512"));
    Some(known.map(|algorithm| Mask::Hash { algorithm, salt: salt.to_owned(), serialized, length: None }))
}

impl Mask {
    /// Whether it also applies to null.
    pub fn hides_null(&self) -> bool {
        matches!(self, Self::Fixed(_))
    }

    /// The parameter that the column's schema gets.
    pub fn parameter(&self) -> (&'static str, String) {
        match self {
            Self::Truncate(most) => ("truncateLength", most.to_string()),
            _ => ("masked", "true".to_owned()),
        }
    }

    /// The value as it may be seen.
    pub fn apply(&self, value: Value) -> Value {
        match (self, value) {
            (Self::Fixed(text), _) => Value::string(text.clone()),
            (Self::Truncate(most), Value::String(text)) => Value::String(truncated(text, *most)),
            (Self::Hash { algorithm, salt, serialized, length }, Value::String(text)) => {
                let mut context = digest::Context::new(algorithm.ring());
                context.update(salt.as_bytes());
                if *serialized {
                    context.update(&java_header(&text));
                }
                context.update(text.as_str().as_bytes());
                let mut hex = crate::datatype::hex_digits(context.finish().as_ref());
                hex.truncate(length.filter(|length| *length > 0).unwrap_or(usize::MAX).min(hex.len()));
                Value::string(hex)
            }
            (_, value) => value,
        }
    }
}

/// What Java's object stream writes before the text. Characters that Java's form of UTF-8 writes its own way
/// (NUL and those beyond the first plane) are digested as plain UTF-8.
fn java_header(text: &str) -> Vec<u8> {
    let mut header = vec![0xac, 0xed, 0, 5];
    match u16::try_from(text.len()) {
        Ok(length) => {
            header.push(0x74);
            header.extend_from_slice(&length.to_be_bytes());
        }
        Err(_) => {
            header.push(0x7c);
            header.extend_from_slice(&(text.len() as u64).to_be_bytes());
        }
    }
    header
}

fn truncated(text: Str, most: usize) -> Str {
    let mut units = 0;
    for (at, c) in text.char_indices() {
        units += c.len_utf16();
        if units > most {
            return text.slice(0, at).unwrap_or_default();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masks(key: &str, value: &str) -> Masks {
        Masks::new(&Config::from_iter([(key.to_owned(), value.to_owned())]))
    }

    #[test]
    fn each_mask_does_its_own() {
        let fixed = masks("column.mask.with.5.chars", "s.t.c").of("s", "t", "c", None).unwrap();
        assert_eq!(fixed.apply(Value::Null), Value::string("*****"));
        let cut = masks("column.truncate.to.3.chars", "s.t.c");
        assert_eq!(cut.of("s", "t", "c", None).unwrap().apply(Value::string("a😀b")), Value::string("a😀"));
        assert!(cut.of("s", "t", "c", Some(3)).is_none(), "nothing can be longer");
        let hash = masks("column.mask.hash.v2.SHA-256.with.salt.s", "s.t.c").of("s", "t", "c", Some(8)).unwrap();
        // SHA-256 of "sabc".
        assert_eq!(hash.apply(Value::string("abc")), Value::string("cf0bbce2"));
        assert!(masks("column.mask.with.5.chars", "s.t.c").of("s", "t", "d", None).is_none());
    }

    #[test]
    fn unknown_digests_are_told() {
        let config = Config::from_iter([("column.mask.hash.MD4.with.salt.x".to_owned(), "a".to_owned())]);
        assert_eq!(check(&config).len(), 1);
    }
}

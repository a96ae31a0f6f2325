//! What one configuration key is: type, default, bounds, documentation.
//!
//! The tables in [`super::broker_keys`] and [`super::topic_keys`] are made of these; the daemon reads them for its help
//! texts and did-you-mean, DescribeConfigs for types and docs, and everything that sets a value for its check.

/// The type of a key's value, as DescribeConfigs reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// `true` or `false`.
    Boolean,
    /// Free text.
    String,
    /// 16-bit integer.
    Short,
    /// 32-bit integer.
    Int,
    /// 64-bit integer.
    Long,
    /// Floating point.
    Double,
    /// Comma-separated list.
    List,
}

impl KeyType {
    /// The type's number in the DescribeConfigs answer.
    pub fn wire_id(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::String => 2,
            Self::Int => 3,
            Self::Short => 4,
            Self::Long => 5,
            Self::Double => 6,
            Self::List => 7,
        }
    }

    /// Lower-case name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Short => "short",
            Self::Int => "int",
            Self::Long => "long",
            Self::Double => "double",
            Self::List => "list",
        }
    }
}

/// Which values of the type are allowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Allowed {
    /// All of them.
    Any,
    /// Numbers from the first to the second, both included.
    Range(i64, i64),
    /// Fractions from the first to the second, both included.
    Fraction(f64, f64),
    /// One of these words (each element, for a list).
    OneOf(&'static [&'static str]),
}

/// Whether and how a broker key can be changed while the broker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    /// Only by a restart.
    ReadOnly,
    /// By AlterConfigs, for one broker or for all.
    Dynamic,
}

/// One configuration key.
#[derive(Debug, Clone, Copy)]
pub struct KeyDef {
    /// Kafka's (or, for our own additions, a Kafka-like) name.
    pub name: &'static str,
    /// Type of the value.
    pub kind: KeyType,
    /// The default in text form; `None` where Kafka's default is null.
    pub default: Option<&'static str>,
    /// Values allowed.
    pub allowed: Allowed,
    /// How it may change at run time.
    pub update: Update,
    /// One or two sentences for people.
    pub doc: &'static str,
}

/// Longest value, as Kafka has it.
pub const MAX_VALUE: usize = 32_767;

/// Why a value was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The text is not of the key's type.
    #[error("invalid value {value:?} for {key}: expected {expected}")]
    Type {
        /// The key.
        key: String,
        /// What was given.
        value: String,
        /// What would be right.
        expected: String,
    },
    /// The text is longer than any value may be.
    #[error("the value of {key} has {length} bytes; at most {MAX_VALUE} are allowed")]
    TooLong {
        /// The key.
        key: String,
        /// How long it is.
        length: usize,
    },
    /// No such key.
    #[error("unknown configuration key {key:?}{}", suggestion(*.nearest))]
    Unknown {
        /// What was given.
        key: String,
        /// The known key that is spelled most alike.
        nearest: Option<&'static str>,
    },
    /// Two values do not go together.
    #[error("{text}")]
    Conflict {
        /// Names the keys, their values and the mend.
        text: String,
    },
}

fn suggestion(nearest: Option<&'static str>) -> String {
    nearest.map(|n| format!(" (did you mean {n:?}?)")).unwrap_or_default()
}

impl KeyDef {
    /// Check that `value` is of this key's type and within its bounds.
    pub fn check(&self, value: &str) -> Result<(), ValueError> {
        if value.len() > MAX_VALUE {
            return Err(ValueError::TooLong { key: self.name.to_owned(), length: value.len() });
        }
        let ok = match self.kind {
            KeyType::Boolean => parse_bool(value).is_some(),
            KeyType::Short => value.trim().parse::<i16>().is_ok_and(|v| self.in_range(i64::from(v))),
            KeyType::Int => value.trim().parse::<i32>().is_ok_and(|v| self.in_range(i64::from(v))),
            KeyType::Long => value.trim().parse::<i64>().is_ok_and(|v| self.in_range(v)),
            KeyType::Double => value.trim().parse::<f64>().is_ok_and(|v| self.in_fraction(v)),
            KeyType::String => self.in_words(value.trim()),
            KeyType::List => split_list(value).all(|word| self.in_words(word)),
        };
        if ok { Ok(()) } else { Err(self.refuse(value)) }
    }

    fn refuse(&self, value: &str) -> ValueError {
        ValueError::Type { key: self.name.to_owned(), value: value.to_owned(), expected: self.expectation() }
    }

    /// What a right value looks like, for error and help texts.
    pub fn expectation(&self) -> String {
        match (self.kind, self.allowed) {
            (kind, Allowed::Any) => format!("a value of type {}", kind.name()),
            (kind, Allowed::Range(low, i64::MAX)) => format!("a value of type {} of at least {low}", kind.name()),
            (kind, Allowed::Range(low, high)) => format!("a value of type {} from {low} to {high}", kind.name()),
            (_, Allowed::Fraction(low, high)) => format!("a number from {low} to {high}"),
            (KeyType::List, Allowed::OneOf(words)) => format!("a list of {}", words.join(", ")),
            (_, Allowed::OneOf(words)) => format!("one of {}", words.join(", ")),
        }
    }

    fn in_range(&self, value: i64) -> bool {
        match self.allowed {
            Allowed::Range(low, high) => (low..=high).contains(&value),
            _ => true,
        }
    }

    fn in_fraction(&self, value: f64) -> bool {
        match self.allowed {
            Allowed::Fraction(low, high) => (low..=high).contains(&value),
            _ => value.is_finite(),
        }
    }

    fn in_words(&self, value: &str) -> bool {
        match self.allowed {
            Allowed::OneOf(words) => words.contains(&value),
            _ => true,
        }
    }
}

/// `true`/`false` in any case, as Kafka reads them.
pub fn parse_bool(value: &str) -> Option<bool> {
    let value = value.trim();
    if value.eq_ignore_ascii_case("true") {
        Some(true)
    } else if value.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// The non-empty elements of a comma-separated list.
pub fn split_list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|word| !word.is_empty())
}

/// The name in `known` spelled most like `given`, if one is near enough to be what was meant.
pub fn nearest(given: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let limit = (given.len() / 3).clamp(2, 8);
    known.map(|name| (edit_distance(given, name), name)).filter(|(d, _)| *d <= limit).min().map(|(_, name)| name)
}

fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(256).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().take(256).enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let up = row.get(j + 1).copied().unwrap_or(usize::MAX - 1);
            let best = (diagonal + usize::from(ca != *cb)).min(left + 1).min(up + 1);
            if let Some(cell) = row.get_mut(j) {
                *cell = left;
            }
            diagonal = up;
            left = best;
        }
        if let Some(last) = row.last_mut() {
            *last = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distance_counts_single_edits() {
        assert_eq!(edit_distance("log.segmnt.bytes", "log.segment.bytes"), 1);
        assert_eq!(edit_distance("abc", "abc"), 0);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
    }

    #[test]
    fn nearest_gives_up_on_what_is_too_different() {
        let known = ["num.partitions", "log.dirs"];
        assert_eq!(nearest("num.partition", known.into_iter()), Some("num.partitions"));
        assert_eq!(nearest("zookeeper.connect", known.into_iter()), None);
    }
}

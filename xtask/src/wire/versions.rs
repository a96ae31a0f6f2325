//! Version ranges as the definitions write them: `3`, `3-7`, `3+`, `none`.

use serde::{Deserialize, Deserializer, de};

/// A range of versions, both ends inclusive; empty if `min > max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Versions {
    pub(super) min: i16,
    pub(super) max: i16,
}

impl Versions {
    pub(super) const NONE: Self = Self { min: i16::MAX, max: -1 };
    pub(super) const ALL: Self = Self { min: 0, max: i16::MAX };

    pub(super) fn is_empty(self) -> bool {
        self.min > self.max
    }

    pub(super) fn and(self, other: Self) -> Self {
        let both = Self { min: self.min.max(other.min), max: self.max.min(other.max) };
        if both.is_empty() { Self::NONE } else { both }
    }

    /// The condition on `version` under which it is in this range, given that it is in `outer`; `None` if it always is.
    pub(super) fn condition(self, outer: Self) -> Option<String> {
        match (self.min > outer.min, self.max < outer.max) {
            _ if self.and(outer).is_empty() => Some("false".into()),
            (false, false) => None,
            (true, false) => Some(format!("version >= {}", self.min)),
            (false, true) => Some(format!("version <= {}", self.max)),
            (true, true) if self.min == self.max => Some(format!("version == {}", self.min)),
            (true, true) => Some(format!("({}..={}).contains(&version)", self.min, self.max)),
        }
    }

    /// The condition under which `version` is not in this range; `None` if it always is.
    pub(super) fn negated(self, outer: Self) -> Option<String> {
        self.condition(outer).map(|condition| {
            match (condition.strip_prefix("version >= "), condition.strip_prefix("version <= ")) {
                (Some(min), _) => format!("version < {min}"),
                (_, Some(max)) => format!("version > {max}"),
                _ => format!("!({condition})"),
            }
        })
    }

    /// As text for people: `3`, `3-7` or, open to the end of `outer`, `3+`.
    pub(super) fn text(self, outer: Self) -> String {
        match () {
            () if self.is_empty() => "none".into(),
            () if self.max >= outer.max => format!("{}+", self.min),
            () if self.min == self.max => self.min.to_string(),
            () => format!("{}-{}", self.min, self.max),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if text == "none" {
            return Some(Self::NONE);
        }
        if let Some(min) = text.strip_suffix('+') {
            return Some(Self { min: min.parse().ok()?, max: i16::MAX });
        }
        let (min, max) = text.split_once('-').unwrap_or((text, text));
        Some(Self { min: min.parse().ok()?, max: max.parse().ok()? })
    }
}

impl Default for Versions {
    fn default() -> Self {
        Self::NONE
    }
}

impl<'de> Deserialize<'de> for Versions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom(format!("not a version range: {text}")))
    }
}

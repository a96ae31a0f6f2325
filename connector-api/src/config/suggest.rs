//! Which known name was meant by an unknown one.

use super::{Config, ConfigDef};

/// A key of a configuration that no definition knows. It is kept, as Connect does, with a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownKey {
    /// The key as given.
    pub key: String,
    /// The known key it looks like, if there is one.
    pub meant: Option<String>,
}

impl std::fmt::Display for UnknownKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "unknown configuration key {}", self.key)?;
        match &self.meant {
            Some(meant) => write!(f, ": did you mean {meant}?"),
            None => Ok(()),
        }
    }
}

impl ConfigDef {
    /// The keys of `config` that are not in the definition and that `known_elsewhere` does not claim
    /// (Connect's common keys, converter and client prefixes).
    pub fn unknown_keys(&self, config: &Config, known_elsewhere: impl Fn(&str) -> bool) -> Vec<UnknownKey> {
        let unknown = |key: &&String| self.key_or_family(key).is_none() && !known_elsewhere(key);
        let names = || self.keys.iter().map(|key| key.name.as_str());
        config
            .keys()
            .filter(unknown)
            .map(|key| UnknownKey { key: key.clone(), meant: nearest(key, names()).map(str::to_owned) })
            .collect()
    }
}

/// The candidate that `word` was most likely meant to be; `None` when none is near. Words over 200
/// bytes are near to nothing (invariant 9: the comparison costs the product of the lengths).
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 200;
    if word.len() > LONGEST {
        return None;
    }
    let word = fold(word);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST)
        .map(|candidate| (distance(&word, &fold(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 4).clamp(1, 4))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Letters without case, with `_` and `-` as `.`: `batchSize` stays apart, `BATCH_SIZE` does not.
fn fold(word: &str) -> Vec<char> {
    word.chars().flat_map(char::to_lowercase).map(|c| if matches!(c, '_' | '-') { '.' } else { c }).collect()
}

/// Edit distance where swapping two neighbours counts as one edit.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut row = vec![i + 1; b.len() + 1];
        for (j, &y) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && x == b[j - 1] && a[i - 1] == y {
                best = best.min(before_last[j - 1] + 1);
            }
            row[j + 1] = best;
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_key_behind_a_slip() {
        let keys = ["topic", "batch.size", "file", "max.line.bytes"];
        for (slip, meant) in
            [("topci", "topic"), ("batch_size", "batch.size"), ("bacth.size", "batch.size"), ("flie", "file")]
        {
            assert_eq!(nearest(slip, keys), Some(meant), "{slip}");
        }
        assert_eq!(nearest("transforms", keys), None);
        assert_eq!(nearest("", keys), None);
        assert_eq!(nearest(&"x".repeat(1 << 20), keys), None);
    }
}

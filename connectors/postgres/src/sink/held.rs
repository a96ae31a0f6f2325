//! Which records of a batch wait, while the bad ones are looked for under `defer.constraints=true`.
//!
//! A record that fails what is checked at the end may be right: what it refers to may come behind it. So it is held back,
//! and with it the later records of the same row, and tried again behind the others. Only when a whole round has brought
//! nothing in are they bad, those first that later records of their row wait for. Records that refer to each other in a circle are found to be right
//! while they are tried together, which a bad one of the same batch can prevent.

use std::collections::{HashMap, HashSet};

/// A row: its table and the texts of its key.
pub type RowKey = (u32, Box<[u8]>);

/// Records that wait, as places in the batch.
#[derive(Debug, Default)]
pub struct Held {
    next: Vec<usize>,
    waiting: Vec<usize>,
    /// Those that have failed, with the server's text.
    failed: HashMap<usize, String>,
    /// Rows of these.
    rows: HashMap<RowKey, usize>,
    /// Those of them that others wait for.
    awaited: HashSet<usize>,
    progress: bool,
    /// Whether the next round goes from the last to the first.
    backwards: bool,
}

impl Held {
    /// All records of a batch.
    pub fn all(count: usize) -> Self {
        Self { next: (0..count).collect(), ..Self::default() }
    }

    /// The records to try now, in order; `None` when all are done. Every other round goes backwards over the first records
    /// of each row, so that a chain of references takes few rounds whichever way it goes.
    pub fn next_round(&mut self, key: impl Fn(usize) -> Option<RowKey>) -> Option<Vec<usize>> {
        self.progress = false;
        self.rows.clear();
        self.failed.clear();
        self.awaited.clear();
        let mut round = std::mem::take(&mut self.next);
        if std::mem::replace(&mut self.backwards, true) {
            self.backwards = false;
            let mut first = HashMap::new();
            round.retain(|at| {
                let Some(key) = key(*at) else { return true };
                let before = *first.entry(key).or_insert(*at);
                if before != *at {
                    self.awaited.insert(before);
                    self.waiting.push(*at);
                }
                before == *at
            });
            round.reverse();
        }
        Some(round).filter(|round| !round.is_empty())
    }

    /// Whether a record has to wait for one before it.
    pub fn waits(&mut self, at: usize, key: impl FnOnce() -> Option<RowKey>) -> bool {
        if self.rows.is_empty() {
            return false;
        }
        let Some(before) = key().and_then(|key| self.rows.get(&key).copied()) else { return false };
        self.awaited.insert(before);
        self.waiting.push(at);
        true
    }

    /// Holds one back that failed.
    pub fn hold(&mut self, at: usize, key: Option<RowKey>, reason: String) {
        self.rows.extend(key.map(|key| (key, at)));
        self.failed.insert(at, reason);
        self.waiting.push(at);
    }

    /// Something was written.
    pub fn progress(&mut self) {
        self.progress = true;
    }

    /// Ends a round: what is given back is bad, the others are tried again.
    pub fn give_up(&mut self) -> Vec<(usize, String)> {
        self.next = std::mem::take(&mut self.waiting);
        self.next.sort_unstable();
        if self.progress {
            return Vec::new();
        }
        let mut bad: Vec<_> = std::mem::take(&mut self.failed).into_iter().collect();
        // A later record of a row may be what the others refer to.
        if bad.iter().any(|(at, _)| self.awaited.contains(at)) {
            bad.retain(|(at, _)| self.awaited.contains(at));
        }
        bad.sort_unstable();
        let gone: HashSet<_> = bad.iter().map(|(at, _)| *at).collect();
        self.next.retain(|at| !gone.contains(at));
        bad
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(at: usize) -> RowKey {
        (1, Box::from([at as u8]))
    }

    #[test]
    fn what_failed_is_tried_again_until_nothing_comes_in() {
        let mut held = Held::all(4);
        let keys = |at: usize| Some(if at == 3 { key(0) } else { key(at) });
        assert_eq!(held.next_round(keys).unwrap(), [0, 1, 2, 3]);
        held.hold(0, Some(key(0)), "first".to_owned());
        held.hold(1, Some(key(1)), "other".to_owned());
        held.progress();
        assert!(held.waits(3, || Some(key(0))) && !held.waits(2, || Some(key(2))) && !held.waits(2, || None));
        assert!(held.give_up().is_empty());
        assert_eq!(held.next_round(keys).unwrap(), [1, 0], "backwards, without what waits");
        held.hold(1, Some(key(1)), "other".to_owned());
        held.hold(0, Some(key(0)), "again".to_owned());
        assert_eq!(held.give_up(), [(0, "again".to_owned())], "the one that another waits for, first");
        assert_eq!(held.next_round(keys).unwrap(), [1, 3]);
        held.hold(1, Some(key(1)), "other".to_owned());
        held.progress();
        assert!(held.give_up().is_empty());
        assert_eq!(held.next_round(keys).unwrap(), [1]);
        held.progress();
        assert!(held.give_up().is_empty() && held.next_round(keys).is_none());
    }
}

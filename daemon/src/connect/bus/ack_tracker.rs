//! How long the prefix of acknowledged records is (invariant 7). Pure; for implementations of
//! [`super::BusProducer`].

use std::collections::BTreeSet;

/// Records are numbered from 0; each belongs to one batch, named by the number of its first record.
/// Batches of different partitions interleave, so the prefix ends before the first record of the
/// oldest batch that is not acknowledged.
#[derive(Debug, Default)]
pub struct AckTracker {
    next: u64,
    outstanding: BTreeSet<u64>,
}

impl AckTracker {
    /// The number of the next record.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Counts a record that opened a batch (`true`) or went into an open one.
    pub fn appended(&mut self, opened: bool) {
        if opened {
            self.outstanding.insert(self.next);
        }
        self.next += 1;
    }

    /// Counts a batch as done.
    pub fn done(&mut self, first: u64) {
        self.outstanding.remove(&first);
    }

    /// Every record below this number is acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.outstanding.first().copied().unwrap_or(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_ends_at_the_oldest_open_batch() {
        let mut tracker = AckTracker::default();
        // Partition a: records 0, 1 and 4. Partition b: 2, 3 and 5.
        for opened in [true, false, true, false, false, false] {
            tracker.appended(opened);
        }
        tracker.done(2);
        assert_eq!(tracker.acknowledged(), 0);
        tracker.done(0);
        assert_eq!(tracker.acknowledged(), 6);
        tracker.appended(true);
        assert_eq!(tracker.acknowledged(), 6);
    }
}

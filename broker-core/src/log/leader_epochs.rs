//! Leader epochs of one partition: where each began. Followers and clients truncate by them (invariant 3, KIP-101, KIP-279, KIP-320).

/// An epoch and the first offset appended (or to be appended) under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEntry {
    /// The epoch.
    pub epoch: i32,
    /// Its first offset.
    pub start_offset: i64,
}

/// The answer to OffsetForLeaderEpoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEndOffset {
    /// The largest epoch not above the one asked for, -1 where there is none.
    pub epoch: i32,
    /// The offset after its last one, -1 where there is none.
    pub end_offset: i64,
}

impl EpochEndOffset {
    /// Nothing is known.
    pub const UNDEFINED: Self = Self { epoch: -1, end_offset: -1 };
}

/// Epochs with rising number and start offset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LeaderEpochs {
    entries: Vec<EpochEntry>,
    /// Changed since last written to its checkpoint.
    pub(super) dirty: bool,
}

impl LeaderEpochs {
    /// From a checkpoint; entries that do not rise are dropped, as an interrupted upgrade or damage might leave them.
    pub(super) fn new(entries: Vec<EpochEntry>) -> Self {
        let mut epochs = Self::default();
        for entry in entries {
            epochs.assign(entry.epoch, entry.start_offset);
        }
        epochs.dirty = false;
        epochs
    }

    pub(super) fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    pub(super) fn latest(&self) -> Option<EpochEntry> {
        self.entries.last().copied()
    }

    /// Notes that `epoch` starts at `start_offset`. An epoch known already, or older than the last, changes nothing; an epoch that had no
    /// record gives way to the one that starts at the same offset.
    pub(super) fn assign(&mut self, epoch: i32, start_offset: i64) {
        if epoch < 0 || start_offset < 0 {
            return;
        }
        if let Some(last) = self.entries.last()
            && (epoch <= last.epoch || start_offset < last.start_offset)
        {
            return;
        }
        while self.entries.last().is_some_and(|last| last.start_offset >= start_offset) {
            self.entries.pop();
        }
        self.entries.push(EpochEntry { epoch, start_offset });
        self.dirty = true;
    }

    /// The end of the largest epoch not above `epoch`, in a log that ends at `log_end_offset`.
    pub(super) fn end_offset_for(&self, epoch: i32, log_end_offset: i64) -> EpochEndOffset {
        let Some(latest) = self.entries.last() else { return EpochEndOffset::UNDEFINED };
        if epoch < 0 {
            return EpochEndOffset::UNDEFINED;
        }
        if epoch == latest.epoch {
            return EpochEndOffset { epoch, end_offset: log_end_offset };
        }
        let after = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let Some(next) = self.entries.get(after) else {
            // Newer than all we know: the asker must look elsewhere.
            return EpochEndOffset::UNDEFINED;
        };
        match after.checked_sub(1).and_then(|before| self.entries.get(before)) {
            Some(found) => EpochEndOffset { epoch: found.epoch, end_offset: next.start_offset },
            None => EpochEndOffset { epoch, end_offset: next.start_offset },
        }
    }

    /// The epoch the record at `offset` was appended under.
    pub(super) fn epoch_of(&self, offset: i64) -> Option<i32> {
        let after = self.entries.partition_point(|entry| entry.start_offset <= offset);
        after.checked_sub(1).and_then(|before| self.entries.get(before)).map(|entry| entry.epoch)
    }

    /// Forgets epochs that began at or after `end_offset`.
    pub(super) fn truncate_from_end(&mut self, end_offset: i64) {
        let kept = self.entries.partition_point(|entry| entry.start_offset < end_offset);
        if kept < self.entries.len() {
            self.entries.truncate(kept);
            self.dirty = true;
        }
    }

    /// Forgets epochs that ended before `start_offset`; the one that holds it starts there now.
    pub(super) fn truncate_from_start(&mut self, start_offset: i64) {
        let passed = self.entries.partition_point(|entry| entry.start_offset <= start_offset);
        let Some(holder) = passed.checked_sub(1) else { return };
        if holder > 0 {
            self.entries.drain(..holder);
            self.dirty = true;
        }
        if let Some(first) = self.entries.first_mut()
            && first.start_offset < start_offset
        {
            first.start_offset = start_offset;
            self.dirty = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(entries: &[(i32, i64)]) -> LeaderEpochs {
        LeaderEpochs::new(
            entries.iter().map(|(epoch, start)| EpochEntry { epoch: *epoch, start_offset: *start }).collect(),
        )
    }

    fn end(epoch: i32, end_offset: i64) -> EpochEndOffset {
        EpochEndOffset { epoch, end_offset }
    }

    #[test]
    fn end_of_an_epoch_is_the_start_of_the_next() {
        let epochs = epochs(&[(2, 0), (5, 10), (7, 30)]);
        assert_eq!(epochs.end_offset_for(2, 40), end(2, 10));
        assert_eq!(epochs.end_offset_for(3, 40), end(2, 10));
        assert_eq!(epochs.end_offset_for(5, 40), end(5, 30));
        assert_eq!(epochs.end_offset_for(7, 40), end(7, 40));
        assert_eq!(epochs.end_offset_for(1, 40), end(1, 0));
        assert_eq!(epochs.end_offset_for(8, 40), EpochEndOffset::UNDEFINED);
        assert_eq!(epochs.end_offset_for(-1, 40), EpochEndOffset::UNDEFINED);
        assert_eq!(LeaderEpochs::default().end_offset_for(0, 40), EpochEndOffset::UNDEFINED);
        assert_eq!((epochs.epoch_of(9), epochs.epoch_of(10)), (Some(2), Some(5)));
    }

    #[test]
    fn an_epoch_without_records_gives_way() {
        let epochs = epochs(&[(0, 0), (1, 10), (2, 10)]);
        assert_eq!(epochs.entries().iter().map(|e| e.epoch).collect::<Vec<_>>(), [0, 2]);
    }

    #[test]
    fn truncation_forgets_what_is_gone_and_keeps_what_holds_the_rest() {
        let mut cut = epochs(&[(0, 0), (1, 10), (2, 20)]);
        cut.truncate_from_end(20);
        assert_eq!(cut, LeaderEpochs { dirty: true, ..epochs(&[(0, 0), (1, 10)]) });
        let mut cut = epochs(&[(0, 0), (1, 10), (2, 20)]);
        cut.truncate_from_start(15);
        assert_eq!(cut, LeaderEpochs { dirty: true, ..epochs(&[(1, 15), (2, 20)]) });
        cut.assign(1, 50);
        cut.assign(3, 5);
        assert_eq!(cut.latest().unwrap().epoch, 2);
    }
}

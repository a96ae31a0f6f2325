//! Which source offsets may be committed.
//!
//! Called by the source task runner on its own thread. Invariant 7: an offset becomes committable
//! only when every record before its checkpoint, in its batch and in all earlier ones, has been
//! acknowledged. Records are counted from 0 as they are handed to the log; the bus tells how long
//! the acknowledged prefix is.

use levada_connector_api::{SourceOffset, SourcePartition};
use std::{collections::VecDeque, sync::Arc};

/// An offset to commit.
pub type Committable = (Arc<SourcePartition>, SourceOffset);

/// Checkpoints in order, and how far they are acknowledged. Pure state.
#[derive(Debug, Default)]
pub struct SubmittedRecords {
    /// Waiting checkpoints: the record count that must be acknowledged, partition, offset.
    waiting: VecDeque<(u64, Arc<SourcePartition>, SourceOffset)>,
    /// Latest acknowledged offset of each partition that is not yet committed.
    committable: Vec<Committable>,
}

impl SubmittedRecords {
    /// Adds a checkpoint: true once the first `after` records of all are acknowledged. Checkpoints
    /// come with `after` never falling.
    pub fn add(&mut self, after: u64, partition: Arc<SourcePartition>, offset: SourceOffset) {
        debug_assert!(self.waiting.back().is_none_or(|(last, ..)| *last <= after), "checkpoints come in order");
        // A newer checkpoint of the same partition at the same count replaces the older one, so that
        // polls without records don't pile up.
        if let Some((last, last_partition, last_offset)) = self.waiting.back_mut()
            && *last == after
            && same(last_partition, &partition)
        {
            *last_offset = offset;
            return;
        }
        self.waiting.push_back((after, partition, offset));
    }

    /// Takes note that the first `count` records are acknowledged.
    pub fn acknowledged(&mut self, count: u64) {
        while self.waiting.front().is_some_and(|(after, ..)| *after <= count) {
            let Some((_, partition, offset)) = self.waiting.pop_front() else { return };
            match self.committable.iter_mut().find(|(known, _)| same(known, &partition)) {
                Some((_, known)) => *known = offset,
                None => self.committable.push((partition, offset)),
            }
        }
    }

    /// Whether there is anything to commit.
    pub fn has_committable(&self) -> bool {
        !self.committable.is_empty()
    }

    /// Takes the latest acknowledged offset of each partition.
    pub fn take(&mut self) -> Vec<Committable> {
        std::mem::take(&mut self.committable)
    }

    /// Gives back what could not be committed; newer offsets that became committable meanwhile win.
    pub fn give_back(&mut self, offsets: Vec<Committable>) {
        for (partition, offset) in offsets {
            if !self.committable.iter().any(|(known, _)| same(known, &partition)) {
                self.committable.push((partition, offset));
            }
        }
    }
}

fn same(a: &Arc<SourcePartition>, b: &Arc<SourcePartition>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn partition(name: &str) -> Arc<SourcePartition> {
        Arc::new(json!({ "p": name }).as_object().unwrap().clone())
    }

    fn offset(at: u64) -> SourceOffset {
        json!({ "at": at }).as_object().unwrap().clone()
    }

    #[test]
    fn nothing_past_the_acknowledged_prefix_is_committable() {
        let mut submitted = SubmittedRecords::default();
        submitted.add(2, partition("a"), offset(2));
        submitted.add(5, partition("b"), offset(50));
        submitted.add(7, partition("a"), offset(7));
        submitted.acknowledged(1);
        assert!(!submitted.has_committable());
        submitted.acknowledged(6);
        assert_eq!(submitted.take(), [(partition("a"), offset(2)), (partition("b"), offset(50))]);
        submitted.acknowledged(7);
        assert_eq!(submitted.take(), [(partition("a"), offset(7))]);
    }

    #[test]
    fn the_latest_offset_of_a_partition_wins() {
        let mut submitted = SubmittedRecords::default();
        submitted.add(1, partition("a"), offset(1));
        submitted.add(2, partition("a"), offset(2));
        submitted.acknowledged(2);
        assert_eq!(submitted.take(), [(partition("a"), offset(2))]);
    }

    #[test]
    fn a_checkpoint_before_any_record_is_committable_at_once() {
        let mut submitted = SubmittedRecords::default();
        for at in 0..1000 {
            submitted.add(0, partition("a"), offset(at));
        }
        assert_eq!(submitted.waiting.len(), 1);
        submitted.acknowledged(0);
        assert_eq!(submitted.take(), [(partition("a"), offset(999))]);
    }

    #[test]
    fn failed_commits_come_back_unless_newer_ones_came() {
        let mut submitted = SubmittedRecords::default();
        submitted.add(1, partition("a"), offset(1));
        submitted.add(1, partition("b"), offset(1));
        submitted.acknowledged(1);
        let taken = submitted.take();
        submitted.add(2, partition("a"), offset(2));
        submitted.acknowledged(2);
        submitted.give_back(taken);
        assert_eq!(submitted.take(), [(partition("a"), offset(2)), (partition("b"), offset(1))]);
    }
}

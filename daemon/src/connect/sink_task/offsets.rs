//! Where a sink task is in each of its partitions. Pure state.

use levada_connector_api::{Committed, TopicPartition};

#[derive(Debug)]
struct Entry {
    partition: TopicPartition,
    /// Next offset after the last put that succeeded; `None` before the first.
    consumed: Option<i64>,
    committed: Option<i64>,
    /// Only the beginning is consumed, nothing was put.
    begun: bool,
}

/// Consumed and committed offsets of the owned partitions.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    entries: Vec<Entry>,
}

impl Offsets {
    /// Partitions came.
    pub(super) fn add(&mut self, added: &[Committed]) {
        for added in added {
            self.entries.retain(|entry| entry.partition != added.partition);
            self.entries.push(Entry {
                partition: added.partition.clone(),
                consumed: None,
                committed: added.offset,
                begun: false,
            });
        }
    }

    /// Partitions went.
    pub(super) fn remove(&mut self, partitions: &[TopicPartition]) {
        self.entries.retain(|entry| !partitions.contains(&entry.partition));
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// All partitions.
    pub(super) fn partitions(&self) -> Vec<TopicPartition> {
        self.entries.iter().map(|entry| entry.partition.clone()).collect()
    }

    /// Records up to `next` (exclusive) were put.
    pub(super) fn put(&mut self, partition: &TopicPartition, next: i64) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.partition == *partition) {
            (entry.consumed, entry.begun) = (Some(next), false);
        }
    }

    /// A partition begins at `first`; true when nothing was consumed or committed of it before.
    pub(super) fn begin(&mut self, partition: &TopicPartition, first: i64) -> bool {
        let entry = self.entries.iter_mut().find(|entry| entry.partition == *partition);
        let Some(entry) = entry.filter(|entry| entry.consumed.is_none() && entry.committed.is_none()) else {
            return false;
        };
        entry.consumed = Some(first);
        entry.begun = true;
        true
    }

    /// What has begun could not be committed: as if it had not begun.
    pub(super) fn unbegin(&mut self) {
        for entry in self.entries.iter_mut().filter(|entry| entry.begun && entry.committed.is_none()) {
            (entry.consumed, entry.begun) = (None, false);
        }
    }

    /// What `pre_commit` is asked about.
    pub(super) fn consumed(&self) -> Vec<(TopicPartition, i64)> {
        self.entries.iter().filter_map(|entry| Some((entry.partition.clone(), entry.consumed?))).collect()
    }

    /// Whether something was put that isn't committed.
    pub(super) fn is_dirty(&self) -> bool {
        self.entries.iter().any(|entry| entry.consumed.is_some() && entry.consumed != entry.committed)
    }

    /// Of a task's answer to `pre_commit` what may be committed: owned partitions, no further than
    /// they were consumed (invariant 7). The second list is what was left out.
    #[expect(clippy::type_complexity, reason = "two lists of the same plain triple")]
    pub(super) fn allowed(
        &self,
        answer: Vec<(TopicPartition, i64, String)>,
    ) -> (Vec<(TopicPartition, i64, String)>, Vec<(TopicPartition, i64, String)>) {
        answer.into_iter().partition(|(partition, offset, _)| {
            let entry = self.entries.iter().find(|entry| entry.partition == *partition);
            entry
                .is_some_and(|entry| entry.consumed.or(entry.committed).is_some_and(|most| (0..=most).contains(offset)))
        })
    }

    /// These are committed.
    pub(super) fn committed(&mut self, offsets: &[(TopicPartition, i64)]) {
        for (partition, offset) in offsets {
            if let Some(entry) = self.entries.iter_mut().find(|entry| entry.partition == *partition) {
                entry.committed = Some(*offset);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(number: i32) -> TopicPartition {
        TopicPartition { topic: "t".into(), partition: number }
    }

    fn offsets() -> Offsets {
        let mut offsets = Offsets::default();
        let committed = |number, offset| Committed { partition: partition(number), offset, metadata: String::new() };
        offsets.add(&[committed(0, Some(5)), committed(1, None)]);
        offsets
    }

    #[test]
    fn only_what_was_put_and_is_owned_may_be_committed() {
        let mut offsets = offsets();
        offsets.put(&partition(0), 10);
        let entry = |number, offset| (partition(number), offset, String::new());
        let answer = vec![entry(0, 10), entry(0, 11), entry(1, 1), entry(2, 0), entry(0, -1)];
        let (allowed, refused) = offsets.allowed(answer);
        assert_eq!(allowed, [entry(0, 10)]);
        assert_eq!(refused.len(), 4);
    }

    #[test]
    fn an_idle_partition_may_be_committed_where_it_is() {
        let entry = |number, offset| (partition(number), offset, "metadata".to_owned());
        let (allowed, refused) = offsets().allowed(vec![entry(0, 5), entry(0, 6), entry(1, 0)]);
        assert_eq!((allowed, refused), (vec![entry(0, 5)], vec![entry(0, 6), entry(1, 0)]));
    }

    #[test]
    fn a_commit_below_the_put_leaves_it_dirty() {
        let mut offsets = offsets();
        assert!(!offsets.is_dirty());
        offsets.put(&partition(0), 10);
        offsets.committed(&[(partition(0), 8)]);
        assert!(offsets.is_dirty());
        offsets.committed(&[(partition(0), 10)]);
        assert!(!offsets.is_dirty());
    }

    #[test]
    fn partitions_that_went_are_forgotten() {
        let mut offsets = offsets();
        offsets.put(&partition(0), 10);
        offsets.remove(&[partition(0)]);
        assert!(!offsets.is_dirty());
        assert_eq!(offsets.partitions(), [partition(1)]);
    }

    #[test]
    fn a_partition_begins_once_and_only_without_a_committed_offset() {
        let partition = |number| TopicPartition { topic: "t".into(), partition: number };
        let known = |number, offset| Committed { partition: partition(number), offset, metadata: String::new() };
        let mut offsets = Offsets::default();
        offsets.add(&[known(0, None), known(1, Some(5))]);
        assert!(!offsets.begin(&partition(1), 5), "it has a committed offset");
        assert!(offsets.begin(&partition(0), 7));
        assert_eq!(offsets.consumed(), [(partition(0), 7)]);
        assert!(!offsets.begin(&partition(0), 7), "it has begun");
        offsets.unbegin();
        assert!(offsets.consumed().is_empty() && offsets.begin(&partition(0), 7));
        offsets.committed(&[(partition(0), 7)]);
        offsets.unbegin();
        assert!(!offsets.is_dirty() && !offsets.begin(&partition(0), 7));
    }
}

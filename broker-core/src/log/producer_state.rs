//! Idempotent producers of one partition: the last batches of each, to tell a duplicate from a gap (invariant 5).
//!
//! Lives under the partition's writer lock. Checks come before the write, updates after it; a failed write therefore changes nothing.

use std::collections::{BTreeMap, VecDeque};

use levada_env::Instant;
use levada_wire::records::{BatchHeader, NO_PRODUCER_ID};

use super::LogError;

/// Batches remembered per producer: a client has at most this many in flight.
pub(super) const BATCHES_KEPT: usize = 5;

/// Producers remembered per partition. Past it those go that were silent for longest, as if their time were over: a client that takes a
/// new id for every batch must not make this grow for as long as an id lives (invariant 9).
const PRODUCERS_KEPT: usize = 100_000;

/// One appended batch of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchMetadata {
    pub(super) last_sequence: i32,
    pub(super) last_offset: i64,
    pub(super) offset_delta: i32,
    pub(super) timestamp: i64,
}

impl BatchMetadata {
    pub(super) fn of(header: &BatchHeader) -> Self {
        Self {
            last_sequence: header.last_sequence(),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
        }
    }

    pub(super) fn first_offset(&self) -> i64 {
        self.last_offset - i64::from(self.offset_delta)
    }

    /// Sequence numbers go from 2^31-1 to 0.
    fn first_sequence(&self) -> i32 {
        ((i64::from(self.last_sequence) - i64::from(self.offset_delta)) & 0x7fff_ffff) as i32
    }
}

/// What is known of one producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProducerEntry {
    pub(super) epoch: i16,
    /// Oldest first, at most [`BATCHES_KEPT`]; empty where only a marker or a fencing was seen.
    pub(super) batches: VecDeque<BatchMetadata>,
    pub(super) coordinator_epoch: i32,
    /// First offset of the open transaction, or -1.
    pub(super) current_txn_first_offset: i64,
    pub(super) last_timestamp: i64,
    /// When its last batch came, or when it was found on disk. Not on disk itself.
    pub(super) seen: Option<Instant>,
}

impl ProducerEntry {
    fn new(epoch: i16) -> Self {
        Self {
            epoch,
            batches: VecDeque::new(),
            coordinator_epoch: -1,
            current_txn_first_offset: -1,
            last_timestamp: -1,
            seen: None,
        }
    }
}

/// The answer to "may this batch be appended?".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SequenceCheck {
    /// Yes.
    Append,
    /// It already was, as this batch.
    Duplicate(BatchMetadata),
}

/// All producers of a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ProducerStates {
    pub(super) entries: BTreeMap<i64, ProducerEntry>,
}

impl ProducerStates {
    /// Holds a leader's append against what is known.
    pub(super) fn check(&self, header: &BatchHeader) -> Result<SequenceCheck, LogError> {
        let producer_id = header.producer_id;
        if producer_id == NO_PRODUCER_ID || header.is_control() {
            return Ok(SequenceCheck::Append);
        }
        // Nothing known (first batch, or forgotten by retention): any sequence number is a beginning.
        let Some(entry) = self.entries.get(&producer_id) else { return Ok(SequenceCheck::Append) };
        if header.producer_epoch < entry.epoch {
            let (current, got) = (entry.epoch, header.producer_epoch);
            return Err(LogError::InvalidProducerEpoch { producer_id, current, got });
        }
        let got = header.base_sequence;
        if header.producer_epoch > entry.epoch {
            return if got == 0 {
                Ok(SequenceCheck::Append)
            } else {
                Err(LogError::OutOfOrderSequence { producer_id, expected: 0, got })
            };
        }
        let same =
            |batch: &&BatchMetadata| batch.first_sequence() == got && batch.last_sequence == header.last_sequence();
        if let Some(batch) = entry.batches.iter().find(same) {
            return Ok(SequenceCheck::Duplicate(*batch));
        }
        let Some(last) = entry.batches.back() else { return Ok(SequenceCheck::Append) };
        let expected = if last.last_sequence == i32::MAX { 0 } else { last.last_sequence + 1 };
        if got == expected {
            Ok(SequenceCheck::Append)
        } else {
            Err(LogError::OutOfOrderSequence { producer_id, expected, got })
        }
    }

    /// Takes in a batch that came `now`. Gives what was known of its producer before, for [`ProducerStates::restore`].
    pub(super) fn update(&mut self, header: &BatchHeader, now: Option<Instant>) -> Option<Undo> {
        if header.producer_id == NO_PRODUCER_ID {
            return None;
        }
        let before = self.entries.get(&header.producer_id).cloned();
        let entry = self.entries.entry(header.producer_id).or_insert_with(|| ProducerEntry::new(header.producer_epoch));
        if header.producer_epoch > entry.epoch {
            entry.epoch = header.producer_epoch;
            entry.batches.clear();
        }
        entry.last_timestamp = header.max_timestamp;
        entry.seen = now;
        if header.is_control() {
            // A marker ends the transaction; it has no sequence number.
            entry.current_txn_first_offset = -1;
        } else {
            if entry.batches.len() == BATCHES_KEPT {
                entry.batches.pop_front();
            }
            entry.batches.push_back(BatchMetadata::of(header));
            if header.is_transactional() && entry.current_txn_first_offset < 0 {
                entry.current_txn_first_offset = header.base_offset;
            }
        }
        if self.entries.len() > PRODUCERS_KEPT + PRODUCERS_KEPT / 10 {
            self.forget_silent();
        }
        Some(Undo { producer_id: header.producer_id, before })
    }

    /// Forgets those that were silent for longest, until there are as many as are kept.
    fn forget_silent(&mut self) {
        let age = |entry: &ProducerEntry| (entry.seen, entry.batches.back().map_or(-1, |batch| batch.last_offset));
        let mut ages: Vec<_> = self.entries.values().map(age).collect();
        let surplus = ages.len().saturating_sub(PRODUCERS_KEPT);
        if surplus > 0 {
            let (_, newest_to_go, _) = ages.select_nth_unstable(surplus - 1);
            let limit = *newest_to_go;
            self.entries.retain(|_, entry| entry.current_txn_first_offset >= 0 || age(entry) > limit);
        }
    }

    /// Takes back an update whose write failed.
    pub(super) fn restore(&mut self, undo: Undo) {
        match undo.before {
            Some(entry) => self.entries.insert(undo.producer_id, entry),
            None => self.entries.remove(&undo.producer_id),
        };
    }

    /// Forgets producers silent since before `oldest`, but none with an open transaction. The time of their records says nothing: who
    /// writes old records now must still be known when a batch is repeated (invariant 5).
    pub(super) fn expire(&mut self, oldest: Instant) {
        self.entries.retain(|_, entry| entry.current_txn_first_offset >= 0 || entry.seen >= Some(oldest));
    }

    /// Has everyone count as seen `now`: they were read from disk.
    pub(super) fn seen_at(&mut self, now: Instant) {
        self.entries.values_mut().for_each(|entry| entry.seen = Some(now));
    }

    /// First offset of the oldest open transaction.
    pub(super) fn first_unstable_offset(&self) -> Option<i64> {
        self.entries.values().map(|entry| entry.current_txn_first_offset).filter(|first| *first >= 0).min()
    }
}

/// How a producer was before an update.
#[derive(Debug)]
pub(super) struct Undo {
    producer_id: i64,
    before: Option<ProducerEntry>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(epoch: i16, base_sequence: i32, records: i32, base_offset: i64) -> BatchHeader {
        BatchHeader {
            base_offset,
            batch_length: 49,
            leader_epoch: 0,
            crc: 0,
            attributes: 0,
            last_offset_delta: records - 1,
            base_timestamp: 5,
            max_timestamp: 5,
            producer_id: 9,
            producer_epoch: epoch,
            base_sequence,
            records_count: records,
        }
    }

    #[test]
    fn the_last_five_batches_are_known_as_duplicates_and_gaps_are_refused() {
        let mut states = ProducerStates::default();
        for i in 0..7 {
            let header = batch(0, i * 10, 10, i64::from(i) * 10);
            assert_eq!(states.check(&header).unwrap(), SequenceCheck::Append);
            states.update(&header, None);
        }
        for i in 2..7 {
            let SequenceCheck::Duplicate(found) = states.check(&batch(0, i * 10, 10, 999)).unwrap() else { panic!() };
            assert_eq!(found.first_offset(), i64::from(i) * 10);
        }
        assert!(matches!(states.check(&batch(0, 10, 10, 0)), Err(LogError::OutOfOrderSequence { expected: 70, .. })));
        assert!(states.check(&batch(0, 60, 9, 0)).is_err(), "same start, other end");
        assert!(states.check(&batch(0, 71, 1, 0)).is_err());
        assert_eq!(states.check(&batch(0, 70, 1, 0)).unwrap(), SequenceCheck::Append);
    }

    #[test]
    fn a_new_epoch_starts_at_zero_and_fences_the_old_one() {
        let mut states = ProducerStates::default();
        states.update(&batch(3, 0, 1, 0), None);
        assert!(matches!(states.check(&batch(2, 1, 1, 0)), Err(LogError::InvalidProducerEpoch { current: 3, .. })));
        assert!(states.check(&batch(4, 1, 1, 0)).is_err());
        assert_eq!(states.check(&batch(4, 0, 1, 0)).unwrap(), SequenceCheck::Append);
        states.update(&batch(4, 0, 1, 1), None);
        assert!(states.check(&batch(3, 1, 1, 0)).is_err());
    }

    #[test]
    fn sequences_wrap_inside_and_between_batches() {
        let mut states = ProducerStates::default();
        states.update(&batch(0, i32::MAX - 1, 4, 0), None);
        assert!(matches!(states.check(&batch(0, i32::MAX - 1, 4, 0)).unwrap(), SequenceCheck::Duplicate(_)));
        assert_eq!(states.check(&batch(0, 2, 1, 0)).unwrap(), SequenceCheck::Append);
        let mut states = ProducerStates::default();
        states.update(&batch(0, i32::MAX, 1, 0), None);
        assert_eq!(states.check(&batch(0, 0, 1, 0)).unwrap(), SequenceCheck::Append);
    }

    #[test]
    fn a_failed_write_is_taken_back() {
        let mut states = ProducerStates::default();
        let undo = states.update(&batch(0, 0, 1, 0), None).unwrap();
        let known = states.clone();
        let undo_second = states.update(&batch(0, 1, 1, 1), None).unwrap();
        states.restore(undo_second);
        assert_eq!(states, known);
        states.restore(undo);
        assert_eq!(states, ProducerStates::default());
    }

    #[test]
    fn silent_producers_expire_whatever_time_their_records_have() {
        let mut states = ProducerStates::default();
        let mut old = batch(0, 0, 1, 0);
        (old.base_timestamp, old.max_timestamp) = (-1, -1);
        let now = Instant::now();
        states.update(&old, Some(now));
        states.expire(now);
        assert_eq!(states.entries.len(), 1);
        states.expire(now + levada_env::time::Duration::from_millis(1));
        assert!(states.entries.is_empty());
    }

    #[test]
    fn a_new_id_for_every_batch_does_not_grow_the_state_and_costs_the_silent_ones() {
        let mut states = ProducerStates::default();
        let (mut header, start) = (batch(0, 0, 1, 0), Instant::now());
        for i in 0..(PRODUCERS_KEPT as i64 * 5 / 4) {
            (header.producer_id, header.base_offset) = (i, i);
            states.update(&header, Some(start + levada_env::time::Duration::from_millis(i as u64 / 1000)));
            assert!(states.entries.len() <= PRODUCERS_KEPT * 11 / 10);
        }
        assert!(states.entries.len() >= PRODUCERS_KEPT);
        assert!(!states.entries.contains_key(&0) && states.entries.contains_key(&header.producer_id));
        assert!(matches!(states.check(&header).unwrap(), SequenceCheck::Duplicate(_)));
    }
}

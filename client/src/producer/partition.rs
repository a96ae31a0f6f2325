//! The batches of one partition: sequences, order, and what an answer means. Pure state.
//!
//! Sequences are counted in 64 bits here and cut to the wire's 31 when a batch is stamped. After any
//! answer but an acknowledgement nothing new is submitted until all in flight is answered; then the
//! unanswered batches go out again in their order. A broker refuses a batch that leaves a gap, so a
//! later batch can't overtake an earlier one; but any sequence is a beginning for a producer that it
//! does not know, so the first batch goes alone, and one that was appended above a gap of ours ends the
//! producer.

use crate::ClientError;
use bytes::Bytes;
use levada_env::Instant;
use levada_wire::ErrorCode;
use std::{collections::VecDeque, time::Duration};

/// A batch on its way.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) id: u64,
    pub(super) tag: u64,
    pub(super) bytes: Bytes,
    pub(super) sequence: u64,
    pub(super) records: usize,
    pub(super) attempts: u32,
    /// An earlier try may have been appended without our learning of it.
    pub(super) ambiguous: bool,
    /// Its sequence or the producer has changed since its bytes were stamped.
    pub(super) stale: bool,
    pub(super) first_sent: Option<Instant>,
}

/// What one try brought.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Appended, now or by an earlier try; the offset of the first record (-1 when not known).
    Acked(i64),
    /// Later perhaps. `ambiguous` when it may have been appended all the same.
    Retry { error: ClientError, ambiguous: bool },
    /// The broker expects another sequence, or has forgotten the producer.
    OutOfOrder(ClientError),
    /// Never.
    Refused { error: ClientError, ambiguous: bool },
}

/// What an answer leads to.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) finished: Option<(Batch, Result<i64, ClientError>)>,
    pub(super) needs_new_producer: bool,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct PartitionQueue {
    /// Not in flight, by sequence.
    waiting: VecDeque<Batch>,
    /// In flight, by sequence.
    in_flight: VecDeque<Batch>,
    next_sequence: u64,
    max_in_flight: usize,
    /// Nothing is submitted until nothing is in flight.
    draining: bool,
    /// The lowest sequence that a refused batch has left unused.
    gap_at: Option<u64>,
    /// Up to where the broker has acknowledged; 0 while it may not know this producer.
    acked_to: u64,
}

impl PartitionQueue {
    pub(super) fn new(max_in_flight: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            in_flight: VecDeque::new(),
            next_sequence: 0,
            max_in_flight,
            draining: false,
            gap_at: None,
            acked_to: 0,
        }
    }

    /// Takes the sequences for a batch of `records`.
    pub(super) fn reserve(&mut self, records: usize) -> u64 {
        let sequence = self.next_sequence;
        self.next_sequence += records as u64;
        sequence
    }

    pub(super) fn push(&mut self, batch: Batch) {
        self.waiting.push_back(batch);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_empty()
    }

    pub(super) fn attempts(&self, id: u64) -> u32 {
        self.in_flight.iter().find(|batch| batch.id == id).map_or(0, |batch| batch.attempts)
    }

    /// Time since the batch was first submitted.
    pub(super) fn age(&self, id: u64) -> Option<Duration> {
        let batch = self.in_flight.iter().find(|batch| batch.id == id)?;
        Some(batch.first_sent?.elapsed())
    }

    /// Moves the next batch into flight. `stamp` gives its bytes another sequence.
    pub(super) fn next(&mut self, now: Instant, stamp: impl Fn(&Bytes, u64) -> Bytes) -> Option<&Batch> {
        if self.in_flight.is_empty() {
            self.settle();
        }
        let most = if self.acked_to == 0 { 1 } else { self.max_in_flight };
        if self.draining || self.in_flight.len() >= most {
            return None;
        }
        let mut batch = self.waiting.pop_front()?;
        if std::mem::take(&mut batch.stale) {
            batch.bytes = stamp(&batch.bytes, batch.sequence);
        }
        batch.attempts += 1;
        batch.first_sent.get_or_insert(now);
        self.in_flight.push_back(batch);
        self.in_flight.back()
    }

    /// Closes the gap that a refused batch has left, once nothing is in flight.
    fn settle(&mut self) {
        self.draining = false;
        let Some(gap) = self.gap_at.take() else { return };
        let mut sequence = gap;
        for batch in self.waiting.iter_mut().filter(|batch| batch.sequence >= gap) {
            batch.sequence = sequence;
            batch.stale = true;
            sequence += batch.records as u64;
        }
        self.next_sequence = sequence;
    }

    /// Starts again at sequence 0 under a new producer id. Only while nothing is in flight.
    pub(super) fn restart(&mut self) {
        let mut sequence = 0;
        for batch in &mut self.waiting {
            batch.sequence = sequence;
            batch.ambiguous = false;
            batch.stale = true;
            sequence += batch.records as u64;
        }
        self.next_sequence = sequence;
        self.gap_at = None;
        self.acked_to = 0;
        self.draining = false;
    }

    /// Takes note of the answer to a batch in flight.
    pub(super) fn answered(&mut self, id: u64, outcome: Outcome) -> Answer {
        let Some(index) = self.in_flight.iter().position(|batch| batch.id == id) else { return Answer::default() };
        let Some(mut batch) = self.in_flight.remove(index) else { return Answer::default() };
        let first = index == 0 && self.waiting.front().is_none_or(|waiting| waiting.sequence > batch.sequence);
        match outcome {
            Outcome::Acked(offset) => {
                self.acked_to = self.acked_to.max(batch.sequence + batch.records as u64);
                // Appended though one before it was not: the broker had forgotten this producer, and would take what
                // got these sequences next for a repetition.
                let needs_new_producer = self.gap_at.is_some_and(|gap| gap < batch.sequence);
                self.draining |= needs_new_producer;
                Answer { finished: Some((batch, Ok(offset))), needs_new_producer }
            }
            Outcome::Retry { ambiguous, .. } => {
                batch.ambiguous |= ambiguous;
                self.again(batch);
                Answer::default()
            }
            // An earlier batch is still to be answered or sent again, or a refused one left a gap that is not closed
            // yet: the broker is right and knows this producer well.
            Outcome::OutOfOrder(_) if !first || self.gap_at.is_some() => {
                self.again(batch);
                Answer::default()
            }
            Outcome::OutOfOrder(error) => {
                let unknown = error.code() != Some(ErrorCode::OutOfOrderSequenceNumber);
                tracing::warn!(%error, forgotten = unknown, "the log does not know this producer's sequence; starting a new one");
                self.again(batch);
                Answer { finished: None, needs_new_producer: true }
            }
            Outcome::Refused { error, ambiguous } => {
                self.draining = true;
                let ambiguous = ambiguous || batch.ambiguous || batch.sequence < self.acked_to;
                if !ambiguous {
                    self.gap_at = Some(self.gap_at.map_or(batch.sequence, |gap| gap.min(batch.sequence)));
                }
                Answer { finished: Some((batch, Err(error))), needs_new_producer: ambiguous }
            }
        }
    }

    fn again(&mut self, batch: Batch) {
        self.draining = true;
        let place = self.waiting.partition_point(|waiting| waiting.sequence < batch.sequence);
        self.waiting.insert(place, batch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(batches: u64) -> PartitionQueue {
        let mut queue = PartitionQueue::new(5);
        for id in 0..batches {
            push(&mut queue, id);
        }
        queue
    }

    fn push(queue: &mut PartitionQueue, id: u64) {
        let sequence = queue.reserve(10);
        queue.push(Batch {
            id,
            tag: id,
            bytes: Bytes::new(),
            sequence,
            records: 10,
            attempts: 0,
            ambiguous: false,
            stale: false,
            first_sent: None,
        });
    }

    /// Submits all it may; id and sequence of each.
    fn submit(queue: &mut PartitionQueue) -> Vec<(u64, u64)> {
        let mut sent = Vec::new();
        while let Some(batch) = queue.next(Instant::now(), |bytes, _| bytes.clone()) {
            sent.push((batch.id, batch.sequence));
        }
        sent
    }

    /// Has the first batch acknowledged and submits what may follow it.
    fn begin(queue: &mut PartitionQueue) {
        submit(queue);
        queue.answered(0, Outcome::Acked(0));
        submit(queue);
    }

    fn refused(code: ErrorCode) -> ClientError {
        ClientError::refused("t-0", code as i16, None)
    }

    fn retry() -> Outcome {
        Outcome::Retry { error: refused(ErrorCode::NotEnoughReplicas), ambiguous: false }
    }

    fn out_of_order() -> Outcome {
        Outcome::OutOfOrder(refused(ErrorCode::OutOfOrderSequenceNumber))
    }

    #[test]
    fn at_most_five_are_in_flight() {
        let mut queue = queue(8);
        assert_eq!(submit(&mut queue), [(0, 0)], "the broker does not know this producer yet");
        assert!(queue.answered(0, Outcome::Acked(0)).finished.is_some());
        assert_eq!(submit(&mut queue).len(), 5);
        assert!(queue.answered(1, Outcome::Acked(10)).finished.is_some());
        assert_eq!(submit(&mut queue), [(6, 60)]);
    }

    #[test]
    fn a_retry_goes_out_before_everything_after_it() {
        let mut queue = queue(4);
        begin(&mut queue);
        queue.answered(1, retry());
        push(&mut queue, 4);
        assert_eq!(submit(&mut queue), []);
        assert!(!queue.answered(2, out_of_order()).needs_new_producer);
        assert!(!queue.answered(3, out_of_order()).needs_new_producer);
        assert_eq!(submit(&mut queue), [(1, 10), (2, 20), (3, 30), (4, 40)]);
    }

    #[test]
    fn the_batch_after_a_refused_one_takes_its_sequence() {
        let mut queue = queue(3);
        begin(&mut queue);
        let error = refused(ErrorCode::MessageTooLarge);
        assert!(queue.answered(1, Outcome::Refused { error, ambiguous: false }).finished.unwrap().1.is_err());
        assert!(!queue.answered(2, out_of_order()).needs_new_producer, "the gap is of our own making");
        push(&mut queue, 3);
        assert_eq!(submit(&mut queue), [(2, 10), (3, 20)]);
        assert_eq!(queue.reserve(1), 30);
    }

    #[test]
    fn what_a_broker_appends_above_a_gap_ends_the_producer_in_either_order_of_the_answers() {
        for refused_first in [true, false] {
            let mut queue = queue(4);
            begin(&mut queue);
            let error = refused(ErrorCode::MessageTooLarge);
            let mut outcomes = [(1, Outcome::Refused { error, ambiguous: false }), (2, Outcome::Acked(10))];
            if !refused_first {
                outcomes.reverse();
            }
            let renewed = outcomes.map(|(id, outcome)| queue.answered(id, outcome).needs_new_producer);
            assert_eq!(renewed, [false, true]);
            assert!(!queue.answered(3, out_of_order()).needs_new_producer || queue.gap_at.is_none());
            queue.restart();
            assert_eq!(submit(&mut queue), [(3, 0)]);
        }
    }

    #[test]
    fn a_refused_last_batch_gives_its_sequence_back() {
        let mut queue = queue(1);
        submit(&mut queue);
        queue.answered(0, Outcome::Refused { error: refused(ErrorCode::InvalidRecord), ambiguous: false });
        push(&mut queue, 1);
        assert_eq!(submit(&mut queue), [(1, 0)]);
        assert_eq!(queue.reserve(1), 10);
    }

    #[test]
    fn a_forgotten_producer_is_replaced_and_starts_at_zero() {
        let mut queue = queue(2);
        begin(&mut queue);
        assert!(queue.answered(1, out_of_order()).needs_new_producer);
        queue.restart();
        assert_eq!(submit(&mut queue), [(1, 0)]);
    }

    #[test]
    fn a_refusal_after_a_lost_answer_needs_a_new_producer() {
        let mut queue = queue(1);
        submit(&mut queue);
        queue.answered(0, Outcome::Retry { error: refused(ErrorCode::RequestTimedOut), ambiguous: true });
        submit(&mut queue);
        let error = refused(ErrorCode::InvalidRecord);
        assert!(queue.answered(0, Outcome::Refused { error, ambiguous: false }).needs_new_producer);
    }
}

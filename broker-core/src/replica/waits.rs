//! Requests that wait for an offset to be passed: one ordered list per partition.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::ReplicaError;

type Answer = Result<(), ReplicaError>;

struct Waiter {
    end_offset: i64,
    answer: oneshot::Sender<Answer>,
}

/// Waiters in the order of the offsets they wait for.
#[derive(Default)]
pub(super) struct OffsetWaits {
    waiters: Mutex<VecDeque<Waiter>>,
}

impl OffsetWaits {
    /// Wait until [`Self::advance`] is called with at least `end_offset`. The caller must look at the offset again after
    /// this call, for it may have moved in between.
    pub(super) fn register(&self, end_offset: i64) -> oneshot::Receiver<Answer> {
        let (answer, receiver) = oneshot::channel();
        let mut waiters = self.waiters.lock();
        // Appends come in order, so the place is nearly always the end; duplicates wait for less.
        let after = waiters.iter().rev().take_while(|waiter| waiter.end_offset > end_offset).count();
        let at = waiters.len() - after;
        waiters.insert(at, Waiter { end_offset, answer });
        receiver
    }

    /// Release all who wait for `offset` or less.
    pub(super) fn advance(&self, offset: i64) {
        loop {
            // One at a time: waking under the lock would have the woken thread wait for it.
            let waiter = {
                let mut waiters = self.waiters.lock();
                match waiters.front() {
                    Some(front) if front.end_offset <= offset => waiters.pop_front(),
                    _ => None,
                }
            };
            match waiter {
                Some(waiter) => drop(waiter.answer.send(Ok(()))),
                None => return,
            }
        }
    }

    /// Tell all of them that it will not come.
    pub(super) fn fail(&self, error: &ReplicaError) {
        for waiter in std::mem::take(&mut *self.waiters.lock()) {
            drop(waiter.answer.send(Err(error.clone())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_in_order_of_offsets_not_of_arrival() {
        let waits = OffsetWaits::default();
        let mut late = waits.register(10);
        let mut duplicate = waits.register(5);
        waits.advance(5);
        assert!(duplicate.try_recv().is_ok());
        assert!(late.try_recv().is_err());
        waits.advance(12);
        assert!(late.try_recv().is_ok());
    }

    #[test]
    fn a_failure_reaches_everyone() {
        let waits = OffsetWaits::default();
        let mut waiter = waits.register(1);
        waits.fail(&ReplicaError::NotLeader);
        assert!(matches!(waiter.try_recv(), Ok(Err(ReplicaError::NotLeader))));
    }
}

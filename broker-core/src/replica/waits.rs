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

#[derive(Default)]
struct Waiters {
    queue: VecDeque<Waiter>,
    /// Why no offset will be passed any more.
    failed: Option<ReplicaError>,
}

/// Waiters in the order of the offsets they wait for.
#[derive(Default)]
pub(super) struct OffsetWaits {
    waiters: Mutex<Waiters>,
}

impl OffsetWaits {
    /// Wait until [`Self::advance`] is called with at least `end_offset`. The caller must look at the offset again after
    /// this call, for it may have moved in between. After [`Self::fail`] the answer is there at once.
    pub(super) fn register(&self, end_offset: i64) -> oneshot::Receiver<Answer> {
        let (answer, receiver) = oneshot::channel();
        let mut waiters = self.waiters.lock();
        if let Some(error) = waiters.failed.clone() {
            drop(waiters);
            drop(answer.send(Err(error)));
            return receiver;
        }
        let queue = &mut waiters.queue;
        // Appends come in order, so the place is nearly always the end; duplicates wait for less.
        let after = queue.iter().rev().take_while(|waiter| waiter.end_offset > end_offset).count();
        let at = queue.len() - after;
        queue.insert(at, Waiter { end_offset, answer });
        receiver
    }

    /// Release all who wait for `offset` or less.
    pub(super) fn advance(&self, offset: i64) {
        loop {
            // One at a time: waking under the lock would have the woken thread wait for it.
            let waiter = {
                let mut waiters = self.waiters.lock();
                match waiters.queue.front() {
                    Some(front) if front.end_offset <= offset => waiters.queue.pop_front(),
                    _ => None,
                }
            };
            match waiter {
                Some(waiter) => drop(waiter.answer.send(Ok(()))),
                None => return,
            }
        }
    }

    /// Tell all of them, and all who come later, that it will not come. The first reason stays.
    pub(super) fn fail(&self, error: &ReplicaError) {
        let failed = {
            let mut waiters = self.waiters.lock();
            waiters.failed.get_or_insert_with(|| error.clone());
            std::mem::take(&mut waiters.queue)
        };
        for waiter in failed {
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

    #[test]
    fn who_comes_after_a_failure_hears_of_it_too() {
        let waits = OffsetWaits::default();
        waits.fail(&ReplicaError::NotLeader);
        let mut waiter = waits.register(1);
        assert!(matches!(waiter.try_recv(), Ok(Err(ReplicaError::NotLeader))));
    }
}

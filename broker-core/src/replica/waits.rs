//! Requests that wait for an offset to be passed: one ordered list per partition. Who stops waiting leaves the list.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::ReplicaError;
use crate::log::LogError;

type Answer = Result<(), ReplicaError>;

/// The offset waited for, and the number of the waiter.
type Place = (i64, u64);

#[derive(Default)]
struct Waiters {
    queue: BTreeMap<Place, oneshot::Sender<Answer>>,
    next: u64,
    /// Why no offset will be passed any more.
    failed: Option<ReplicaError>,
}

/// Waiters in the order of the offsets they wait for.
#[derive(Default)]
pub(super) struct OffsetWaits {
    waiters: Mutex<Waiters>,
}

/// A place in the list, given up when dropped: a caller that disconnects or gives up leaves nothing behind.
pub(super) struct OffsetWait<'a> {
    waits: &'a OffsetWaits,
    place: Option<Place>,
    answer: oneshot::Receiver<Answer>,
}

impl OffsetWait<'_> {
    /// Wait for the offset to be passed, or for the news that it will not be.
    pub(super) async fn passed(mut self) -> Answer {
        let answer = (&mut self.answer).await;
        // Whoever answered has taken it off the list.
        self.place = None;
        answer.unwrap_or(Err(ReplicaError::Log(LogError::Closed)))
    }
}

impl Drop for OffsetWait<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.waits.waiters.lock().queue.remove(&place);
        }
    }
}

impl OffsetWaits {
    /// Wait until [`Self::advance`] is called with at least `end_offset`. The caller must look at the offset again after
    /// this call, for it may have moved in between. After [`Self::fail`] the answer is there at once.
    pub(super) fn register(&self, end_offset: i64) -> OffsetWait<'_> {
        let (sender, answer) = oneshot::channel();
        let mut waiters = self.waiters.lock();
        if let Some(error) = waiters.failed.clone() {
            drop(waiters);
            drop(sender.send(Err(error)));
            return OffsetWait { waits: self, place: None, answer };
        }
        waiters.next += 1;
        let place = (end_offset, waiters.next);
        waiters.queue.insert(place, sender);
        OffsetWait { waits: self, place: Some(place), answer }
    }

    /// Release all who wait for `offset` or less.
    pub(super) fn advance(&self, offset: i64) {
        loop {
            // One at a time: waking under the lock would have the woken thread wait for it.
            let waiter = {
                let mut waiters = self.waiters.lock();
                match waiters.queue.first_entry() {
                    Some(first) if first.key().0 <= offset => first.remove(),
                    _ => return,
                }
            };
            drop(waiter.send(Ok(())));
        }
    }

    /// Tell all of them, and all who come later, that it will not come. The first reason stays.
    pub(super) fn fail(&self, error: &ReplicaError) {
        let failed = {
            let mut waiters = self.waiters.lock();
            waiters.failed.get_or_insert_with(|| error.clone());
            std::mem::take(&mut waiters.queue)
        };
        for waiter in failed.into_values() {
            drop(waiter.send(Err(error.clone())));
        }
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waiters.lock().queue.len()
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
        assert!(duplicate.answer.try_recv().is_ok());
        assert!(late.answer.try_recv().is_err());
        waits.advance(12);
        assert!(late.answer.try_recv().is_ok());
    }

    #[tokio::test]
    async fn a_failure_reaches_everyone_and_those_who_come_later() {
        let waits = OffsetWaits::default();
        let waiter = waits.register(1);
        waits.fail(&ReplicaError::NotLeader);
        assert!(matches!(waiter.passed().await, Err(ReplicaError::NotLeader)));
        assert!(matches!(waits.register(1).passed().await, Err(ReplicaError::NotLeader)));
    }

    #[test]
    fn who_gives_up_leaves_the_list() {
        let waits = OffsetWaits::default();
        let kept = waits.register(7);
        for _ in 0..1000 {
            drop(waits.register(7));
        }
        assert_eq!(waits.len(), 1);
        drop(kept);
        assert_eq!(waits.len(), 0);
    }
}

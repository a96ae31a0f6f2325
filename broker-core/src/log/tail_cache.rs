//! The newest batches of all partitions in memory, within one byte budget for the process: what consumers that keep up read.
//!
//! Batches are held by reference to the buffers they were received in; those that are small, or a small part of
//! their buffer, are copied, so that a few bytes never pin a large buffer.
//! The oldest batch of the process goes first.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;

/// A batch below this is copied rather than pinning the buffer it came in.
pub(super) const COPY_BELOW: usize = 4096;

/// What a cached batch takes beside its bytes: its place in both queues and what keeps count of its memory.
const OVERHEAD: usize = 192;

/// Seconds without a new batch after which the cache is emptied.
const REST_AFTER: u32 = 10;

/// The process-wide budget.
#[derive(Debug)]
pub struct TailCache {
    budget: usize,
    order: Mutex<Order>,
}

#[derive(Debug, Default)]
struct Order {
    /// Calls of [`TailCache::rest`] since the last batch came.
    quiet: u32,
    used: usize,
    queue: VecDeque<(Weak<PartitionTail>, u64, usize)>,
}

/// A batch of the cache: header and records, which may lie apart.
#[derive(Debug, Clone)]
pub(super) struct CachedBatch {
    pub(super) base_offset: i64,
    pub(super) next_offset: i64,
    pub(super) header: Bytes,
    pub(super) records: Bytes,
}

impl CachedBatch {
    pub(super) fn size(&self) -> usize {
        self.header.len() + self.records.len()
    }
}

/// The part of the cache that belongs to one partition: batches without a gap up to the log end.
#[derive(Debug, Default)]
pub(super) struct PartitionTail {
    batches: Mutex<Tail>,
}

#[derive(Debug, Default)]
struct Tail {
    queue: VecDeque<CachedBatch>,
    /// Number of the first batch in the queue, counted from the first ever.
    first: u64,
}

impl TailCache {
    /// A cache of at most `budget` bytes; 0 turns it off.
    pub fn new(budget: usize) -> Arc<Self> {
        Arc::new(Self { budget, order: Mutex::default() })
    }

    /// Bytes held.
    pub fn used(&self) -> usize {
        self.order.lock().used
    }

    /// Adds the batches just written to a partition.
    pub(super) fn insert(&self, tail: &Arc<PartitionTail>, batches: Vec<CachedBatch>) {
        if self.budget == 0 {
            return;
        }
        let mut added = Vec::with_capacity(batches.len());
        {
            let mut inner = tail.batches.lock();
            for batch in batches {
                added.push((inner.first + inner.queue.len() as u64, batch.size() + OVERHEAD));
                inner.queue.push_back(batch);
            }
        }
        let mut evicted = Vec::new();
        let mut order = self.order.lock();
        order.quiet = 0;
        for (number, size) in added {
            order.used += size;
            order.queue.push_back((Arc::downgrade(tail), number, size));
        }
        while order.used > self.budget {
            let Some((tail, number, size)) = order.queue.pop_front() else { break };
            order.used -= size;
            evicted.push((tail, number));
        }
        drop(order);
        for (tail, number) in evicted {
            if let Some(tail) = tail.upgrade() {
                tail.evict_through(number);
            }
        }
    }
}

impl TailCache {
    /// Called once a second: lets everything go when nothing has come for a while, so that a node at rest gives memory
    /// back. True when it did.
    pub(super) fn rest(&self) -> bool {
        let mut order = self.order.lock();
        order.quiet = order.quiet.saturating_add(1);
        if order.quiet < REST_AFTER || order.queue.is_empty() {
            return false;
        }
        let all = std::mem::take(&mut order.queue);
        order.used = 0;
        drop(order);
        for (tail, number, _) in all {
            if let Some(tail) = tail.upgrade() {
                tail.evict_through(number);
            }
        }
        true
    }
}

impl PartitionTail {
    fn evict_through(&self, number: u64) {
        let mut inner = self.batches.lock();
        while inner.first <= number && inner.queue.pop_front().is_some() {
            inner.first += 1;
        }
    }

    /// Drops everything: the log was truncated, or a write failed half-way.
    pub(super) fn clear(&self) {
        let mut inner = self.batches.lock();
        inner.first += inner.queue.len() as u64;
        inner.queue.clear();
    }

    /// Whole batches from the one that holds `start` on, ending at or before `end`; `None` where `start` is not in the cache. At least one
    /// batch when `at_least_one`, else as fit into `max_bytes`.
    pub(super) fn read(&self, start: i64, end: i64, max_bytes: usize, at_least_one: bool) -> Option<Vec<CachedBatch>> {
        let inner = self.batches.lock();
        if inner.queue.front()?.base_offset > start {
            return None;
        }
        let from = inner.queue.partition_point(|batch| batch.next_offset <= start);
        let mut taken = 0;
        let mut found = Vec::new();
        for batch in inner.queue.iter().skip(from).take_while(|batch| batch.next_offset <= end) {
            taken += batch.size();
            if taken > max_bytes && !(at_least_one && found.is_empty()) {
                break;
            }
            found.push(batch.clone());
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(base_offset: i64, records: i64, size: usize) -> CachedBatch {
        let records_bytes = Bytes::from(vec![0; size - 61]);
        CachedBatch {
            base_offset,
            next_offset: base_offset + records,
            header: Bytes::from_static(&[0; 61]),
            records: records_bytes,
        }
    }

    fn offsets(found: Option<Vec<CachedBatch>>) -> Option<Vec<i64>> {
        found.map(|batches| batches.iter().map(|batch| batch.base_offset).collect())
    }

    #[test]
    fn reads_whole_batches_within_limits() {
        let cache = TailCache::new(10_000);
        let tail = Arc::new(PartitionTail::default());
        cache.insert(&tail, (0..5).map(|i| batch(100 + i * 10, 10, 100)).collect());
        assert_eq!(offsets(tail.read(99, 1000, 1000, true)), None, "older than the cache");
        assert_eq!(
            offsets(tail.read(115, 1000, 250, true)),
            Some(vec![110, 120]),
            "a start inside gives the whole batch"
        );
        assert_eq!(
            offsets(tail.read(115, 135, 1000, true)),
            Some(vec![110, 120]),
            "the end cuts before a batch it is in"
        );
        assert_eq!(offsets(tail.read(115, 1000, 10, true)), Some(vec![110]));
        assert_eq!(offsets(tail.read(115, 1000, 10, false)), Some(vec![]));
        assert_eq!(offsets(tail.read(150, 150, 1000, true)), Some(vec![]));
        tail.clear();
        assert_eq!(offsets(tail.read(115, 1000, 1000, true)), None);
    }

    #[test]
    fn the_oldest_batch_of_all_partitions_goes_first_and_the_budget_holds() {
        let cache = TailCache::new(350 + 3 * OVERHEAD);
        let (a, b) = (Arc::new(PartitionTail::default()), Arc::new(PartitionTail::default()));
        cache.insert(&a, vec![batch(0, 1, 100), batch(1, 1, 100)]);
        cache.insert(&b, vec![batch(0, 1, 100)]);
        cache.insert(&a, vec![batch(2, 1, 100)]);
        assert_eq!(cache.used(), 300 + 3 * OVERHEAD);
        assert_eq!(offsets(a.read(0, 9, 1000, true)), None);
        assert_eq!(offsets(a.read(1, 9, 1000, true)), Some(vec![1, 2]));
        a.clear();
        cache.insert(&a, vec![batch(3, 1, 100)]);
        cache.insert(&b, vec![batch(1, 1, 250)]);
        assert_eq!(
            offsets(a.read(3, 9, 1000, true)),
            Some(vec![3]),
            "stale entries of cleared batches evict nothing newer"
        );
        assert_eq!(offsets(b.read(1, 9, 1000, true)), Some(vec![1]));
        assert!(cache.used() <= 350 + 3 * OVERHEAD);
    }

    #[test]
    fn a_cache_at_rest_is_emptied_and_one_in_use_is_not() {
        let cache = TailCache::new(10_000);
        let tail = Arc::new(PartitionTail::default());
        for offset in 0..30 {
            cache.insert(&tail, vec![batch(offset, 1, 100)]);
            assert!(!cache.rest());
        }
        let emptied = (0..100).map(|_| cache.rest()).collect::<Vec<_>>();
        assert_eq!(emptied.iter().position(|emptied| *emptied), Some(REST_AFTER as usize - 2));
        assert_eq!(emptied.iter().filter(|emptied| **emptied).count(), 1);
        assert_eq!((cache.used(), offsets(tail.read(29, 30, 1000, true))), (0, None));
        cache.insert(&tail, vec![batch(30, 1, 100)]);
        assert_eq!(offsets(tail.read(30, 31, 1000, true)), Some(vec![30]));
    }
}

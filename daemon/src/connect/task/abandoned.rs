//! Counts threads that hang in connector code.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How many threads were left behind in calls that never returned, and how many may be: past the
/// limit no new task starts, since a hanging connector must not eat the process (invariant 10).
#[derive(Debug)]
pub struct AbandonedThreads {
    count: AtomicUsize,
    limit: usize,
}

impl AbandonedThreads {
    /// None yet, at most `limit`.
    pub fn new(limit: usize) -> Self {
        Self { count: AtomicUsize::new(0), limit }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// How many there may be before new tasks are refused.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Whether new tasks are refused.
    pub fn exhausted(&self) -> bool {
        self.count() >= self.limit
    }

    pub(in crate::connect) fn add(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
    }

    pub(in crate::connect) fn remove(&self) {
        self.count.fetch_sub(1, Ordering::AcqRel);
    }
}

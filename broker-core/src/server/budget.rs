//! Memory for requests, shared by all connections: taken as bytes arrive, given back when the request is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes per permit, so that a semaphore's `u32` count suffices.
const UNIT: usize = 1024;

/// A byte budget with an overdraft for one: when it is used up by frames that are all half received, one connection at a
/// time may go on without, so that some frame is finished and memory comes back.
#[derive(Debug, Clone)]
pub struct MemoryBudget {
    units: Arc<Semaphore>,
    overdraft: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    /// For small requests when all else is used up.
    small: Arc<Semaphore>,
}

/// What small requests have beside: those of thousands of clients.
const SMALL_BYTES: usize = 4 << 20;

/// Counts itself among those who wait.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Memory that belongs to one request; given back when dropped.
#[derive(Debug, Default)]
pub struct MemoryPermit {
    units: Option<OwnedSemaphorePermit>,
    overdraft: Option<OwnedSemaphorePermit>,
    covered: usize,
}

impl MemoryBudget {
    /// A budget of `bytes`.
    pub fn new(bytes: usize) -> Self {
        let units = (bytes / UNIT).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            units: Arc::new(Semaphore::new(units)),
            overdraft: Arc::new(Semaphore::new(1)),
            waiting: Arc::default(),
            small: Arc::new(Semaphore::new(SMALL_BYTES / UNIT)),
        }
    }

    /// As [`MemoryBudget::cover`] for a small request that has nothing yet: who sends large ones slowly does not hold it up.
    pub async fn cover_small(&self, permit: &mut MemoryPermit, bytes: usize) {
        let wanted = bytes.div_ceil(UNIT);
        let count = u32::try_from(wanted).unwrap_or(u32::MAX);
        let mut own = MemoryPermit::default();
        *permit = tokio::select! {
            biased;
            () = self.cover(&mut own, bytes) => own,
            got = self.small.clone().acquire_many_owned(count) => {
                MemoryPermit { units: got.ok(), overdraft: None, covered: wanted * UNIT }
            }
        };
    }

    /// Make `permit` cover `bytes`; waits while the budget is used up. Cancelling leaves the permit as it was.
    pub async fn cover(&self, permit: &mut MemoryPermit, bytes: usize) {
        if bytes <= permit.covered || permit.overdraft.is_some() {
            return;
        }
        let wanted = (bytes - permit.covered).div_ceil(UNIT);
        let count = u32::try_from(wanted).unwrap_or(u32::MAX);
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        tokio::select! {
            biased;
            got = self.units.clone().acquire_many_owned(count) => {
                // The semaphore is never closed.
                if let Ok(got) = got {
                    permit.covered += wanted * UNIT;
                    match &mut permit.units {
                        Some(units) => units.merge(got),
                        none => *none = Some(got),
                    }
                }
            }
            got = self.overdraft.clone().acquire_owned() => permit.overdraft = got.ok(),
        }
    }

    /// Whether somebody waits for memory: then who holds some and does nothing with it must go.
    pub fn is_contended(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Bytes not taken.
    pub fn available(&self) -> usize {
        self.units.available_permits() * UNIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn memory_comes_back_and_one_may_overdraw() {
        let budget = MemoryBudget::new(4096);
        let (mut a, mut b, mut c) = (MemoryPermit::default(), MemoryPermit::default(), MemoryPermit::default());
        budget.cover(&mut a, 3000).await;
        assert_eq!(budget.available(), 1024);
        budget.cover(&mut b, 3000).await;
        assert!(b.overdraft.is_some());
        let wait = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(wait, budget.cover(&mut c, 3000)).await.is_err());
        drop(a);
        budget.cover(&mut c, 3000).await;
        assert!(c.overdraft.is_none());
        drop((b, c));
        assert_eq!(budget.available(), 4096);
    }

    #[tokio::test]
    async fn small_requests_go_on_while_large_ones_have_all() {
        let budget = MemoryBudget::new(4096);
        let (mut large, mut overdraft, mut small) = Default::default();
        budget.cover(&mut large, 4096).await;
        budget.cover(&mut overdraft, 4096).await;
        budget.cover_small(&mut small, 100).await;
        assert_eq!(budget.available(), 0);
        let mut rest = MemoryPermit::default();
        budget.cover_small(&mut rest, SMALL_BYTES - UNIT).await;
        let wait = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(wait, budget.cover_small(&mut MemoryPermit::default(), 1)).await.is_err());
        drop(small);
        budget.cover_small(&mut MemoryPermit::default(), 1).await;
    }
}

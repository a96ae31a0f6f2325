//! Shares of the process's memory: so many bytes at once, first come, first served; who asks for more waits.
//!
//! One share each for batches in the append queues (per log directory, with one more for the broker's own topics), for unpacking
//! compressed batches, for requests (`server::MemoryBudget`), for the tail cache and for idle buffers: none of them can starve another
//! (invariant 9).

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes per permit: a semaphore's `u32` count suffices, and what little things cost beside their bytes is covered.
const UNIT: usize = 1024;

/// A share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ByteBudget {
    units: Arc<Semaphore>,
    total: u32,
}

/// Bytes taken from a budget; given back when dropped.
#[derive(Debug)]
pub struct BytePermit {
    _units: OwnedSemaphorePermit,
}

/// Nobody gets any more: what the budget was for is out of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the memory budget is closed")]
pub struct BudgetClosed;

impl ByteBudget {
    /// A share of `bytes`.
    pub fn new(bytes: usize) -> Self {
        let total = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).clamp(1, u32::MAX >> 3);
        Self { units: Arc::new(Semaphore::new(total as usize)), total }
    }

    /// Takes `bytes`, waiting while others hold them. Who wants more than there is gets it alone.
    pub async fn take(&self, bytes: usize) -> Result<BytePermit, BudgetClosed> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.total);
        let units = Arc::clone(&self.units).acquire_many_owned(units).await;
        units.map(|units| BytePermit { _units: units }).map_err(|_| BudgetClosed)
    }

    /// Has everybody who waits and who comes later hear that there is nothing.
    pub fn close(&self) {
        self.units.close();
    }

    /// Bytes taken.
    pub fn used(&self) -> usize {
        (self.total as usize).saturating_sub(self.units.available_permits()) * UNIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_comes_first_is_served_first_and_the_largest_wish_is_met_alone() {
        let budget = ByteBudget::new(10 << 10);
        let first = budget.take(6 << 10).await.unwrap();
        let mut large = tokio::spawn({
            let budget = budget.clone();
            async move { budget.take(1 << 30).await }
        });
        let wait = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(wait, &mut large).await.is_err());
        assert!(tokio::time::timeout(wait, budget.take(1)).await.is_err(), "not past who waits");
        drop(first);
        let large = large.await.unwrap().unwrap();
        assert_eq!(budget.used(), 10 << 10);
        drop(large);
        assert_eq!(budget.used(), 0);
        budget.close();
        assert!(budget.take(1).await.is_err());
    }
}

//! Memory that answers hold until they are written to their connection: a share of the broker's memory of its own
//! (invariant 9), so that consumers that do not read their sockets cannot pin what the tail cache has given up.
//!
//! Nobody waits for it: what finds the share used up is answered out of the segment files, which takes no memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The share. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct AnswerMemory(Option<Arc<Share>>);

#[derive(Debug)]
struct Share {
    limit: usize,
    used: AtomicUsize,
}

impl AnswerMemory {
    /// A share of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self(Some(Arc::new(Share { limit, used: AtomicUsize::new(0) })))
    }

    /// For callers inside this process, who take their answers at once and bound what they ask for.
    pub fn unaccounted() -> Self {
        Self(None)
    }

    /// Nothing yet, to be added to.
    pub fn hold(&self) -> HeldMemory {
        HeldMemory { share: self.0.clone(), bytes: 0 }
    }

    /// Bytes held.
    pub fn used(&self) -> usize {
        self.0.as_ref().map_or(0, |share| share.used.load(Ordering::Relaxed))
    }

    /// Whether more than half is used: then who holds some and does nothing with it must go.
    pub fn is_short(&self) -> bool {
        self.0.as_ref().is_some_and(|share| self.used() > share.limit / 2)
    }
}

/// What one answer holds; given back when dropped.
#[derive(Debug, Default)]
pub struct HeldMemory {
    share: Option<Arc<Share>>,
    bytes: usize,
}

impl HeldMemory {
    /// Hold `bytes` more, if the share has them.
    pub fn try_add(&mut self, bytes: usize) -> bool {
        let Some(share) = &self.share else { return true };
        let fits = |used: usize| used.checked_add(bytes).filter(|used| *used <= share.limit);
        let taken = share.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        if taken {
            self.bytes += bytes;
        }
        taken
    }

    /// Hold `bytes` more, past the limit if need be: for answers that are there already.
    pub fn add(&mut self, bytes: usize) {
        if let Some(share) = &self.share {
            share.used.fetch_add(bytes, Ordering::Relaxed);
            self.bytes += bytes;
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for HeldMemory {
    fn drop(&mut self) {
        if let Some(share) = &self.share {
            share.used.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_and_what_is_dropped_comes_back() {
        let memory = AnswerMemory::new(100);
        let (mut a, mut b) = (memory.hold(), memory.hold());
        assert!(a.try_add(40) && !memory.is_short());
        assert!(b.try_add(60) && memory.is_short());
        assert!(!a.try_add(1) && !b.try_add(usize::MAX));
        a.add(10);
        assert_eq!(memory.used(), 110);
        drop((a, b));
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn callers_inside_the_process_are_not_counted() {
        let memory = AnswerMemory::unaccounted();
        assert!(memory.hold().try_add(usize::MAX) && !memory.is_short());
    }
}

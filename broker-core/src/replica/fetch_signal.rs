//! How a waiting fetch hears that its partitions have enough that is new.
//!
//! Partitions add what they grow by to the fetches that watch them; a fetch is woken when the sum is what it waits for.
//! It reads once then, not once per append. A partition that changes otherwise (deleted, out of service) wakes at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// One wait of one fetch.
#[derive(Debug, Clone)]
pub struct FetchSignal(Arc<Signal>);

#[derive(Debug)]
struct Signal {
    /// Bytes still missing.
    missing: Mutex<u64>,
    notify: Notify,
}

impl FetchSignal {
    /// A signal that wakes once `bytes` have come.
    pub fn after(bytes: u64) -> Self {
        let signal = Self(Arc::new(Signal { missing: Mutex::new(bytes), notify: Notify::new() }));
        signal.add(0);
        signal
    }

    /// Wait for the wake. One that came before is not lost.
    pub async fn woken(&self) {
        self.0.notify.notified().await;
    }

    fn add(&self, bytes: u64) {
        let mut missing = self.0.missing.lock();
        *missing = missing.saturating_sub(bytes);
        if *missing == 0 {
            self.0.notify.notify_one();
        }
    }
}

/// What had happened to a partition at one moment: how much it had grown, and how often it had changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrowthMark {
    visible_bytes: u64,
    changes: u64,
}

/// The fetches that watch one partition.
#[derive(Debug, Default)]
pub(super) struct Watchers(Mutex<Watched>);

#[derive(Debug, Default)]
struct Watched {
    /// Bytes that became visible to consumers since the partition is led.
    visible_bytes: u64,
    changes: u64,
    watching: BTreeMap<u64, Watching>,
    next: u64,
}

#[derive(Debug)]
struct Watching {
    signal: FetchSignal,
    /// Most that this partition still adds: a fetch takes only so much of each.
    room: u64,
}

impl Watching {
    fn grow(&mut self, bytes: u64) {
        let added = bytes.min(self.room);
        self.room -= added;
        if added > 0 {
            self.signal.add(added);
        }
    }
}

impl Watchers {
    /// Where the partition is now. To be taken before it is read, so that nothing is missed in between.
    pub(super) fn mark(&self) -> GrowthMark {
        let watched = self.0.lock();
        GrowthMark { visible_bytes: watched.visible_bytes, changes: watched.changes }
    }

    /// Have `signal` told of what has come since `since` and will come, up to `room` bytes.
    pub(super) fn add(self: &Arc<Self>, signal: &FetchSignal, since: GrowthMark, room: u64) -> Watch {
        let mut watched = self.0.lock();
        watched.next += 1;
        let number = watched.next;
        let mut watching = Watching { signal: signal.clone(), room };
        watching.grow(watched.visible_bytes.saturating_sub(since.visible_bytes));
        if watched.changes != since.changes {
            signal.add(u64::MAX);
        }
        watched.watching.insert(number, watching);
        Watch { watchers: self.clone(), number }
    }

    /// `bytes` more are visible.
    pub(super) fn grown(&self, bytes: u64) {
        let mut watched = self.0.lock();
        watched.visible_bytes += bytes;
        watched.watching.values_mut().for_each(|watching| watching.grow(bytes));
    }

    /// Something else happened: everybody looks again.
    pub(super) fn changed(&self) {
        let mut watched = self.0.lock();
        watched.changes += 1;
        watched.watching.values().for_each(|watching| watching.signal.add(u64::MAX));
    }

    /// How many watch.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().watching.len()
    }
}

/// Ends the watch when dropped.
#[derive(Debug)]
pub struct Watch {
    watchers: Arc<Watchers>,
    number: u64,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.watchers.0.lock().watching.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn is_woken(signal: &FetchSignal) -> bool {
        let moment = std::time::Duration::from_millis(1);
        tokio::time::timeout(moment, signal.woken()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_is_woken_once_its_partitions_together_have_what_it_waits_for() {
        let (a, b) = (Arc::new(Watchers::default()), Arc::new(Watchers::default()));
        let signal = FetchSignal::after(100);
        let watches = [a.add(&signal, a.mark(), 1000), b.add(&signal, b.mark(), 1000)];
        a.grown(60);
        assert!(!is_woken(&signal).await);
        b.grown(40);
        assert!(is_woken(&signal).await);
        drop(watches);
        assert_eq!((a.len(), b.len()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_between_the_mark_and_the_watch_counts_and_no_partition_adds_more_than_its_room() {
        let watchers = Arc::new(Watchers::default());
        let before = watchers.mark();
        watchers.grown(30);
        let signal = FetchSignal::after(50);
        let _watch = watchers.add(&signal, before, 40);
        watchers.grown(1_000_000);
        assert!(!is_woken(&signal).await, "40 of 50");
        let signal = FetchSignal::after(50);
        let _watch = watchers.add(&signal, before, 50);
        assert!(is_woken(&signal).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_wakes_however_much_is_missing_also_one_before_the_watch() {
        let watchers = Arc::new(Watchers::default());
        let (early, late) = (FetchSignal::after(u64::MAX), FetchSignal::after(u64::MAX));
        let before = watchers.mark();
        let _early = watchers.add(&early, before, 1);
        watchers.changed();
        let _late = watchers.add(&late, before, 1);
        assert!(is_woken(&early).await && is_woken(&late).await);
    }
}

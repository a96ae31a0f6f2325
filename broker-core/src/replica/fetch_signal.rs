//! How a waiting fetch hears that one of its partitions has something new.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Woken by every partition it watches. A wake between two waits is not lost.
#[derive(Debug, Clone, Default)]
pub struct FetchSignal(Arc<Notify>);

impl FetchSignal {
    /// Wait for the next wake.
    pub async fn woken(&self) {
        self.0.notified().await;
    }

    fn wake(&self) {
        self.0.notify_one();
    }
}

/// The signals of one partition.
#[derive(Debug, Default)]
pub(super) struct Watchers(Mutex<Vec<FetchSignal>>);

impl Watchers {
    pub(super) fn add(self: &Arc<Self>, signal: &FetchSignal) -> Watch {
        self.0.lock().push(signal.clone());
        Watch { watchers: self.clone(), signal: signal.clone() }
    }

    pub(super) fn wake_all(&self) {
        self.0.lock().iter().for_each(FetchSignal::wake);
    }
}

/// Ends the watch when dropped.
#[derive(Debug)]
pub struct Watch {
    watchers: Arc<Watchers>,
    signal: FetchSignal,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watchers = self.watchers.0.lock();
        if let Some(at) = watchers.iter().position(|other| Arc::ptr_eq(&other.0, &self.signal.0)) {
            watchers.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wake_before_the_wait_counts_and_a_dropped_watch_hears_nothing() {
        let watchers = Arc::new(Watchers::default());
        let signal = FetchSignal::default();
        let watch = watchers.add(&signal);
        watchers.wake_all();
        signal.woken().await;
        drop(watch);
        watchers.wake_all();
        assert!(watchers.0.lock().is_empty());
        let waited = tokio::time::timeout(std::time::Duration::from_millis(20), signal.woken()).await;
        assert!(waited.is_err());
    }
}

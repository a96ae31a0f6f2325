//! Wakes the task when the operating system says that a watched directory changed.
//!
//! A hint only: events get lost, and network mounts send none, so the tracker looks anyway from time
//! to time. No event is needed for anything to be right.

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

/// Most directories watched; the kernel's own limit is shared by all programs of a user.
const MOST: usize = 256;

#[derive(Default)]
struct Flag {
    raised: Mutex<bool>,
    changed: Condvar,
}

/// Called for each hint.
type Wake = Arc<dyn Fn() + Send + Sync>;

/// The watched directories of a task.
pub struct Hints {
    flag: Arc<Flag>,
    watcher: Option<RecommendedWatcher>,
    watched: HashSet<PathBuf>,
}

impl Hints {
    /// Without a watched directory yet. Where the system has no watches to give, there are no hints.
    pub fn new(wake: Option<Wake>) -> Self {
        let flag = Arc::new(Flag::default());
        let raised = Arc::clone(&flag);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                *raised.raised.lock().unwrap_or_else(PoisonError::into_inner) = true;
                raised.changed.notify_all();
                if let Some(wake) = &wake {
                    wake();
                }
            }
        });
        Self { flag, watcher: watcher.ok(), watched: HashSet::new() }
    }

    /// Watches these directories and no others.
    pub fn watch(&mut self, directories: &[PathBuf]) {
        let Some(watcher) = &mut self.watcher else { return };
        let wanted: HashSet<_> = directories.iter().take(MOST).cloned().collect();
        if wanted == self.watched {
            return;
        }
        for gone in self.watched.difference(&wanted) {
            // A directory that is gone is no longer watched already.
            let _ = watcher.unwatch(gone);
        }
        // One that can't be watched is looked at from time to time, as all are.
        self.watched = wanted
            .into_iter()
            .filter(|directory| {
                self.watched.contains(directory) || watcher.watch(directory, RecursiveMode::NonRecursive).is_ok()
            })
            .collect();
    }

    /// Waits for a hint, at most for `most`.
    pub fn wait(&self, most: Duration) {
        let raised = self.flag.raised.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.flag.changed.wait_timeout_while(raised, most, |raised| !*raised));
    }

    /// Whether there was a hint that was not taken yet.
    pub fn is_raised(&self) -> bool {
        *self.flag.raised.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there was a hint since the last call.
    pub fn take(&self) -> bool {
        std::mem::take(&mut *self.flag.raised.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

//! One partition of `__consumer_offsets` in memory: its groups and the writes on their way to it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::entry::Entry;
use super::writes::Write;

/// How much of a partition is in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoadState {
    Unloaded,
    Loading,
    Loaded,
}

/// See the module.
pub(super) struct Shard {
    pub index: i32,
    pub groups: Mutex<HashMap<String, Arc<Mutex<Entry>>>>,
    pub load: watch::Sender<LoadState>,
    pub queue: Mutex<Queue>,
}

/// Writes in the order in which they were decided.
#[derive(Default)]
pub(super) struct Queue {
    pub writes: VecDeque<Box<dyn Write>>,
    /// A task is at work on the queue; it ends when the queue is empty.
    pub running: bool,
}

impl Shard {
    pub fn new(index: i32) -> Self {
        Self { index, groups: Mutex::default(), load: watch::Sender::new(LoadState::Unloaded), queue: Mutex::default() }
    }

    pub fn is_loaded(&self) -> bool {
        *self.load.borrow() == LoadState::Loaded
    }

    pub fn find(&self, group: &str) -> Option<Arc<Mutex<Entry>>> {
        self.groups.lock().get(group).cloned()
    }

    /// All groups there are at the moment.
    pub fn entries(&self) -> Vec<Arc<Mutex<Entry>>> {
        self.groups.lock().values().cloned().collect()
    }
}

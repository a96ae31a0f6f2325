//! What happened to each connector, for people: the last events, kept in memory.

use levada_env::Clock;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// Events kept per connector.
const KEPT: usize = 100;

/// Longest text of an event; a trace is cut.
const LONGEST: usize = 2_000;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Milliseconds since the epoch.
    pub at: i64,
    /// What kind: `created`, `failed`, `warning`, ...
    pub kind: &'static str,
    /// The task it is about.
    pub task: Option<usize>,
    /// Text.
    pub text: String,
}

/// The events of all connectors.
pub struct EventLog {
    clock: Arc<dyn Clock>,
    events: Mutex<BTreeMap<String, VecDeque<Event>>>,
}

impl EventLog {
    /// An empty log.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, events: Mutex::default() }
    }

    /// Adds an event; the oldest one makes room.
    pub fn add(&self, connector: &str, kind: &'static str, task: Option<usize>, text: impl Into<String>) {
        let mut text: String = text.into();
        if text.len() > LONGEST {
            let end = (0..=LONGEST).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
            text.truncate(end);
        }
        let event = Event { at: self.clock.wall_ms(), kind, task, text };
        let mut events = self.events.lock();
        let of_connector = events.entry(connector.to_owned()).or_default();
        if of_connector.len() >= KEPT {
            of_connector.pop_front();
        }
        of_connector.push_back(event);
    }

    /// A connector's events, the oldest first.
    pub fn of(&self, connector: &str) -> Vec<Event> {
        self.events.lock().get(connector).map(|events| events.iter().cloned().collect()).unwrap_or_default()
    }

    /// Forgets a deleted connector's.
    pub fn forget(&self, connector: &str) {
        self.events.lock().remove(connector);
    }
}

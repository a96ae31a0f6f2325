//! Ids given out with MEMBER_ID_REQUIRED and not yet used (KIP-394).

use std::collections::BTreeMap;

use levada_env::time::Instant;

/// What an id takes beside its text.
const OVERHEAD: usize = 256;

/// An id and until when it is kept.
#[derive(Debug, Clone, Copy)]
struct Pending {
    deadline: Instant,
    arrival: u64,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct PendingMembers {
    ids: BTreeMap<String, Pending>,
    bytes: usize,
}

impl PendingMembers {
    /// Memory that `id` takes.
    pub fn size(id: &str) -> usize {
        id.len() + OVERHEAD
    }

    /// Keeps `id`. With `limit` ids there already, the oldest is forgotten (invariant 9): should that client come after
    /// all, it asks for a new id.
    pub fn add(&mut self, id: String, deadline: Instant, arrival: u64, limit: usize) {
        if self.ids.len() >= limit {
            let oldest = self.ids.iter().min_by_key(|(_, pending)| pending.arrival);
            if let Some(oldest) = oldest.map(|(id, _)| id.clone()) {
                self.remove(&oldest);
            }
        }
        self.bytes += Self::size(&id);
        self.ids.insert(id, Pending { deadline, arrival });
    }

    /// Forgets `id`; whether it was there.
    pub fn remove(&mut self, id: &str) -> bool {
        let was_there = self.ids.remove(id).is_some();
        self.bytes -= if was_there { Self::size(id) } else { 0 };
        was_there
    }

    /// Forgets those whose time is over; whether there were any.
    pub fn expire(&mut self, now: Instant) -> bool {
        let before = self.ids.len();
        self.ids.retain(|_, pending| pending.deadline > now);
        self.bytes = self.ids.keys().map(|id| Self::size(id)).sum();
        self.ids.len() != before
    }

    pub fn contains(&self, id: &str) -> bool {
        self.ids.contains_key(id)
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// When the next one is to be forgotten.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.ids.values().map(|pending| pending.deadline).min()
    }

    /// Memory that they take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

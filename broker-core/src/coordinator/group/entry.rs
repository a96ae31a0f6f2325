//! A group in memory: its state machine, its offsets, and the requests that wait on it. One lock each, never held across a wait.

use std::collections::HashMap;

use levada_env::Instant;
use tokio::sync::oneshot;

use super::machine::{Group, GroupError, JoinAnswer, SyncGranted, Ticket};
use super::offsets::GroupOffsets;

/// The answer channel of a request that waits.
#[derive(Debug)]
pub(super) enum Parked {
    Join(oneshot::Sender<JoinAnswer>),
    Sync(oneshot::Sender<Result<SyncGranted, GroupError>>),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Entry {
    pub group: Group,
    pub offsets: GroupOffsets,
    parked: HashMap<Ticket, Parked>,
    next_ticket: u64,
    /// The time the timer is set for, if it is.
    pub armed: Option<Instant>,
    /// Memory of its members that the coordinator has counted.
    pub counted: usize,
    /// Taken out of the map: whoever still holds it must look again.
    pub removed: bool,
}

impl Entry {
    pub fn new(group: Group, offsets: GroupOffsets) -> Self {
        Self { group, offsets, parked: HashMap::new(), next_ticket: 0, armed: None, counted: 0, removed: false }
    }

    /// Keeps the way back to a request while the machine decides.
    pub fn park(&mut self, parked: Parked) -> Ticket {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.parked.insert(ticket, parked);
        ticket
    }

    /// Answers a JoinGroup. Whoever asked may be gone; the group goes on without it until its session ends.
    pub fn answer_join(&mut self, ticket: Ticket, answer: JoinAnswer) {
        if let Some(Parked::Join(sender)) = self.parked.remove(&ticket) {
            let _ = sender.send(answer);
        }
    }

    /// Answers a SyncGroup.
    pub fn answer_sync(&mut self, ticket: Ticket, answer: Result<SyncGranted, GroupError>) {
        if let Some(Parked::Sync(sender)) = self.parked.remove(&ticket) {
            let _ = sender.send(answer);
        }
    }

    /// True if forgetting the entry loses nothing.
    pub fn is_blank(&self) -> bool {
        self.group.is_blank() && self.offsets.is_empty()
    }

    /// True if the log may hold a record of the group itself, beside those of its offsets.
    pub fn has_group_record(&self) -> bool {
        self.group.generation() > 0 || self.group.protocol_type().is_some()
    }
}

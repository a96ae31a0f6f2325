//! A member of a group: its identity, what it offers, and what it waits for.

use std::collections::BTreeSet;

use bytes::Bytes;
use levada_env::time::{Duration, Instant};

use super::step::{JoinRequest, MemberSnapshot, Protocol, Ticket};

/// What a member takes beside its names and metadata: its places in the group's tables and in the answers about it.
const MEMBER_OVERHEAD: usize = 2048;
/// What a protocol takes beside its name and metadata.
const PROTOCOL_OVERHEAD: usize = 128;

/// A member. Its id is the key it is stored under.
#[derive(Debug, Clone)]
pub struct Member {
    /// `group.instance.id` of a static member.
    pub group_instance_id: Option<String>,
    /// Client id.
    pub client_id: String,
    /// Client address.
    pub client_host: String,
    /// Session timeout.
    pub session_timeout: Duration,
    /// Rebalance timeout.
    pub rebalance_timeout: Duration,
    /// Protocols offered, most wanted first.
    pub protocols: Vec<Protocol>,
    /// Assignment of the current generation; empty until there is one.
    pub assignment: Bytes,
    /// Order of arrival, so that the longest-standing member leads.
    pub(super) arrival: u64,
    /// The parked JoinGroup.
    pub(super) join: Option<ParkedJoin>,
    /// The parked SyncGroup.
    pub(super) sync: Option<Ticket>,
    /// True until its first JoinGroup was answered. It cannot heartbeat before, so only its join's own timeout removes it.
    pub(super) is_new: bool,
    /// When the session ends; `None` while a parked request shows that the member lives.
    pub(super) session_deadline: Option<Instant>,
}

/// A JoinGroup that waits for its answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct ParkedJoin {
    pub(super) ticket: Ticket,
    pub(super) supports_skip_assignment: bool,
}

impl Member {
    /// A member as it joins.
    pub(super) fn joining(request: &JoinRequest, arrival: u64) -> Self {
        Self {
            group_instance_id: request.group_instance_id.clone(),
            client_id: request.client_id.clone(),
            client_host: request.client_host.clone(),
            session_timeout: request.session_timeout,
            rebalance_timeout: request.rebalance_timeout,
            protocols: request.protocols.clone(),
            assignment: Bytes::new(),
            arrival,
            join: None,
            sync: None,
            is_new: true,
            session_deadline: None,
        }
    }

    /// A member as the log knows it. Only its chosen protocol is known.
    pub(super) fn loaded(snapshot: MemberSnapshot, protocol: Option<&str>, arrival: u64, now: Instant) -> Self {
        Self {
            group_instance_id: snapshot.group_instance_id,
            client_id: snapshot.client_id,
            client_host: snapshot.client_host,
            session_timeout: snapshot.session_timeout,
            rebalance_timeout: snapshot.rebalance_timeout,
            protocols: vec![Protocol {
                name: protocol.unwrap_or_default().to_owned(),
                metadata: snapshot.subscription,
            }],
            assignment: snapshot.assignment,
            arrival,
            join: None,
            sync: None,
            is_new: false,
            session_deadline: Some(now + snapshot.session_timeout),
        }
    }

    /// True while a JoinGroup of this member waits.
    pub fn is_awaiting_join(&self) -> bool {
        self.join.is_some()
    }

    /// True while a SyncGroup of this member waits.
    pub fn is_awaiting_sync(&self) -> bool {
        self.sync.is_some()
    }

    /// True for a member with a `group.instance.id`.
    pub fn is_static(&self) -> bool {
        self.group_instance_id.is_some()
    }

    /// Metadata for `protocol`, empty if the member doesn't offer it.
    pub fn metadata(&self, protocol: Option<&str>) -> Bytes {
        let found = self.protocols.iter().find(|offered| Some(offered.name.as_str()) == protocol);
        found.map(|offered| offered.metadata.clone()).unwrap_or_default()
    }

    /// Memory that the member takes.
    pub(super) fn bytes(&self) -> usize {
        size(&self.client_id, &self.client_host, self.group_instance_id.as_deref(), &self.protocols)
    }

    /// The first of the member's protocols among `candidates`.
    pub(super) fn vote<'a>(&self, candidates: &BTreeSet<&'a str>) -> Option<&'a str> {
        self.protocols.iter().find_map(|offered| candidates.get(offered.name.as_str()).copied())
    }

    /// The member was heard of.
    pub(super) fn renew_session(&mut self, now: Instant) {
        self.session_deadline = Some(now + self.session_timeout);
    }

    /// What the log keeps of it.
    pub(super) fn snapshot(&self, member_id: &str, protocol: Option<&str>, assignment: Bytes) -> MemberSnapshot {
        MemberSnapshot {
            member_id: member_id.to_owned(),
            group_instance_id: self.group_instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            session_timeout: self.session_timeout,
            rebalance_timeout: self.rebalance_timeout,
            subscription: self.metadata(protocol),
            assignment,
        }
    }
}

/// Memory that a member would take that joins by `request`.
pub(super) fn joining_bytes(request: &JoinRequest) -> usize {
    size(&request.client_id, &request.client_host, request.group_instance_id.as_deref(), &request.protocols)
}

fn size(client_id: &str, client_host: &str, instance: Option<&str>, protocols: &[Protocol]) -> usize {
    let names = client_id.len() + client_host.len() + instance.map_or(0, str::len);
    names + protocol_bytes(protocols) + MEMBER_OVERHEAD
}

/// Memory that `protocols` take: many empty ones are not nothing.
pub(super) fn protocol_bytes(protocols: &[Protocol]) -> usize {
    protocols.iter().map(|protocol| protocol.name.len() + protocol.metadata.len() + PROTOCOL_OVERHEAD).sum()
}

//! Tests of the group machine: one file per kind of request, and a seeded simulation of many members.

mod commits;
mod joining;
mod leaving;
mod restoring;
mod sessions;
mod simulation;
mod static_members;
mod syncing;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use levada_env::time::{Duration, Instant};

use super::subscription::subscription;
use super::*;

pub(super) const SESSION: Duration = Duration::from_secs(10);
/// Just not long enough to end a session.
pub(super) const ALMOST_SESSION: Duration = Duration::from_millis(9_999);
pub(super) const REBALANCE: Duration = Duration::from_secs(60);

/// Drives one group and keeps its answers.
pub(super) struct Harness {
    pub group: Group,
    pub now: Now,
    pub joins: BTreeMap<Ticket, JoinAnswer>,
    pub syncs: BTreeMap<Ticket, Result<SyncGranted, GroupError>>,
    pub to_persist: Vec<(PersistToken, GroupSnapshot)>,
    /// Persist at once, as most tests don't look at the time in between.
    pub auto_persist: bool,
    pub log: Vec<GroupSnapshot>,
    next_ticket: u64,
    next_member: u64,
}

impl Harness {
    pub fn new() -> Self {
        Self::with(GroupOptions { initial_rebalance_delay: Duration::ZERO, ..GroupOptions::default() })
    }

    pub fn with(options: GroupOptions) -> Self {
        Self {
            group: Group::new("g", Arc::new(options)),
            now: Now { instant: Instant::now(), wall_ms: 1_000_000 },
            joins: BTreeMap::new(),
            syncs: BTreeMap::new(),
            to_persist: Vec::new(),
            auto_persist: true,
            log: Vec::new(),
            next_ticket: 0,
            next_member: 0,
        }
    }

    pub fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    pub fn take(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Join(ticket, answer) => assert!(self.joins.insert(ticket, answer).is_none(), "answered twice"),
                Output::Sync(ticket, answer) => assert!(self.syncs.insert(ticket, answer).is_none(), "answered twice"),
                Output::Persist(token, snapshot) => self.to_persist.push((token, snapshot)),
            }
        }
        self.group.members.check();
        if self.auto_persist {
            self.persist_all(Ok(()));
        }
    }

    pub fn persist_all(&mut self, result: Result<(), GroupError>) {
        for (token, snapshot) in std::mem::take(&mut self.to_persist) {
            if result.is_ok() {
                self.log.push(snapshot);
            }
            let outputs = self.group.persisted(token, result, self.now);
            self.take(outputs);
        }
    }

    /// Time passes, with a tick at every deadline on the way.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now.instant + time;
        while let Some(deadline) = self.group.next_deadline().filter(|deadline| *deadline <= until) {
            self.go_to(deadline.max(self.now.instant));
            let outputs = self.group.tick(self.now);
            self.take(outputs);
        }
        self.go_to(until);
    }

    fn go_to(&mut self, instant: Instant) {
        self.now.wall_ms += (instant - self.now.instant).as_millis() as i64;
        self.now.instant = instant;
    }

    pub fn request(&mut self, member_id: &str) -> JoinRequest {
        self.next_member += u64::from(member_id.is_empty());
        JoinRequest {
            member_id: member_id.to_owned(),
            fresh_member_id: format!("m{}", self.next_member),
            group_instance_id: None,
            client_id: "client".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            session_timeout: SESSION,
            rebalance_timeout: REBALANCE,
            protocol_type: "consumer".to_owned(),
            protocols: vec![protocol("range", &["t"])],
            require_known_member_id: false,
            supports_skip_assignment: true,
            room: usize::MAX,
        }
    }

    pub fn send_join(&mut self, request: JoinRequest) -> Ticket {
        let ticket = self.ticket();
        let outputs = self.group.join(request, ticket, self.now);
        self.take(outputs);
        ticket
    }

    pub fn join_as(&mut self, member_id: &str) -> Ticket {
        let request = self.request(member_id);
        self.send_join(request)
    }

    pub fn granted(&self, ticket: Ticket) -> JoinGranted {
        match self.joins.get(&ticket) {
            Some(JoinAnswer::Granted(granted)) => (**granted).clone(),
            other => panic!("not granted: {other:?}"),
        }
    }

    pub fn refusal(&self, ticket: Ticket) -> (GroupError, String) {
        match self.joins.get(&ticket) {
            Some(JoinAnswer::Refused { error, member_id }) => (*error, member_id.clone()),
            other => panic!("not refused: {other:?}"),
        }
    }

    pub fn sync_request(&self, member_id: &str, assignments: &[(&str, &str)]) -> SyncRequest {
        let own = |(id, what): &(&str, &str)| ((*id).to_owned(), Bytes::copy_from_slice(what.as_bytes()));
        SyncRequest {
            generation: self.group.generation(),
            member_id: member_id.to_owned(),
            group_instance_id: None,
            protocol_type: None,
            protocol_name: None,
            assignments: assignments.iter().map(own).collect(),
            room: usize::MAX,
        }
    }

    pub fn send_sync(&mut self, request: SyncRequest) -> Ticket {
        let ticket = self.ticket();
        let outputs = self.group.sync(request, ticket, self.now);
        self.take(outputs);
        ticket
    }

    pub fn sync_as(&mut self, member_id: &str, assignments: &[(&str, &str)]) -> Ticket {
        let request = self.sync_request(member_id, assignments);
        self.send_sync(request)
    }

    pub fn assignment(&self, ticket: Ticket) -> String {
        let granted = self.syncs.get(&ticket).expect("answered").as_ref().expect("granted");
        String::from_utf8(granted.assignment.to_vec()).unwrap()
    }

    pub fn heartbeat(&mut self, member_id: &str) -> Result<(), GroupError> {
        let generation = self.group.generation();
        self.group.heartbeat(member_id, None, generation, self.now)
    }

    pub fn leave(&mut self, members: &[(&str, Option<&str>)]) -> Vec<Result<(), GroupError>> {
        let leaving: Vec<LeaveMember> = members
            .iter()
            .map(|(id, instance)| LeaveMember {
                member_id: (*id).to_owned(),
                group_instance_id: instance.map(str::to_owned),
                reason: None,
            })
            .collect();
        let (results, outputs) = self.group.leave(&leaving, self.now).unwrap();
        self.take(outputs);
        results
    }

    /// A stable group of `count` dynamic members `m1`, `m2`, ...; the first leads. Each has its own id as assignment.
    pub fn stable(count: usize) -> Self {
        let mut h = Self::new();
        let mut ids: Vec<String> = Vec::new();
        for _ in 0..count {
            let ticket = h.join_as("");
            for id in ids.clone() {
                h.join_as(&id);
            }
            ids.push(h.granted(ticket).member_id);
        }
        h.settle();
        h
    }

    /// All members sync, the leader with everybody's id as assignment.
    pub fn settle(&mut self) {
        assert_eq!(self.group.state(), GroupState::CompletingRebalance);
        let ids = self.group.members.ids();
        let given: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), id.as_str())).collect();
        let leader = self.group.leader().unwrap().to_owned();
        for id in ids.iter().filter(|id| **id != leader) {
            self.sync_as(id, &[]);
        }
        self.sync_as(&leader, &given);
        assert_eq!(self.group.state(), GroupState::Stable);
    }
}

pub(super) fn protocol(name: &str, topics: &[&str]) -> Protocol {
    Protocol { name: name.to_owned(), metadata: subscription(topics) }
}

//! The members of a group with the sums kept over them.
//!
//! Every change goes through here, so that the index of static members, the protocol counts, the number of parked joins and the bytes
//! they take always agree with the members themselves ([`Members::check`] says so in the simulation).

use std::collections::{BTreeMap, BTreeSet};

use levada_env::time::Duration;

use super::member::{Member, ParkedJoin};
use super::step::Protocol;

/// Members by id.
#[derive(Debug, Clone, Default)]
pub struct Members {
    by_id: BTreeMap<String, Member>,
    by_instance: BTreeMap<String, String>,
    by_arrival: BTreeMap<u64, String>,
    protocol_counts: BTreeMap<String, usize>,
    awaiting_join: usize,
    bytes: usize,
    next_arrival: u64,
}

impl Members {
    /// The number of the next arrival.
    pub(super) fn next_arrival(&mut self) -> u64 {
        self.next_arrival += 1;
        self.next_arrival
    }

    /// Adds a member under a new id. A static member's instance id must be free.
    pub(super) fn add(&mut self, id: String, member: Member) {
        debug_assert!(!self.by_id.contains_key(&id), "member ids are fresh");
        if let Some(instance) = &member.group_instance_id {
            self.by_instance.insert(instance.clone(), id.clone());
        }
        self.count_in(&member);
        self.awaiting_join += usize::from(member.is_awaiting_join());
        self.by_arrival.insert(member.arrival, id.clone());
        self.by_id.insert(id, member);
    }

    /// Removes a member with whatever it had parked.
    pub(super) fn remove(&mut self, id: &str) -> Option<Member> {
        let member = self.by_id.remove(id)?;
        if let Some(instance) = &member.group_instance_id
            && self.by_instance.get(instance).is_some_and(|owner| owner == id)
        {
            self.by_instance.remove(instance);
        }
        self.count_out(&member);
        self.awaiting_join -= usize::from(member.is_awaiting_join());
        self.by_arrival.remove(&member.arrival);
        Some(member)
    }

    /// Replaces what a member offers.
    pub(super) fn update(&mut self, id: &str, protocols: Vec<Protocol>, session: Duration, rebalance: Duration) {
        let Some(mut member) = self.by_id.remove(id) else { return };
        self.count_out(&member);
        member.protocols = protocols;
        member.session_timeout = session;
        member.rebalance_timeout = rebalance;
        self.count_in(&member);
        self.by_id.insert(id.to_owned(), member);
    }

    /// Parks a JoinGroup; gives back the one it displaces.
    pub(super) fn park_join(&mut self, id: &str, join: ParkedJoin) -> Option<ParkedJoin> {
        let displaced = self.by_id.get_mut(id)?.join.replace(join);
        self.awaiting_join += usize::from(displaced.is_none());
        displaced
    }

    /// Takes the parked JoinGroup out, to answer it.
    pub(super) fn take_join(&mut self, id: &str) -> Option<ParkedJoin> {
        let taken = self.by_id.get_mut(id)?.join.take();
        self.awaiting_join -= usize::from(taken.is_some());
        taken
    }

    fn count_in(&mut self, member: &Member) {
        self.bytes += member.bytes();
        for name in distinct_names(&member.protocols) {
            *self.protocol_counts.entry(name.to_owned()).or_default() += 1;
        }
    }

    fn count_out(&mut self, member: &Member) {
        self.bytes -= member.bytes();
        for name in distinct_names(&member.protocols) {
            let left = self.protocol_counts.get_mut(name).map(|count| {
                *count -= 1;
                *count
            });
            if left == Some(0) {
                self.protocol_counts.remove(name);
            }
        }
    }

    /// The member with this id.
    pub fn get(&self, id: &str) -> Option<&Member> {
        self.by_id.get(id)
    }

    /// For changes that touch none of the sums.
    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Member> {
        self.by_id.get_mut(id)
    }

    /// True if `id` is a member.
    pub fn contains(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    /// The member that owns a `group.instance.id`.
    pub fn owner_of(&self, instance: &str) -> Option<&str> {
        self.by_instance.get(instance).map(String::as_str)
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// True without members.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Ids and members, by id.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Member)> {
        self.by_id.iter()
    }

    /// For changes that touch none of the sums.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&String, &mut Member)> {
        self.by_id.iter_mut()
    }

    /// All member ids.
    pub(super) fn ids(&self) -> Vec<String> {
        self.by_id.keys().cloned().collect()
    }

    /// Members with a parked JoinGroup.
    pub fn awaiting_join(&self) -> usize {
        self.awaiting_join
    }

    /// Memory that all members take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The longest time a member asks the group to wait for it.
    pub fn rebalance_timeout(&self) -> Duration {
        self.by_id.values().map(|member| member.rebalance_timeout).max().unwrap_or_default()
    }

    /// The longest-standing member among those that fit.
    pub(super) fn oldest(&self, fits: impl Fn(&Member) -> bool) -> Option<&String> {
        self.by_arrival.values().find(|id| self.by_id.get(*id).is_some_and(&fits))
    }

    /// True if some protocol of `offered` is one that all members can do.
    pub(super) fn share_protocol(&self, offered: &[Protocol]) -> bool {
        offered.iter().any(|protocol| self.protocol_counts.get(&protocol.name) == Some(&self.len()))
    }

    /// The protocol that all members can do and most of them want; the first by name among equals.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let common = self.protocol_counts.iter().filter(|(_, count)| **count == self.len());
        let candidates: BTreeSet<&str> = common.map(|(name, _)| name.as_str()).collect();
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.by_id.values() {
            if let Some(name) = member.vote(&candidates) {
                *votes.entry(name).or_default() += 1;
            }
        }
        let best = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == best).map(|(name, _)| name.to_owned())
    }

    /// Panics unless the sums agree with the members.
    #[cfg(test)]
    pub(super) fn check(&self) {
        assert_eq!(self.awaiting_join, self.by_id.values().filter(|member| member.is_awaiting_join()).count());
        assert_eq!(self.bytes, self.by_id.values().map(Member::bytes).sum::<usize>());
        let statics = self.by_id.iter().filter(|(_, member)| member.is_static());
        let index: BTreeMap<String, String> =
            statics.map(|(id, member)| (member.group_instance_id.clone().unwrap(), id.clone())).collect();
        assert_eq!(self.by_instance, index);
        let arrivals: BTreeMap<u64, String> =
            self.by_id.iter().map(|(id, member)| (member.arrival, id.clone())).collect();
        assert_eq!(self.by_arrival, arrivals);
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for member in self.by_id.values() {
            for name in distinct_names(&member.protocols) {
                *counts.entry(name.to_owned()).or_default() += 1;
            }
        }
        assert_eq!(self.protocol_counts, counts);
    }
}

/// Protocol names without repetitions: a client may send one twice, and it must not count as two members.
fn distinct_names(protocols: &[Protocol]) -> BTreeSet<&str> {
    protocols.iter().map(|protocol| protocol.name.as_str()).collect()
}

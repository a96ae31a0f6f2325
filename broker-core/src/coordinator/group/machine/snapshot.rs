//! What of a group goes into the log, and how a group comes back from it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::member::Member;
use super::step::{GroupOptions, GroupSnapshot, Now, Output};
use super::{Group, GroupState};

impl Group {
    /// The state as the log shall hold it, with the members' present assignments.
    pub fn snapshot(&self) -> GroupSnapshot {
        let protocol = self.protocol_name.as_deref();
        let member = |(id, member): (&String, &Member)| member.snapshot(id, protocol, member.assignment.clone());
        GroupSnapshot {
            protocol_type: self.protocol_type.clone(),
            generation: self.generation,
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone(),
            state_since_ms: self.state_since_ms,
            members: self.members.iter().map(member).collect(),
        }
    }

    /// A group as the log knows it: Stable with members, Empty without. A rebalance that was under way is forgotten; its members find
    /// out by their generation or their id and join again. Every member gets a whole session from now.
    pub fn restore(id: impl Into<String>, snapshot: GroupSnapshot, options: Arc<GroupOptions>, now: Now) -> Self {
        let mut group = Self::new(id, options);
        group.protocol_type = snapshot.protocol_type;
        group.generation = snapshot.generation.max(0);
        group.protocol_name = snapshot.protocol_name;
        group.state_since_ms = snapshot.state_since_ms;
        group.assignment_bytes = snapshot.members.iter().map(|member| member.assignment.len()).sum();
        for member in snapshot.members {
            let id = member.member_id.clone();
            if group.members.contains(&id) {
                continue;
            }
            let arrival = group.members.next_arrival();
            group.members.add(id, Member::loaded(member, group.protocol_name.as_deref(), arrival, now.instant));
        }
        if group.members.is_empty() {
            group.subscribed_topics = Some(BTreeSet::new());
        } else {
            group.state = GroupState::Stable;
            group.subscribed_topics = group.compute_subscribed_topics();
            let leader = snapshot.leader.filter(|id| group.members.contains(id));
            group.leader = leader.or_else(|| group.members.oldest(|_| true).cloned());
        }
        group
    }

    /// To be called once after [`Group::restore`]: a group above a limit that was lowered meanwhile must rejoin.
    pub fn after_restore(&mut self, now: Now) -> Vec<Output> {
        if self.members.len() > self.options.max_size {
            self.prepare_rebalance("the group is above group.max.size", now);
        }
        self.take_outputs()
    }
}

//! The rebalance: from the first cause to a new generation whose members have their JoinGroup answers.

use levada_env::time::Duration;

use super::step::{JoinAnswer, Now};
use super::subscription::{CONSUMER_PROTOCOL_TYPE, subscribed_topics};
use super::{Group, GroupError, GroupState, JoinPhase, Output, Purpose};

/// A client may ask for a rebalance timeout of 0. When nobody joined, waiting again must not become a busy loop.
const MIN_REPEATED_WAIT: Duration = Duration::from_secs(1);

impl Group {
    /// Starts a rebalance, or moves the one under way forward.
    pub(super) fn rebalance(&mut self, reason: &str, now: Now) {
        match self.state {
            GroupState::Empty | GroupState::Stable | GroupState::CompletingRebalance => {
                self.prepare_rebalance(reason, now);
            }
            GroupState::PreparingRebalance => self.maybe_complete_join(now),
            GroupState::Dead => {}
        }
    }

    pub(super) fn prepare_rebalance(&mut self, reason: &str, now: Now) {
        if self.state == GroupState::CompletingRebalance {
            for id in self.members.ids() {
                self.answer_sync(&id, Err(GroupError::RebalanceInProgress), now);
            }
        }
        self.pending_sync.clear();
        self.sync_deadline = None;
        tracing::debug!(group = %self.id, generation = self.generation, reason, "rebalance");
        let timeout = self.members.rebalance_timeout();
        let was_empty = self.state == GroupState::Empty;
        self.transition(GroupState::PreparingRebalance, now);
        let delay = self.options.initial_rebalance_delay;
        if was_empty && !delay.is_zero() {
            let remaining = timeout.saturating_sub(delay);
            self.join_phase = Some(JoinPhase::Initial { deadline: now.instant + delay, remaining, grew: false });
        } else {
            self.join_phase = Some(JoinPhase::Rejoin { deadline: now.instant + timeout });
            self.maybe_complete_join(now);
        }
    }

    fn all_joined(&self) -> bool {
        self.members.len() == self.members.awaiting_join() && self.pending_members.is_empty()
    }

    /// Ends the join phase as soon as nobody is missing. The initial delay runs its course, unless everybody left again.
    pub(super) fn maybe_complete_join(&mut self, now: Now) {
        let ready = match self.join_phase {
            Some(JoinPhase::Rejoin { .. }) => self.all_joined(),
            Some(JoinPhase::Initial { .. }) => self.members.is_empty(),
            None => false,
        };
        if ready {
            self.complete_join(now);
        }
    }

    /// The join phase's deadline came: go on without who is missing, or give newcomers more time.
    pub(super) fn join_deadline_passed(&mut self, now: Now) {
        match self.join_phase {
            Some(JoinPhase::Initial { remaining, grew: true, .. }) if !remaining.is_zero() => {
                let delay = self.options.initial_rebalance_delay.min(remaining);
                let deadline = now.instant + delay;
                self.join_phase =
                    Some(JoinPhase::Initial { deadline, remaining: remaining.saturating_sub(delay), grew: false });
            }
            Some(_) => self.complete_join(now),
            None => {}
        }
    }

    fn complete_join(&mut self, now: Now) {
        self.join_phase = None;
        // Static members keep their place until their session ends: they may be restarting.
        let gone = |member: &super::Member| !member.is_awaiting_join() && !member.is_static();
        let missing: Vec<String> =
            self.members.iter().filter(|(_, member)| gone(member)).map(|(id, _)| id.clone()).collect();
        for id in missing {
            self.drop_member(&id, GroupError::UnknownMemberId);
        }
        if self.members.is_empty() {
            self.become_empty(now);
        } else if self.elect_joined_leader() {
            self.begin_generation(now);
        } else {
            let wait = self.members.rebalance_timeout().max(MIN_REPEATED_WAIT);
            self.join_phase = Some(JoinPhase::Rejoin { deadline: now.instant + wait });
        }
    }

    /// Keeps the leader if it joined, else takes the longest-standing member that did. False if nobody joined.
    fn elect_joined_leader(&mut self) -> bool {
        let leader = self.leader.as_deref().and_then(|id| self.members.get(id));
        if leader.is_some_and(super::Member::is_awaiting_join) {
            return true;
        }
        let Some(elected) = self.members.oldest(super::Member::is_awaiting_join).cloned() else { return false };
        self.leader = Some(elected);
        true
    }

    fn next_generation(&mut self) {
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.pending_sync.clear();
        self.sync_deadline = None;
    }

    fn become_empty(&mut self, now: Now) {
        self.next_generation();
        self.assignment_bytes = 0;
        self.protocol_name = None;
        self.leader = None;
        self.subscribed_topics = Some(std::collections::BTreeSet::new());
        self.transition(GroupState::Empty, now);
        let snapshot = self.snapshot();
        self.persist(Purpose::Empty, snapshot);
    }

    fn begin_generation(&mut self, now: Now) {
        self.next_generation();
        self.protocol_name = self.members.select_protocol();
        self.subscribed_topics = self.compute_subscribed_topics();
        self.transition(GroupState::CompletingRebalance, now);
        tracing::info!(group = %self.id, generation = self.generation, members = self.members.len(), "generation begins");
        self.sync_deadline = Some(now.instant + self.members.rebalance_timeout());
        self.assignment_bytes = 0;
        for id in self.members.ids() {
            self.pending_sync.insert(id.clone());
            let answer = self.granted(&id, false);
            if let Some(member) = self.members.get_mut(&id) {
                member.assignment = bytes::Bytes::new();
                if member.is_awaiting_join() {
                    // A static member that did not join keeps its old deadline: it was not heard of.
                    member.is_new = false;
                    member.renew_session(now.instant);
                }
            }
            self.answer_join(&id, answer);
        }
    }

    pub(super) fn compute_subscribed_topics(&self) -> Option<std::collections::BTreeSet<String>> {
        if self.protocol_type.as_deref() != Some(CONSUMER_PROTOCOL_TYPE) {
            return None;
        }
        let name = self.protocol_name.as_deref();
        let mut all = std::collections::BTreeSet::new();
        for (_, member) in self.members.iter() {
            all.extend(subscribed_topics(&member.metadata(name))?);
        }
        Some(all)
    }

    /// Removes a member with answers to what it had parked, and hands its leadership on. The caller then moves the rebalance.
    pub(super) fn drop_member(&mut self, id: &str, error: GroupError) {
        self.pending_members.remove(id);
        self.pending_sync.remove(id);
        let Some(member) = self.members.remove(id) else { return };
        if let Some(parked) = member.join {
            // Without an id, so that a client still there starts anew.
            let answer = JoinAnswer::Refused { error, member_id: String::new() };
            self.outputs.push(Output::Join(parked.ticket, answer));
        }
        if let Some(ticket) = member.sync {
            self.outputs.push(Output::Sync(ticket, Err(error)));
        }
        if self.is_leader(id) {
            self.leader = self.members.oldest(|_| true).cloned();
        }
    }

    /// After members were removed: those who stay must share their work anew.
    pub(super) fn after_removal(&mut self, reason: &str, now: Now) {
        match self.state {
            GroupState::Stable | GroupState::CompletingRebalance => self.prepare_rebalance(reason, now),
            GroupState::PreparingRebalance => self.maybe_complete_join(now),
            GroupState::Empty | GroupState::Dead => {}
        }
    }
}

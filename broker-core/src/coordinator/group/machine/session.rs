//! Heartbeats and everything that happens because time passes.

use levada_env::time::Instant;

use super::step::{JoinAnswer, Now, Output};
use super::{Group, GroupError, GroupState, JoinPhase};

impl Group {
    /// A member says that it lives; it learns from the answer whether it must rejoin.
    pub fn heartbeat(
        &mut self,
        member_id: &str,
        instance: Option<&str>,
        generation: i32,
        now: Now,
    ) -> Result<(), GroupError> {
        if self.state == GroupState::Dead {
            return Err(GroupError::CoordinatorNotAvailable);
        }
        self.validate_member(member_id, instance)?;
        if generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        if let Some(member) = self.members.get_mut(member_id) {
            member.renew_session(now.instant);
        }
        match self.state {
            GroupState::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            // Members may heartbeat as soon as they have their JoinGroup answer.
            GroupState::CompletingRebalance | GroupState::Stable => Ok(()),
            GroupState::Empty | GroupState::Dead => Err(GroupError::UnknownMemberId),
        }
    }

    /// When [`Group::tick`] has something to do next.
    pub fn next_deadline(&self) -> Option<Instant> {
        let pending = self.pending_members.next_deadline().into_iter();
        let sessions = self.members.iter().filter_map(|(_, member)| member.session_deadline);
        let phases = self.join_phase.map(JoinPhase::deadline).into_iter().chain(self.sync_deadline);
        pending.chain(sessions).chain(phases).min()
    }

    /// Does what is due. Calling it too early does nothing.
    pub fn tick(&mut self, now: Now) -> Vec<Output> {
        self.expire_members(now);
        self.expire_missing_syncs(now);
        if self.join_phase.is_some_and(|phase| phase.deadline() <= now.instant) {
            self.join_deadline_passed(now);
        }
        self.take_outputs()
    }

    fn expire_members(&mut self, now: Now) {
        let ids_expired = self.pending_members.expire(now.instant);
        let mut expired = Vec::new();
        for (id, member) in self.members.iter_mut() {
            if member.session_deadline.is_none_or(|deadline| deadline > now.instant) {
                continue;
            }
            if !member.is_new && (member.is_awaiting_join() || member.is_awaiting_sync()) {
                // The parked request is its sign of life; the answer starts the session anew.
                member.session_deadline = None;
            } else {
                expired.push(id.clone());
            }
        }
        for id in &expired {
            tracing::info!(group = %self.id, member = %id, "session expired");
            self.drop_member(id, GroupError::UnknownMemberId);
        }
        if !expired.is_empty() {
            self.after_removal("sessions expired", now);
        } else if ids_expired {
            self.maybe_complete_join(now);
        }
    }

    /// Members that have the generation but never asked for their assignment are gone or stuck.
    fn expire_missing_syncs(&mut self, now: Now) {
        if self.sync_deadline.is_none_or(|deadline| deadline > now.instant) {
            return;
        }
        self.sync_deadline = None;
        let missing = std::mem::take(&mut self.pending_sync);
        if missing.is_empty() {
            return;
        }
        for id in &missing {
            tracing::info!(group = %self.id, member = %id, "never synced");
            self.drop_member(id, GroupError::UnknownMemberId);
        }
        self.after_removal("members never synced", now);
    }

    /// The group is being removed or the coordinator stops: everybody who waits is sent away, to find the coordinator again.
    pub fn kill(&mut self, now: Now) -> Vec<Output> {
        for id in self.members.ids() {
            let error = GroupError::CoordinatorNotAvailable;
            self.answer_join(&id, JoinAnswer::Refused { error, member_id: id.clone() });
            self.answer_sync(&id, Err(error), now);
        }
        self.join_phase = None;
        self.sync_deadline = None;
        self.transition(GroupState::Dead, now);
        self.take_outputs()
    }

    /// Takes back a [`Group::kill`] of an empty group whose removal could not be written.
    pub fn revive(&mut self, now: Now) {
        if self.state == GroupState::Dead && self.members.is_empty() {
            self.transition(GroupState::Empty, now);
        }
    }
}

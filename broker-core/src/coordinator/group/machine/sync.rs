//! SyncGroup: the leader hands in the assignments, everybody gets its own once they are in the log.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::step::{Now, Output, PersistToken, SyncGranted, SyncRequest, Ticket};
use super::{Group, GroupError, GroupState, Purpose};

impl Group {
    /// A member asks for its assignment; the leader brings all of them. The answer may come at once or with a later step.
    pub fn sync(&mut self, request: SyncRequest, ticket: Ticket, now: Now) -> Vec<Output> {
        if let Err(error) = self.try_sync(request, ticket, now) {
            self.outputs.push(Output::Sync(ticket, Err(error)));
        }
        self.take_outputs()
    }

    fn try_sync(&mut self, request: SyncRequest, ticket: Ticket, now: Now) -> Result<(), GroupError> {
        if self.state == GroupState::Dead {
            return Err(GroupError::CoordinatorNotAvailable);
        }
        self.validate_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        if differs(request.protocol_type.as_deref(), self.protocol_type())
            || differs(request.protocol_name.as_deref(), self.protocol_name())
        {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        match self.state {
            GroupState::Empty | GroupState::Dead => Err(GroupError::UnknownMemberId),
            GroupState::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            GroupState::CompletingRebalance if self.is_log_behind() => Err(GroupError::CoordinatorNotAvailable),
            GroupState::CompletingRebalance => {
                let bytes: usize = request.assignments.iter().map(|(_, assignment)| assignment.len()).sum();
                if self.is_leader(&request.member_id) && bytes > request.room {
                    return Err(GroupError::GroupMaxSizeReached);
                }
                self.park_sync(request, ticket, now);
                Ok(())
            }
            GroupState::Stable => {
                self.pending_sync.remove(&request.member_id);
                if let Some(member) = self.members.get_mut(&request.member_id) {
                    member.renew_session(now.instant);
                }
                let answer = self.sync_granted(&request.member_id);
                self.outputs.push(Output::Sync(ticket, Ok(answer)));
                Ok(())
            }
        }
    }

    fn park_sync(&mut self, request: SyncRequest, ticket: Ticket, now: Now) {
        let id = request.member_id.as_str();
        self.pending_sync.remove(id);
        if let Some(member) = self.members.get_mut(id) {
            member.renew_session(now.instant);
            if let Some(displaced) = member.sync.replace(ticket) {
                self.outputs.push(Output::Sync(displaced, Err(GroupError::RebalanceInProgress)));
            }
        }
        if self.is_leader(id) && !self.is_assignment_persisting() {
            self.persist_assignments(request.assignments);
        }
    }

    /// True if the leader's decision for this generation is on its way to the log: a repeated SyncGroup only waits for it.
    fn is_assignment_persisting(&self) -> bool {
        let current = |purpose: &Purpose| matches!(purpose, Purpose::Assignment { generation, .. } if *generation == self.generation);
        self.persisting.values().any(current)
    }

    fn persist_assignments(&mut self, given: Vec<(String, Bytes)>) {
        let mut given: BTreeMap<String, Bytes> = given.into_iter().collect();
        let mut assignments = BTreeMap::new();
        for (id, _) in self.members.iter() {
            assignments.insert(id.clone(), given.remove(id).unwrap_or_default());
        }
        let mut snapshot = self.snapshot();
        for member in &mut snapshot.members {
            member.assignment = assignments.get(&member.member_id).cloned().unwrap_or_default();
        }
        self.persist(Purpose::Assignment { generation: self.generation, assignments }, snapshot);
    }

    /// The result of an [`Output::Persist`]. Answers that waited for it go out now, not before (invariants 1 and 7).
    pub fn persisted(&mut self, token: PersistToken, result: Result<(), GroupError>, now: Now) -> Vec<Output> {
        match self.persisting.remove(&token) {
            None => {}
            Some(Purpose::Empty) => {
                // If this failed, the log still names the last generation; on a restart its members time out like any others.
                if let Err(error) = result {
                    tracing::warn!(group = %self.id, %error, "the empty group could not be written");
                }
            }
            Some(Purpose::Assignment { generation, assignments }) => {
                self.assignment_done(generation, assignments, result, now);
            }
            Some(Purpose::StaticReplacement { generation, member_id, led_by }) => {
                self.static_replacement_done(generation, &member_id, led_by, result, now);
            }
        }
        self.take_outputs()
    }

    fn assignment_done(
        &mut self,
        generation: i32,
        mut assignments: BTreeMap<String, Bytes>,
        result: Result<(), GroupError>,
        now: Now,
    ) {
        if self.state != GroupState::CompletingRebalance || self.generation != generation {
            // A rebalance overtook the record. Whoever waited was told so when it began.
            return;
        }
        if let Err(error) = result {
            tracing::warn!(group = %self.id, generation, %error, "the assignment could not be written");
            for id in self.members.ids() {
                self.answer_sync(&id, Err(error), now);
            }
            self.prepare_rebalance("the assignment could not be written", now);
            return;
        }
        self.assignment_bytes = assignments.values().map(Bytes::len).sum();
        for (id, member) in self.members.iter_mut() {
            member.assignment = assignments.remove(id).unwrap_or_default();
        }
        self.transition(GroupState::Stable, now);
        for id in self.members.ids() {
            let answer = self.sync_granted(&id);
            self.answer_sync(&id, Ok(answer), now);
        }
    }

    fn sync_granted(&self, member_id: &str) -> SyncGranted {
        SyncGranted {
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            assignment: self.members.get(member_id).map(|member| member.assignment.clone()).unwrap_or_default(),
        }
    }
}

/// True if both are known and not the same (KIP-559).
fn differs(claimed: Option<&str>, actual: Option<&str>) -> bool {
    matches!((claimed, actual), (Some(claimed), Some(actual)) if claimed != actual)
}

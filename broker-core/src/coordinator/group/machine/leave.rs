//! LeaveGroup: members go by themselves, or an administrator removes static ones.

use super::step::{LeaveMember, LeaveResults, Now, Output};
use super::{Group, GroupError, GroupState};

/// Characters of a client's reason that are logged; as many as Kafka's client sends.
const MAX_REASON: usize = 255;

impl Group {
    /// Removes members; one result for each, in order.
    pub fn leave(&mut self, leaving: &[LeaveMember], now: Now) -> Result<(LeaveResults, Vec<Output>), GroupError> {
        if self.state == GroupState::Dead {
            return Err(GroupError::CoordinatorNotAvailable);
        }
        let results: Vec<_> = leaving.iter().map(|member| self.leave_one(member)).collect();
        if results.iter().any(Result::is_ok) {
            self.after_removal("members left", now);
        }
        Ok((results, self.take_outputs()))
    }

    fn leave_one(&mut self, leaving: &LeaveMember) -> Result<(), GroupError> {
        let id = if leaving.member_id.is_empty() {
            let owner = leaving.group_instance_id.as_deref().and_then(|instance| self.members.owner_of(instance));
            owner.ok_or(GroupError::UnknownMemberId)?.to_owned()
        } else {
            leaving.member_id.clone()
        };
        if !self.pending_members.remove(&id) {
            self.validate_member(&id, leaving.group_instance_id.as_deref())?;
        }
        let reason: String = leaving.reason.as_deref().unwrap_or("not given").chars().take(MAX_REASON).collect();
        tracing::info!(group = %self.id, member = %id, reason, "member leaves");
        self.drop_member(&id, GroupError::UnknownMemberId);
        Ok(())
    }
}

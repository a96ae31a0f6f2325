//! Heartbeat (12), versions 0 to 4: 3 static members.

use levada_wire::messages::{HeartbeatRequest, HeartbeatResponse};

use super::super::error_map::code_of;
use super::super::machine::GroupError;
use super::{Caller, GroupCoordinator, check_member_group_id};

impl GroupCoordinator {
    /// Keeps a member's session alive and tells it whether to rejoin. Never waits.
    pub fn heartbeat(&self, _caller: &Caller<'_>, request: &HeartbeatRequest) -> HeartbeatResponse {
        HeartbeatResponse { error_code: code_of(&self.beat(request)), ..HeartbeatResponse::default() }
    }

    fn beat(&self, request: &HeartbeatRequest) -> Result<(), GroupError> {
        check_member_group_id(&request.group_id)?;
        if !self.inner.is_active() {
            return Err(GroupError::CoordinatorNotAvailable);
        }
        let shard = self.inner.shard_of(&request.group_id);
        if !shard.is_loaded() {
            self.inner.begin_loading(shard);
            if !shard.is_loaded() {
                // Members of a group that is being loaded have done nothing wrong and should stay where they are.
                return Ok(());
            }
        }
        let instance = request.group_instance_id.as_deref();
        self.inner
            .look(&request.group_id, |entry, now| {
                entry.group.heartbeat(&request.member_id, instance, request.generation_id, now)
            })
            .unwrap_or(Err(GroupError::UnknownMemberId))
    }
}

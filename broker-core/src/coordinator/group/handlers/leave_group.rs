//! LeaveGroup (13), versions 0 to 5: 3 several members at once, also by instance id, 5 reason.

use levada_wire::messages::leave_group::MemberResponse;
use levada_wire::messages::{LeaveGroupRequest, LeaveGroupResponse};

use super::super::error_map::code_of;
use super::super::machine::{GroupError, LeaveMember, LeaveResults};
use super::{Caller, GroupCoordinator, check_member_group_id};

/// First version with several members.
const BATCHED: i16 = 3;

impl GroupCoordinator {
    /// Removes members from a group.
    pub async fn leave_group(&self, caller: &Caller<'_>, request: LeaveGroupRequest) -> LeaveGroupResponse {
        let batched = caller.api_version >= BATCHED;
        let leaving = members_of(&request, batched);
        let results = match self.leave(&request.group_id, &leaving).await {
            Ok(results) => results,
            // A group that is gone has none of these members.
            Err(GroupError::UnknownMemberId) => vec![Err(GroupError::UnknownMemberId); leaving.len()],
            Err(error) => return LeaveGroupResponse { error_code: error.code(), ..LeaveGroupResponse::default() },
        };
        if !batched {
            let error_code = results.first().map_or(0, code_of);
            return LeaveGroupResponse { error_code, ..LeaveGroupResponse::default() };
        }
        let member = |(member, result): (LeaveMember, _)| MemberResponse {
            member_id: member.member_id,
            group_instance_id: member.group_instance_id,
            error_code: code_of(&result),
        };
        let members = leaving.into_iter().zip(results).map(member).collect();
        LeaveGroupResponse { members, ..LeaveGroupResponse::default() }
    }

    async fn leave(&self, group: &str, leaving: &[LeaveMember]) -> Result<LeaveResults, GroupError> {
        check_member_group_id(group)?;
        self.inner.ready(group).await?;
        let left = self.inner.step(group, |entry, now| match entry.group.leave(leaving, now) {
            Ok((results, outputs)) => (Ok(results), outputs),
            Err(error) => (Err(error), Vec::new()),
        });
        left.unwrap_or(Err(GroupError::UnknownMemberId))
    }
}

fn members_of(request: &LeaveGroupRequest, batched: bool) -> Vec<LeaveMember> {
    if !batched {
        return vec![LeaveMember { member_id: request.member_id.clone(), group_instance_id: None, reason: None }];
    }
    let member = |member: &levada_wire::messages::leave_group::MemberIdentity| LeaveMember {
        member_id: member.member_id.clone(),
        group_instance_id: member.group_instance_id.clone(),
        reason: member.reason.clone(),
    };
    request.members.iter().map(member).collect()
}

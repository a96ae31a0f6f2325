//! SyncGroup (14), versions 0 to 5: 3 static members, 5 protocol type and name on both sides.

use bytes::Bytes;
use levada_wire::messages::{SyncGroupRequest, SyncGroupResponse};
use tokio::sync::oneshot;

use super::super::entry::Parked;
use super::super::machine::{GroupError, SyncGranted, SyncRequest};
use super::{Caller, GroupCoordinator, check_member_group_id};

impl GroupCoordinator {
    /// Gives a member its assignment. Waits for the leader's decision and for its record.
    pub async fn sync_group(&self, _caller: &Caller<'_>, request: SyncGroupRequest) -> SyncGroupResponse {
        match self.sync(request).await {
            Ok(granted) => SyncGroupResponse {
                protocol_type: granted.protocol_type,
                protocol_name: granted.protocol_name,
                assignment: granted.assignment,
                ..SyncGroupResponse::default()
            },
            Err(error) => SyncGroupResponse { error_code: error.code(), ..SyncGroupResponse::default() },
        }
    }

    async fn sync(&self, request: SyncGroupRequest) -> Result<SyncGranted, GroupError> {
        check_member_group_id(&request.group_id)?;
        self.inner.ready(&request.group_id).await?;
        let group = request.group_id;
        // Copied: the request's buffer must not live as long as the assignment.
        let assignments = request.assignments.into_iter();
        let assignments =
            assignments.map(|given| (given.member_id, Bytes::copy_from_slice(&given.assignment))).collect();
        let request = SyncRequest {
            generation: request.generation_id,
            member_id: request.member_id,
            group_instance_id: request.group_instance_id,
            protocol_type: request.protocol_type,
            protocol_name: request.protocol_name,
            assignments,
            room: self.inner.member_room(),
        };
        let (reply, answer) = oneshot::channel();
        let step = |entry: &mut super::Entry, now| {
            let ticket = entry.park(Parked::Sync(reply));
            ((), entry.group.sync(request, ticket, now))
        };
        self.inner.step(&group, step).ok_or(GroupError::UnknownMemberId)?;
        answer.await.map_err(|_| GroupError::CoordinatorNotAvailable)?
    }
}

//! JoinGroup (11), versions 0 to 9: 1 rebalance timeout, 4 member id required, 5 static members, 7 protocol type in the answer, 8 reason,
//! 9 skip assignment.

use bytes::Bytes;
use levada_env::time::Duration;
use levada_wire::messages::join_group::JoinGroupResponseMember;
use levada_wire::messages::{JoinGroupRequest, JoinGroupResponse};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::super::entry::Parked;
use super::super::inner::Inner;
use super::super::machine::{GroupError, JoinAnswer, JoinGranted, JoinRequest, Protocol};
use super::{Caller, GroupCoordinator, MAX_STRING, check_member_group_id};

/// First version in which a new member must come back with its id (KIP-394).
const KNOWN_MEMBER_ID: i16 = 4;
/// First version with a null protocol name.
const NULLABLE_PROTOCOL: i16 = 7;
/// First version in which a leader can be told to skip the assignment (KIP-814).
const SKIP_ASSIGNMENT: i16 = 9;

impl GroupCoordinator {
    /// Takes a member into a group. Waits until all members have joined: up to the rebalance timeout, beyond any usual request timeout.
    pub async fn join_group(&self, caller: &Caller<'_>, request: JoinGroupRequest) -> JoinGroupResponse {
        let member_id = request.member_id.clone();
        let refused = |error| JoinAnswer::Refused { error, member_id };
        let answer = self.join(caller, request).await.unwrap_or_else(refused);
        response(answer, caller.api_version)
    }

    async fn join(&self, caller: &Caller<'_>, request: JoinGroupRequest) -> Result<JoinAnswer, GroupError> {
        check_member_group_id(&request.group_id)?;
        self.inner.ready(&request.group_id).await?;
        let group = request.group_id.clone();
        let is_new = request.member_id.is_empty();
        let request = self.inner.join_request(caller, request)?;
        let (reply, answer) = oneshot::channel();
        let step = |entry: &mut super::Entry, now| {
            let ticket = entry.park(Parked::Join(reply));
            ((), entry.group.join(request, ticket, now))
        };
        if is_new {
            self.inner.step_or_create(&group, true, step)?;
        } else {
            self.inner.step(&group, step).ok_or(GroupError::UnknownMemberId)?;
        }
        answer.await.map_err(|_| GroupError::CoordinatorNotAvailable)
    }
}

impl Inner {
    fn join_request(&self, caller: &Caller<'_>, request: JoinGroupRequest) -> Result<JoinRequest, GroupError> {
        let instance = request.group_instance_id;
        let names = [caller.client_id, caller.client_host, instance.as_deref().unwrap_or_default()];
        if names.into_iter().any(|name| name.len() + Uuid::nil().as_hyphenated().to_string().len() + 1 > MAX_STRING) {
            return Err(GroupError::MemberMetadataTooLarge);
        }
        let session_timeout = millis(request.session_timeout_ms);
        let rebalance = request.rebalance_timeout_ms;
        // Copied: the request's buffer must not live as long as the member.
        let protocol = |protocol: levada_wire::messages::join_group::JoinGroupRequestProtocol| Protocol {
            name: protocol.name,
            metadata: Bytes::copy_from_slice(&protocol.metadata),
        };
        let uuid = Uuid::from_bytes(self.env.rng.uuid_bytes());
        Ok(JoinRequest {
            member_id: request.member_id,
            fresh_member_id: format!("{}-{uuid}", instance.as_deref().unwrap_or(caller.client_id)),
            group_instance_id: instance,
            client_id: caller.client_id.to_owned(),
            client_host: caller.client_host.to_owned(),
            session_timeout,
            // Version 0 has none; its clients expect the session timeout to do for both.
            rebalance_timeout: if rebalance < 0 { session_timeout } else { millis(rebalance) },
            protocol_type: request.protocol_type,
            protocols: request.protocols.into_iter().map(protocol).collect(),
            require_known_member_id: caller.api_version >= KNOWN_MEMBER_ID,
            supports_skip_assignment: caller.api_version >= SKIP_ASSIGNMENT,
            room: self.member_room(),
        })
    }
}

fn millis(value: i32) -> Duration {
    Duration::from_millis(u64::try_from(value).unwrap_or_default())
}

fn response(answer: JoinAnswer, version: i16) -> JoinGroupResponse {
    let response = match answer {
        JoinAnswer::Granted(granted) => granted_response(*granted),
        JoinAnswer::Refused { error, member_id } => JoinGroupResponse {
            error_code: error.code(),
            member_id,
            protocol_name: None,
            ..JoinGroupResponse::default()
        },
    };
    if version < NULLABLE_PROTOCOL && response.protocol_name.is_none() {
        return JoinGroupResponse { protocol_name: Some(String::new()), ..response };
    }
    response
}

fn granted_response(granted: JoinGranted) -> JoinGroupResponse {
    let member = |member: super::super::machine::JoinedMember| JoinGroupResponseMember {
        member_id: member.member_id,
        group_instance_id: member.group_instance_id,
        metadata: member.metadata,
    };
    JoinGroupResponse {
        generation_id: granted.generation,
        protocol_type: granted.protocol_type,
        protocol_name: granted.protocol_name,
        leader: granted.leader,
        skip_assignment: granted.skip_assignment,
        member_id: granted.member_id,
        members: granted.members.into_iter().map(member).collect(),
        ..JoinGroupResponse::default()
    }
}

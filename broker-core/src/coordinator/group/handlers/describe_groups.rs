//! DescribeGroups (15), versions 0 to 6: 4 static members, 6 GROUP_ID_NOT_FOUND for a group that is not there.

use std::collections::HashSet;

use levada_wire::ErrorCode;
use levada_wire::messages::describe_groups::{DescribedGroup, DescribedGroupMember};
use levada_wire::messages::{DescribeGroupsRequest, DescribeGroupsResponse};

use super::super::entry::Entry;
use super::super::machine::{GroupState, Member};
use super::{Caller, GroupCoordinator};

/// First version that says that a group doesn't exist; before it is described as dead.
const NOT_FOUND: i16 = 6;
/// What `authorized_operations` is where nobody asked.
const NOT_ASKED: i32 = i32::MIN;

impl GroupCoordinator {
    /// Describes groups. `authorized_operations` is given per group where the request wants it (a bit field of ACL operations).
    pub async fn describe_groups(
        &self,
        caller: &Caller<'_>,
        request: &DescribeGroupsRequest,
        authorized_operations: impl Fn(&str) -> i32,
    ) -> DescribeGroupsResponse {
        let mut groups = Vec::new();
        // Each once: an answer is much larger than what asks for it.
        let mut seen = HashSet::new();
        for group in request.groups.iter().filter(|group| seen.insert(group.as_str())) {
            let mut described = self.describe(caller, group).await;
            described.authorized_operations =
                if request.include_authorized_operations { authorized_operations(group) } else { NOT_ASKED };
            groups.push(described);
        }
        DescribeGroupsResponse { groups, ..DescribeGroupsResponse::default() }
    }

    async fn describe(&self, caller: &Caller<'_>, group: &str) -> DescribedGroup {
        if let Err(error) = self.inner.ready(group).await {
            return DescribedGroup {
                group_id: group.to_owned(),
                error_code: error.code(),
                ..DescribedGroup::default()
            };
        }
        self.inner.look(group, |entry, _now| described(entry)).unwrap_or_else(|| missing(group, caller.api_version))
    }
}

fn missing(group: &str, version: i16) -> DescribedGroup {
    let dead = DescribedGroup {
        group_id: group.to_owned(),
        group_state: GroupState::Dead.name().to_owned(),
        ..DescribedGroup::default()
    };
    if version < NOT_FOUND {
        return dead;
    }
    let error_message = Some(format!("group {group} not found"));
    DescribedGroup { error_code: ErrorCode::GroupIdNotFound as i16, error_message, ..dead }
}

fn described(entry: &Entry) -> DescribedGroup {
    let group = &entry.group;
    let stable = group.state() == GroupState::Stable;
    let protocol = group.protocol_name().filter(|_| stable);
    DescribedGroup {
        group_id: group.id().to_owned(),
        group_state: group.state().name().to_owned(),
        protocol_type: group.protocol_type().unwrap_or_default().to_owned(),
        protocol_data: protocol.unwrap_or_default().to_owned(),
        members: group.members().iter().map(|(id, member)| described_member(id, member, protocol)).collect(),
        ..DescribedGroup::default()
    }
}

/// Metadata and assignment are those of a generation, so they are shown in a stable group only.
fn described_member(id: &str, member: &Member, protocol: Option<&str>) -> DescribedGroupMember {
    let shown = DescribedGroupMember {
        member_id: id.to_owned(),
        group_instance_id: member.group_instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        ..DescribedGroupMember::default()
    };
    match protocol {
        None => shown,
        Some(_) => DescribedGroupMember {
            member_metadata: member.metadata(protocol),
            member_assignment: member.assignment.clone(),
            ..shown
        },
    }
}

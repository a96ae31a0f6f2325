//! The group APIs (keys 8, 9, 11 to 16, 42, 47): asks the authorizer, then the group coordinator.

use levada_wire::messages::delete_groups::{DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse};
use levada_wire::messages::describe_groups::{DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup};
use levada_wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestTopic, OffsetCommitResponse, OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
};
use levada_wire::messages::offset_delete::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use levada_wire::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchResponse, OffsetFetchResponseGroup};
use levada_wire::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    ListGroupsRequest, ListGroupsResponse, OffsetDeleteRequest, OffsetDeleteResponse, SyncGroupRequest,
    SyncGroupResponse,
};
use levada_wire::{ErrorCode, RequestKind, ResponseKind};

use super::context::RequestContext;
use super::services::Services;
use crate::coordinator::group::Caller;
use crate::security::{Operation, Resource};

const REFUSED: i16 = ErrorCode::GroupAuthorizationFailed.code();

/// What members that wait for others are told when the broker stops: they stay members and come again.
const STOPPING: i16 = ErrorCode::CoordinatorNotAvailable.code();

/// What the handlers of this file share.
struct Scope<'a> {
    services: &'a Services,
    ctx: &'a RequestContext,
    client_host: String,
}

/// Answer a group request; gives other requests back.
pub(super) async fn handle(
    services: &Services,
    ctx: &RequestContext,
    request: RequestKind,
) -> Result<ResponseKind, RequestKind> {
    let scope = Scope { services, ctx, client_host: ctx.client_host() };
    Ok(match request {
        RequestKind::OffsetCommit(r) => scope.offset_commit(r).await.into(),
        RequestKind::OffsetFetch(r) => scope.offset_fetch(r).await.into(),
        RequestKind::JoinGroup(r) => scope.join_group(r).await.into(),
        RequestKind::Heartbeat(r) => scope.heartbeat(&r).into(),
        RequestKind::LeaveGroup(r) => scope.leave_group(r).await.into(),
        RequestKind::SyncGroup(r) => scope.sync_group(r).await.into(),
        RequestKind::DescribeGroups(r) => scope.describe_groups(r).await.into(),
        RequestKind::ListGroups(r) => scope.list_groups(&r).await.into(),
        RequestKind::DeleteGroups(r) => scope.delete_groups(r).await.into(),
        RequestKind::OffsetDelete(r) => scope.offset_delete(r).await.into(),
        other => return Err(other),
    })
}

impl Scope<'_> {
    fn caller(&self) -> Caller<'_> {
        Caller { client_id: self.ctx.client_id(), client_host: &self.client_host, api_version: self.ctx.api_version }
    }

    fn allows(&self, operation: Operation, group: &str) -> bool {
        self.services.authorizer.allows(&self.ctx.principal, operation, Resource::group(group))
    }

    fn allows_topic(&self, operation: Operation, topic: &str) -> bool {
        self.services.authorizer.allows(&self.ctx.principal, operation, Resource::topic(topic))
    }

    fn allows_commit(&self, topic: &OffsetCommitRequestTopic) -> bool {
        let image = self.services.quorum.image();
        let by_id = || image.topic_by_id(topic.topic_id).map(|topic| topic.name.clone());
        let name = if topic.name.is_empty() { by_id() } else { Some(topic.name.as_str().into()) };
        // What has no name is unknown, which the coordinator says.
        name.is_none_or(|name| self.allows_topic(Operation::Read, &name))
    }

    async fn join_group(&self, request: JoinGroupRequest) -> JoinGroupResponse {
        if !self.allows(Operation::Read, &request.group_id) {
            return JoinGroupResponse { error_code: REFUSED, generation_id: -1, ..JoinGroupResponse::default() };
        }
        let stopping = JoinGroupResponse {
            error_code: STOPPING,
            member_id: request.member_id.clone(),
            ..JoinGroupResponse::default()
        };
        let caller = self.caller();
        self.ctx.wait(self.services.groups.join_group(&caller, request)).await.unwrap_or(stopping)
    }

    async fn sync_group(&self, request: SyncGroupRequest) -> SyncGroupResponse {
        if !self.allows(Operation::Read, &request.group_id) {
            return SyncGroupResponse { error_code: REFUSED, ..SyncGroupResponse::default() };
        }
        let caller = self.caller();
        let synced = self.services.groups.sync_group(&caller, request);
        let stopping = SyncGroupResponse { error_code: STOPPING, ..SyncGroupResponse::default() };
        self.ctx.wait(synced).await.unwrap_or(stopping)
    }

    fn heartbeat(&self, request: &HeartbeatRequest) -> HeartbeatResponse {
        if !self.allows(Operation::Read, &request.group_id) {
            return HeartbeatResponse { error_code: REFUSED, ..HeartbeatResponse::default() };
        }
        self.services.groups.heartbeat(&self.caller(), request)
    }

    async fn leave_group(&self, request: LeaveGroupRequest) -> LeaveGroupResponse {
        if !self.allows(Operation::Read, &request.group_id) {
            return LeaveGroupResponse { error_code: REFUSED, ..LeaveGroupResponse::default() };
        }
        self.services.groups.leave_group(&self.caller(), request).await
    }

    async fn offset_commit(&self, mut request: OffsetCommitRequest) -> OffsetCommitResponse {
        if !self.allows(Operation::Read, &request.group_id) {
            let topics = request.topics.iter().map(|topic| refused_topic(topic, REFUSED)).collect();
            return OffsetCommitResponse { topics, ..OffsetCommitResponse::default() };
        }
        let code = ErrorCode::TopicAuthorizationFailed.code();
        let mut refused = Vec::new();
        request.topics.retain(|topic| {
            let allowed = self.allows_commit(topic);
            if !allowed {
                refused.push(refused_topic(topic, code));
            }
            allowed
        });
        let mut response = self.services.groups.offset_commit(&self.caller(), request).await;
        response.topics.extend(refused);
        response
    }

    async fn offset_fetch(&self, mut request: OffsetFetchRequest) -> OffsetFetchResponse {
        if self.ctx.api_version < 8 && !self.allows(Operation::Describe, &request.group_id) {
            return OffsetFetchResponse { error_code: REFUSED, ..OffsetFetchResponse::default() };
        }
        let mut refused = Vec::new();
        request.groups.retain(|group| {
            let allowed = self.allows(Operation::Describe, &group.group_id);
            if !allowed {
                let group_id = group.group_id.clone();
                refused.push(OffsetFetchResponseGroup { group_id, error_code: REFUSED, ..Default::default() });
            }
            allowed
        });
        let may_see = |topic: &str| self.allows_topic(Operation::Describe, topic);
        let mut response = self.services.groups.offset_fetch(&self.caller(), request, &may_see).await;
        response.groups.extend(refused);
        response
    }

    async fn describe_groups(&self, mut request: DescribeGroupsRequest) -> DescribeGroupsResponse {
        let mut refused = Vec::new();
        request.groups.retain(|group| {
            let allowed = self.allows(Operation::Describe, group);
            if !allowed {
                let group_id = group.clone();
                refused.push(DescribedGroup { group_id, error_code: REFUSED, ..DescribedGroup::default() });
            }
            allowed
        });
        let operations =
            |group: &str| self.services.authorizer.authorized_operations(&self.ctx.principal, Resource::group(group));
        let mut response = self.services.groups.describe_groups(&self.caller(), &request, operations).await;
        response.groups.extend(refused);
        response
    }

    async fn list_groups(&self, request: &ListGroupsRequest) -> ListGroupsResponse {
        let all = self.services.authorizer.allows(&self.ctx.principal, Operation::Describe, Resource::CLUSTER);
        let mut response = self.services.groups.list_groups(&self.caller(), request).await;
        response.groups.retain(|group| all || self.allows(Operation::Describe, &group.group_id));
        response
    }

    async fn delete_groups(&self, mut request: DeleteGroupsRequest) -> DeleteGroupsResponse {
        let mut refused = Vec::new();
        request.groups_names.retain(|group| {
            let allowed = self.allows(Operation::Delete, group);
            if !allowed {
                refused.push(DeletableGroupResult { group_id: group.clone(), error_code: REFUSED });
            }
            allowed
        });
        let mut response = self.services.groups.delete_groups(&self.caller(), &request).await;
        response.results.extend(refused);
        response
    }

    async fn offset_delete(&self, mut request: OffsetDeleteRequest) -> OffsetDeleteResponse {
        if !self.allows(Operation::Delete, &request.group_id) {
            return OffsetDeleteResponse { error_code: REFUSED, ..OffsetDeleteResponse::default() };
        }
        let mut refused = Vec::new();
        request.topics.retain(|topic| {
            let allowed = self.allows_topic(Operation::Read, &topic.name);
            if !allowed {
                refused.push(refused_deletion(topic));
            }
            allowed
        });
        let mut response = self.services.groups.offset_delete(&self.caller(), &request).await;
        response.topics.extend(refused);
        response
    }
}

fn refused_deletion(topic: &OffsetDeleteRequestTopic) -> OffsetDeleteResponseTopic {
    let error_code = ErrorCode::TopicAuthorizationFailed.code();
    let partition = |partition: &OffsetDeleteRequestPartition| OffsetDeleteResponsePartition {
        partition_index: partition.partition_index,
        error_code,
    };
    OffsetDeleteResponseTopic { name: topic.name.clone(), partitions: topic.partitions.iter().map(partition).collect() }
}

fn refused_topic(topic: &OffsetCommitRequestTopic, error_code: i16) -> OffsetCommitResponseTopic {
    let partitions = topic
        .partitions
        .iter()
        .map(|partition| OffsetCommitResponsePartition { partition_index: partition.partition_index, error_code });
    OffsetCommitResponseTopic { name: topic.name.clone(), topic_id: topic.topic_id, partitions: partitions.collect() }
}

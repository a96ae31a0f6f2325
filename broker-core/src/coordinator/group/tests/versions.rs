//! Every answer, refusals included, can be encoded in every version that is served.

use levada_wire::messages::leave_group::MemberIdentity;
use levada_wire::messages::offset_fetch::OffsetFetchRequestTopic;
use levada_wire::{Message, Request};

use super::*;

fn encodes<M: Message>(version: i16, message: &M) {
    let bytes = message.to_bytes(version).unwrap_or_else(|error| panic!("{} v{version}: {error}", M::NAME));
    M::decode_exact(bytes, version).unwrap();
}

fn versions<R: Request>(from: i16) -> impl Iterator<Item = i16> {
    from..=R::VERSIONS.max
}

#[tokio::test(start_paused = true)]
async fn membership() {
    let f = Fixture::new();
    for version in versions::<JoinGroupRequest>(0) {
        let group = format!("g{version}");
        let mut joined = f.coordinator.join_group(&caller(version), join_request(&group, "")).await;
        encodes(version, &joined);
        if joined.error_code == code(ErrorCode::MemberIdRequired) {
            joined = f.coordinator.join_group(&caller(version), join_request(&group, &joined.member_id)).await;
        }
        assert_eq!(joined.error_code, 0);
        encodes(version, &joined);
        encodes(version, &f.coordinator.join_group(&caller(version), join_request(&group, "x")).await);
        let sync = version.min(5);
        encodes(sync, &f.coordinator.sync_group(&caller(sync), sync_request(&group, &joined)).await);
        encodes(sync, &f.coordinator.sync_group(&caller(sync), sync_request("none", &joined)).await);
        let beat = HeartbeatRequest { group_id: group.clone(), ..HeartbeatRequest::default() };
        encodes(version.min(4), &f.coordinator.heartbeat(&caller(version.min(4)), &beat));
        let leave = version.min(5);
        for member_id in ["x".to_owned(), joined.member_id.clone()] {
            let members = vec![MemberIdentity { member_id: member_id.clone(), ..MemberIdentity::default() }];
            let request = LeaveGroupRequest { group_id: group.clone(), member_id, members };
            encodes(leave, &f.coordinator.leave_group(&caller(leave), request).await);
        }
        assert_eq!(f.state(&group).await, "Empty");
    }
}

#[tokio::test(start_paused = true)]
async fn administration() {
    let f = Fixture::new();
    f.member().await;
    for version in versions::<DescribeGroupsRequest>(0) {
        let request = DescribeGroupsRequest {
            groups: vec!["g".to_owned(), "none".to_owned()],
            ..DescribeGroupsRequest::default()
        };
        encodes(version, &f.coordinator.describe_groups(&caller(version), &request, |_| 0).await);
    }
    for version in versions::<ListGroupsRequest>(0) {
        encodes(version, &f.coordinator.list_groups(&caller(version), &ListGroupsRequest::default()).await);
    }
    for version in versions::<DeleteGroupsRequest>(0) {
        let request = DeleteGroupsRequest { groups_names: vec!["g".to_owned(), "none".to_owned()] };
        encodes(version, &f.coordinator.delete_groups(&caller(version), &request).await);
    }
    let request = OffsetDeleteRequest { group_id: "g".to_owned(), topics: Vec::new() };
    encodes(0, &f.coordinator.offset_delete(&caller(0), &request).await);
}

#[tokio::test(start_paused = true)]
async fn offsets() {
    let f = Fixture::new();
    let id = f.topics.id_of("t").unwrap();
    for version in versions::<OffsetCommitRequest>(2) {
        let mut request = commit_request("g", if version >= 10 { "" } else { "t" }, 0, i64::from(version));
        request.topics[0].topic_id = if version >= 10 { id } else { Uuid::nil() };
        let answer = f.coordinator.offset_commit(&caller(version), request).await;
        assert_eq!(answer.topics[0].partitions[0].error_code, 0);
        encodes(version, &answer);
    }
    for version in versions::<OffsetFetchRequest>(1) {
        let topic = OffsetFetchRequestTopic { name: "t".to_owned(), partition_indexes: vec![0, 9] };
        let mut request = fetch_request("g", if version >= 10 { "" } else { "t" }, 0);
        request.groups[0].topics.as_mut().unwrap()[0].topic_id = if version >= 10 { id } else { Uuid::nil() };
        let request = OffsetFetchRequest { group_id: "g".to_owned(), topics: Some(vec![topic]), ..request };
        let answer = f.coordinator.offset_fetch(&caller(version), request, &|_| true).await;
        encodes(version, &answer);
        let offset = match version {
            8.. => answer.groups[0].topics[0].partitions[0].committed_offset,
            _ => answer.topics[0].partitions[0].committed_offset,
        };
        assert_eq!(offset, 10);
    }
}

//! Groups through the whole broker: over sockets in the versions that clients use, with the workspace's consumer, across restarts.

use std::sync::Arc;
use std::time::Duration;

use levada_client::consumer::{Consumer, ConsumerOptions, Event, OffsetReset, Subscription};
use levada_client::producer::OpenGate;
use levada_wire::ErrorCode;
use levada_wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use levada_wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use levada_wire::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup};
use levada_wire::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use levada_wire::messages::{
    DeleteGroupsRequest, DeleteTopicsRequest, DescribeGroupsRequest, FindCoordinatorRequest, HeartbeatRequest,
    JoinGroupResponse, LeaveGroupRequest, ListGroupsRequest,
};
use tokio::sync::watch;
use uuid::Uuid;

use crate::support::*;

const AT_ONCE: &[(&str, &str)] = &[("group.initial.rebalance.delay.ms", "0")];

fn join_request(group: &str, member_id: &str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: group.to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        member_id: member_id.to_owned(),
        protocol_type: "connect".to_owned(),
        protocols: vec![JoinGroupRequestProtocol { name: "sessioned".to_owned(), metadata: "worker".into() }],
        ..JoinGroupRequest::default()
    }
}

fn commit_request(group: &str, topic_id: Uuid, offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition {
        committed_offset: offset,
        committed_metadata: Some(format!("at {offset}")),
        ..OffsetCommitRequestPartition::default()
    };
    let topic = OffsetCommitRequestTopic { topic_id, partitions: vec![partition], ..Default::default() };
    OffsetCommitRequest { group_id: group.to_owned(), topics: vec![topic], ..OffsetCommitRequest::default() }
}

impl TestBroker {
    async fn commit(&self, group: &str, topic_id: Uuid, offset: i64) -> i16 {
        self.ask(commit_request(group, topic_id, offset)).await.topics[0].partitions[0].error_code
    }

    /// All committed offsets of a group, with their metadata. Waits while groups are being loaded.
    async fn committed(&self, group: &str) -> Vec<(Uuid, i32, i64, String)> {
        loop {
            let asked = OffsetFetchRequestGroup { group_id: group.to_owned(), topics: None, ..Default::default() };
            let request = OffsetFetchRequest { groups: vec![asked], ..OffsetFetchRequest::default() };
            let answer = self.ask(request).await.groups.remove(0);
            if answer.error_code == ErrorCode::CoordinatorLoadInProgress.code() {
                continue;
            }
            assert_eq!(answer.error_code, 0);
            let topics = answer.topics.into_iter();
            return topics
                .flat_map(|topic| {
                    let id = topic.topic_id;
                    topic
                        .partitions
                        .into_iter()
                        .map(move |p| (id, p.partition_index, p.committed_offset, p.metadata.unwrap_or_default()))
                })
                .collect();
        }
    }
}

#[tokio::test]
async fn offsets_topic_is_made_by_the_first_commit_and_keeps_it_across_restarts() {
    let t = TestBroker::start().await;
    let id = t.create("t", 1, &[]).await;
    assert_eq!(t.committed("g").await, []);
    assert!(t.broker.image().topic("__consumer_offsets").is_none(), "nothing asked for it yet");
    assert_eq!(t.commit("g", id, 7).await, 0);
    let topic = t.broker.image().topic("__consumer_offsets").unwrap().clone();
    assert!(topic.is_internal());
    assert_eq!(topic.partitions.len(), 50);
    for n in 8..20 {
        assert_eq!(t.commit("g", id, n).await, 0);
        assert_eq!(t.commit(&format!("g{n}"), id, n).await, 0);
    }
    let t = t.restart(&[]).await;
    assert_eq!(t.committed("g").await, [(id, 0, 19, "at 19".to_owned())]);
    assert_eq!(t.committed("g12").await, [(id, 0, 12, "at 12".to_owned())]);
    let listed = t.ask(ListGroupsRequest::default()).await;
    assert_eq!((listed.error_code, listed.groups.len()), (0, 13));
    t.broker.shutdown().await;
}

#[tokio::test]
async fn offsets_go_with_their_topic_and_groups_with_their_offsets() {
    let t = TestBroker::start().await;
    let id = t.create("t", 1, &[]).await;
    let other = t.create("u", 1, &[]).await;
    t.commit("g", id, 7).await;
    t.commit("g", other, 8).await;
    let request = DeleteTopicsRequest {
        topics: vec![levada_wire::messages::delete_topics::DeleteTopicState { topic_id: id, ..Default::default() }],
        timeout_ms: 30_000,
        ..DeleteTopicsRequest::default()
    };
    assert_eq!(t.ask(request).await.responses[0].error_code, 0);
    assert_eq!(t.commit("g", id, 9).await, ErrorCode::UnknownTopicId.code());
    let again = t.create("t", 1, &[]).await;
    let left = [(other, 0, 8, "at 8".to_owned())];
    assert_eq!(t.committed("g").await, left);
    let t = t.restart(&[]).await;
    assert_eq!(t.committed("g").await, left);
    assert_ne!(again, id);
    let delete = || DeleteGroupsRequest { groups_names: vec!["g".to_owned(), "none".to_owned()] };
    let codes: Vec<i16> = t.ask(delete()).await.results.iter().map(|result| result.error_code).collect();
    assert_eq!(codes, [0, ErrorCode::GroupIdNotFound.code()]);
    let t = t.restart(&[]).await;
    assert_eq!(t.committed("g").await, []);
    t.broker.shutdown().await;
}

/// One round of a member over its own connection, as a client of these versions makes it.
async fn enter(client: &mut Client, version: i16, group: &str, member_id: &str) -> JoinGroupResponse {
    let joined = client.ask(join_request(group, member_id), version).await;
    if joined.error_code == ErrorCode::MemberIdRequired.code() {
        return client.ask(join_request(group, &joined.member_id), version).await;
    }
    joined
}

fn sync_request(group: &str, joined: &JoinGroupResponse) -> SyncGroupRequest {
    let assign = |member: &levada_wire::messages::join_group::JoinGroupResponseMember| SyncGroupRequestAssignment {
        member_id: member.member_id.clone(),
        assignment: member.member_id.clone().into(),
    };
    SyncGroupRequest {
        group_id: group.to_owned(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        assignments: joined.members.iter().map(assign).collect(),
        ..SyncGroupRequest::default()
    }
}

fn heartbeat_request(group: &str, joined: &JoinGroupResponse) -> HeartbeatRequest {
    HeartbeatRequest {
        group_id: group.to_owned(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        ..HeartbeatRequest::default()
    }
}

/// JoinGroup, SyncGroup, Heartbeat and LeaveGroup versions: the oldest, kafkajs and librdkafka, kafka-python, Java.
const VERSIONS: [(i16, i16, i16, i16); 4] = [(0, 0, 0, 0), (5, 3, 3, 1), (7, 4, 4, 4), (9, 5, 4, 5)];

#[tokio::test]
async fn members_over_sockets_in_the_versions_clients_use() {
    let t = TestBroker::with(AT_ONCE).await;
    for (join, sync, beat, leave) in VERSIONS {
        let group = format!("connect-{join}");
        let (mut one, mut two) = (t.connect().await, t.connect().await);
        let find = FindCoordinatorRequest { key: group.clone(), ..FindCoordinatorRequest::default() };
        let found = one.ask(find, 2).await;
        assert_eq!((found.error_code, found.port), (0, i32::from(t.broker.listeners()[0].port)));
        let first = enter(&mut one, join, &group, "").await;
        assert_eq!((first.error_code, first.generation_id, first.members.len()), (0, 1, 1));
        let second = async {
            let second = enter(&mut two, join, &group, "").await;
            let assigned = two.ask(sync_request(&group, &second), sync).await;
            (second, assigned)
        };
        let first = async {
            // Heartbeats tell it to rejoin as soon as the second member is there.
            while one.ask(heartbeat_request(&group, &first), beat).await.error_code
                != ErrorCode::RebalanceInProgress.code()
            {
                tokio::task::yield_now().await;
            }
            let first = enter(&mut one, join, &group, &first.member_id).await;
            let assigned = one.ask(sync_request(&group, &first), sync).await;
            (first, assigned)
        };
        let ((second, theirs), (first, own)) = tokio::join!(second, first);
        assert_eq!((first.generation_id, second.generation_id), (2, 2));
        assert_eq!(
            (own.assignment, theirs.assignment),
            (first.member_id.clone().into(), second.member_id.clone().into())
        );
        let describe = DescribeGroupsRequest { groups: vec![group.clone()], ..DescribeGroupsRequest::default() };
        let described = one.ask(describe, 0).await.groups.remove(0);
        assert_eq!((described.group_state.as_str(), described.members.len()), ("Stable", 2));
        assert_eq!(
            (described.protocol_type.as_str(), &described.members[0].member_metadata[..]),
            ("connect", &b"worker"[..])
        );
        assert_eq!(
            (described.members[0].client_id.as_str(), described.members[0].client_host.as_str()),
            ("tester", "/127.0.0.1")
        );
        let member_id = second.member_id.clone();
        let identity =
            levada_wire::messages::leave_group::MemberIdentity { member_id: member_id.clone(), ..Default::default() };
        let members = if leave >= 3 { vec![identity] } else { Vec::new() };
        let member_id = if leave >= 3 { String::new() } else { member_id };
        let left = two.ask(LeaveGroupRequest { group_id: group.clone(), member_id, members }, leave).await;
        assert_eq!(left.error_code, 0);
        let gone = two.ask(heartbeat_request(&group, &second), beat).await;
        assert_eq!(gone.error_code, ErrorCode::UnknownMemberId.code());
    }
    t.broker.shutdown().await;
}

#[tokio::test]
async fn stop_does_not_wait_for_members_that_wait_for_others() {
    let t = TestBroker::with(AT_ONCE).await;
    let (mut one, mut two) = (t.connect().await, t.connect().await);
    let first = enter(&mut one, 9, "g", "").await;
    one.ask(sync_request("g", &first), 5).await;
    let told = two.ask(join_request("g", ""), 9).await;
    two.send(join_request("g", &told.member_id), 9).await;
    while one.ask(heartbeat_request("g", &first), 4).await.error_code == 0 {
        tokio::task::yield_now().await;
    }
    // The first member never rejoins; the group would wait a minute for it.
    tokio::time::timeout(Duration::from_secs(20), t.broker.shutdown()).await.expect("stops");
}

fn consumer(t: &TestBroker, abandoned: watch::Receiver<bool>) -> Consumer {
    member(t, None, abandoned)
}

fn member(t: &TestBroker, instance: Option<&str>, abandoned: watch::Receiver<bool>) -> Consumer {
    let options = ConsumerOptions {
        group: "g".to_owned(),
        subscription: Subscription::Topics(vec!["t".to_owned()]),
        offset_reset: OffsetReset::Earliest,
        read_committed: false,
        fetch_bytes: 1 << 20,
        session_timeout: Duration::from_secs(10),
        heartbeat_interval: Duration::from_millis(50),
        rebalance_timeout: Duration::from_secs(60),
        instance_id: instance.map(str::to_owned),
        metadata_max_age: Duration::from_secs(300),
        request_timeout: Duration::from_secs(10),
    };
    let runtime = tokio::runtime::Handle::current();
    Consumer::new(t.broker.transport("consumer"), Arc::new(OpenGate), runtime, options, abandoned)
}

/// Polls until `count` records came, and commits after each batch of them.
async fn consume(consumer: &mut Consumer, count: usize) -> Vec<String> {
    let mut values = Vec::new();
    while values.len() < count {
        if let Event::Records = consumer.poll(Duration::from_millis(100)).await.unwrap() {
            let read =
                |record: levada_wire::records::Record| String::from_utf8(record.value.unwrap().to_vec()).unwrap();
            let taken = consumer.take(count, |_, _, _, record| values.push(read(record))).unwrap();
            let commits = taken.into_iter().map(|t| (t.topic, t.partition, t.next_offset, String::new())).collect();
            consumer.commit(commits).await.unwrap();
        }
    }
    values
}

#[tokio::test]
async fn consumer_goes_on_where_its_group_stopped() {
    let t = TestBroker::with(AT_ONCE).await;
    let id = t.create("t", 2, &[]).await;
    for partition in 0..2 {
        produce(&*t.transport, id, partition, batch(&["a", "b"])).await;
    }
    let (_abandoned, told) = watch::channel(false);
    let mut first = consumer(&t, told);
    assert_eq!(consume(&mut first, 4).await.len(), 4);
    first.close().await;
    drop(first);
    let t = t.restart(AT_ONCE).await;
    produce(&*t.transport, id, 1, batch(&["c"])).await;
    let (_abandoned, told) = watch::channel(false);
    let mut second = consumer(&t, told);
    assert_eq!(consume(&mut second, 1).await, ["c"], "nothing again, nothing missed");
    second.close().await;
    t.broker.shutdown().await;
}

#[tokio::test]
async fn two_consumers_share_the_partitions_and_one_takes_over() {
    let t = TestBroker::with(AT_ONCE).await;
    t.create("t", 6, &[]).await;
    let (_abandoned, told) = watch::channel(false);
    let (mut one, mut two) = (consumer(&t, told.clone()), consumer(&t, told));
    let mut both = async || {
        let (a, b) = tokio::join!(one.poll(Duration::from_millis(20)), two.poll(Duration::from_millis(20)));
        a.unwrap();
        b.unwrap();
        let (a, b) = (one.owned(), two.owned());
        let mut all: Vec<_> = a.iter().chain(&b).map(|(_, partition)| *partition).collect();
        all.sort_unstable();
        (all, a.len(), b.len())
    };
    while both().await != (vec![0, 1, 2, 3, 4, 5], 3, 3) {}
    two.close().await;
    while one.owned().len() != 6 {
        one.poll(Duration::from_millis(20)).await.unwrap();
    }
    t.broker.shutdown().await;
}

#[tokio::test]
async fn a_static_member_takes_its_old_place_and_fences_who_held_it() {
    let t = TestBroker::with(AT_ONCE).await;
    let id = t.create("t", 1, &[]).await;
    produce(&*t.transport, id, 0, batch(&["a"])).await;
    let (_abandoned, told) = watch::channel(false);
    let mut old = member(&t, Some("i"), told.clone());
    assert_eq!(consume(&mut old, 1).await, ["a"]);
    produce(&*t.transport, id, 0, batch(&["b"])).await;
    let mut new = member(&t, Some("i"), told);
    // A dynamic member would wait until the old one rejoins or its session ends; the old one does not poll.
    assert_eq!(consume(&mut new, 1).await, ["b"]);
    let fenced = loop {
        match old.poll(Duration::from_millis(20)).await {
            Ok(Event::Records) => {
                old.take(10, |_, _, _, _| {}).unwrap();
            }
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(fenced.to_string().contains("FENCED_INSTANCE_ID") || !fenced.is_retriable(), "{fenced}");
    assert!(new.poll(Duration::from_millis(200)).await.is_ok(), "the newer owner goes on");
    t.broker.shutdown().await;
}

#[tokio::test]
async fn a_static_member_goes_on_at_once_after_a_crash_of_everything() {
    let t = TestBroker::with(AT_ONCE).await;
    let id = t.create("t", 1, &[]).await;
    produce(&*t.transport, id, 0, batch(&["a"])).await;
    let (_abandoned, told) = watch::channel(false);
    let mut old = member(&t, Some("i"), told.clone());
    assert_eq!(consume(&mut old, 1).await, ["a"]);
    drop(old);
    let t = t.restart(AT_ONCE).await;
    produce(&*t.transport, id, 0, batch(&["b"])).await;
    let mut new = member(&t, Some("i"), told);
    let read = tokio::time::timeout(Duration::from_secs(8), consume(&mut new, 1)).await;
    assert_eq!(read.expect("it does not wait for the old session to end"), ["b"]);
    new.close().await;
    t.broker.shutdown().await;
}

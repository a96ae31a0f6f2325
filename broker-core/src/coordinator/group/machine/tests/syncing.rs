//! SyncGroup.

use super::*;

fn two_joined() -> Harness {
    let mut h = Harness::stable(1);
    h.join_as("");
    h.join_as("m1");
    assert_eq!(h.group.state(), GroupState::CompletingRebalance);
    h
}

#[test]
fn assignments_go_out_only_after_they_are_in_the_log() {
    let mut h = two_joined();
    h.auto_persist = false;
    let early = h.sync_as("m2", &[]);
    let leader = h.sync_as("m1", &[("m1", "a"), ("m2", "b"), ("stranger", "c")]);
    assert!(!h.syncs.contains_key(&early) && !h.syncs.contains_key(&leader), "not durable yet");
    assert_eq!(h.group.state(), GroupState::CompletingRebalance);
    let assigned: Vec<_> =
        h.to_persist[0].1.members.iter().map(|m| (m.member_id.as_str(), m.assignment.clone())).collect();
    assert_eq!(assigned, [("m1", Bytes::from("a")), ("m2", Bytes::from("b"))]);
    h.persist_all(Ok(()));
    assert_eq!((h.assignment(leader), h.assignment(early)), ("a".to_owned(), "b".to_owned()));
    assert_eq!(h.group.state(), GroupState::Stable);
    let again = h.sync_as("m2", &[]);
    assert_eq!(h.assignment(again), "b");
}

#[test]
fn member_the_leader_forgot_gets_an_empty_assignment() {
    let mut h = two_joined();
    let follower = h.sync_as("m2", &[]);
    h.sync_as("m1", &[("m1", "a")]);
    assert_eq!(h.assignment(follower), "");
}

#[test]
fn follower_cannot_assign() {
    let mut h = two_joined();
    let follower = h.sync_as("m2", &[("m1", "x"), ("m2", "everything")]);
    let leader = h.sync_as("m1", &[("m1", "a"), ("m2", "b")]);
    assert_eq!((h.assignment(leader), h.assignment(follower)), ("a".to_owned(), "b".to_owned()));
}

#[test]
fn failed_write_reaches_everybody_and_a_new_rebalance_begins() {
    let mut h = two_joined();
    h.auto_persist = false;
    let tickets = [h.sync_as("m2", &[]), h.sync_as("m1", &[("m1", "a")])];
    h.persist_all(Err(GroupError::CoordinatorNotAvailable));
    for ticket in tickets {
        assert_eq!(h.syncs[&ticket], Err(GroupError::CoordinatorNotAvailable));
    }
    assert_eq!(h.group.state(), GroupState::PreparingRebalance);
}

#[test]
fn record_of_an_overtaken_generation_changes_nothing() {
    let mut h = two_joined();
    h.auto_persist = false;
    let leader = h.sync_as("m1", &[("m1", "old"), ("m2", "old")]);
    let late = std::mem::take(&mut h.to_persist);
    h.join_as("");
    assert_eq!(h.syncs[&leader], Err(GroupError::RebalanceInProgress));
    h.join_as("m1");
    h.join_as("m2");
    assert_eq!(h.group.state(), GroupState::CompletingRebalance);
    let follower = h.sync_as("m2", &[]);
    h.to_persist = late;
    h.persist_all(Ok(()));
    assert!(!h.syncs.contains_key(&follower), "the old generation's assignment must not answer it");
    h.sync_as("m1", &[("m2", "new")]);
    h.persist_all(Ok(()));
    assert_eq!(h.assignment(follower), "new");
}

#[test]
fn wrong_member_generation_or_protocol() {
    let mut h = two_joined();
    let ticket = h.sync_as("nobody", &[]);
    assert_eq!(h.syncs[&ticket], Err(GroupError::UnknownMemberId));
    let request = SyncRequest { generation: h.group.generation() - 1, ..h.sync_request("m1", &[]) };
    let ticket = h.send_sync(request);
    assert_eq!(h.syncs[&ticket], Err(GroupError::IllegalGeneration));
    let request = SyncRequest { protocol_type: Some("connect".to_owned()), ..h.sync_request("m1", &[]) };
    let ticket = h.send_sync(request);
    assert_eq!(h.syncs[&ticket], Err(GroupError::InconsistentGroupProtocol));
    let request = SyncRequest { protocol_name: Some("sticky".to_owned()), ..h.sync_request("m1", &[]) };
    let ticket = h.send_sync(request);
    assert_eq!(h.syncs[&ticket], Err(GroupError::InconsistentGroupProtocol));
    h.join_as("");
    let ticket = h.sync_as("m1", &[]);
    assert_eq!(h.syncs[&ticket], Err(GroupError::RebalanceInProgress));
}

#[test]
fn leader_that_repeats_its_sync_writes_once() {
    let mut h = two_joined();
    h.auto_persist = false;
    let first = h.sync_as("m1", &[("m1", "a")]);
    let second = h.sync_as("m1", &[("m1", "a")]);
    assert_eq!(h.to_persist.len(), 1);
    assert_eq!(h.syncs[&first], Err(GroupError::RebalanceInProgress));
    h.persist_all(Ok(()));
    assert_eq!(h.assignment(second), "a");
}

#[test]
fn members_that_never_sync_are_dropped_after_the_rebalance_timeout() {
    let mut h = two_joined();
    h.sync_as("m1", &[("m1", "a"), ("m2", "b")]);
    for _ in 0..12 {
        h.pass(Duration::from_secs(5));
        let _ = h.heartbeat("m1");
        let _ = h.heartbeat("m2");
    }
    assert_eq!(h.heartbeat("m2"), Err(GroupError::UnknownMemberId));
    assert_eq!(h.heartbeat("m1"), Err(GroupError::RebalanceInProgress));
}

#[test]
fn assignments_are_counted_and_need_room() {
    let mut h = Harness::new();
    let ticket = h.join_as("");
    h.granted(ticket);
    let before = h.group.member_bytes();
    let large = "x".repeat(1000);
    let request = SyncRequest { room: 999, ..h.sync_request("m1", &[("m1", &large)]) };
    let ticket = h.ticket();
    let outputs = h.group.sync(request, ticket, h.now);
    h.take(outputs);
    assert_eq!(h.syncs[&ticket], Err(GroupError::GroupMaxSizeReached));
    let ticket = h.sync_as("m1", &[("m1", &large)]);
    assert!(h.syncs[&ticket].is_ok());
    assert_eq!(h.group.member_bytes(), before + 1000);
}

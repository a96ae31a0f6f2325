//! JoinGroup of dynamic members.

use bytes::Bytes;

use super::*;

#[test]
fn first_member_leads_and_sees_itself() {
    let mut h = Harness::new();
    let ticket = h.join_as("");
    let granted = h.granted(ticket);
    assert_eq!(granted.generation, 1);
    assert_eq!(granted.leader, granted.member_id);
    assert_eq!(granted.protocol_name.as_deref(), Some("range"));
    assert_eq!(granted.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(granted.members.len(), 1);
    assert!(!granted.skip_assignment);
}

#[test]
fn followers_get_no_members() {
    let mut h = Harness::stable(1);
    let two = h.join_as("");
    assert!(!h.joins.contains_key(&two), "waits for the first member");
    assert_eq!(h.heartbeat("m1"), Err(GroupError::RebalanceInProgress));
    let one = h.join_as("m1");
    assert_eq!(h.granted(one).members.len(), 2);
    assert_eq!(h.granted(two).members, Vec::new());
    assert_eq!(h.granted(two).leader, "m1");
    assert_eq!(h.granted(two).generation, 2);
}

#[test]
fn initial_delay_gathers_members_and_is_extended_by_newcomers_up_to_the_rebalance_timeout() {
    let mut h = Harness::with(GroupOptions::default());
    let start = h.now.instant;
    let first = h.join_as("");
    while !h.joins.contains_key(&first) {
        h.pass(Duration::from_secs(1));
        if !h.joins.contains_key(&first) {
            h.join_as("");
        }
    }
    let took = h.now.instant - start;
    assert!(took <= REBALANCE && took + Duration::from_secs(3) > REBALANCE, "took {took:?}");
    assert_eq!(h.group.generation(), 1);

    let mut h = Harness::with(GroupOptions::default());
    let first = h.join_as("");
    h.pass(Duration::from_millis(2999));
    assert!(!h.joins.contains_key(&first));
    h.pass(Duration::from_millis(1));
    assert_eq!(h.granted(first).generation, 1);
}

#[test]
fn new_member_must_come_back_with_its_id_from_version_4_on() {
    let mut h = Harness::new();
    let request = JoinRequest { require_known_member_id: true, ..h.request("") };
    let ticket = h.send_join(request);
    let (error, id) = h.refusal(ticket);
    assert_eq!(error, GroupError::MemberIdRequired);
    assert_eq!(h.group.state(), GroupState::Empty);
    let request = JoinRequest { require_known_member_id: true, ..h.request(&id) };
    let ticket = h.send_join(request);
    assert_eq!(h.granted(ticket).member_id, id);
}

#[test]
fn pending_member_is_forgotten_after_its_session_timeout_and_holds_the_rebalance_until_then() {
    let mut h = Harness::stable(1);
    let request = JoinRequest { require_known_member_id: true, ..h.request("") };
    let ticket = h.send_join(request);
    let (_, pending) = h.refusal(ticket);
    assert_eq!(h.group.state(), GroupState::Stable);
    let two = h.join_as("");
    let one = h.join_as("m1");
    assert!(!h.joins.contains_key(&two), "the pending member may still come");
    h.pass(SESSION);
    assert_eq!(h.granted(two).generation, h.granted(one).generation);
    let late = h.join_as(&pending);
    assert_eq!(h.refusal(late).0, GroupError::UnknownMemberId);
}

#[test]
fn pending_members_are_bounded_and_the_oldest_goes_first() {
    let mut h = Harness::with(GroupOptions { max_pending_members: 2, ..GroupOptions::default() });
    let mut ids = Vec::new();
    for _ in 0..3 {
        let request = JoinRequest { require_known_member_id: true, ..h.request("") };
        let ticket = h.send_join(request);
        ids.push(h.refusal(ticket).1);
    }
    assert_eq!(h.group.pending_members.len(), 2);
    let oldest = h.join_as(&ids[0]);
    assert_eq!(h.refusal(oldest).0, GroupError::UnknownMemberId);
}

#[test]
fn unknown_member_id_is_refused() {
    let mut h = Harness::stable(1);
    let ticket = h.join_as("nobody");
    assert_eq!(h.refusal(ticket), (GroupError::UnknownMemberId, "nobody".to_owned()));
    let mut empty = Harness::new();
    let ticket = empty.join_as("nobody");
    assert_eq!(empty.refusal(ticket).0, GroupError::UnknownMemberId);
}

#[test]
fn protocol_types_and_disjoint_protocols_are_refused_until_the_group_is_empty_again() {
    let mut h = Harness::stable(1);
    let connect = JoinRequest { protocol_type: "connect".to_owned(), ..h.request("") };
    let ticket = h.send_join(connect.clone());
    assert_eq!(h.refusal(ticket).0, GroupError::InconsistentGroupProtocol);
    let disjoint = JoinRequest { protocols: vec![protocol("sticky", &["t"])], ..h.request("") };
    let ticket = h.send_join(disjoint);
    assert_eq!(h.refusal(ticket).0, GroupError::InconsistentGroupProtocol);
    let none = JoinRequest { protocols: Vec::new(), ..h.request("") };
    let ticket = h.send_join(none.clone());
    assert_eq!(h.refusal(ticket).0, GroupError::InconsistentGroupProtocol);
    h.leave(&[("m1", None)]);
    assert_eq!(h.group.state(), GroupState::Empty);
    let ticket = h.send_join(none);
    assert_eq!(h.refusal(ticket).0, GroupError::InconsistentGroupProtocol);
    let ticket = h.send_join(connect);
    assert_eq!(h.granted(ticket).protocol_type.as_deref(), Some("connect"));
}

#[test]
fn protocol_is_what_all_can_do_and_most_want() {
    let mut h = Harness::new();
    let wish = |names: &[&str]| names.iter().map(|name| protocol(name, &["t"])).collect::<Vec<_>>();
    let first = JoinRequest { protocols: wish(&["range", "sticky", "coop"]), ..h.request("") };
    let ticket = h.send_join(first.clone());
    assert_eq!(h.granted(ticket).protocol_name.as_deref(), Some("range"));
    let second = JoinRequest { protocols: wish(&["sticky", "coop"]), ..h.request("") };
    h.send_join(second);
    let third = JoinRequest { protocols: wish(&["coop", "sticky", "sticky"]), ..h.request("") };
    h.send_join(third);
    let ticket = h.send_join(JoinRequest { member_id: "m1".to_owned(), ..first });
    assert_eq!(h.granted(ticket).protocol_name.as_deref(), Some("sticky"));
    let metadata: Vec<_> = h.granted(ticket).members.iter().map(|member| member.metadata.clone()).collect();
    assert!(metadata.iter().all(|metadata| *metadata == test_subscription(&["t"])));
}

#[test]
fn members_that_do_not_rejoin_in_time_are_dropped_and_the_oldest_present_leads() {
    let mut h = Harness::stable(3);
    let four = h.join_as("");
    let three = h.join_as("m3");
    let two = h.join_as("m2");
    for _ in 0..12 {
        h.pass(Duration::from_secs(5));
        // It heartbeats but never rejoins.
        let _ = h.heartbeat("m1");
    }
    assert_eq!(h.granted(four).leader, "m2");
    assert_eq!(h.granted(two).members.len(), 3);
    assert_eq!(h.granted(three).members.len(), 0);
    assert_eq!(h.heartbeat("m1"), Err(GroupError::UnknownMemberId));
}

#[test]
fn unchanged_follower_gets_the_generation_again_and_an_unchanged_leader_rebalances() {
    let mut h = Harness::stable(2);
    let follower = h.join_as("m2");
    assert_eq!(h.granted(follower).generation, 2);
    assert_eq!(h.granted(follower).members.len(), 0);
    assert_eq!(h.group.state(), GroupState::Stable);
    let leader = h.join_as("m1");
    assert!(!h.joins.contains_key(&leader));
    assert_eq!(h.group.state(), GroupState::PreparingRebalance);
}

#[test]
fn changed_subscription_rebalances() {
    let mut h = Harness::stable(2);
    let request = JoinRequest { protocols: vec![protocol("range", &["t", "u"])], ..h.request("m2") };
    h.send_join(request.clone());
    assert_eq!(h.group.state(), GroupState::PreparingRebalance);
    h.join_as("m1");
    assert_eq!(h.group.state(), GroupState::CompletingRebalance);
    // A lost answer while the assignment is awaited: the same again, leader included.
    let again = h.join_as("m1");
    assert_eq!(h.granted(again).members.len(), 2);
    assert_eq!(h.group.state(), GroupState::CompletingRebalance);
    h.join_as("m2");
    assert_eq!(h.group.state(), GroupState::PreparingRebalance, "other metadata than in its first join");
}

#[test]
fn repeated_join_displaces_the_first_and_both_are_answered() {
    let mut h = Harness::stable(2);
    h.join_as("");
    let first = h.join_as("m1");
    let second = h.join_as("m1");
    assert_eq!(h.refusal(first), (GroupError::RebalanceInProgress, "m1".to_owned()));
    h.join_as("m2");
    assert_eq!(h.granted(second).generation, 3);
}

#[test]
fn full_group_refuses_newcomers_without_disturbing_anybody() {
    let options = GroupOptions { max_size: 2, initial_rebalance_delay: Duration::ZERO, ..GroupOptions::default() };
    let mut h = Harness::with(options);
    h.join_as("");
    h.join_as("");
    h.join_as("m1");
    h.settle();
    let ticket = h.join_as("");
    assert_eq!(h.refusal(ticket), (GroupError::GroupMaxSizeReached, String::new()));
    assert_eq!(h.group.state(), GroupState::Stable);
    // While it rebalances, those who come first stay.
    h.join_as("m1");
    let newcomer = h.join_as("");
    let late = h.join_as("m2");
    assert_eq!(h.refusal(late).0, GroupError::GroupMaxSizeReached);
    assert_eq!(h.granted(newcomer).generation, 3);
}

#[test]
fn limits_on_session_and_metadata() {
    let mut h = Harness::with(GroupOptions {
        max_member_metadata_bytes: 1000,
        max_group_metadata_bytes: 5000,
        initial_rebalance_delay: Duration::ZERO,
        ..GroupOptions::default()
    });
    for session in [Duration::from_millis(5999), Duration::from_secs(1801), Duration::ZERO] {
        let request = JoinRequest { session_timeout: session, ..h.request("") };
        let ticket = h.send_join(request);
        assert_eq!(h.refusal(ticket).0, GroupError::InvalidSessionTimeout);
    }
    let heavy = |size: usize| vec![Protocol { name: "range".to_owned(), metadata: vec![0; size - 5].into() }];
    let empty = Protocol { name: String::new(), metadata: Bytes::new() };
    for protocols in [heavy(1001), vec![empty; 1000]] {
        let request = JoinRequest { protocols, ..h.request("") };
        let ticket = h.send_join(request);
        assert_eq!(h.refusal(ticket).0, GroupError::MemberMetadataTooLarge);
    }
    let request = JoinRequest { protocols: heavy(800), ..h.request("") };
    let ticket = h.send_join(request.clone());
    let one = h.granted(ticket).member_id;
    let ticket = h.send_join(request.clone());
    assert_eq!(h.refusal(ticket).0, GroupError::GroupMaxSizeReached);
    let ticket = h.send_join(JoinRequest { member_id: one, ..request });
    assert_eq!(h.granted(ticket).generation, 1, "its own bytes are not counted twice");
}

/// The memory of all groups is used up: members stay as they are, and nobody grows or comes.
#[test]
fn without_room_only_members_that_do_not_grow_may_join() {
    let mut h = Harness::stable(2);
    let before = h.group.member_bytes();
    for require_known_member_id in [false, true] {
        let request = JoinRequest { room: 100, require_known_member_id, ..h.request("") };
        let ticket = h.send_join(request);
        assert_eq!(h.refusal(ticket).0, GroupError::GroupMaxSizeReached);
    }
    let larger = vec![Protocol { name: "range".to_owned(), metadata: vec![0; 500].into() }];
    let request = JoinRequest { room: 100, protocols: larger, ..h.request("m2") };
    let ticket = h.send_join(request);
    assert_eq!(h.refusal(ticket).0, GroupError::GroupMaxSizeReached);
    assert_eq!(h.group.member_bytes(), before);
    for member in ["m1", "m2"] {
        let request = JoinRequest { room: 0, ..h.request(member) };
        h.send_join(request);
    }
    assert_eq!((h.group.members().len(), h.group.generation()), (2, 3));
}

#[test]
fn dead_group_sends_everybody_to_find_the_coordinator() {
    let mut h = Harness::stable(2);
    let parked = h.join_as("");
    let outputs = h.group.kill(h.now);
    h.take(outputs);
    assert_eq!(h.refusal(parked).0, GroupError::CoordinatorNotAvailable);
    let ticket = h.join_as("m1");
    assert_eq!(h.refusal(ticket).0, GroupError::CoordinatorNotAvailable);
    let ticket = h.sync_as("m1", &[]);
    assert_eq!(h.syncs[&ticket], Err(GroupError::CoordinatorNotAvailable));
    assert_eq!(h.heartbeat("m1"), Err(GroupError::CoordinatorNotAvailable));
}

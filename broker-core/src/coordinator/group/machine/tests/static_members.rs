//! Static members (KIP-345).

use super::*;

fn static_request(h: &mut Harness, instance: &str, member_id: &str) -> JoinRequest {
    JoinRequest { group_instance_id: Some(instance.to_owned()), ..h.request(member_id) }
}

fn join_static(h: &mut Harness, instance: &str) -> Ticket {
    let request = static_request(h, instance, "");
    h.send_join(request)
}

/// `m1` (instance a) leads, `m2` (instance b) follows.
fn stable_pair() -> Harness {
    let mut h = Harness::new();
    join_static(&mut h, "a");
    join_static(&mut h, "b");
    let request = static_request(&mut h, "a", "m1");
    h.send_join(request);
    h.settle();
    h
}

#[test]
fn static_member_needs_no_second_join_for_its_id() {
    let mut h = Harness::new();
    let request = JoinRequest { require_known_member_id: true, ..static_request(&mut h, "a", "") };
    let ticket = h.send_join(request);
    assert_eq!(h.granted(ticket).member_id, "m1");
    assert_eq!(h.granted(ticket).members[0].group_instance_id.as_deref(), Some("a"));
}

#[test]
fn bounce_of_a_follower_keeps_generation_and_assignment() {
    let mut h = stable_pair();
    let ticket = join_static(&mut h, "b");
    let granted = h.granted(ticket);
    assert_eq!((granted.generation, granted.leader.as_str()), (2, "m1"));
    assert_ne!(granted.member_id, "m2");
    assert_eq!(h.group.state(), GroupState::Stable);
    assert_eq!(h.log.last().unwrap().members.len(), 2);
    let sync = h.sync_as(&granted.member_id, &[]);
    assert_eq!(h.assignment(sync), "m2", "the assignment its predecessor had");
}

#[test]
fn bounced_leader_skips_the_assignment_or_is_not_told_that_it_leads() {
    let mut h = stable_pair();
    let ticket = join_static(&mut h, "a");
    let granted = h.granted(ticket);
    assert!(granted.skip_assignment);
    assert_eq!(granted.leader, granted.member_id);
    assert_eq!(granted.members.len(), 2);
    let old_client = JoinRequest { supports_skip_assignment: false, ..static_request(&mut h, "a", "") };
    let ticket = h.send_join(old_client);
    let later = h.granted(ticket);
    assert_eq!((later.leader, later.skip_assignment, later.members.len()), (granted.member_id, false, 0));
    assert_eq!(h.group.leader(), Some(later.member_id.as_str()));
}

#[test]
fn replaced_member_is_fenced_everywhere() {
    let mut h = stable_pair();
    join_static(&mut h, "b");
    let generation = h.group.generation();
    let b = Some("b".to_owned());
    assert_eq!(h.group.heartbeat("m2", Some("b"), generation, h.now), Err(GroupError::FencedInstanceId));
    let commit =
        CommitRequest { member_id: "m2".to_owned(), group_instance_id: b.clone(), generation, transactional: false };
    assert_eq!(h.group.validate_commit(&commit, h.now), Err(GroupError::FencedInstanceId));
    let request = SyncRequest { group_instance_id: b, ..h.sync_request("m2", &[]) };
    let ticket = h.send_sync(request);
    assert_eq!(h.syncs[&ticket], Err(GroupError::FencedInstanceId));
    let request = static_request(&mut h, "b", "m2");
    let ticket = h.send_join(request);
    assert_eq!(h.refusal(ticket), (GroupError::FencedInstanceId, "m2".to_owned()));
    assert_eq!(h.leave(&[("m2", Some("b"))]), [Err(GroupError::FencedInstanceId)]);
    assert_eq!(h.heartbeat("m2"), Err(GroupError::UnknownMemberId), "without the instance id it is just unknown");
}

#[test]
fn parked_requests_of_the_replaced_member_are_fenced() {
    let mut h = stable_pair();
    h.join_as("");
    let request = static_request(&mut h, "b", "m2");
    let parked = h.send_join(request);
    let new = join_static(&mut h, "b");
    assert_eq!(h.refusal(parked).0, GroupError::FencedInstanceId);
    let request = static_request(&mut h, "a", "m1");
    h.send_join(request);
    assert_eq!(h.granted(new).generation, 3);

    let new_id = h.granted(new).member_id;
    let parked = h.sync_as(&new_id, &[]);
    join_static(&mut h, "b");
    assert_eq!(h.syncs[&parked], Err(GroupError::FencedInstanceId));
    assert_eq!(h.group.state(), GroupState::PreparingRebalance, "the leader may be assigning to an id that is gone");
}

#[test]
fn bounce_with_other_topics_or_protocol_rebalances() {
    let mut h = stable_pair();
    let request = JoinRequest { protocols: vec![protocol("range", &["t", "u"])], ..static_request(&mut h, "b", "") };
    h.send_join(request);
    assert_eq!(h.group.state(), GroupState::PreparingRebalance);
}

#[test]
fn bounce_is_answered_only_after_the_new_id_is_in_the_log() {
    let mut h = stable_pair();
    h.auto_persist = false;
    let ticket = join_static(&mut h, "b");
    assert!(!h.joins.contains_key(&ticket));
    h.persist_all(Err(GroupError::CoordinatorNotAvailable));
    assert_eq!(h.refusal(ticket), (GroupError::CoordinatorNotAvailable, String::new()));
    let ticket = join_static(&mut h, "b");
    h.persist_all(Ok(()));
    assert_eq!(h.granted(ticket).generation, 2);
}

#[test]
fn rebalance_that_overtakes_a_bounce_answers_it() {
    let mut h = stable_pair();
    h.auto_persist = false;
    let bounce = join_static(&mut h, "b");
    let newcomer = h.join_as("");
    let request = static_request(&mut h, "a", "m1");
    h.send_join(request);
    assert_eq!(h.granted(bounce).generation, 3);
    assert_eq!(h.granted(newcomer).generation, 3);
    h.persist_all(Ok(()));
}

#[test]
fn absent_static_member_keeps_its_place_through_a_rebalance_until_its_session_ends() {
    let mut h = stable_pair();
    let newcomer = h.join_as("");
    for _ in 0..60 {
        h.pass(Duration::from_secs(1));
        if h.joins.contains_key(&newcomer) {
            break;
        }
    }
    // Both static members are silent, so their sessions end first.
    assert_eq!(h.granted(newcomer).generation, 3);
    assert_eq!(h.group.members().len(), 1);

    let mut h = stable_pair();
    let newcomer = h.join_as("");
    let generation = h.group.generation();
    while !h.joins.contains_key(&newcomer) {
        h.pass(Duration::from_secs(1));
        let _ = h.group.heartbeat("m1", Some("a"), generation, h.now);
        let _ = h.group.heartbeat("m2", Some("b"), generation, h.now);
    }
    assert_eq!(h.granted(newcomer).leader, "m3", "the old leader did not rejoin");
    assert_eq!(h.granted(newcomer).members.len(), 3, "but both are still members");
    h.pass(Duration::from_secs(8));
    assert_eq!(h.group.members().len(), 3);
    let generation = h.group.generation();
    h.group.heartbeat("m3", None, generation, h.now).unwrap();
    h.pass(Duration::from_secs(1));
    assert_eq!(h.group.members().len(), 1, "a rebalance is no sign of life of who did not join it");
}

#[test]
fn nobody_rejoins_then_the_group_waits_again_without_spinning() {
    let mut h = Harness::new();
    for instance in ["a", "b"] {
        let request = JoinRequest {
            rebalance_timeout: Duration::ZERO,
            session_timeout: Duration::from_secs(600),
            ..static_request(&mut h, instance, "")
        };
        h.send_join(request);
    }
    h.leave(&[("m2", None)]);
    let mut ticks = 0;
    let until = h.now.instant + Duration::from_secs(30);
    while let Some(deadline) = h.group.next_deadline().filter(|deadline| *deadline <= until) {
        h.now.instant = deadline.max(h.now.instant);
        let outputs = h.group.tick(h.now);
        h.take(outputs);
        ticks += 1;
        assert!(ticks < 100, "busy loop");
    }
    assert_eq!(h.group.members().len(), 1);
}

#[test]
fn taken_instance_cannot_be_claimed_by_a_pending_member() {
    let mut h = stable_pair();
    let request = JoinRequest { require_known_member_id: true, ..h.request("") };
    let ticket = h.send_join(request);
    let (_, pending) = h.refusal(ticket);
    let request = static_request(&mut h, "a", &pending);
    let ticket = h.send_join(request);
    assert_eq!(h.refusal(ticket).0, GroupError::FencedInstanceId);
}

#[test]
fn full_group_still_lets_its_static_members_bounce() {
    let options = GroupOptions { max_size: 1, initial_rebalance_delay: Duration::ZERO, ..GroupOptions::default() };
    let mut h = Harness::with(options);
    join_static(&mut h, "a");
    h.settle();
    let ticket = join_static(&mut h, "a");
    assert_eq!(h.granted(ticket).generation, 1);
}

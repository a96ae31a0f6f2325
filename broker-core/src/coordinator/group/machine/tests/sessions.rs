//! Heartbeats and session timeouts.

use super::*;

#[test]
fn silent_member_is_removed_exactly_at_its_session_timeout() {
    let mut h = Harness::stable(2);
    h.pass(ALMOST_SESSION);
    h.heartbeat("m1").unwrap();
    assert_eq!(h.group.members().len(), 2);
    h.pass(Duration::from_millis(1));
    assert_eq!(h.group.members().len(), 1);
    assert_eq!(h.heartbeat("m1"), Err(GroupError::RebalanceInProgress));
    assert_eq!(h.heartbeat("m2"), Err(GroupError::UnknownMemberId));
}

#[test]
fn group_empties_when_everybody_is_silent() {
    let mut h = Harness::stable(3);
    h.pass(SESSION);
    assert_eq!(h.group.state(), GroupState::Empty);
    assert_eq!(h.group.next_deadline(), None);
}

#[test]
fn parked_requests_count_as_life_and_the_answer_starts_the_session_anew() {
    let mut h = Harness::stable(2);
    h.join_as("");
    let one = h.join_as("m1");
    for _ in 0..10 {
        h.pass(Duration::from_secs(5));
        let _ = h.heartbeat("m2");
    }
    assert!(!h.joins.contains_key(&one), "m2 holds the rebalance by its heartbeats");
    h.join_as("m2");
    assert_eq!(h.granted(one).generation, 3);
    h.pass(ALMOST_SESSION);
    assert_eq!(h.heartbeat("m1"), Ok(()));
}

#[test]
fn waiting_for_the_leaders_sync_keeps_followers_alive() {
    let mut h = Harness::stable(1);
    h.join_as("");
    h.join_as("m1");
    let follower = h.sync_as("m2", &[]);
    for _ in 0..5 {
        h.pass(Duration::from_secs(5));
        h.heartbeat("m1").unwrap();
    }
    h.sync_as("m1", &[("m2", "b")]);
    assert_eq!(h.assignment(follower), "b");
}

#[test]
fn join_of_a_new_member_ends_after_its_own_timeout() {
    let mut h = Harness::stable(1);
    let slow = JoinRequest { rebalance_timeout: Duration::from_secs(3600), ..h.request("m1") };
    h.send_join(slow);
    h.settle();
    let new = h.join_as("");
    for _ in 0..60 {
        h.pass(Duration::from_secs(5));
        let _ = h.heartbeat("m1");
    }
    assert_eq!(h.refusal(new), (GroupError::UnknownMemberId, String::new()));
}

#[test]
fn heartbeats_of_others_and_of_other_generations_are_refused() {
    let mut h = Harness::stable(1);
    assert_eq!(h.heartbeat("nobody"), Err(GroupError::UnknownMemberId));
    assert_eq!(h.group.heartbeat("m1", None, 0, h.now), Err(GroupError::IllegalGeneration));
    assert_eq!(h.group.heartbeat("m1", None, 2, h.now), Err(GroupError::IllegalGeneration));
    assert_eq!(h.group.heartbeat("m1", Some("a"), 1, h.now), Err(GroupError::UnknownMemberId));
    h.join_as("");
    h.join_as("m1");
    assert_eq!(h.heartbeat("m2"), Ok(()), "after the JoinGroup answer, before the assignment");
}

#[test]
fn stale_generation_does_not_renew_the_session() {
    let mut h = Harness::stable(1);
    h.pass(ALMOST_SESSION);
    let _ = h.group.heartbeat("m1", None, 0, h.now);
    h.pass(Duration::from_millis(1));
    assert_eq!(h.group.state(), GroupState::Empty);
}

//! Who may commit and delete, and when retention runs.

use super::*;

fn commit(member_id: &str, generation: i32) -> CommitRequest {
    CommitRequest { member_id: member_id.to_owned(), group_instance_id: None, generation, transactional: false }
}

#[test]
fn outsiders_commit_to_empty_groups_only() {
    let mut h = Harness::new();
    assert_eq!(h.group.validate_commit(&commit("", -1), h.now), Ok(()));
    let mut h = Harness::stable(1);
    assert_eq!(h.group.validate_commit(&commit("", -1), h.now), Err(GroupError::UnknownMemberId));
    let transactional = CommitRequest { transactional: true, ..commit("", -1) };
    assert_eq!(h.group.validate_commit(&transactional, h.now), Ok(()));
    h.leave(&[("m1", None)]);
    assert_eq!(h.group.validate_commit(&commit("", -1), h.now), Ok(()));
    assert_eq!(h.group.validate_commit(&commit("m1", 1), h.now), Err(GroupError::UnknownMemberId));
}

#[test]
fn members_commit_in_their_generation_also_while_the_group_prepares_a_rebalance() {
    let mut h = Harness::stable(1);
    assert_eq!(h.group.validate_commit(&commit("m1", 1), h.now), Ok(()));
    assert_eq!(h.group.validate_commit(&commit("m1", 0), h.now), Err(GroupError::IllegalGeneration));
    assert_eq!(h.group.validate_commit(&commit("m1", -1), h.now), Err(GroupError::IllegalGeneration));
    assert_eq!(h.group.validate_commit(&commit("m2", 1), h.now), Err(GroupError::UnknownMemberId));
    h.join_as("");
    // What a cooperative member does before it rejoins: commit what it is about to give up.
    assert_eq!(h.group.validate_commit(&commit("m1", 1), h.now), Ok(()));
    h.join_as("m1");
    assert_eq!(h.group.validate_commit(&commit("m1", 2), h.now), Err(GroupError::RebalanceInProgress));
    assert_eq!(h.group.validate_commit(&commit("m1", 1), h.now), Err(GroupError::IllegalGeneration));
}

#[test]
fn commit_is_a_sign_of_life() {
    let mut h = Harness::stable(1);
    h.pass(ALMOST_SESSION);
    h.group.validate_commit(&commit("m1", 1), h.now).unwrap();
    h.pass(ALMOST_SESSION);
    assert_eq!(h.heartbeat("m1"), Ok(()));
}

#[test]
fn delete_rules() {
    let mut h = Harness::stable(1);
    assert_eq!(h.group.validate_delete(), Err(GroupError::NonEmptyGroup));
    assert_eq!(h.group.validate_offset_delete(), Ok(()), "consumers may, topic by topic");
    assert!(h.group.is_subscribed_to("t"));
    assert!(!h.group.is_subscribed_to("u"));
    h.leave(&[("m1", None)]);
    assert_eq!(h.group.validate_delete(), Ok(()));
    assert!(!h.group.is_subscribed_to("t"));

    let mut h = Harness::new();
    let request = JoinRequest { protocol_type: "connect".to_owned(), ..h.request("") };
    h.send_join(request);
    assert_eq!(h.group.validate_offset_delete(), Err(GroupError::NonEmptyGroup));
    assert!(!h.group.is_subscribed_to("t"));
}

#[test]
fn unreadable_subscription_protects_all_topics() {
    let mut h = Harness::new();
    let odd = Protocol { name: "range".to_owned(), metadata: Bytes::from_static(b"x") };
    let request = JoinRequest { protocols: vec![odd], ..h.request("") };
    h.send_join(request);
    assert!(h.group.is_subscribed_to("anything"));
}

#[test]
fn retention_runs_from_the_commit_or_from_when_the_group_became_empty() {
    let mut h = Harness::new();
    assert_eq!(h.group.retention_start(), RetentionStart::Commit);
    h.join_as("");
    assert_eq!(h.group.retention_start(), RetentionStart::Never);
    h.settle();
    assert_eq!(h.group.retention_start(), RetentionStart::Commit, "for topics it does not consume any more");
    h.pass(Duration::from_secs(5));
    h.leave(&[("m1", None)]);
    assert_eq!(h.group.retention_start(), RetentionStart::EmptySince(h.now.wall_ms));
}

//! LeaveGroup.

use super::*;

#[test]
fn last_member_leaves_an_empty_group_that_is_written() {
    let mut h = Harness::stable(1);
    assert_eq!(h.leave(&[("m1", None)]), [Ok(())]);
    assert_eq!(h.group.state(), GroupState::Empty);
    let last = h.log.last().unwrap();
    assert_eq!((last.generation, last.members.len(), &last.leader, &last.protocol_name), (2, 0, &None, &None));
    assert_eq!(last.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(last.state_since_ms, Some(h.now.wall_ms));
}

#[test]
fn batch_leave_gives_one_result_each_and_one_rebalance() {
    let mut h = Harness::stable(3);
    let results = h.leave(&[("m1", None), ("nobody", None), ("", Some("no-instance")), ("m2", None), ("m2", None)]);
    let unknown = Err(GroupError::UnknownMemberId);
    assert_eq!(results, [Ok(()), unknown, unknown, Ok(()), unknown]);
    assert_eq!(h.group.state(), GroupState::PreparingRebalance);
    let ticket = h.join_as("m3");
    assert_eq!(h.granted(ticket).leader, "m3");
    assert_eq!(h.granted(ticket).generation, 4);
}

#[test]
fn administrator_removes_a_static_member_by_its_instance() {
    let mut h = Harness::new();
    let request = JoinRequest { group_instance_id: Some("a".to_owned()), ..h.request("") };
    h.send_join(request);
    h.settle();
    assert_eq!(h.leave(&[("m9", Some("a"))]), [Err(GroupError::FencedInstanceId)]);
    assert_eq!(h.leave(&[("", Some("a"))]), [Ok(())]);
    assert_eq!(h.group.state(), GroupState::Empty);
}

#[test]
fn what_the_leaving_member_had_parked_is_answered() {
    let mut h = Harness::stable(2);
    h.join_as("");
    let parked = h.join_as("m2");
    h.leave(&[("m2", None)]);
    assert_eq!(h.refusal(parked), (GroupError::UnknownMemberId, String::new()));
    h.join_as("m1");
    let parked = h.sync_as("m3", &[]);
    h.leave(&[("m3", None)]);
    assert_eq!(h.syncs[&parked], Err(GroupError::UnknownMemberId));
}

#[test]
fn pending_member_may_leave_and_no_longer_holds_the_rebalance() {
    let mut h = Harness::stable(1);
    let request = JoinRequest { require_known_member_id: true, ..h.request("") };
    let ticket = h.send_join(request);
    let (_, pending) = h.refusal(ticket);
    let ticket = h.join_as("m1");
    assert!(!h.joins.contains_key(&ticket));
    assert_eq!(h.leave(&[(&pending, None)]), [Ok(())]);
    assert_eq!(h.granted(ticket).generation, 2);
}

#[test]
fn leave_during_the_initial_delay_ends_it_only_when_nobody_is_left() {
    let mut h = Harness::with(GroupOptions::default());
    let one = h.join_as("");
    h.join_as("");
    h.leave(&[("m2", None)]);
    assert_eq!(h.group.state(), GroupState::PreparingRebalance);
    h.leave(&[("m1", None)]);
    assert_eq!(h.refusal(one).0, GroupError::UnknownMemberId);
    assert_eq!(h.group.state(), GroupState::Empty);
    assert_eq!(h.group.next_deadline(), None);
}

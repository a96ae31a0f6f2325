//! Groups that come back from the log.

use super::*;

fn restore(h: &Harness) -> Harness {
    let mut again = Harness::with((*h.group.options).clone());
    again.now = h.now;
    again.next_member = 100;
    let options = Arc::clone(&h.group.options);
    again.group = Group::restore("g", h.log.last().unwrap().clone(), options, h.now);
    let outputs = again.group.after_restore(h.now);
    again.take(outputs);
    again
}

#[test]
fn stable_group_goes_on_where_it_was() {
    let mut h = restore(&Harness::stable(3));
    assert_eq!((h.group.state(), h.group.generation(), h.group.leader()), (GroupState::Stable, 3, Some("m1")));
    assert_eq!(h.heartbeat("m2"), Ok(()));
    let ticket = h.sync_as("m3", &[]);
    assert_eq!(h.assignment(ticket), "m3");
    assert!(h.group.is_subscribed_to("t"));
    let follower = h.join_as("m2");
    assert_eq!(h.granted(follower).generation, 3, "unchanged, so no rebalance");
}

#[test]
fn members_that_do_not_come_back_time_out() {
    let mut h = restore(&Harness::stable(3));
    h.pass(ALMOST_SESSION);
    h.heartbeat("m2").unwrap();
    h.pass(Duration::from_millis(1));
    let ticket = h.join_as("m2");
    assert_eq!(h.granted(ticket).leader, "m2");
    assert_eq!(h.granted(ticket).generation, 4);
}

#[test]
fn restart_in_the_middle_of_a_rebalance_forgets_it_and_converges() {
    let mut before = Harness::stable(2);
    let newcomer = before.join_as("");
    before.join_as("m1");
    before.join_as("m2");
    assert_eq!(before.granted(newcomer).generation, 3);
    let newcomer = before.granted(newcomer).member_id;
    // Generation 3 has begun but was never written.
    let mut h = restore(&before);
    assert_eq!(h.group.generation(), 2);
    assert_eq!(h.group.heartbeat(&newcomer, None, 3, h.now), Err(GroupError::UnknownMemberId));
    assert_eq!(h.group.heartbeat("m1", None, 3, h.now), Err(GroupError::IllegalGeneration));
    let stale = SyncRequest { generation: 3, ..h.sync_request("m1", &[("m1", "everything")]) };
    let ticket = h.send_sync(stale);
    assert_eq!(h.syncs[&ticket], Err(GroupError::IllegalGeneration));
    let (new, one, two) = (h.join_as(""), h.join_as("m1"), h.join_as("m2"));
    assert_eq!([h.granted(new).generation, h.granted(one).generation, h.granted(two).generation], [3, 3, 3]);
    h.settle();
}

#[test]
fn empty_group_keeps_its_generation() {
    let mut h = Harness::stable(1);
    h.leave(&[("m1", None)]);
    let mut h = restore(&h);
    assert_eq!((h.group.state(), h.group.generation()), (GroupState::Empty, 2));
    assert!(!h.group.is_blank());
    let ticket = h.join_as("");
    assert_eq!(h.granted(ticket).generation, 3);
}

#[test]
fn static_members_keep_their_instance() {
    let mut h = Harness::new();
    let request = JoinRequest { group_instance_id: Some("a".to_owned()), ..h.request("") };
    h.send_join(request.clone());
    h.settle();
    let mut h = restore(&h);
    let bounce = JoinRequest { fresh_member_id: "m50".to_owned(), ..request };
    let ticket = h.send_join(bounce);
    assert_eq!(h.granted(ticket).generation, 1);
    assert_eq!(h.group.heartbeat("m1", Some("a"), 1, h.now), Err(GroupError::FencedInstanceId));
}

#[test]
fn group_above_a_lowered_limit_rebalances() {
    let mut before = Harness::stable(3);
    before.group.options =
        Arc::new(GroupOptions { max_size: 2, initial_rebalance_delay: Duration::ZERO, ..GroupOptions::default() });
    let mut h = restore(&before);
    assert_eq!(h.group.state(), GroupState::PreparingRebalance);
    let (one, two, three) = (h.join_as("m1"), h.join_as("m2"), h.join_as("m3"));
    assert_eq!(h.refusal(three).0, GroupError::GroupMaxSizeReached);
    assert_eq!((h.granted(one).generation, h.granted(two).generation), (4, 4));
}

#[test]
fn odd_records_restore_to_something_sound() {
    let mut snapshot = Harness::stable(2).log.pop().unwrap();
    snapshot.leader = Some("nobody".to_owned());
    snapshot.generation = -5;
    snapshot.protocol_name = None;
    let twin = snapshot.members[0].clone();
    snapshot.members.push(twin);
    let h = Harness::new();
    let group = Group::restore("g", snapshot, Arc::new(GroupOptions::default()), h.now);
    group.members.check();
    assert_eq!((group.members().len(), group.leader(), group.generation()), (2, Some("m1"), 0));
}

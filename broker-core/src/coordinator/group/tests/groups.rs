//! Membership through the handlers.

use levada_env::time::sleep;
use levada_wire::messages::leave_group::MemberIdentity;

use super::*;

#[tokio::test(start_paused = true)]
async fn two_members_share_a_group_until_one_leaves() {
    let f = Fixture::new();
    let one = f.member().await;
    let (two, one) = tokio::join!(f.join(""), async {
        settle().await;
        assert_eq!(f.heartbeat(&one), code(ErrorCode::RebalanceInProgress));
        f.join(&one.member_id).await
    });
    assert_eq!((one.error_code, two.error_code), (0, 0));
    assert_eq!((one.members.len(), two.members.len()), (2, 0));
    let (follower, leader) = tokio::join!(f.sync(&two), f.sync(&one));
    assert_eq!(follower.assignment, two.member_id.as_bytes());
    assert_eq!(leader.assignment, one.member_id.as_bytes());
    assert_eq!(f.state("g").await, "Stable");
    let leaving = MemberIdentity { member_id: two.member_id.clone(), ..MemberIdentity::default() };
    let request =
        LeaveGroupRequest { group_id: "g".to_owned(), members: vec![leaving], ..LeaveGroupRequest::default() };
    let left = f.coordinator.leave_group(&caller(5), request).await;
    assert_eq!((left.error_code, left.members[0].error_code), (0, 0));
    assert_eq!(f.heartbeat(&two), code(ErrorCode::UnknownMemberId));
    assert_eq!(f.join(&one.member_id).await.generation_id, 3);
}

#[tokio::test(start_paused = true)]
async fn new_member_gets_its_id_first_from_version_4_on() {
    let f = Fixture::new();
    let told = f.coordinator.join_group(&caller(V_JOIN), join_request("g", "")).await;
    assert_eq!(told.error_code, code(ErrorCode::MemberIdRequired));
    assert!(told.member_id.starts_with("client-"), "{}", told.member_id);
    let joined = f.coordinator.join_group(&caller(V_JOIN), join_request("g", &told.member_id)).await;
    assert_eq!((joined.error_code, joined.generation_id, joined.members.len()), (0, 1, 1));
    let named = JoinGroupRequest { group_instance_id: Some("i".to_owned()), ..join_request("h", "") };
    let joined = f.coordinator.join_group(&caller(V_JOIN), named).await;
    assert_eq!(joined.error_code, 0);
    assert!(joined.member_id.starts_with("i-"), "{}", joined.member_id);
}

#[tokio::test(start_paused = true)]
async fn session_ends_by_itself() {
    let f = Fixture::new();
    let joined = f.member().await;
    sleep(Duration::from_secs(9)).await;
    assert_eq!(f.heartbeat(&joined), 0);
    sleep(Duration::from_millis(9_999)).await;
    assert_eq!(f.state("g").await, "Stable");
    sleep(Duration::from_millis(2)).await;
    settle().await;
    assert_eq!(f.state("g").await, "Empty");
}

#[tokio::test(start_paused = true)]
async fn initial_delay_gathers_members() {
    let groups = GroupOptions { initial_rebalance_delay: Duration::from_secs(3), ..GroupOptions::default() };
    let mut f = Fixture::new();
    f.coordinator = GroupCoordinator::new(
        f.env.env(),
        GroupCoordinatorOptions { groups, ..f.options.clone() },
        f.log.clone(),
        f.topics.clone(),
    );
    f.coordinator.start();
    let (one, two) = tokio::join!(f.join(""), async {
        sleep(Duration::from_secs(2)).await;
        f.join("").await
    });
    assert_eq!((one.generation_id, two.generation_id), (1, 1));
    assert_eq!(one.members.len() + two.members.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_before_there_is_something_to_keep_and_blank_groups_vanish() {
    let f = Fixture::new();
    let told = f.coordinator.join_group(&caller(V_JOIN), join_request("g", "")).await;
    assert_eq!(f.fetch("other", "t", 0).await, -1);
    assert_eq!(f.state("g").await, "Empty");
    assert_eq!(f.log.partition_count(), None, "the topic is made on the first write");
    sleep(Duration::from_secs(11)).await;
    assert_eq!(f.state("g").await, "Dead");
    let gone = f.coordinator.join_group(&caller(V_JOIN), join_request("g", &told.member_id)).await;
    assert_eq!((gone.error_code, gone.member_id), (code(ErrorCode::UnknownMemberId), told.member_id));
    f.member().await;
    assert_eq!(f.log.partition_count(), Some(50));
}

#[tokio::test(start_paused = true)]
async fn assignment_waits_for_its_record() {
    let f = Fixture::new();
    let joined = f.join("").await;
    f.log.appends_open.send_replace(false);
    let sync = f.sync(&joined);
    tokio::pin!(sync);
    let early = tokio::select! { answer = &mut sync => Some(answer), () = settle() => None };
    assert_eq!(early, None);
    assert_eq!(f.state("g").await, "CompletingRebalance");
    f.log.appends_open.send_replace(true);
    assert_eq!(sync.await.assignment, joined.member_id.as_bytes());
}

#[tokio::test(start_paused = true)]
async fn assignment_that_could_not_be_written_is_refused_and_the_group_recovers() {
    let f = Fixture::new();
    let joined = f.join("").await;
    f.log.failures.lock().push(OffsetsLogError::Unavailable("disk full".to_owned()));
    assert_eq!(f.sync(&joined).await.error_code, code(ErrorCode::CoordinatorNotAvailable));
    let again = f.join(&joined.member_id).await;
    assert_eq!((again.error_code, again.generation_id), (0, 2));
    assert_eq!(f.sync(&again).await.error_code, 0);
}

#[tokio::test(start_paused = true)]
async fn caller_that_goes_away_leaves_the_group_sound() {
    let f = Fixture::new();
    let one = f.member().await;
    {
        let parked = f.join("");
        tokio::pin!(parked);
        tokio::select! { _ = &mut parked => panic!("must wait"), () = settle() => {} }
    }
    let one = f.join(&one.member_id).await;
    assert_eq!((one.error_code, one.members.len()), (0, 2), "the newcomer's place is kept until its session ends");
    assert_eq!(f.sync(&one).await.error_code, 0);
    sleep(Duration::from_secs(9)).await;
    assert_eq!(f.heartbeat(&one), 0);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(f.heartbeat(&one), code(ErrorCode::RebalanceInProgress));
}

#[tokio::test(start_paused = true)]
async fn odd_requests_get_clear_codes() {
    let f = Fixture::new();
    let nameless = f.coordinator.join_group(&caller(V_JOIN), join_request("", "")).await;
    assert_eq!(nameless.error_code, code(ErrorCode::InvalidGroupId));
    let endless = f.coordinator.join_group(&caller(V_JOIN), join_request(&"x".repeat(40_000), "")).await;
    assert_eq!(endless.error_code, code(ErrorCode::InvalidGroupId));
    for session_timeout_ms in [i32::MIN, -1, 0, 5999, i32::MAX] {
        let request = JoinGroupRequest { session_timeout_ms, ..join_request("g", "") };
        let answer = f.coordinator.join_group(&caller(V_JOIN), request).await;
        assert_eq!(answer.error_code, code(ErrorCode::InvalidSessionTimeout));
    }
    let long = JoinGroupRequest { group_instance_id: Some("x".repeat(40_000)), ..join_request("g", "") };
    let answer = f.coordinator.join_group(&caller(V_JOIN), long).await;
    assert_eq!(answer.error_code, code(ErrorCode::InvalidRequest));
    let unknown = SyncGroupRequest { group_id: "g".to_owned(), ..SyncGroupRequest::default() };
    let answer = f.coordinator.sync_group(&caller(5), unknown).await;
    assert_eq!(answer.error_code, code(ErrorCode::UnknownMemberId));
    let nobody = LeaveGroupRequest {
        group_id: "g".to_owned(),
        members: vec![MemberIdentity { member_id: "m".to_owned(), ..MemberIdentity::default() }],
        ..LeaveGroupRequest::default()
    };
    let answer = f.coordinator.leave_group(&caller(5), nobody.clone()).await;
    assert_eq!((answer.error_code, answer.members[0].error_code), (0, code(ErrorCode::UnknownMemberId)));
    let old = LeaveGroupRequest { member_id: "m".to_owned(), ..nobody };
    let answer = f.coordinator.leave_group(&caller(2), old).await;
    assert_eq!((answer.error_code, answer.members.len()), (code(ErrorCode::UnknownMemberId), 0));
}

#[tokio::test(start_paused = true)]
async fn groups_are_listed_and_described() {
    let f = Fixture::new();
    let joined = f.member().await;
    f.commit("simple", "t", 0, 1).await;
    let list = async |states: &[&str], types: &[&str]| {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let request = ListGroupsRequest { states_filter: own(states), types_filter: own(types) };
        let answer = f.coordinator.list_groups(&caller(5), &request).await;
        answer.groups.into_iter().map(|group| group.group_id).collect::<Vec<_>>()
    };
    assert_eq!(list(&[], &[]).await, ["g", "simple"]);
    assert_eq!(list(&["stable"], &["classic"]).await, ["g"]);
    assert_eq!(list(&["Empty", "Dead"], &[]).await, ["simple"]);
    assert!(list(&[], &["consumer"]).await.is_empty());

    let request =
        DescribeGroupsRequest { groups: vec!["g".to_owned(), "none".to_owned()], include_authorized_operations: true };
    let answer = f.coordinator.describe_groups(&caller(5), &request, |_| 42).await;
    let [group, none] = &answer.groups[..] else { panic!("{answer:?}") };
    assert_eq!((group.protocol_type.as_str(), group.protocol_data.as_str()), ("consumer", "range"));
    assert_eq!(group.authorized_operations, 42);
    let member = &group.members[0];
    assert_eq!((member.client_id.as_str(), member.client_host.as_str()), ("client", "/127.0.0.1"));
    assert_eq!(member.member_metadata, test_subscription(&["t"]));
    assert_eq!(member.member_assignment, joined.member_id.as_bytes());
    assert_eq!((none.error_code, none.group_state.as_str()), (0, "Dead"));
    let answer = f.coordinator.describe_groups(&caller(6), &request, |_| 42).await;
    assert_eq!(answer.groups[1].error_code, code(ErrorCode::GroupIdNotFound));
}

#[tokio::test(start_paused = true)]
async fn number_of_groups_is_bounded() {
    let f = Fixture::with(GroupCoordinatorOptions { max_groups: 2, ..GroupCoordinatorOptions::default() });
    assert_eq!(f.commit("a", "t", 0, 1).await, 0);
    assert_eq!(f.commit("b", "t", 0, 1).await, 0);
    let refused = f.coordinator.join_group(&caller(V_JOIN), join_request("c", "")).await;
    assert_eq!(refused.error_code, code(ErrorCode::CoordinatorNotAvailable));
    assert_eq!(f.commit("c", "t", 0, 1).await, code(ErrorCode::CoordinatorNotAvailable));
    assert_eq!(f.delete("a").await, 0);
    assert_eq!(f.commit("c", "t", 0, 1).await, 0);
}

#[tokio::test(start_paused = true)]
async fn stop_sends_everybody_away() {
    let f = Fixture::new();
    let one = f.member().await;
    let parked = f.join("");
    tokio::pin!(parked);
    tokio::select! { _ = &mut parked => panic!("must wait"), () = settle() => {} }
    f.coordinator.stop();
    assert_eq!(parked.await.error_code, code(ErrorCode::CoordinatorNotAvailable));
    assert_eq!(f.heartbeat(&one), code(ErrorCode::CoordinatorNotAvailable));
    assert_eq!(f.commit("x", "t", 0, 1).await, code(ErrorCode::CoordinatorNotAvailable));
}

/// Many groups with a few members each can use up as much memory as one with many.
#[tokio::test(start_paused = true)]
async fn members_of_all_groups_share_a_bound_on_memory() {
    let f = Fixture::with(GroupCoordinatorOptions { max_member_bytes: 6000, ..GroupCoordinatorOptions::default() });
    let join = async |group: &str| f.coordinator.join_group(&caller(3), join_request(group, "")).await;
    let first = join("a").await;
    assert_eq!((first.error_code, join("b").await.error_code), (0, 0));
    assert_eq!(join("c").await.error_code, code(ErrorCode::GroupMaxSizeReached));
    let request =
        LeaveGroupRequest { group_id: "a".to_owned(), member_id: first.member_id, ..LeaveGroupRequest::default() };
    assert_eq!(f.coordinator.leave_group(&caller(1), request).await.error_code, 0);
    settle().await;
    assert_eq!(join("c").await.error_code, 0);
}

#[tokio::test(start_paused = true)]
async fn a_group_named_twice_is_described_once() {
    let f = Fixture::new();
    f.member().await;
    let groups = vec!["g".to_owned(); 3];
    let request = DescribeGroupsRequest { groups, ..DescribeGroupsRequest::default() };
    assert_eq!(f.coordinator.describe_groups(&caller(5), &request, |_| 0).await.groups.len(), 1);
}

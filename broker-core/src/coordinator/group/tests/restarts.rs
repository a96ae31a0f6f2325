//! What a new process finds.

use levada_env::time::sleep;

use super::*;

#[tokio::test(start_paused = true)]
async fn members_go_on_after_a_restart() {
    let f = Fixture::new();
    let joined = f.member().await;
    let f = f.restart();
    assert_eq!(f.heartbeat(&joined), 0);
    settle().await;
    assert_eq!(f.heartbeat(&joined), 0);
    assert_eq!(f.sync(&joined).await.assignment, joined.member_id.as_bytes());
    sleep(Duration::from_secs(11)).await;
    assert_eq!(f.state("g").await, "Empty", "sessions run in the new process");
    let f = f.restart();
    assert_eq!(f.state("g").await, "Empty");
    assert_eq!(f.join("").await.generation_id, 3, "generations don't repeat");
}

#[tokio::test(start_paused = true)]
async fn restart_in_the_middle_of_a_rebalance() {
    let f = Fixture::new();
    let one = f.member().await;
    assert_eq!(f.commit_as(&one, 10).await, 0);
    let (two, again) = tokio::join!(f.join(""), async {
        settle().await;
        f.join(&one.member_id).await
    });
    assert_eq!((again.generation_id, two.generation_id), (2, 2));
    // Both have joined generation 2, nobody has synced: the process dies.
    let f = f.restart();
    settle().await;
    assert_eq!(f.heartbeat(&two), code(ErrorCode::UnknownMemberId));
    assert_eq!(f.heartbeat(&again), code(ErrorCode::IllegalGeneration));
    assert_eq!(f.sync(&again).await.error_code, code(ErrorCode::IllegalGeneration));
    assert_eq!(f.commit_as(&again, 99).await, code(ErrorCode::IllegalGeneration));
    assert_eq!(f.fetch("g", "t", 0).await, 10);
    let (two, one) = tokio::join!(f.join(""), async {
        settle().await;
        f.join(&one.member_id).await
    });
    let (s2, s1) = tokio::join!(f.sync(&two), f.sync(&one));
    assert_eq!((s1.error_code, s2.error_code), (0, 0));
    assert_eq!(f.commit_as(&two, 11).await, 0);
    assert_eq!(f.restart().fetch("g", "t", 0).await, 11);
}

#[tokio::test(start_paused = true)]
async fn offsets_are_exact_after_a_restart() {
    let f = Fixture::new();
    for n in 0..200 {
        assert_eq!(f.commit(&format!("g{}", n % 7), "t", n % 3, i64::from(n)).await, 0);
    }
    let f = f.restart();
    for group in 0..7 {
        for partition in 0..3 {
            let last = (0..200).rev().find(|n| n % 7 == group && n % 3 == partition).unwrap();
            assert_eq!(f.fetch(&format!("g{group}"), "t", partition).await, i64::from(last));
        }
    }
    let fetched = f.coordinator.offset_fetch(&caller(9), fetch_request("g0", "t", 1), &|_| true).await;
    let partition = &fetched.groups[0].topics[0].partitions[0];
    assert_eq!((partition.committed_offset, partition.committed_leader_epoch), (196, 7));
    assert_eq!(partition.metadata.as_deref(), Some("at 196"));
}

#[tokio::test(start_paused = true)]
async fn requests_are_put_off_while_loading_but_heartbeats_are_not_alarmed() {
    let before = Fixture::new();
    let joined = before.member().await;
    before.commit_as(&joined, 4).await;
    before.log.crash();
    let log = MemoryLog::new(Arc::clone(&before.log.stored), 50);
    log.reads_open.send_replace(false);
    let topics: Arc<dyn TopicLookup> = before.topics.clone();
    let coordinator = GroupCoordinator::new(before.env.env(), before.options.clone(), log.clone(), topics);
    coordinator.start();
    let f = Fixture { coordinator, log, ..before };
    assert_eq!(f.heartbeat(&joined), 0);
    let loading = code(ErrorCode::CoordinatorLoadInProgress);
    assert_eq!(f.join(&joined.member_id).await.error_code, loading);
    assert_eq!(f.fetch("g", "t", 0).await, -1000 - i64::from(loading));
    let old = OffsetFetchRequest {
        group_id: "g".to_owned(),
        topics: Some(vec![levada_wire::messages::offset_fetch::OffsetFetchRequestTopic {
            name: "t".to_owned(),
            partition_indexes: vec![0],
        }]),
        ..OffsetFetchRequest::default()
    };
    let answer = f.coordinator.offset_fetch(&caller(1), old.clone(), &|_| true).await;
    assert_eq!((answer.error_code, answer.topics[0].partitions[0].error_code), (0, loading));
    let answer = f.coordinator.offset_fetch(&caller(5), old, &|_| true).await;
    assert_eq!((answer.error_code, answer.topics.len()), (loading, 0));
    let listed = f.coordinator.list_groups(&caller(5), &ListGroupsRequest::default()).await;
    assert_eq!(listed.error_code, loading);
    // A request that comes just before the end of loading needs no second try.
    let (fetched, ()) = tokio::join!(f.fetch("g", "t", 0), async {
        sleep(Duration::from_millis(500)).await;
        f.log.reads_open.send_replace(true);
    });
    assert_eq!(fetched, 4);
    assert_eq!(f.heartbeat(&joined), 0);
}

impl Fixture {
    pub(super) async fn commit_as(&self, joined: &JoinGroupResponse, offset: i64) -> i16 {
        let request = OffsetCommitRequest {
            member_id: joined.member_id.clone(),
            generation_id_or_member_epoch: joined.generation_id,
            ..commit_request("g", "t", 0, offset)
        };
        self.coordinator.offset_commit(&caller(9), request).await.topics[0].partitions[0].error_code
    }
}

//! Commits, fetches and deletions through the handlers.

use levada_wire::messages::offset_delete::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};

use super::*;

#[tokio::test(start_paused = true)]
async fn commit_is_answered_and_visible_only_when_durable() {
    let f = Fixture::new();
    f.log.appends_open.send_replace(false);
    let commit = f.commit("g", "t", 0, 5);
    tokio::pin!(commit);
    tokio::select! { _ = &mut commit => panic!("must wait"), () = settle() => {} }
    assert_eq!(f.fetch("g", "t", 0).await, -1);
    f.log.appends_open.send_replace(true);
    assert_eq!(commit.await, 0);
    assert_eq!(f.fetch("g", "t", 0).await, 5);
}

#[tokio::test(start_paused = true)]
async fn commits_that_wait_together_share_a_batch() {
    let f = Fixture::new();
    assert_eq!(f.commit("g", "t", 0, 0).await, 0);
    let before = f.log.appends.load(std::sync::atomic::Ordering::Relaxed);
    f.log.appends_open.send_replace(false);
    let commits: Vec<_> = (1..=20).map(|n| f.commit("g", "t", n, i64::from(n))).collect();
    let mut commits: Vec<_> = commits.into_iter().map(Box::pin).collect();
    for commit in &mut commits {
        tokio::select! { biased; _ = commit => panic!("must wait"), () = tokio::task::yield_now() => {} }
    }
    f.log.appends_open.send_replace(true);
    for commit in commits {
        assert_eq!(commit.await, 0);
    }
    assert_eq!(f.fetch("g", "t", 20).await, 20);
    assert!(f.log.appends.load(std::sync::atomic::Ordering::Relaxed) - before <= 2);
}

#[tokio::test(start_paused = true)]
async fn a_partition_the_topic_does_not_have_is_refused() {
    let f = Fixture::new();
    for partition in [-1, PARTITIONS, i32::MAX] {
        assert_eq!(f.commit("g", "t", partition, 1).await, code(ErrorCode::UnknownTopicOrPartition), "{partition}");
        assert_eq!(f.fetch("g", "t", partition).await, -1, "{partition}");
    }
}

#[tokio::test(start_paused = true)]
async fn failed_commit_is_refused_and_changes_nothing() {
    let f = Fixture::new();
    assert_eq!(f.commit("g", "t", 0, 1).await, 0);
    f.log.failures.lock().push(OffsetsLogError::Unavailable("disk full".to_owned()));
    assert_eq!(f.commit("g", "t", 0, 2).await, code(ErrorCode::CoordinatorNotAvailable));
    assert_eq!(f.fetch("g", "t", 0).await, 1);
}

#[tokio::test(start_paused = true)]
async fn metadata_and_leader_epoch_are_kept_up_to_the_limit() {
    let f = Fixture::new();
    let with = |metadata: Option<String>| {
        let mut request = commit_request("g", "t", 0, 1);
        request.topics[0].partitions[0].committed_metadata = metadata;
        request
    };
    let longest = "ü".repeat(4096);
    let answer = f.coordinator.offset_commit(&caller(9), with(Some(longest.clone()))).await;
    assert_eq!(answer.topics[0].partitions[0].error_code, 0);
    let answer = f.coordinator.offset_commit(&caller(9), with(Some("x".repeat(4097)))).await;
    assert_eq!(answer.topics[0].partitions[0].error_code, code(ErrorCode::OffsetMetadataTooLarge));
    let fetched = f.coordinator.offset_fetch(&caller(9), fetch_request("g", "t", 0), &|_| true).await;
    let partition = &fetched.groups[0].topics[0].partitions[0];
    assert_eq!((partition.metadata.as_deref(), partition.committed_leader_epoch), (Some(longest.as_str()), 7));
    let answer = f.coordinator.offset_commit(&caller(9), with(None)).await;
    assert_eq!(answer.topics[0].partitions[0].error_code, 0);
}

#[tokio::test(start_paused = true)]
async fn one_bad_partition_does_not_spoil_the_others() {
    let f = Fixture::new();
    let mut request = commit_request("g", "t", 0, 1);
    let mut bad = request.topics[0].partitions[0].clone();
    bad.partition_index = 1;
    bad.committed_metadata = Some("x".repeat(5000));
    request.topics[0].partitions.push(bad);
    request.topics.push(commit_request("g", "no-such-topic", 0, 1).topics.remove(0));
    let answer = f.coordinator.offset_commit(&caller(9), request).await;
    let codes: Vec<i16> = answer.topics.iter().flat_map(|t| &t.partitions).map(|p| p.error_code).collect();
    assert_eq!(codes, [0, code(ErrorCode::OffsetMetadataTooLarge), code(ErrorCode::UnknownTopicOrPartition)]);
    assert_eq!(f.fetch("g", "t", 0).await, 1);
}

#[tokio::test(start_paused = true)]
async fn members_commit_by_generation_and_outsiders_only_to_empty_groups() {
    let f = Fixture::new();
    let joined = f.member().await;
    let as_member = |member_id: &str, generation| OffsetCommitRequest {
        member_id: member_id.to_owned(),
        generation_id_or_member_epoch: generation,
        ..commit_request("g", "t", 0, 3)
    };
    let commit = async |request, version| {
        f.coordinator.offset_commit(&caller(version), request).await.topics[0].partitions[0].error_code
    };
    assert_eq!(commit(as_member(&joined.member_id, 1), 9).await, 0);
    assert_eq!(commit(as_member(&joined.member_id, 0), 9).await, code(ErrorCode::IllegalGeneration));
    assert_eq!(commit(as_member("x", 1), 9).await, code(ErrorCode::UnknownMemberId));
    assert_eq!(f.commit("g", "t", 0, 9).await, code(ErrorCode::UnknownMemberId));
    let stranger = OffsetCommitRequest { group_id: "none".to_owned(), ..as_member("x", 1) };
    assert_eq!(commit(stranger.clone(), 9).await, code(ErrorCode::GroupIdNotFound));
    assert_eq!(commit(stranger, 8).await, code(ErrorCode::IllegalGeneration));
    assert_eq!(f.fetch("g", "t", 0).await, 3);
}

#[tokio::test(start_paused = true)]
async fn topics_by_id_from_version_10_on() {
    let f = Fixture::new();
    let id = f.topics.id_of("t").unwrap();
    let mut request = commit_request("g", "", 0, 6);
    request.topics[0].topic_id = id;
    request.topics.push(request.topics[0].clone());
    request.topics[1].topic_id = Uuid::from_u128(99);
    let answer = f.coordinator.offset_commit(&caller(10), request).await;
    assert_eq!(answer.topics[0].topic_id, id);
    assert_eq!(answer.topics[0].partitions[0].error_code, 0);
    assert_eq!(answer.topics[1].partitions[0].error_code, code(ErrorCode::UnknownTopicId));
    let mut request = fetch_request("g", "", 0);
    let asked = request.groups[0].topics.as_mut().unwrap();
    asked[0].topic_id = id;
    asked.push(OffsetFetchRequestTopics { topic_id: Uuid::from_u128(99), ..asked[0].clone() });
    let answer = f.coordinator.offset_fetch(&caller(10), request, &|_| true).await;
    let topics = &answer.groups[0].topics;
    assert_eq!((topics[0].topic_id, topics[0].partitions[0].committed_offset), (id, 6));
    assert_eq!(topics[1].partitions[0].error_code, code(ErrorCode::UnknownTopicId));
    let all = OffsetFetchRequestGroup { group_id: "g".to_owned(), topics: None, ..OffsetFetchRequestGroup::default() };
    let request = OffsetFetchRequest { groups: vec![all], ..OffsetFetchRequest::default() };
    let answer = f.coordinator.offset_fetch(&caller(10), request, &|_| true).await;
    assert_eq!(answer.groups[0].topics[0].topic_id, id);
}

#[tokio::test(start_paused = true)]
async fn several_groups_and_all_topics() {
    let f = Fixture::new();
    f.commit("a", "t", 0, 1).await;
    f.commit("a", "u", 3, 2).await;
    f.commit("", "t", 0, 3).await;
    let group = |id: &str| OffsetFetchRequestGroup {
        group_id: id.to_owned(),
        topics: None,
        ..OffsetFetchRequestGroup::default()
    };
    let request = OffsetFetchRequest {
        groups: vec![group("a"), group("none"), group("")],
        require_stable: true,
        ..OffsetFetchRequest::default()
    };
    let answer = f.coordinator.offset_fetch(&caller(8), request, &|_| true).await;
    let topics = |n: usize| answer.groups[n].topics.iter().map(|t| t.name.as_str()).collect::<Vec<_>>();
    assert_eq!((topics(0), topics(1), topics(2)), (vec!["t", "u"], vec![], vec!["t"]));
    let single = OffsetFetchRequest { group_id: "a".to_owned(), topics: None, ..OffsetFetchRequest::default() };
    let answer = f.coordinator.offset_fetch(&caller(7), single, &|_| true).await;
    assert_eq!(answer.topics[1].partitions[0].committed_offset, 2);
}

#[tokio::test(start_paused = true)]
async fn groups_are_deleted_only_when_empty_and_with_commits_on_their_way() {
    let f = Fixture::new();
    assert_eq!(f.delete("none").await, code(ErrorCode::GroupIdNotFound));
    f.member().await;
    assert_eq!(f.delete("g").await, code(ErrorCode::NonEmptyGroup));
    f.commit("simple", "t", 0, 1).await;
    f.log.appends_open.send_replace(false);
    let (early, deleted, late, ()) =
        tokio::join!(f.commit("simple", "t", 1, 2), f.delete("simple"), f.commit("simple", "t", 2, 3), async {
            settle().await;
            f.log.appends_open.send_replace(true);
        });
    assert_eq!((early, deleted, late), (0, 0, 0));
    let now = [f.fetch("simple", "t", 0).await, f.fetch("simple", "t", 1).await, f.fetch("simple", "t", 2).await];
    assert_eq!(now, [-1, -1, 3], "what came before the deletion is gone, what came after stays");
    let f = f.restart();
    let again = [f.fetch("simple", "t", 0).await, f.fetch("simple", "t", 1).await, f.fetch("simple", "t", 2).await];
    assert_eq!(again, now);
}

#[tokio::test(start_paused = true)]
async fn deletion_that_could_not_be_written_leaves_the_group() {
    let f = Fixture::new();
    f.commit("g", "t", 0, 1).await;
    f.log.failures.lock().push(OffsetsLogError::Unavailable("disk full".to_owned()));
    assert_eq!(f.delete("g").await, code(ErrorCode::CoordinatorNotAvailable));
    assert_eq!(f.fetch("g", "t", 0).await, 1);
    assert_eq!(f.join("").await.error_code, 0);
}

#[tokio::test(start_paused = true)]
async fn deletion_of_very_many_offsets_fits_the_log() {
    let f = Fixture::new();
    for chunk in 0..20 {
        let mut request = commit_request("g", "t", 0, 1);
        let partition = request.topics[0].partitions[0].clone();
        request.topics[0].partitions = (0..1000)
            .map(|n| OffsetCommitRequestPartition { partition_index: chunk * 1000 + n, ..partition.clone() })
            .collect();
        let answer = f.coordinator.offset_commit(&caller(9), request).await;
        assert!(answer.topics[0].partitions.iter().all(|p| p.error_code == 0));
    }
    f.log.max_batch.store(300 << 10, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(f.delete("g").await, 0);
    let f = f.restart();
    assert_eq!((f.fetch("g", "t", 19_999).await, f.state("g").await.as_str()), (-1, "Dead"));
}

#[tokio::test(start_paused = true)]
async fn commit_too_large_for_the_log_is_refused_alone() {
    let f = Fixture::new();
    f.commit("warm", "t", 0, 1).await;
    f.log.max_batch.store(2000, std::sync::atomic::Ordering::Relaxed);
    let mut large = commit_request("g", "t", 0, 1);
    large.topics[0].partitions[0].committed_metadata = Some("x".repeat(3000));
    f.log.appends_open.send_replace(false);
    let (first, large, small, ()) = tokio::join!(
        f.commit("g", "t", 0, 1),
        async { f.coordinator.offset_commit(&caller(9), large).await.topics[0].partitions[0].error_code },
        f.commit("g", "t", 1, 2),
        async {
            settle().await;
            f.log.appends_open.send_replace(true);
        }
    );
    assert_eq!((first, large, small), (0, code(ErrorCode::InvalidCommitOffsetSize), 0));
    assert_eq!(f.fetch("g", "t", 1).await, 2);
}

#[tokio::test(start_paused = true)]
async fn single_offsets_are_deleted_unless_the_topic_is_consumed() {
    let f = Fixture::new();
    f.commit("g", "t", 0, 1).await;
    f.commit("g", "u", 0, 2).await;
    f.member().await;
    let topic = |name: &str| OffsetDeleteRequestTopic {
        name: name.to_owned(),
        partitions: [0, 7].map(|partition_index| OffsetDeleteRequestPartition { partition_index }).to_vec(),
    };
    let request =
        OffsetDeleteRequest { group_id: "g".to_owned(), topics: vec![topic("t"), topic("u"), topic("nowhere")] };
    let answer = f.coordinator.offset_delete(&caller(0), &request).await;
    let codes: Vec<i16> = answer.topics.iter().map(|topic| topic.partitions[1].error_code).collect();
    assert_eq!(codes, [code(ErrorCode::GroupSubscribedToTopic), 0, code(ErrorCode::UnknownTopicOrPartition)]);
    assert_eq!((f.fetch("g", "t", 0).await, f.fetch("g", "u", 0).await), (1, -1));
    let f = f.restart();
    assert_eq!((f.fetch("g", "t", 0).await, f.fetch("g", "u", 0).await), (1, -1));
    let none = OffsetDeleteRequest { group_id: "none".to_owned(), topics: Vec::new() };
    assert_eq!(f.coordinator.offset_delete(&caller(0), &none).await.error_code, code(ErrorCode::GroupIdNotFound));
}

#[tokio::test(start_paused = true)]
async fn offsets_go_with_their_topic() {
    let f = Fixture::new();
    f.commit("g", "t", 0, 1).await;
    f.commit("g", "u", 0, 2).await;
    f.commit("h", "t", 5, 3).await;
    f.coordinator.topics_deleted(vec!["t".to_owned()]).await.unwrap();
    let left = async |f: &Fixture| [f.fetch("g", "t", 0).await, f.fetch("g", "u", 0).await, f.fetch("h", "t", 5).await];
    assert_eq!(left(&f).await, [-1, 2, -1]);
    assert_eq!(left(&f.restart()).await, [-1, 2, -1]);
}

#[tokio::test(start_paused = true)]
async fn what_is_named_twice_is_answered_once() {
    let f = Fixture::new();
    let topic = OffsetFetchRequestTopics {
        name: "t".to_owned(),
        partition_indexes: vec![0, 1, 0, 0],
        ..OffsetFetchRequestTopics::default()
    };
    let group = OffsetFetchRequestGroup {
        group_id: "g".to_owned(),
        topics: Some(vec![topic.clone(), topic]),
        ..OffsetFetchRequestGroup::default()
    };
    let request = OffsetFetchRequest { groups: vec![group.clone(), group], ..OffsetFetchRequest::default() };
    let answer = f.coordinator.offset_fetch(&caller(8), request, &|_| true).await;
    assert_eq!(answer.groups.len(), 1);
    let partitions: Vec<i32> =
        answer.groups[0].topics.iter().flat_map(|topic| &topic.partitions).map(|p| p.partition_index).collect();
    assert_eq!(partitions, [0, 1]);
}

/// A write goes on when its client is gone. Clients that send and go while the log stands still must not pile up more.
#[tokio::test(start_paused = true)]
async fn deletions_of_clients_that_are_gone_are_bounded() {
    let f = Fixture::with(GroupCoordinatorOptions { max_pending_write_bytes: 1000, ..Default::default() });
    f.member().await;
    f.log.appends_open.send_replace(false);
    for _ in 0..100 {
        let partitions = vec![offset_delete::OffsetDeleteRequestPartition { partition_index: 7 }];
        let topics = vec![offset_delete::OffsetDeleteRequestTopic { name: "u".to_owned(), partitions }];
        let deletion = OffsetDeleteRequest { group_id: "g".to_owned(), topics };
        let groups = DeleteGroupsRequest { groups_names: vec!["g".to_owned()] };
        let (who, moment) = (caller(0), Duration::from_millis(1));
        let commit = commit_request("g", "t", 0, 1);
        let _ = levada_env::time::timeout(moment, f.coordinator.offset_commit(&caller(9), commit)).await;
        let _ = levada_env::time::timeout(moment, f.coordinator.offset_delete(&who, &deletion)).await;
        let _ = levada_env::time::timeout(moment, f.coordinator.delete_groups(&who, &groups)).await;
    }
    let queued: usize = f.coordinator.inner.shards.iter().map(|shard| shard.queue.lock().writes.len()).sum();
    assert!(queued < 30, "{queued}");
}

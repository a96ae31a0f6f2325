//! Offset retention.

use levada_env::time::sleep;

use super::*;

const DAY_MS: i64 = 86_400_000;

/// Wall time passes, then a round of retention.
async fn later(f: &Fixture, ms: i64) {
    f.env.clock.step_ms(ms);
    sleep(Duration::from_secs(601)).await;
    settle().await;
}

#[tokio::test(start_paused = true)]
async fn offsets_of_a_simple_group_end_after_the_last_commit() {
    let f = Fixture::new();
    f.commit("g", "t", 0, 1).await;
    later(&f, 6 * DAY_MS).await;
    assert_eq!(f.fetch("g", "t", 0).await, 1);
    f.commit("g", "t", 1, 2).await;
    later(&f, DAY_MS).await;
    assert_eq!((f.fetch("g", "t", 0).await, f.fetch("g", "t", 1).await), (-1, 2));
    let f = f.restart();
    assert_eq!((f.fetch("g", "t", 0).await, f.fetch("g", "t", 1).await), (-1, 2));
}

#[tokio::test(start_paused = true)]
async fn offsets_of_a_group_in_use_stay_and_end_after_it_became_empty() {
    let f = Fixture::with(GroupCoordinatorOptions {
        retention_check_interval: Duration::from_secs(2),
        ..GroupCoordinatorOptions::default()
    });
    let joined = f.member().await;
    f.commit_as(&joined, 5).await;
    f.env.clock.step_ms(30 * DAY_MS);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(f.fetch("g", "t", 0).await, 5, "members consume it");
    sleep(Duration::from_secs(20)).await;
    assert_eq!((f.state("g").await.as_str(), f.fetch("g", "t", 0).await), ("Empty", 5));
    let f = f.restart();
    f.env.clock.step_ms(6 * DAY_MS);
    sleep(Duration::from_secs(3)).await;
    assert_eq!(f.fetch("g", "t", 0).await, 5);
    f.env.clock.step_ms(DAY_MS);
    sleep(Duration::from_secs(3)).await;
    settle().await;
    assert_eq!((f.state("g").await.as_str(), f.fetch("g", "t", 0).await), ("Dead", -1));
    assert_eq!(f.restart().state("g").await, "Dead", "its tombstone is in the log");
}

#[tokio::test(start_paused = true)]
async fn groups_of_connectors_are_exempt() {
    let f = Fixture::new();
    f.coordinator.protect_groups(Arc::new(|group| group.starts_with("connect-")));
    f.commit("connect-sink", "t", 0, 1).await;
    f.commit("other", "t", 0, 1).await;
    later(&f, 30 * DAY_MS).await;
    assert_eq!((f.fetch("connect-sink", "t", 0).await, f.fetch("other", "t", 0).await), (1, -1));
}

#[tokio::test(start_paused = true)]
async fn retention_time_of_old_clients_counts() {
    let f = Fixture::new();
    let request = OffsetCommitRequest { retention_time_ms: 3_600_000, ..commit_request("g", "t", 0, 1) };
    assert_eq!(f.coordinator.offset_commit(&caller(4), request).await.topics[0].partitions[0].error_code, 0);
    f.commit("g", "t", 1, 2).await;
    let f = f.restart();
    later(&f, 0).await;
    assert_eq!(f.fetch("g", "t", 0).await, 1);
    later(&f, 3_600_000).await;
    assert_eq!((f.fetch("g", "t", 0).await, f.fetch("g", "t", 1).await), (-1, 2));
}

#[tokio::test(start_paused = true)]
async fn wall_clock_that_steps_back_expires_nothing() {
    let f = Fixture::new();
    f.commit("g", "t", 0, 1).await;
    later(&f, -30 * DAY_MS).await;
    assert_eq!(f.fetch("g", "t", 0).await, 1);
    let joined = f.member().await;
    f.env.clock.step_ms(30 * DAY_MS);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(f.heartbeat(&joined), 0, "sessions don't look at the wall clock");
}

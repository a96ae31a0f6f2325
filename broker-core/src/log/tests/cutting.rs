//! Truncation, retention, deletion.

use std::path::Path;

use levada_env::Disk as _;
use levada_env::time::Duration;

use super::support::*;
use crate::log::*;

#[tokio::test(start_paused = true)]
async fn truncation_removes_the_tail_its_producers_and_its_epochs() {
    let (sim, manager, log) = sim(15, small_segments()).await;
    for i in 0..40 {
        append_under(&log, batch_of(&[value(i)], i), i as i32 / 10).await.unwrap();
    }
    append_under(&log, idempotent(3, 0, 0, 1), 4).await.unwrap();
    log.wait_durable(41).await.unwrap();
    assert_eq!(log.end_offset_for_epoch(2), EpochEndOffset { epoch: 2, end_offset: 30 });
    assert_eq!(log.truncate_to(25).await.unwrap(), 25);
    assert_eq!((log.log_end_offset(), log.durable_end_offset()), (25, 25));
    assert_eq!(log.latest_epoch(), Some(EpochEntry { epoch: 2, start_offset: 20 }));
    assert_values(&log, 0, 25).await;
    let again = append_under(&log, idempotent(3, 0, 0, 1), 5).await.unwrap();
    assert_eq!((again.base_offset, again.duplicate), (25, false));
    log.wait_durable(26).await.unwrap();
    let sim = sim.crash();
    drop(manager);
    let log = open(&sim.env()).await.get(&partition()).unwrap();
    assert_eq!(log.log_end_offset(), 26);
    assert_eq!(log.end_offset_for_epoch(2), EpochEndOffset { epoch: 2, end_offset: 25 });
    assert_eq!(log.truncate_to(0).await.unwrap(), 0);
    assert_eq!(append(&log, batch_of(&[value(0)], 0)).await.unwrap().base_offset, 0);
}

#[tokio::test(start_paused = true)]
async fn retention_by_size_time_and_start_offset_never_reuses_offsets() {
    let (sim, manager, log) = sim(17, small_segments()).await;
    let now_ms = levada_env::Clock::wall_ms(&*sim.clock);
    for i in 0..100 {
        append(&log, batch_of(&[value(i)], now_ms + i)).await.unwrap();
    }
    log.set_high_watermark(100);
    assert_eq!(log.enforce_retention().await.unwrap(), 0);
    log.update_config(LogConfig { retention_bytes: 4000, ..small_segments() });
    assert!(log.enforce_retention().await.unwrap() > 0);
    assert!(log.size() >= 4000);
    let start = log.log_start_offset();
    assert_values(&log, start, 100).await;
    assert_eq!(log.delete_records_before(start + 3).await.unwrap(), start + 3);
    assert!(matches!(log.delete_records_before(101).await, Err(LogError::OffsetOutOfRange { .. })));
    manager.checkpoint().await;
    let manager = {
        let sim = sim.crash();
        open(&sim.env()).await
    };
    let log = manager.get(&partition()).unwrap();
    assert_eq!(log.log_start_offset(), start + 3);
    sim.clock.step_ms(10_000_000);
    log.set_high_watermark(100);
    log.update_config(LogConfig { retention_ms: 5000, ..small_segments() });
    assert!(log.enforce_retention().await.unwrap() > 0);
    assert_eq!((log.log_start_offset(), log.log_end_offset(), log.segment_count()), (100, 100, 1));
    assert_eq!(append(&log, batch_of(&[value(0)], 0)).await.unwrap().base_offset, 100);
}

#[tokio::test(start_paused = true)]
async fn offsets_survive_a_crash_after_everything_expired() {
    let (sim, _manager, log) = sim(18, small_segments()).await;
    fill(&log, 0, 50).await;
    log.wait_durable(50).await.unwrap();
    log.set_high_watermark(50);
    log.update_config(LogConfig { retention_ms: 1, file_delete_delay_ms: 0, ..small_segments() });
    log.enforce_retention().await.unwrap();
    assert_eq!(log.log_start_offset(), 50);
    for _ in 0..5 {
        let sim = sim.crash();
        let log = open(&sim.env()).await.get(&partition()).unwrap();
        assert_eq!(log.log_end_offset(), 50);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_deleted_topic_left_under_its_name_is_no_part_of_the_next_one() {
    let (sim, manager, _) = sim(23, LogConfig::default()).await;
    let name = TopicPartition::new("again", 0);
    let log = manager.create(name.clone(), Some(uuid::Uuid::from_u128(1)), LogConfig::default()).await.unwrap();
    fill(&log, 0, 3).await;
    log.wait_durable(3).await.unwrap();
    manager.delete(&name).await.unwrap();
    // As if the rename had failed.
    let dir = Path::new(DIR);
    let deleted = sim.disk.read_dir(dir).unwrap().into_iter().find(|entry| entry.name.ends_with("-delete")).unwrap();
    sim.disk.rename(&dir.join(&deleted.name), &dir.join("again-0")).unwrap();
    let log = manager.create(name, Some(uuid::Uuid::from_u128(2)), LogConfig::default()).await.unwrap();
    assert_eq!((log.log_end_offset(), log.topic_id()), (0, Some(uuid::Uuid::from_u128(2))));
    assert!(sim.disk.read_dir(dir).unwrap().iter().any(|entry| entry.name.ends_with("-stray")));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_partition_is_gone_at_once_and_its_files_later() {
    let (sim, manager, log) = sim(21, LogConfig::default()).await;
    manager.start_background();
    fill(&log, 0, 3).await;
    manager.delete(&partition()).await.unwrap();
    assert!(manager.get(&partition()).is_none());
    assert!(matches!(append(&log, batch_of(&[value(0)], 0)).await, Err(LogError::Closed)));
    assert!(matches!(log.wait_durable(50).await, Err(LogError::Closed)));
    let left = || sim.disk.read_dir(Path::new(DIR)).unwrap().iter().filter(|e| e.name.ends_with("-delete")).count();
    assert_eq!(left(), 1);
    let log = manager.create(partition(), None, LogConfig::default()).await.unwrap();
    assert_eq!(log.log_end_offset(), 0);
    levada_env::time::sleep(Duration::from_secs(70)).await;
    assert_eq!(left(), 0);
}

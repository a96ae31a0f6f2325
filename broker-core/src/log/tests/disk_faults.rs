//! A full disk, failing writes and syncs, and the durability policies.

use levada_env::Disk as _;
use levada_env::time::Duration;

use super::support::*;
use crate::config::AckDurability;
use crate::log::*;

#[tokio::test(start_paused = true)]
async fn a_full_disk_refuses_appends_keeps_reads_and_resumes() {
    let (sim, _manager, log) = sim(7, LogConfig::default()).await;
    fill(&log, 0, 20).await;
    sim.disk.faults(|faults| faults.capacity = Some(3000));
    let mut refused = None;
    for i in 20..100 {
        if let Err(error) = append(&log, idempotent(5, 0, i - 20, 1)).await {
            refused = Some((i, error));
            break;
        }
    }
    let (at, error) = refused.unwrap();
    assert!(matches!(error, LogError::StorageFull { .. }), "{error}");
    assert_eq!(log.log_end_offset(), i64::from(at));
    forget_tail(&log);
    assert_eq!(values_from(&log, 0).await.len(), at as usize);
    sim.disk.faults(|faults| faults.capacity = None);
    levada_env::time::sleep(Duration::from_secs(1)).await;
    let info = append(&log, idempotent(5, 0, at - 20, 1)).await.unwrap();
    assert_eq!(
        (info.base_offset, info.duplicate),
        (i64::from(at), false),
        "producer state was taken back with the write"
    );
    log.wait_durable(info.last_offset + 1).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_reserve_is_for_internal_topics_only() {
    let sim = levada_env::sim::SimEnv::new(8);
    let mut options = options();
    options.reserve_bytes = 100_000;
    let manager = LogManager::open(sim.env(), options).await.unwrap();
    let ordinary = manager.create(partition(), None, LogConfig::default()).await.unwrap();
    let internal = LogConfig { internal: true, ..LogConfig::default() };
    let internal = manager.create(TopicPartition::new("__internal", 0), None, internal).await.unwrap();
    sim.disk.faults(|faults| faults.capacity = Some(50_000));
    assert!(matches!(append(&ordinary, batch_of(&[value(0)], 0)).await, Err(LogError::StorageFull { .. })));
    append(&internal, batch_of(&[value(0)], 0)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn short_writes_are_completed() {
    let (sim, _manager, log) = sim(9, small_segments()).await;
    sim.disk.faults(|faults| faults.short_writes = true);
    fill(&log, 0, 50).await;
    assert_values(&log, 0, 50).await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_fsync_takes_the_directory_offline_and_is_not_retried() {
    let (sim, manager, log) = sim(10, LogConfig::default()).await;
    fill(&log, 0, 3).await;
    log.wait_durable(3).await.unwrap();
    sim.disk.faults(|faults| faults.fail_syncs = 1);
    let info = append(&log, batch_of(&[value(3)], 0)).await.unwrap();
    let failed = log.wait_durable(info.last_offset + 1).await.unwrap_err();
    assert!(matches!(failed, LogError::LogDirOffline { .. }), "{failed}");
    assert!(matches!(append(&log, batch_of(&[value(4)], 0)).await, Err(LogError::LogDirOffline { .. })));
    assert!(matches!(log.wait_durable(9).await, Err(LogError::LogDirOffline { .. })));
    assert_eq!(log.durable_end_offset(), 3);
    assert_eq!(values_from(&log, 0).await.len(), 4, "reads go on");
    manager.shutdown().await;
    let manager = open(&sim.env()).await;
    assert!(manager.get(&partition()).unwrap().log_end_offset() >= 3);
}

#[tokio::test(start_paused = true)]
async fn a_failed_write_takes_the_directory_offline() {
    let (sim, _manager, log) = sim(11, LogConfig::default()).await;
    fill(&log, 0, 3).await;
    sim.disk.faults(|faults| faults.fail_writes = 1);
    assert!(matches!(append(&log, batch_of(&[value(3)], 0)).await, Err(LogError::LogDirOffline { .. })));
    assert_eq!(log.log_end_offset(), 3);
}

#[tokio::test(start_paused = true)]
async fn page_cache_topics_answer_without_a_sync_and_sync_by_count() {
    let config = LogConfig { ack_durability: AckDurability::PageCache, flush_messages: 10, ..LogConfig::default() };
    let (_sim, _manager, log) = sim(12, config.clone()).await;
    fill(&log, 0, 9).await;
    log.wait_durable(9).await.unwrap();
    levada_env::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((log.durable_end_offset(), log.recovery_point()), (9, 0));
    fill(&log, 9, 10).await;
    levada_env::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(log.recovery_point(), 10);
    fill(&log, 10, 12).await;
    log.update_config(LogConfig { ack_durability: AckDurability::Fsync, ..config });
    levada_env::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(log.recovery_point(), 12);
}

#[tokio::test(start_paused = true)]
async fn flush_ms_is_kept_by_the_background_task() {
    let config = LogConfig { ack_durability: AckDurability::PageCache, flush_ms: 2000, ..LogConfig::default() };
    let (_sim, manager, log) = sim(13, config).await;
    manager.start_background();
    fill(&log, 0, 5).await;
    levada_env::time::sleep(Duration::from_millis(900)).await;
    assert_eq!(log.recovery_point(), 0);
    levada_env::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(log.recovery_point(), 5);
}

#[tokio::test(start_paused = true)]
async fn reads_need_no_space_to_make_lost_indexes_again_and_store_them_once_there_is() {
    let (sim, manager, log) = sim(24, LogConfig { segment_bytes: 20_000, ..small_segments() }).await;
    fill(&log, 0, 600).await;
    log.wait_durable(600).await.unwrap();
    manager.shutdown().await;
    let names = || sim.disk.read_dir(&partition_file("")).unwrap().into_iter().map(|entry| entry.name);
    let indexes = || names().filter(|name| name.ends_with("index")).count();
    let before = indexes();
    for name in names().filter(|name| name.ends_with("index")).collect::<Vec<_>>() {
        sim.disk.edit(&partition_file(&name), |content| content.truncate(content.len() / 2 + 1)).unwrap();
    }
    sim.disk.faults(|faults| faults.capacity = Some(0));
    let manager = open(&sim.env()).await;
    let log = manager.get(&partition()).unwrap();
    assert_values(&log, 0, 600).await;
    assert_eq!(log.offset_for_timestamp(40, 600).await.unwrap().map(|found| found.offset), Some(40));
    sim.disk.faults(|faults| faults.capacity = None);
    manager.start_background();
    levada_env::time::sleep(Duration::from_secs(130)).await;
    // All but the active segment's, which is written as it grows and at the stop.
    assert!(indexes() + 2 >= before, "{} of {before}", indexes());
    assert_values(&log, 0, 600).await;
}

#[tokio::test(start_paused = true)]
async fn files_that_went_with_a_deleted_partition_take_nothing_offline() {
    let (_sim, manager, log) = sim(26, LogConfig::default()).await;
    fill(&log, 0, 3).await;
    log.assign_leader_epoch(4);
    manager.delete(&partition()).await.unwrap();
    let gone = std::io::Error::from(std::io::ErrorKind::NotFound);
    assert!(matches!(log.inner.write_failed("compaction", &gone), LogError::Closed));
    assert!(log.log_dir().offline_cause().is_none());
}

#[tokio::test(start_paused = true)]
async fn what_a_refused_write_left_behind_never_becomes_part_of_the_log() {
    let (sim, _manager, log) = sim(27, LogConfig::default()).await;
    fill(&log, 0, 5).await;
    log.wait_durable(5).await.unwrap();
    // A full disk takes two of three batches, and refuses to cut the file back.
    sim.disk.faults(|faults| faults.capacity = Some(1 << 30));
    let left = sim.disk.available_space(DIR.as_ref()).unwrap();
    let one = batch_of(&[value(5)], 0).len() as u64;
    sim.disk.faults(|faults| (faults.capacity, faults.refuse_truncations) = (Some((1 << 30) - left + one * 5 / 2), 2));
    let (config, permit) = (log.config(), log.reserve(1).await.unwrap());
    let rules = ValidationRules::new(&config, 0, AppendOrigin::Client);
    let queue = |i| {
        let batches = validate_batches(batch_of(&[value(i)], 0), &rules).unwrap();
        log.append(AppendRequest::leader(batches, 0), permit.clone())
    };
    let refused = [queue(5), queue(6), queue(7)];
    for append in refused {
        assert!(matches!(append.await, Err(LogError::StorageFull { .. })));
    }
    sim.disk.faults(|faults| faults.capacity = None);
    assert!(matches!(queue(8).await, Err(LogError::StorageFull { .. })), "not on top of what is left behind");
    assert_eq!(queue(9).await.unwrap().base_offset, 5);
    log.wait_durable(6).await.unwrap();
    let log = open(&sim.crash().env()).await.get(&partition()).unwrap();
    assert_eq!(values_from(&log, 4).await, [(4, value(4)), (5, value(9))]);
}

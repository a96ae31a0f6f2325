//! Appending, reading, restarting.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use levada_env::time::Duration;
use levada_env::{Disk as _, Env, OpenOptions};
use levada_wire::records::Compression;

use super::support::*;
use crate::config::{AckDurability, TimestampType};
use crate::log::*;

fn value(i: i64) -> Vec<u8> {
    format!("value {i}").into_bytes()
}

async fn fill(log: &PartitionLog, from: i64, to: i64) {
    for i in from..to {
        assert_eq!(append(log, batch_of(&[value(i)], i)).await.unwrap().base_offset, i);
    }
}

async fn assert_values(log: &PartitionLog, from: i64, to: i64) {
    let expected: Vec<(i64, Vec<u8>)> = (from..to).map(|i| (i, value(i))).collect();
    assert_eq!(values_from(log, from).await, expected, "with what is cached");
    forget_tail(log);
    assert_eq!(values_from(log, from).await, expected, "from files");
}

#[tokio::test(start_paused = true)]
async fn what_is_appended_is_read_across_segments_and_restarts() {
    let (sim, manager, log) = sim(1, small_segments()).await;
    fill(&log, 0, 100).await;
    assert!(log.segment_count() > 3);
    assert_values(&log, 0, 100).await;
    assert_values(&log, 57, 100).await;
    manager.shutdown().await;
    assert!(matches!(append(&log, batch_of(&[value(0)], 0)).await, Err(LogError::Closed)));
    drop((manager, log));

    let manager = open(&sim.env()).await;
    let log = manager.get(&partition()).unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset(), log.durable_end_offset()), (0, 100, 100));
    assert_values(&log, 0, 100).await;
    fill(&log, 100, 120).await;
    assert_values(&log, 0, 120).await;
}

#[tokio::test(start_paused = true)]
async fn a_group_of_appends_keeps_its_order_and_its_batches() {
    let (_sim, _manager, log) = sim(2, small_segments()).await;
    let config = LogConfig::default();
    let appends: Vec<_> = (0..50)
        .map(|i| {
            let batch = batch_of(&[value(i * 2), value(i * 2 + 1)], i);
            let rules = ValidationRules::new(&config, 0, AppendOrigin::Coordinator);
            log.append(AppendRequest::leader(validate_batches(batch, &rules).unwrap(), 0))
        })
        .collect();
    for (i, append) in appends.into_iter().enumerate() {
        let info = append.await.unwrap();
        assert_eq!((info.base_offset, info.last_offset, info.duplicate), (i as i64 * 2, i as i64 * 2 + 1, false));
    }
    assert_values(&log, 0, 100).await;
    log.wait_durable(100).await.unwrap();
    assert_eq!(log.durable_end_offset(), 100);
}

#[tokio::test(start_paused = true)]
async fn large_batches_are_cached_by_reference_and_read_whole() {
    let (_sim, _manager, log) = sim(3, LogConfig::default()).await;
    let big = vec![7u8; 20_000];
    for i in 0..5 {
        append(&log, batch_of(&[big.clone(), value(i)], 5)).await.unwrap();
        append(&log, compressed(&[value(i)], Compression::Lz4)).await.unwrap();
    }
    let batches = read_from(&log, 4, 30_000).await.unwrap();
    assert_eq!(batches.first().unwrap().header.base_offset, 3, "a start inside a batch gives the whole batch");
    let cached = values_from(&log, 0).await;
    forget_tail(&log);
    assert_eq!(values_from(&log, 0).await, cached);
    assert_eq!(cached.len(), 15);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_a_small_part_of_its_frame_does_not_keep_the_frame() {
    let (_sim, _manager, log) = sim(3, LogConfig::default()).await;
    let batch = batch_of(&[vec![7u8; 5000]], 5);
    let rules_now = log.inner.env.clock.wall_ms();
    for (padding, kept) in [(0, true), (4000, true), (100_000, false)] {
        let mut frame = batch.to_vec();
        frame.resize(batch.len() + padding, 0);
        let frame = bytes::Bytes::from(frame);
        let within = frame.as_ptr_range();
        let config = log.config();
        let rules = ValidationRules::new(&config, rules_now, AppendOrigin::Client);
        let batches = validate_batches(frame.slice(..batch.len()), &rules).unwrap().received_in(frame.len());
        let info = log.append(AppendRequest::leader(batches, 0)).await.unwrap();
        let cached = log.inner.tail.read(info.base_offset, info.last_offset + 1, 1 << 20, true).unwrap();
        let (first, _) = cached.iter().map(|batch| (&batch.records, &batch.header)).next().unwrap();
        assert_eq!(!first.is_empty() && within.contains(&first.as_ptr()), kept, "{padding}");
        assert_eq!(cached.first().unwrap().size(), batch.len());
    }
}

#[tokio::test(start_paused = true)]
async fn reads_end_at_the_limit_and_outside_the_log_they_fail() {
    let (_sim, _manager, log) = sim(4, small_segments()).await;
    fill(&log, 0, 60).await;
    for cached in [true, false] {
        if !cached {
            forget_tail(&log);
        }
        let read = |start, end_offset, max_bytes, at_least_one| {
            let log = log.clone();
            async move { log.read(start, ReadLimits { max_bytes, end_offset, at_least_one }).await }
        };
        assert_eq!(read(10, 10, 1000, true).await.unwrap().data.len(), 0, "nothing below the high watermark");
        let all = read(10, 60, 1 << 20, true).await.unwrap();
        assert_eq!(all.first_offset, 10);
        let one = read(10, 11, 1 << 20, true).await.unwrap().data.len();
        assert!(one > 60 && one < 120, "one batch, got {one} bytes");
        assert_eq!(read(10, 60, 1, true).await.unwrap().data.len(), one);
        assert_eq!(read(10, 60, 1, false).await.unwrap().data.len(), 0);
        assert_eq!(read(60, 60, 100, true).await.unwrap().data.len(), 0);
        assert!(matches!(read(61, 61, 100, true).await, Err(LogError::OffsetOutOfRange { log_end_offset: 60, .. })));
        assert!(matches!(read(-1, 61, 100, true).await, Err(LogError::OffsetOutOfRange { .. })));
    }
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_has_its_first_offset_even_after_restart_and_after_a_crash() {
    let (sim, manager, log) = sim(5, small_segments()).await;
    for i in 0..8 {
        append(&log, idempotent(7, 0, i * 3, 3)).await.unwrap();
    }
    let check = async |log: &PartitionLog| {
        for i in 3..8 {
            let info = append(log, idempotent(7, 0, i * 3, 3)).await.unwrap();
            assert_eq!(
                (info.base_offset, info.last_offset, info.duplicate),
                (i64::from(i) * 3, i64::from(i) * 3 + 2, true)
            );
        }
        assert!(matches!(
            append(log, idempotent(7, 0, 30, 1)).await,
            Err(LogError::OutOfOrderSequence { expected: 24, .. })
        ));
        assert!(matches!(append(log, idempotent(7, 0, 3, 3)).await, Err(LogError::OutOfOrderSequence { .. })));
        assert_eq!(log.log_end_offset(), 24);
    };
    check(&log).await;
    log.wait_durable(24).await.unwrap();
    manager.shutdown().await;
    let manager = open(&sim.env()).await;
    check(&manager.get(&partition()).unwrap()).await;
    let sim = sim.crash();
    let manager = open(&sim.env()).await;
    let log = manager.get(&partition()).unwrap();
    check(&log).await;
    append(&log, idempotent(7, 1, 0, 1)).await.unwrap();
    assert!(matches!(
        append(&log, idempotent(7, 0, 24, 1)).await,
        Err(LogError::InvalidProducerEpoch { current: 1, .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_inside_one_group_is_not_appended_twice() {
    let (_sim, _manager, log) = sim(6, LogConfig::default()).await;
    let config = LogConfig::default();
    let rules = ValidationRules::new(&config, 0, AppendOrigin::Client);
    let queue = |bytes| log.append(AppendRequest::leader(validate_batches(bytes, &rules).unwrap(), 0));
    let (a, b) = (queue(idempotent(1, 0, 0, 2)), queue(idempotent(1, 0, 0, 2)));
    assert!(!a.await.unwrap().duplicate);
    let repeated = b.await.unwrap();
    assert_eq!((repeated.duplicate, repeated.base_offset, log.log_end_offset()), (true, 0, 2));
}

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

struct Watch {
    appended: AtomicI64,
    durable: AtomicI64,
}

impl LogObserver for Watch {
    fn on_append(&self, end: i64) {
        assert!(self.appended.swap(end, Ordering::SeqCst) < end);
    }

    fn on_durable(&self, end: i64) {
        assert!(self.appended.load(Ordering::SeqCst) >= end, "durable before written");
        assert!(self.durable.swap(end, Ordering::SeqCst) < end);
    }
}

#[tokio::test(start_paused = true)]
async fn the_observer_sees_writes_before_durability_in_order() {
    let (_sim, _manager, log) = sim(14, small_segments()).await;
    let watch = std::sync::Arc::new(Watch { appended: AtomicI64::new(0), durable: AtomicI64::new(0) });
    log.set_observer(watch.clone());
    fill(&log, 0, 50).await;
    log.wait_durable(50).await.unwrap();
    assert_eq!((watch.appended.load(Ordering::SeqCst), watch.durable.load(Ordering::SeqCst)), (50, 50));
}

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
async fn an_append_under_a_passed_leader_epoch_is_refused() {
    let (_sim, _manager, log) = sim(16, LogConfig::default()).await;
    log.assign_leader_epoch(4);
    assert!(matches!(
        append_under(&log, batch_of(&[value(0)], 0), 3).await,
        Err(LogError::FencedLeaderEpoch { current: 4, got: 3 })
    ));
    append_under(&log, batch_of(&[value(0)], 0), 4).await.unwrap();
    assert_eq!(read_from(&log, 0, 1000).await.unwrap().first().unwrap().header.leader_epoch, 4);
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
async fn look_ups_by_time_find_the_first_record_and_the_newest() {
    let (_sim, _manager, log) = sim(19, small_segments()).await;
    for i in 0..100 {
        append(&log, batch_of(&[value(i), value(i)], 1000 + i * 10)).await.unwrap();
    }
    append(&log, batch_of(&[value(0)], 500)).await.unwrap();
    let find = async |timestamp| log.offset_for_timestamp(timestamp, 1000).await.unwrap().map(|found| found.offset);
    assert_eq!(find(0).await, Some(0));
    assert_eq!(find(1000).await, Some(0));
    assert_eq!(find(1001).await, Some(2));
    assert_eq!(find(1500).await, Some(100));
    assert_eq!(find(1990).await, Some(198));
    assert_eq!(find(1991).await, None);
    assert_eq!(log.offset_for_timestamp(1500, 100).await.unwrap(), None, "not past the end asked for");
    let newest = log.max_timestamp(1000).await.unwrap().unwrap();
    assert_eq!((newest.timestamp, newest.offset), (1990, 198));
    assert_eq!(log.max_timestamp(100).await.unwrap().unwrap().offset, 98);
}

#[tokio::test(start_paused = true)]
async fn log_append_time_is_the_brokers() {
    let config = LogConfig { timestamp_type: TimestampType::LogAppendTime, ..LogConfig::default() };
    let (sim, _manager, log) = sim(20, config).await;
    let now_ms = levada_env::Clock::wall_ms(&*sim.clock);
    let info = append(&log, batch_of(&[value(0)], 5)).await.unwrap();
    assert_eq!(info.log_append_time_ms, now_ms);
    let batches = read_from(&log, 0, 1000).await.unwrap();
    let record = batches.first().unwrap().records(1000).unwrap().next().unwrap().unwrap();
    assert_eq!(record.timestamp, info.log_append_time_ms);
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

#[tokio::test(start_paused = true)]
async fn an_append_whose_caller_left_is_done_all_the_same() {
    let (_sim, _manager, log) = sim(22, LogConfig::default()).await;
    let config = LogConfig::default();
    let rules = ValidationRules::new(&config, 0, AppendOrigin::Client);
    drop(log.append(AppendRequest::leader(validate_batches(batch_of(&[value(0)], 0), &rules).unwrap(), 0)));
    levada_env::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(log.log_end_offset(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_followers_batches_keep_their_offsets_and_epochs() {
    let (_sim, _manager, log) = sim(23, small_segments()).await;
    let config = log.config();
    let rules = ValidationRules::new(&config, 0, AppendOrigin::Replica);
    let mut copied = Vec::new();
    for (base, epoch) in [(0, 1), (1, 1), (7, 3)] {
        let mut batch = batch_of(&[value(base)], 5).to_vec();
        levada_wire::records::patch_base_offset(&mut batch, base);
        levada_wire::records::patch_leader_epoch(&mut batch, epoch);
        copied.extend_from_slice(&batch);
    }
    let batches = validate_batches(copied.into(), &rules).unwrap();
    log.append(AppendRequest::replica(batches.clone())).await.unwrap();
    assert_eq!((log.log_end_offset(), log.latest_epoch()), (8, Some(EpochEntry { epoch: 3, start_offset: 7 })));
    let refused = log.append(AppendRequest::replica(batches)).await;
    assert!(matches!(refused, Err(LogError::NotContiguous { expected: 8, got: 0 })));
    log.truncate_fully_and_start_at(100).await.unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset(), log.durable_end_offset()), (100, 100, 100));
}

fn real_options(dir: &Path) -> LogManagerOptions {
    let mut options = LogManagerOptions::new(dir);
    options.reserve_bytes = 0;
    options
}

#[tokio::test]
async fn the_same_on_the_real_disk_and_a_second_process_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let manager = LogManager::open(Env::real(), real_options(dir.path())).await.unwrap();
    let cluster_id = manager.cluster_id().to_owned();
    let refused = LogManager::open(Env::real(), real_options(dir.path())).await.unwrap_err();
    assert!(matches!(refused, OpenError::Locked(_)), "{refused}");
    let topic_id = uuid::Uuid::from_u128(77);
    let log = manager.create(partition(), Some(topic_id), small_segments()).await.unwrap();
    fill(&log, 0, 100).await;
    log.wait_durable(100).await.unwrap();
    manager.shutdown().await;
    drop((manager, log));
    let manager = LogManager::open(Env::real(), real_options(dir.path())).await.unwrap();
    assert_eq!(manager.cluster_id(), cluster_id);
    let log = manager.get(&partition()).unwrap();
    assert_eq!(log.topic_id(), Some(topic_id));
    assert_values(&log, 0, 100).await;
    manager.shutdown().await;
    let mut other = real_options(dir.path());
    other.node_id = 9;
    assert!(matches!(LogManager::open(Env::real(), other).await, Err(OpenError::Identity { .. })));
}

#[tokio::test]
async fn validation_answers_each_row_of_the_produce_table() {
    let config = LogConfig { max_message_bytes: 5000, segment_bytes: 4000, compact: true, ..LogConfig::default() };
    let now_ms = 1_000_000_000;
    let check =
        |bytes: bytes::Bytes| validate_batches(bytes, &ValidationRules::new(&config, now_ms, AppendOrigin::Client));
    let good = batch_of(&[value(1)], now_ms);
    assert_eq!(check(good.clone()).unwrap().records(), 1);
    let change = |at: usize, with: &[u8]| {
        let mut bytes = good.to_vec();
        bytes[at..at + with.len()].copy_from_slice(with);
        let crc = levada_wire::records::crc_of(&bytes);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        bytes::Bytes::from(bytes)
    };
    let mut flipped = good.to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    assert!(matches!(check(flipped.into()), Err(ValidationError::Corrupt(_))));
    assert!(matches!(check(good.slice(..good.len() - 1)), Err(ValidationError::Corrupt(_))));
    assert!(matches!(check(bytes::Bytes::new()), Err(ValidationError::InvalidRecord { .. })));
    let two = bytes::Bytes::from([&good[..], &good[..]].concat());
    assert!(matches!(check(two), Err(ValidationError::InvalidRecord { .. })));
    assert!(matches!(check(change(16, &[1])), Err(ValidationError::InvalidRecord { .. })));
    assert!(matches!(
        check(batch_of(&[vec![0; 6000]], now_ms)),
        Err(ValidationError::MessageTooLarge { limit: 5000, .. })
    ));
    assert!(matches!(check(batch_of(&[vec![0; 4500]], now_ms)), Err(ValidationError::RecordListTooLarge { .. })));
    assert!(matches!(check(change(22, &[0x20])), Err(ValidationError::InvalidRecord { .. })), "control bit");
    assert!(
        matches!(check(change(43, &[0; 8])), Err(ValidationError::InvalidRecord { .. })),
        "producer id without sequence"
    );
    assert!(matches!(check(change(57, &[0, 0, 0, 2])), Err(ValidationError::InvalidRecord { .. })), "wrong count");
    assert!(matches!(check(change(22, &[7])), Err(ValidationError::InvalidRecord { .. })), "unknown codec");
    let future = batch_of(&[value(1)], now_ms + 3_700_000);
    assert!(matches!(check(future), Err(ValidationError::InvalidTimestamp { .. })));
    let keyless = check(idempotent(1, 0, 0, 2)).unwrap_err();
    assert!(matches!(keyless, ValidationError::InvalidRecord { batch_index: Some(0), .. }), "{keyless}");
    let zstd = compressed(&[value(1)], Compression::Zstd);
    let old = ValidationRules { zstd_allowed: false, ..ValidationRules::new(&config, now_ms, AppendOrigin::Client) };
    assert!(matches!(validate_batches(zstd, &old), Err(ValidationError::UnsupportedCompression)));
}

#[tokio::test]
async fn a_wrong_largest_timestamp_is_put_right() {
    let mut bytes = batch_of(&[value(1)], 77).to_vec();
    bytes[35..43].copy_from_slice(&5i64.to_be_bytes());
    let crc = levada_wire::records::crc_of(&bytes);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    let config = LogConfig::default();
    let checked = validate_batches(bytes.into(), &ValidationRules::new(&config, 100, AppendOrigin::Client)).unwrap();
    assert_eq!(checked.headers().first().unwrap().max_timestamp, 77);
    let dir = tempfile::tempdir().unwrap();
    let manager = LogManager::open(Env::real(), real_options(dir.path())).await.unwrap();
    let log = manager.create(partition(), None, config).await.unwrap();
    log.append(AppendRequest::leader(checked, 0)).await.unwrap();
    forget_tail(&log);
    assert_eq!(read_from(&log, 0, 1000).await.unwrap().len(), 1, "its checksum fits, or reading would have failed");
    let opened = manager.env().disk.open(&dir.path().join("topic-0/00000000000000000000.log"), OpenOptions::READ);
    assert!(opened.unwrap().len().unwrap() > 61);
}

/// Leaves a log directory behind for Apache's tools to read: `LEVADA_DUMP_DIR=DIR cargo test -p levada-broker dump_log -- --ignored`, then
/// `kafka-dump-log --deep-iteration --files DIR/topic-0/...`.
#[tokio::test]
#[ignore = "makes input for kafka-dump-log"]
async fn a_directory_for_kafka_dump_log() {
    let Some(dir) = std::env::var_os("LEVADA_DUMP_DIR") else { return };
    let manager = LogManager::open(Env::real(), real_options(Path::new(&dir))).await.unwrap();
    let log = manager.create(partition(), Some(uuid::Uuid::from_u128(99)), small_segments()).await.unwrap();
    for i in 0..60 {
        append_under(&log, idempotent(7, 0, i * 2, 2), 1 + i / 50).await.unwrap();
        let codec = Compression::from_id((i % 5) as u8).unwrap();
        append_under(&log, compressed(&[value(i64::from(i))], codec), 1 + i / 50).await.unwrap();
    }
    log.wait_durable(log.log_end_offset()).await.unwrap();
    manager.shutdown().await;
}

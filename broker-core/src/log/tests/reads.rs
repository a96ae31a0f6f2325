//! Reading: from the tail cache and from files, limits, look-ups by time, restarts.

use std::path::Path;

use levada_env::Env;
use levada_wire::records::Compression;

use super::support::*;
use crate::log::*;

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
        let info = log.append(AppendRequest::leader(batches, 0), log.reserve(1).await.unwrap()).await.unwrap();
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

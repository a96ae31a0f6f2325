//! Appending: order, groups, duplicates, epochs, what the observer is told.

use std::sync::atomic::{AtomicI64, Ordering};

use levada_env::time::Duration;

use super::support::*;
use crate::config::TimestampType;
use crate::log::*;

#[tokio::test(start_paused = true)]
async fn a_group_of_appends_keeps_its_order_and_its_batches() {
    let (_sim, _manager, log) = sim(2, small_segments()).await;
    let config = LogConfig::default();
    let mut appends = Vec::new();
    for i in 0..50 {
        let batch = batch_of(&[value(i * 2), value(i * 2 + 1)], i);
        let rules = ValidationRules::new(&config, 0, AppendOrigin::Coordinator);
        let request = AppendRequest::leader(validate_batches(batch, &rules).unwrap(), 0);
        appends.push(log.append(request, log.reserve(1).await.unwrap()));
    }
    for (i, append) in appends.into_iter().enumerate() {
        let info = append.await.unwrap();
        assert_eq!((info.base_offset, info.last_offset, info.duplicate), (i as i64 * 2, i as i64 * 2 + 1, false));
    }
    assert_values(&log, 0, 100).await;
    log.wait_durable(100).await.unwrap();
    assert_eq!(log.durable_end_offset(), 100);
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
    let permit = log.reserve(1).await.unwrap();
    let queue = |bytes| log.append(AppendRequest::leader(validate_batches(bytes, &rules).unwrap(), 0), permit.clone());
    let (a, b) = (queue(idempotent(1, 0, 0, 2)), queue(idempotent(1, 0, 0, 2)));
    assert!(!a.await.unwrap().duplicate);
    let repeated = b.await.unwrap();
    assert_eq!((repeated.duplicate, repeated.base_offset, log.log_end_offset()), (true, 0, 2));
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
async fn an_append_whose_caller_left_is_done_all_the_same() {
    let (_sim, _manager, log) = sim(22, LogConfig::default()).await;
    let config = LogConfig::default();
    let rules = ValidationRules::new(&config, 0, AppendOrigin::Client);
    let request = AppendRequest::leader(validate_batches(batch_of(&[value(0)], 0), &rules).unwrap(), 0);
    drop(log.append(request, log.reserve(1).await.unwrap()));
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
    let permit = log.reserve(1).await.unwrap();
    log.append(AppendRequest::replica(batches.clone()), permit.clone()).await.unwrap();
    assert_eq!((log.log_end_offset(), log.latest_epoch()), (8, Some(EpochEntry { epoch: 3, start_offset: 7 })));
    let refused = log.append(AppendRequest::replica(batches), permit).await;
    assert!(matches!(refused, Err(LogError::NotContiguous { expected: 8, got: 0 })));
    log.truncate_fully_and_start_at(100).await.unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset(), log.durable_end_offset()), (100, 100, 100));
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

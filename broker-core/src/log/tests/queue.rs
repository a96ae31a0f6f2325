//! The append queue of a log directory: bounded in bytes whatever becomes of the callers, with a share of its own for the broker's topics.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use levada_env::sim::SimEnv;
use levada_env::time::{Duration, sleep, timeout};

use super::support::*;
use crate::log::*;

const QUEUE: usize = 1 << 20;

async fn stalled() -> (SimEnv, std::sync::Arc<LogManager>, PartitionLog, PartitionLog) {
    let sim = SimEnv::new(31);
    let options = LogManagerOptions { append_queue_bytes: QUEUE, ..options() };
    let manager = LogManager::open(sim.env(), options).await.unwrap();
    let ordinary = manager.create(partition(), None, LogConfig::default()).await.unwrap();
    let internal = LogConfig { internal: true, ..LogConfig::default() };
    let internal = manager.create(TopicPartition::new("__own", 0), None, internal).await.unwrap();
    sim.disk.faults(|faults| faults.stall_appends = true);
    (sim, manager, ordinary, internal)
}

/// Queues a batch of `size` bytes and goes away.
async fn append_and_leave(log: &PartitionLog, size: usize) -> Result<(), LogError> {
    let config = log.config();
    let rules = ValidationRules::new(&config, 0, AppendOrigin::Client);
    let batches = validate_batches(batch_of(&[vec![7; size]], 0), &rules).unwrap();
    let permit = log.reserve(batches.size()).await?;
    drop(log.append(AppendRequest::leader(batches, 0), permit));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_hangs_pushes_back_and_loses_nothing_of_those_who_left() {
    let (sim, _manager, ordinary, internal) = stalled().await;
    let (tx, mut queued) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..100 {
        let (log, tx) = (ordinary.clone(), tx.clone());
        tokio::spawn(async move {
            append_and_leave(&log, 100 << 10).await.unwrap();
            let _ = tx.send(());
        });
    }
    sleep(Duration::from_secs(10)).await;
    assert_eq!(queued.len(), 10, "what fits in the queue");
    assert!(ordinary.log_dir().queued_bytes() <= QUEUE);
    timeout(Duration::from_secs(1), append_and_leave(&internal, 1000)).await.expect("has its own share").unwrap();
    sim.disk.faults(|faults| faults.stall_appends = false);
    for _ in 0..100 {
        queued.recv().await.unwrap();
    }
    sleep(Duration::from_secs(1)).await;
    assert_eq!((ordinary.log_end_offset(), internal.log_end_offset()), (100, 1));
    assert_eq!(ordinary.log_dir().queued_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn batches_of_one_frame_hold_its_size_once_and_as_long_as_one_of_them_waits() {
    let (sim, _manager, log, _) = stalled().await;
    let mut frame = FrameRoom::new(600 << 10);
    let first = log.reserve_in(&mut frame, 1000).await.unwrap();
    let second = log.reserve_in(&mut frame, 1000).await.unwrap();
    assert_eq!(log.log_dir().queued_bytes(), 600 << 10);
    drop(first);
    assert_eq!(log.log_dir().queued_bytes(), 600 << 10);
    drop(second);
    assert_eq!(log.log_dir().queued_bytes(), 0);
    let again = log.reserve_in(&mut frame, 1000).await.unwrap();
    assert_eq!(log.log_dir().queued_bytes(), 600 << 10);
    drop((again, sim));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_room_hears_of_a_directory_that_goes_offline() {
    let (sim, _manager, log, _) = stalled().await;
    append_and_leave(&log, QUEUE - 10_000).await.unwrap();
    let waiting = tokio::spawn({
        let log = log.clone();
        async move { append_and_leave(&log, 100_000).await }
    });
    sleep(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished());
    sim.disk.faults(|faults| (faults.stall_appends, faults.fail_writes) = (false, 1));
    let told = timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap();
    assert!(matches!(told, Err(LogError::LogDirOffline { .. })), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_unpacks_far_is_checked_off_the_runtime_within_its_memory_share() {
    let (_sim, _manager, log) = sim(32, LogConfig { compact: true, ..LogConfig::default() }).await;
    let config = log.config();
    let rules = ValidationRules::new(&config, 1000, AppendOrigin::Client);
    let polled = |values: &[Vec<u8>]| {
        let batch = compressed(values, levada_wire::records::Compression::Zstd);
        let mut check = pin!(log.validate(batch, &rules));
        let first = check.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        (first.is_ready(), log.inner.unpacking.used())
    };
    assert_eq!(polled(&[vec![7; 100_000]]), (true, 0), "a little is checked at once");
    let (ready, used) = polled(&[vec![7; 3_000_000]]);
    assert!(!ready && (3_000_000..16 << 20).contains(&used), "{ready} {used}");
    let batch = compressed(&vec![vec![7; 1_000_000]; 100], levada_wire::records::Compression::Zstd);
    assert!(batch.len() < 100_000, "a thousandfold");
    assert_eq!(log.validate(batch.clone(), &rules).await.unwrap().unwrap().records(), 100);
    assert_eq!(log.inner.unpacking.used(), 0);
    let tight = ValidationRules { decompressed_limit: 50_000_000, ..rules };
    let refused = log.validate(batch, &tight).await.unwrap();
    assert!(matches!(refused, Err(ValidationError::Corrupt(_))), "{refused:?}");
}

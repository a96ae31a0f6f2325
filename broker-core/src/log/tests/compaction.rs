//! Compaction: what stays, what goes, and that a crash in the middle loses nothing.

use std::collections::BTreeMap;

use bytes::Bytes;
use levada_env::sim::SimEnv;
use levada_env::time::Duration;
use levada_env::{Disk as _, Rng as _, SeededRng};
use levada_wire::records::{Compression, RecordBatchBuilder};

use super::support::*;
use crate::log::*;

fn config() -> LogConfig {
    LogConfig { compact: true, delete: false, delete_retention_ms: 1000, file_delete_delay_ms: 0, ..small_segments() }
}

/// Newest value by key; a missing key was deleted or never there.
type Model = BTreeMap<u64, Option<String>>;

fn batch(rng: &SeededRng, model: &mut Model, counter: &mut u64, now_ms: i64) -> Bytes {
    let mut builder = RecordBatchBuilder::new(Vec::new());
    for _ in 0..=rng.below(5) {
        *counter += 1;
        let key = rng.below(20);
        let value = (rng.below(5) > 0).then(|| counter.to_string());
        builder.append(now_ms, Some(&key.to_be_bytes()), value.as_deref().map(str::as_bytes), []).unwrap();
        model.insert(key, value);
    }
    let codec = if rng.below(3) == 0 { Compression::Zstd } else { Compression::None };
    Bytes::from(builder.finish_with(codec, None, &mut Vec::new()).unwrap())
}

/// Replays the log: newest value by key, tombstones as absence, and every record's offset.
async fn replay(log: &PartitionLog) -> (BTreeMap<u64, String>, Vec<i64>) {
    let (mut state, mut offsets) = (BTreeMap::new(), Vec::new());
    forget_tail(log);
    for batch in read_from(log, log.log_start_offset(), 500).await.unwrap() {
        for record in batch.records(1 << 20).unwrap() {
            let record = record.unwrap();
            offsets.push(record.offset);
            let key = u64::from_be_bytes(record.key.unwrap().as_ref().try_into().unwrap());
            match record.value {
                Some(value) => state.insert(key, String::from_utf8(value.to_vec()).unwrap()),
                None => state.remove(&key),
            };
        }
    }
    (state, offsets)
}

fn alive(model: &Model) -> BTreeMap<u64, String> {
    model.iter().filter_map(|(key, value)| Some((*key, value.clone()?))).collect()
}

async fn fill(sim: &SimEnv, log: &PartitionLog, rng: &SeededRng, model: &mut Model, counter: &mut u64) {
    for _ in 0..150 {
        let now_ms = levada_env::Clock::wall_ms(&*sim.clock);
        append(log, batch(rng, model, counter, now_ms)).await.unwrap();
    }
    log.wait_durable(log.log_end_offset()).await.unwrap();
    log.set_high_watermark(log.log_end_offset());
}

#[tokio::test(start_paused = true)]
async fn the_newest_value_of_each_key_stays_at_its_offset_and_tombstones_go_in_time() {
    let (sim, manager, log) = sim(1, config()).await;
    let (rng, mut model, mut counter) = (SeededRng::new(9), Model::new(), 0);
    fill(&sim, &log, &rng, &mut model, &mut counter).await;
    let (end, size) = (log.log_end_offset(), log.size());
    let (before, all) = replay(&log).await;
    assert_eq!(before, alive(&model));
    assert!(log.compact().await.unwrap() > 3);
    let (state, kept) = replay(&log).await;
    assert_eq!(state, alive(&model));
    assert!(
        kept.len() < all.len() / 2 && kept.iter().all(|offset| all.binary_search(offset).is_ok()),
        "kept, not renumbered"
    );
    assert!(log.size() < size / 2);
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (0, end));
    let tombstones = kept.len();
    levada_env::time::sleep(Duration::from_secs(2)).await;
    fill(&sim, &log, &rng, &mut model, &mut counter).await;
    log.compact().await.unwrap();
    assert_eq!(replay(&log).await.0, alive(&model));
    assert!(tombstones > 0);
    manager.shutdown().await;
    let log = open(&sim.env()).await.get(&partition()).unwrap();
    assert_eq!(replay(&log).await.0, alive(&model));
    assert!(append(&log, idempotent(5, 0, 0, 1)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn nothing_above_the_high_watermark_and_nothing_active_is_touched() {
    let (sim, _manager, log) = sim(2, config()).await;
    let (rng, mut model, mut counter) = (SeededRng::new(9), Model::new(), 0);
    fill(&sim, &log, &rng, &mut model, &mut counter).await;
    log.inner.high_watermark.store(0, std::sync::atomic::Ordering::Release);
    assert_eq!(log.compact().await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_moment_of_compaction_loses_no_key() {
    for seed in 0..40 {
        let (sim, manager, log) = sim(seed, config()).await;
        let (rng, mut model, mut counter) = (SeededRng::new(seed), Model::new(), 0);
        fill(&sim, &log, &rng, &mut model, &mut counter).await;
        let compaction = log.clone();
        // Compaction is one job on the simulated disk, so the crash falls on a write or sync of it that fails.
        sim.disk.faults(|faults| match seed % 3 {
            0 => faults.fail_syncs = u32::from(rng.below(2) == 0),
            1 => faults.capacity = Some(log.size() * 2 + rng.below(2000)),
            _ => {}
        });
        let _ = compaction.compact().await;
        sim.disk.faults(|faults| *faults = levada_env::sim::SimFaults::default());
        let sim = sim.crash();
        drop(manager);
        let manager = open(&sim.env()).await;
        let log = manager.get(&partition()).unwrap();
        log.update_config(config());
        assert_eq!(replay(&log).await.0, alive(&model), "seed {seed}");
        log.set_high_watermark(log.log_end_offset());
        fill(&sim, &log, &rng, &mut model, &mut counter).await;
        log.compact().await.unwrap();
        assert_eq!(replay(&log).await.0, alive(&model), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_background_task_compacts_when_enough_is_dirty() {
    let (sim, manager, log) = sim(3, config()).await;
    let (rng, mut model, mut counter) = (SeededRng::new(9), Model::new(), 0);
    fill(&sim, &log, &rng, &mut model, &mut counter).await;
    let size = log.size();
    manager.start_background();
    levada_env::time::sleep(Duration::from_secs(40)).await;
    assert!(log.size() < size / 2);
    assert_eq!(replay(&log).await.0, alive(&model));
}

fn names(sim: &SimEnv) -> Vec<String> {
    sim.disk.read_dir(&partition_file("")).unwrap().into_iter().map(|entry| entry.name).collect()
}

/// A log with something to compact, closed and opened again, so that no index is in memory.
async fn reopened(seed: u64, reserve_bytes: u64) -> (SimEnv, std::sync::Arc<LogManager>, PartitionLog, Model) {
    let (sim, manager, log) = sim(seed, config()).await;
    let (rng, mut model, mut counter) = (SeededRng::new(seed), Model::new(), 0);
    fill(&sim, &log, &rng, &mut model, &mut counter).await;
    manager.shutdown().await;
    drop((manager, log));
    let manager = LogManager::open(sim.env(), LogManagerOptions { reserve_bytes, ..options() }).await.unwrap();
    let log = manager.get(&partition()).unwrap();
    log.update_config(config());
    log.set_high_watermark(log.log_end_offset());
    (sim, manager, log, model)
}

#[tokio::test(start_paused = true)]
async fn compaction_leaves_the_reserve_alone_and_goes_on_when_there_is_space() {
    let (sim, _manager, log, model) = reopened(4, 100_000).await;
    sim.disk.faults(|faults| faults.capacity = Some(1 << 30));
    let used = (1 << 30) - sim.disk.available_space(DIR.as_ref()).unwrap();
    let size = log.size();
    sim.disk.faults(|faults| faults.capacity = Some(used + 100_000 + 500));
    let refused = log.compact().await;
    assert!(matches!(refused, Err(LogError::StorageFull { .. })), "{refused:?}");
    assert_eq!(log.size(), size);
    log.update_config(LogConfig { internal: true, ..config() });
    sim.disk.faults(|faults| faults.capacity = Some(used + 50_000 + 500));
    assert!(log.compact().await.is_err(), "half of it is for appends alone");
    sim.disk.faults(|faults| faults.capacity = Some(used + 50_000 + 10_000));
    assert!(log.compact().await.unwrap() > 0);
    assert_eq!(replay(&log).await.0, alive(&model));
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_fills_up_under_compaction_has_no_half_cleaned_file_left() {
    let (sim, _manager, log, model) = reopened(5, 0).await;
    sim.disk.faults(|faults| faults.refuse_writes = 1);
    assert!(matches!(log.compact().await, Err(LogError::StorageFull { .. })));
    assert!(!names(&sim).iter().any(|name| name.ends_with(".cleaned")), "{:?}", names(&sim));
    assert!(log.compact().await.unwrap() > 0);
    assert_eq!(replay(&log).await.0, alive(&model));
}

#[tokio::test(start_paused = true)]
async fn no_index_of_a_replaced_file_stays_for_the_one_that_took_its_name() {
    let (sim, manager, log, _) = reopened(6, 0).await;
    assert!(log.compact().await.unwrap() > 3);
    manager.shutdown().await;
    let mut entries = 0;
    for name in names(&sim) {
        let Some(base) = name.strip_suffix(".index") else { continue };
        let read = |suffix: &str| sim.disk.read_file(&partition_file(&format!("{base}{suffix}")), 1 << 20).unwrap();
        let (index, content) = (read(".index"), read(".log"));
        let base: i64 = base.parse().unwrap();
        for entry in index.chunks(8) {
            let number = |at: usize| i64::from(u32::from_be_bytes(entry[at..at + 4].try_into().unwrap()));
            let header = levada_wire::records::BatchHeader::parse(&content[number(4) as usize..]).unwrap();
            assert_eq!(header.last_offset(), base + number(0), "{name}");
            entries += 1;
        }
    }
    assert!(entries > 0);
}

#[tokio::test(start_paused = true)]
async fn keys_that_do_not_fit_the_map_wait_for_the_next_pass_even_inside_a_batch() {
    let (_sim, manager, log, model) = reopened(7, 0).await;
    let mut before = -1;
    loop {
        // Each pass needs a recovery point that covers what the last one wrote.
        manager.checkpoint().await;
        log.inner.clean(0.0, 3).unwrap();
        assert_eq!(replay(&log).await.0, alive(&model));
        let cleaned_to = log.inner.cleaned_to.load(std::sync::atomic::Ordering::Relaxed);
        if cleaned_to == before {
            break;
        }
        assert!(cleaned_to - before <= 30, "no more than the map holds, and records of known keys between them");
        before = cleaned_to;
    }
    assert!(before > log.log_end_offset() / 2);
}

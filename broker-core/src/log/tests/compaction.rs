//! Compaction: what stays, what goes, and that a crash in the middle loses nothing.

use std::collections::BTreeMap;

use bytes::Bytes;
use levada_env::sim::SimEnv;
use levada_env::time::Duration;
use levada_env::{Rng as _, SeededRng};
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
    log.set_high_watermark(0);
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

//! Files that an interrupted cleaning or replacement left, by Levada or by Kafka.

use levada_env::sim::SimEnv;
use levada_env::{Disk as _, OpenOptions};

use super::support::*;

/// A log of three and more closed segments after an orderly stop, and the base offsets of its segments.
async fn stopped(seed: u64) -> (SimEnv, Vec<i64>) {
    let (sim, manager, log) = sim(seed, small_segments()).await;
    fill(&log, 0, 100).await;
    log.wait_durable(100).await.unwrap();
    let bases = log.inner.segments().iter().map(|segment| segment.base_offset).collect();
    manager.shutdown().await;
    (sim, bases)
}

fn name(base: i64, suffix: &str) -> std::path::PathBuf {
    partition_file(&format!("{base:020}{suffix}"))
}

fn write(sim: &SimEnv, base: i64, suffix: &str, content: &[u8]) {
    sim.disk.open(&name(base, suffix), OpenOptions::REPLACE).unwrap().write_all_at(content, 0).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_replacement_that_kafka_had_begun_is_completed() {
    let (sim, bases) = stopped(1).await;
    let [first, second, third, ..] = bases[..] else { panic!("{bases:?}") };
    let read = |base| sim.disk.read_file(&name(base, ".log"), 1 << 20).unwrap();
    let merged = [read(first), read(second)].concat();
    write(&sim, first, ".log.swap", &merged);
    write(&sim, first, ".index.swap", b"whatever");
    // The second of those it replaces was removed already.
    sim.disk.remove_file(&name(second, ".log")).unwrap();
    let log = open(&sim.env()).await.get(&partition()).unwrap();
    assert_values(&log, 0, 100).await;
    let bases: Vec<i64> = log.inner.segments().iter().map(|segment| segment.base_offset).take(2).collect();
    assert_eq!(bases, [first, third]);
    assert!(!sim.disk.exists(&name(first, ".index.swap")) && !sim.disk.exists(&name(first, ".log.swap")));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_finished_or_damaged_replaces_nothing() {
    let (sim, bases) = stopped(2).await;
    write(
        &sim,
        bases[0],
        ".log.swap",
        b"no batch at all, but long enough to look like one if nobody looks closely....",
    );
    write(&sim, bases[1], ".log.cleaned", b"half");
    write(&sim, bases[2], ".log.swap", &[]);
    write(&sim, bases[2], ".log.deleted", b"gone");
    let manager = open(&sim.env()).await;
    assert_values(&manager.get(&partition()).unwrap(), 0, 100).await;
    manager.shutdown().await;
    write(&sim, bases[1], ".log.swap", &[]);
    let log = open(&sim.env()).await.get(&partition()).unwrap();
    assert_values(&log, 0, 100).await;
    let names = sim.disk.read_dir(&partition_file("")).unwrap();
    let left = |suffix: &str| names.iter().any(|entry| entry.name.ends_with(suffix));
    assert!(!left(".swap") && !left(".cleaned") && !left(".deleted"));
}

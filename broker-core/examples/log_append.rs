//! How fast the log alone takes batches:
//! `cargo run --release -p levada-broker --example log_append [MIB] [BATCH_BYTES] [PARTITIONS] [IN_FLIGHT] [SYNCFS_MIN_FILES...]`.
//!
//! Builds batches of 100-byte records and appends them to so many partitions on the real disk under `target/`, one writer each, which has
//! up to IN_FLIGHT batches (5) on their way to durability. Once with page-cache durability, then with fsync for each of the given values of
//! `log.syncfs.min.files` (0, which never uses it, and the default). Prints CPU seconds of this process and, for the work that the
//! kernel's own threads do for it, of the whole machine: let nothing else run.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::disallowed_methods, reason = "a measuring tool")]

use std::sync::Arc;
use std::time::Instant;

use levada_broker::config::AckDurability;
use levada_broker::log::{
    AppendOrigin, AppendRequest, DEFAULT_SYNCFS_MIN_FILES, LogConfig, LogManager, LogManagerOptions, PartitionLog,
    TopicPartition, ValidationRules,
};
use levada_env::Env;
use levada_wire::records::RecordBatchBuilder;

fn argument(index: usize, default: usize) -> usize {
    std::env::args().nth(index).and_then(|text| text.parse().ok()).unwrap_or(default)
}

struct Load {
    mib: usize,
    batch_bytes: usize,
    partitions: usize,
    in_flight: usize,
}

async fn write(manager: Arc<LogManager>, log: PartitionLog, load: Arc<Load>) -> u64 {
    let (pool, config) = (Arc::clone(manager.buf_pool()), log.config());
    let (mut written, mut records) = (0, 0);
    let mut waiting = std::collections::VecDeque::new();
    let value = [b'x'; 100];
    while written < load.mib * (1 << 20) / load.partitions {
        let mut builder = RecordBatchBuilder::new(pool.take_vec(load.batch_bytes + 200));
        while builder.size_with(0, value.len()) < load.batch_bytes {
            builder.append(1, None, Some(&value), []).unwrap();
        }
        records += builder.count() as u64;
        let batch = pool.freeze(builder.finish());
        written += batch.len();
        let rules = ValidationRules { now_ms: 1, ..ValidationRules::new(&config, 1, AppendOrigin::Client) };
        let checked = log.validate(batch, &rules).await.unwrap().unwrap();
        let permit = log.reserve(checked.size()).await.unwrap();
        let (append, log) = (log.append(AppendRequest::leader(checked, 0), permit), log.clone());
        waiting.push_back(tokio::spawn(async move {
            let info = append.await.unwrap();
            log.wait_durable(info.last_offset + 1).await.unwrap();
        }));
        if waiting.len() >= load.in_flight {
            waiting.pop_front().unwrap().await.unwrap();
        }
    }
    for task in waiting {
        task.await.unwrap();
    }
    records
}

/// Seconds from the `fields` of a line of `/proc`.
fn cpu_seconds(path: &str, after: &str, fields: &[usize]) -> f64 {
    let stat = std::fs::read_to_string(path).unwrap();
    let line = stat.lines().next().unwrap().rsplit(after).next().unwrap();
    let all: Vec<&str> = line.split_whitespace().collect();
    fields.iter().map(|field| all[*field].parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

/// Of this process, and of the machine.
fn cpu() -> [f64; 2] {
    [cpu_seconds("/proc/self/stat", ")", &[11, 12]), cpu_seconds("/proc/stat", "cpu", &[0, 1, 2, 5, 6])]
}

async fn measure(name: &str, load: &Arc<Load>, durability: AckDurability, syncfs_min_files: usize) {
    let dir = std::env::current_dir().unwrap().join("target/log-append");
    let _ = std::fs::remove_dir_all(&dir);
    let options = LogManagerOptions { syncfs_min_files, ..LogManagerOptions::new(&dir) };
    let manager = LogManager::open(Env::real(), options).await.unwrap();
    let config = LogConfig { ack_durability: durability, ..LogConfig::default() };
    let mut logs = Vec::new();
    for partition in 0..load.partitions {
        let partition = TopicPartition::new("bench", partition as i32);
        logs.push(manager.create(partition, None, config.clone()).await.unwrap());
    }
    let (start, before) = (Instant::now(), cpu());
    let tasks: Vec<_> =
        logs.into_iter().map(|log| tokio::spawn(write(Arc::clone(&manager), log, Arc::clone(load)))).collect();
    let mut records = 0;
    for task in tasks {
        records += task.await.unwrap();
    }
    let (seconds, after) = (start.elapsed().as_secs_f64(), cpu());
    let (mib, gib) = (load.mib as f64, load.mib as f64 / 1024.0);
    let counts = manager.log_dirs()[0].0.sync_counts();
    println!(
        "{name:>12}: {:5.0} MiB/s, {:8.0} records/s, {:5.2} CPU s/GiB, {:5.2} of the machine; {} fdatasync, {} syncfs for {}",
        mib / seconds,
        records as f64 / seconds,
        (after[0] - before[0]) / gib,
        (after[1] - before[1]) / gib,
        counts.alone,
        counts.together,
        counts.covered,
    );
    manager.shutdown().await;
    let _ = std::fs::remove_dir_all(&dir);
}

#[tokio::main]
async fn main() {
    let load = Load {
        mib: argument(1, 512),
        batch_bytes: argument(2, 16 * 1024),
        partitions: argument(3, 6),
        in_flight: argument(4, 5),
    };
    let load = Arc::new(load);
    let Load { mib, batch_bytes, partitions, in_flight } = *load;
    println!(
        "{mib} MiB in batches of {batch_bytes} bytes, {partitions} partitions, {in_flight} batches in flight for each"
    );
    measure("page-cache", &load, AckDurability::PageCache, 0).await;
    let mut thresholds: Vec<usize> = std::env::args().skip(5).filter_map(|text| text.parse().ok()).collect();
    if thresholds.is_empty() {
        thresholds = vec![0, DEFAULT_SYNCFS_MIN_FILES];
    }
    for min_files in thresholds {
        measure(&format!("fsync, {min_files}"), &load, AckDurability::Fsync, min_files).await;
    }
}

//! How fast the log alone takes batches: `cargo run --release -p levada-broker --example log_append [MIB] [BATCH_BYTES] [WRITERS]`.
//!
//! Builds batches of 100-byte records and appends them to 6 partitions on the real disk, each writer waiting for durability with a few
//! batches in flight, once with fsync and once with page-cache durability.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::disallowed_methods, reason = "a measuring tool")]

use std::sync::Arc;
use std::time::Instant;

use levada_broker::config::AckDurability;
use levada_broker::log::{
    AppendOrigin, AppendRequest, LogConfig, LogManager, LogManagerOptions, PartitionLog, TopicPartition,
    ValidationRules,
};
use levada_env::Env;
use levada_wire::records::RecordBatchBuilder;

const PARTITIONS: i32 = 6;
const IN_FLIGHT: usize = 5;

fn argument(index: usize, default: usize) -> usize {
    std::env::args().nth(index).and_then(|text| text.parse().ok()).unwrap_or(default)
}

async fn write(manager: Arc<LogManager>, log: PartitionLog, bytes: usize, batch_bytes: usize) -> u64 {
    let (pool, config) = (Arc::clone(manager.buf_pool()), log.config());
    let (mut written, mut records) = (0, 0);
    let mut waiting = std::collections::VecDeque::new();
    let value = [b'x'; 100];
    while written < bytes {
        let mut builder = RecordBatchBuilder::new(pool.take_vec(batch_bytes + 200));
        while builder.size_with(0, value.len()) < batch_bytes {
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
        if waiting.len() >= IN_FLIGHT {
            waiting.pop_front().unwrap().await.unwrap();
        }
    }
    for task in waiting {
        task.await.unwrap();
    }
    records
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

#[tokio::main]
async fn main() {
    let (mib, batch_bytes, writers) = (argument(1, 1024), argument(2, 16 * 1024), argument(3, 6));
    for durability in [AckDurability::Fsync, AckDurability::PageCache] {
        let dir = std::env::current_dir().unwrap().join("target/log-append");
        let _ = std::fs::remove_dir_all(&dir);
        let manager = LogManager::open(Env::real(), LogManagerOptions::new(&dir)).await.unwrap();
        let config = LogConfig { ack_durability: durability, ..LogConfig::default() };
        let (start, cpu) = (Instant::now(), cpu_seconds());
        let mut tasks = Vec::new();
        for writer in 0..writers {
            let partition = TopicPartition::new("bench", writer as i32 % PARTITIONS);
            let log = manager.create(partition, None, config.clone()).await.unwrap();
            tasks.push(tokio::spawn(write(Arc::clone(&manager), log, mib * (1 << 20) / writers, batch_bytes)));
        }
        let mut records = 0;
        for task in tasks {
            records += task.await.unwrap();
        }
        let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        let gib = mib as f64 / 1024.0;
        println!(
            "{durability:?}: {mib} MiB in {seconds:.2} s, {:.0} MiB/s, {:.0} records/s, {:.2} CPU s per GiB",
            mib as f64 / seconds,
            records as f64 / seconds,
            cpu / gib
        );
        manager.shutdown().await;
        let _ = std::fs::remove_dir_all(&dir);
    }
}

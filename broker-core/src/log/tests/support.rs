//! What the tests share: a manager on some disk, batches, reading everything.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use levada_env::Env;
use levada_env::sim::SimEnv;
use levada_wire::records::{Batch, BatchIter, Compression, RecordBatchBuilder};

use crate::log::*;

pub(super) const DIR: &str = "/data";

pub(super) fn options() -> LogManagerOptions {
    let mut options = LogManagerOptions::new(DIR);
    options.reserve_bytes = 0;
    options
}

pub(super) async fn open(env: &Env) -> Arc<LogManager> {
    LogManager::open(env.clone(), options()).await.unwrap()
}

pub(super) fn partition() -> TopicPartition {
    TopicPartition::new("topic", 0)
}

/// A manager on a new simulated machine, with one partition.
pub(super) async fn sim(seed: u64, config: LogConfig) -> (SimEnv, Arc<LogManager>, PartitionLog) {
    let sim = SimEnv::new(seed);
    let manager = open(&sim.env()).await;
    let log = manager.create(partition(), None, config).await.unwrap();
    (sim, manager, log)
}

pub(super) fn small_segments() -> LogConfig {
    LogConfig { segment_bytes: 2000, index_interval_bytes: 100, retention_ms: -1, ..LogConfig::default() }
}

/// Values of a batch, one record each.
pub(super) fn batch_of(values: &[Vec<u8>], timestamp: i64) -> Bytes {
    let mut builder = RecordBatchBuilder::new(Vec::new());
    for value in values {
        builder.append(timestamp, Some(b"key"), Some(value), []).unwrap();
    }
    Bytes::from(builder.finish())
}

pub(super) fn idempotent(producer_id: i64, epoch: i16, sequence: i32, records: usize) -> Bytes {
    let mut builder = RecordBatchBuilder::new(Vec::new());
    builder.set_producer(producer_id, epoch, sequence);
    for i in 0..records {
        builder.append(1000, None, Some(format!("{producer_id}/{}", sequence + i as i32).as_bytes()), []).unwrap();
    }
    Bytes::from(builder.finish())
}

pub(super) fn compressed(values: &[Vec<u8>], codec: Compression) -> Bytes {
    let mut builder = RecordBatchBuilder::new(Vec::new());
    for value in values {
        builder.append(1000, Some(b"key"), Some(value), []).unwrap();
    }
    Bytes::from(builder.finish_with(codec, None, &mut Vec::new()).unwrap())
}

pub(super) async fn append(log: &PartitionLog, bytes: Bytes) -> Result<AppendInfo, LogError> {
    append_under(log, bytes, 0).await
}

pub(super) async fn append_under(log: &PartitionLog, bytes: Bytes, epoch: i32) -> Result<AppendInfo, LogError> {
    let config = log.config();
    let now_ms = log.inner.env.clock.wall_ms();
    let rules = ValidationRules::new(&config, now_ms, AppendOrigin::Client);
    let batches = log.validate(bytes, &rules).await.unwrap().unwrap();
    let permit = log.reserve(batches.size()).await?;
    log.append(AppendRequest::leader(batches, epoch), permit).await
}

/// All batches from `start` to the end, read with the given answer size.
pub(super) async fn read_from(log: &PartitionLog, start: i64, max_bytes: usize) -> Result<Vec<Batch>, String> {
    let (mut at, end_offset) = (start, log.log_end_offset());
    let mut batches = Vec::new();
    while at < end_offset {
        let limits = ReadLimits { max_bytes, end_offset, at_least_one: true };
        let read = log.read(at, limits).await.map_err(|error| error.to_string())?;
        let chunks = log.materialise(read.data).await.map_err(|error| error.to_string())?;
        let before = at;
        for batch in BatchIter::of_chunks(chunks) {
            let batch = batch.map_err(|error| error.to_string())?;
            batch.verify_crc().map_err(|error| error.to_string())?;
            at = batch.header.next_offset();
            batches.push(batch);
        }
        if at == before {
            break;
        }
    }
    Ok(batches)
}

/// Offset and value of every record from `start` on.
pub(super) async fn try_values_from(log: &PartitionLog, start: i64) -> Result<Vec<(i64, Vec<u8>)>, String> {
    let mut values = Vec::new();
    for batch in read_from(log, start, 700).await? {
        for record in batch.records(1 << 20).map_err(|error| error.to_string())? {
            let record = record.map_err(|error| error.to_string())?;
            if record.offset >= start {
                values.push((record.offset, record.value.unwrap_or_default().to_vec()));
            }
        }
    }
    Ok(values)
}

pub(super) async fn values_from(log: &PartitionLog, start: i64) -> Vec<(i64, Vec<u8>)> {
    try_values_from(log, start).await.unwrap()
}

/// Empties the tail cache, so that reads go to the files.
pub(super) fn forget_tail(log: &PartitionLog) {
    log.inner.tail.clear();
}

pub(super) fn partition_file(name: &str) -> PathBuf {
    PathBuf::from(DIR).join("topic-0").join(name)
}

pub(super) fn value(i: i64) -> Vec<u8> {
    format!("value {i}").into_bytes()
}

pub(super) async fn fill(log: &PartitionLog, from: i64, to: i64) {
    for i in from..to {
        assert_eq!(append(log, batch_of(&[value(i)], i)).await.unwrap().base_offset, i);
    }
}

pub(super) async fn assert_values(log: &PartitionLog, from: i64, to: i64) {
    let expected: Vec<(i64, Vec<u8>)> = (from..to).map(|i| (i, value(i))).collect();
    assert_eq!(values_from(log, from).await, expected, "with what is cached");
    forget_tail(log);
    assert_eq!(values_from(log, from).await, expected, "from files");
}

pub(super) fn real_options(dir: &Path) -> LogManagerOptions {
    let mut options = LogManagerOptions::new(dir);
    options.reserve_bytes = 0;
    options
}

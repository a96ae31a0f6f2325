//! What the broker tells `/metrics`: a snapshot of counters and offsets.

use std::sync::Arc;

use levada_wire::ApiKey;

use crate::api::Services;
use crate::config::AckDurability;
use crate::log::LogDir;

/// A partition's numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionMetrics {
    /// Its topic.
    pub topic: Arc<str>,
    /// Its number.
    pub partition: i32,
    /// First offset there is.
    pub log_start_offset: i64,
    /// Exclusive.
    pub log_end_offset: i64,
    /// Exclusive; what is below is on disk (for fsync topics).
    pub durable_end_offset: i64,
    /// Exclusive; what is below consumers can see.
    pub high_watermark: i64,
    /// Bytes on disk.
    pub size: u64,
    /// The epoch this broker leads it in.
    pub leader_epoch: i32,
    /// Whether acknowledged records survive a power loss.
    pub ack_durability: AckDurability,
}

/// A log directory's numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDirMetrics {
    /// Where it is.
    pub path: String,
    /// Out of service until a restart.
    pub offline: bool,
    /// Bytes of batches that wait to be written.
    pub queued_bytes: usize,
    /// Writes refused so far for lack of space.
    pub refused_writes: u64,
}

/// The broker's numbers at one moment.
#[derive(Debug, Clone, Default)]
pub struct BrokerMetrics {
    /// Requests served, for each API that had one.
    pub requests: Vec<(ApiKey, u64)>,
    /// Bytes of requests read from sockets.
    pub bytes_received: u64,
    /// Bytes of answers written to sockets.
    pub bytes_sent: u64,
    /// Bytes of record batches produced.
    pub produced_bytes: u64,
    /// Record batches produced.
    pub produced_batches: u64,
    /// Bytes of records fetched.
    pub fetched_bytes: u64,
    /// Partitions read for fetches, those that gave nothing included.
    pub fetch_reads: u64,
    /// Partitions of produce requests that were refused.
    pub failed_produces: u64,
    /// Partitions of fetch requests that were refused.
    pub failed_fetches: u64,
    /// Connections accepted so far.
    pub connections_opened: u64,
    /// Connections open now.
    pub connections: u64,
    /// Connections closed because of what was sent on them.
    pub malformed_requests: u64,
    /// Bytes that requests being received and served may still take; 0 without listeners.
    pub request_memory_free: usize,
    /// Incremental fetch sessions kept.
    pub fetch_sessions: usize,
    /// Bytes that answers hold until they are written.
    pub answer_memory: usize,
    /// Topics.
    pub topics: usize,
    /// The log directories.
    pub log_dirs: Vec<LogDirMetrics>,
    /// Partitions that have been used since the start, by topic and number.
    pub partitions: Vec<PartitionMetrics>,
}

impl BrokerMetrics {
    pub(crate) fn of(services: &Services) -> Self {
        let metrics = &services.metrics;
        let (opened, closed) = (metrics.connections_opened.get(), metrics.connections_closed.get());
        let partition = |partition: Arc<crate::replica::Partition>| {
            let log = partition.log();
            PartitionMetrics {
                topic: partition.topic().clone(),
                partition: partition.index(),
                log_start_offset: log.log_start_offset(),
                log_end_offset: log.log_end_offset(),
                durable_end_offset: log.durable_end_offset(),
                high_watermark: partition.high_watermark(),
                size: log.size(),
                leader_epoch: partition.leader_epoch(),
                ack_durability: log.config().ack_durability,
            }
        };
        Self {
            requests: metrics.requests(),
            bytes_received: metrics.bytes_received.get(),
            bytes_sent: metrics.bytes_sent.get(),
            produced_bytes: metrics.produced_bytes.get(),
            produced_batches: metrics.produced_batches.get(),
            fetched_bytes: metrics.fetched_bytes.get(),
            fetch_reads: metrics.fetch_reads.get(),
            failed_produces: metrics.failed_produces.get(),
            failed_fetches: metrics.failed_fetches.get(),
            connections_opened: opened,
            connections: opened.saturating_sub(closed),
            malformed_requests: metrics.malformed_requests.get(),
            request_memory_free: 0,
            fetch_sessions: services.sessions.len(),
            answer_memory: services.answer_memory.used(),
            topics: services.quorum.image().topics().count(),
            log_dirs: services.logs.log_dirs().iter().map(|(dir, _)| log_dir_metrics(dir)).collect(),
            partitions: services.replicas.all_loaded().into_iter().map(partition).collect(),
        }
    }
}

fn log_dir_metrics(dir: &LogDir) -> LogDirMetrics {
    LogDirMetrics {
        path: dir.path().display().to_string(),
        offline: dir.offline_cause().is_some(),
        queued_bytes: dir.queued_bytes(),
        refused_writes: dir.refused_writes(),
    }
}

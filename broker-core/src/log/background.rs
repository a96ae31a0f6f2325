//! The manager's background task: timed flushes, retention, checkpoints, removal of deleted files, idle files closed. One task, one tick a
//! second, work on maintenance threads; it ends when the manager stops.

use std::sync::Arc;

use levada_env::time::{Duration, MissedTickBehavior, interval};
use levada_env::{Instant, IoClass};

use super::checkpoint::{CLEANER_FILE, HIGH_WATERMARK_FILE, LOG_START_FILE, RECOVERY_POINT_FILE};
use super::{LogError, LogManager, PartitionLog};

const TICK: Duration = Duration::from_secs(1);
/// Ticks between checkpoints of the high watermarks and log start offsets.
const OFFSETS_EVERY: u64 = 5;
/// Ticks between cleaning runs.
const CLEAN_EVERY: u64 = 15;
/// Ticks between checkpoints of the recovery points, and closing of idle files.
const RECOVERY_EVERY: u64 = 60;

pub(super) async fn run(manager: Arc<LogManager>) {
    let mut stop = manager.stop.subscribe();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last_retention = manager.env.clock.now();
    let mut count = 0u64;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        count += 1;
        let now = manager.env.clock.now();
        let retention = now.duration_since(last_retention) >= manager.options.retention_check;
        if retention {
            last_retention = now;
        }
        let work = {
            let manager = Arc::clone(&manager);
            move || tick(&manager, count, retention, now)
        };
        if levada_env::disk::run(&*manager.env.disk, IoClass::Maintenance, work).await.is_err() {
            tracing::error!("log maintenance failed this time");
        }
    }
}

fn tick(manager: &Arc<LogManager>, count: u64, retention: bool, now: Instant) {
    for log in manager.partitions() {
        flush_if_due(&log, now);
        if retention {
            enforce(&log);
        }
        if count.is_multiple_of(RECOVERY_EVERY) {
            upkeep(&log);
        }
        if count.is_multiple_of(CLEAN_EVERY) && log.config().compact {
            report(&log, "compaction", log.inner.clean_if_due().map(|_| ()));
        }
    }
    if count.is_multiple_of(OFFSETS_EVERY) {
        manager.write_checkpoints(&[HIGH_WATERMARK_FILE, LOG_START_FILE]);
    }
    if count.is_multiple_of(RECOVERY_EVERY) {
        manager.write_checkpoints(&[RECOVERY_POINT_FILE, CLEANER_FILE]);
    }
    manager.empty_trash();
    manager.rest();
}

fn flush_if_due(log: &PartitionLog, now: Instant) {
    let flush_ms = log.config().flush_ms;
    if let Some(since) = log.inner.sync.unflushed_since()
        && now.duration_since(since).as_millis() as i64 >= flush_ms
    {
        log.inner.request_sync(log.log_end_offset());
    }
}

fn enforce(log: &PartitionLog) {
    report(log, "retention", log.inner.delete_old_segments().map(|_| ()));
    let kept_for = Duration::from_millis(u64::try_from(log.config().producer_expiration_ms).unwrap_or(0));
    if let Some(oldest) = log.inner.env.clock.now().checked_sub(kept_for) {
        log.inner.writer.lock().producers.expire(oldest);
    }
}

/// Stores indexes that were made anew for reads, then forgets what nobody uses.
fn upkeep(log: &PartitionLog) {
    let segments = log.inner.segments();
    if let Some((_, closed)) = segments.split_last() {
        for segment in closed {
            match segment.sync_indexes() {
                // Reads do without the files, and the next upkeep tries again.
                Err(error) if LogError::is_full(&error) => {}
                Err(error) => drop(log.inner.write_failed("storing indexes", &error)),
                Ok(()) => {}
            }
            segment.release_if_idle();
        }
    }
}

fn report(log: &PartitionLog, what: &str, result: Result<(), LogError>) {
    match result {
        Ok(()) | Err(LogError::Closed | LogError::LogDirOffline { .. }) => {}
        Err(error) => tracing::warn!(partition = %log.topic_partition(), %error, "{what} failed"),
    }
}

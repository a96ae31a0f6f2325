//! The orderly stop: everything synced, state and checkpoints written, the directories marked clean, so that the next start reads little.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use levada_env::IoClass;
use tokio::sync::oneshot;

use super::dir_checkpoints;
use super::partition_log::Inner;
use super::segment::{SNAPSHOT_SUFFIX, file_name};
use super::{LogError, LogManager};

/// Says that the last stop was orderly.
pub(super) const CLEAN_MARK_FILE: &str = ".levada_clean_shutdown";

impl LogManager {
    /// Orderly stop: everything synced, state and checkpoints written, the directories marked clean. Stop appending before. Logs are closed
    /// afterwards.
    pub async fn shutdown(self: &Arc<Self>) {
        self.stop.send_replace(true);
        let background = self.background.lock().take();
        if let Some(background) = background {
            let _ = background.await;
        }
        let mut stopping = Vec::new();
        for log in self.partitions() {
            let (tx, rx) = oneshot::channel();
            let inner = Arc::clone(&log.inner);
            let job = move || {
                let _ = tx.send(inner.stop());
            };
            self.env.disk.submit(IoClass::Sync, Box::new(job));
            stopping.push((log, rx));
        }
        let mut unclean: BTreeSet<u16> = BTreeSet::new();
        for (log, stopped) in stopping {
            if let Err(error) = stopped.await.unwrap_or(Err(LogError::Closed)) {
                tracing::error!(partition = %log.topic_partition(), %error, "the partition was not stopped cleanly");
                unclean.insert(log.inner.log_dir.lane);
            }
        }
        let manager = Arc::clone(self);
        let finish = move || manager.finish_shutdown(&unclean);
        let _ = levada_env::disk::run(&*self.env.disk, IoClass::Maintenance, finish).await;
        for log in self.partitions() {
            log.inner.close();
        }
        for dir in &self.dirs {
            dir.context.log_dir.release();
        }
    }

    fn finish_shutdown(&self, unclean: &BTreeSet<u16>) {
        self.write_checkpoints(&dir_checkpoints::ALL);
        for dir in &self.dirs {
            let log_dir = &dir.context.log_dir;
            if unclean.contains(&log_dir.lane) || log_dir.offline_cause().is_some() {
                continue;
            }
            let mark = log_dir.path().join(CLEAN_MARK_FILE);
            if let Err(error) = self.env.disk.write_file_atomic(&mark, b"version=1\n") {
                tracing::error!(path = %mark.display(), %error, "cannot mark the log directory clean, the next start verifies it");
            }
        }
    }
}

impl Inner {
    /// The partition's part of an orderly stop.
    fn stop(self: &Arc<Self>) -> Result<(), LogError> {
        if self.is_closed() {
            return Ok(());
        }
        self.sync_once()?;
        let writer = self.writer.lock();
        let end = self.log_end();
        let write = || -> io::Result<()> {
            for segment in self.segments().iter() {
                match segment.sync_indexes() {
                    // The next start knows half-written index files for what they are, and makes them again.
                    Err(error) if LogError::is_full(&error) => {}
                    stored => stored?,
                }
            }
            let snapshot = self.dir.join(file_name(end, SNAPSHOT_SUFFIX));
            if !self.env.disk.exists(&snapshot) {
                self.write_snapshot(&writer, end)?;
            }
            self.flush_epochs()
        };
        write().map_err(|error| self.write_failed("stopping", &error))
    }
}

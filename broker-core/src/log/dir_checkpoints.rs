//! The offset checkpoints of a log directory: reading them at start, writing those that changed.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use levada_env::process::is_out_of_descriptors;
use levada_env::{Disk, IoClass};

use super::checkpoint::{self, CLEANER_FILE, HIGH_WATERMARK_FILE, LOG_START_FILE, Offsets, RECOVERY_POINT_FILE};
use super::loader::Checkpointed;
use super::manager::DirState;
use super::partition_log::Inner;
use super::{LogError, LogManager, OpenError, PartitionLog, TopicPartition};

/// All of them.
pub(super) const ALL: [&str; 4] = [RECOVERY_POINT_FILE, LOG_START_FILE, HIGH_WATERMARK_FILE, CLEANER_FILE];

/// The checkpoint files of one log directory.
pub(super) struct DirCheckpoints {
    clean: bool,
    certain: bool,
    /// The files that are there and readable.
    found: Vec<&'static str>,
    recovery_points: Offsets,
    log_starts: Offsets,
    high_watermarks: Offsets,
    cleaned: Offsets,
}

impl DirCheckpoints {
    /// A damaged file is as good as none: verification then covers everything.
    pub(super) fn read(disk: &dyn Disk, path: &Path, clean: bool) -> Result<Self, OpenError> {
        let mut found = Vec::new();
        let mut read = |name: &'static str| {
            let path = path.join(name);
            match checkpoint::read_offsets(disk, &path) {
                Ok(offsets) => {
                    found.extend(disk.exists(&path).then_some(name));
                    Ok(offsets)
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    tracing::warn!(path = %path.display(), %error, "unreadable checkpoint, verifying everything it covers");
                    Ok(Offsets::new())
                }
                Err(error) => Err(OpenError::io("read", &path)(error)),
            }
        };
        let recovery_points = read(RECOVERY_POINT_FILE)?;
        let (log_starts, high_watermarks) = (read(LOG_START_FILE)?, read(HIGH_WATERMARK_FILE)?);
        let cleaned = read(CLEANER_FILE)?;
        // Written when the directory was made, so a missing one was lost.
        let certain = found.contains(&RECOVERY_POINT_FILE);
        Ok(Self { clean: clean && certain, certain, found, recovery_points, log_starts, high_watermarks, cleaned })
    }

    /// What the files hold, by file.
    pub(super) fn as_written(&self) -> BTreeMap<&'static str, Offsets> {
        let files = [
            (RECOVERY_POINT_FILE, &self.recovery_points),
            (LOG_START_FILE, &self.log_starts),
            (HIGH_WATERMARK_FILE, &self.high_watermarks),
            (CLEANER_FILE, &self.cleaned),
        ];
        let found = files.into_iter().filter(|(file, _)| self.found.contains(file));
        found.map(|(file, offsets)| (file, offsets.clone())).collect()
    }

    pub(super) fn of(&self, partition: &TopicPartition) -> Checkpointed {
        let offset = |offsets: &Offsets| offsets.get(partition).copied().unwrap_or(0).max(0);
        Checkpointed {
            clean: self.clean,
            certain: self.certain,
            recovery_point: offset(&self.recovery_points),
            log_start_offset: offset(&self.log_starts),
            high_watermark: offset(&self.high_watermarks),
            cleaned_to: offset(&self.cleaned),
        }
    }
}

impl LogManager {
    /// Writes the offset checkpoints that changed. Runs on a disk thread.
    pub(super) fn write_checkpoints(&self, files: &[&'static str]) {
        for dir in &self.dirs {
            if dir.context.log_dir.offline_cause().is_some() {
                continue;
            }
            for file in files {
                if let Err(error) = self.write_checkpoint(dir, file) {
                    if LogError::is_full(&error) || is_out_of_descriptors(&error) {
                        tracing::warn!(file, %error, "a checkpoint can't be written, keeping the old one");
                    } else {
                        dir.context.log_dir.fail("writing a checkpoint", &error);
                    }
                }
            }
        }
    }

    /// Writes one of them if it changed.
    pub(super) fn write_checkpoint(&self, dir: &DirState, file: &'static str) -> io::Result<()> {
        // Before the logs are looked at: one deleted in between must not come back with a write that began earlier.
        let mut written = dir.written.lock();
        let logs = self.partitions().into_iter().filter(|log| Arc::ptr_eq(&log.inner.log_dir, &dir.context.log_dir));
        let logs: Vec<PartitionLog> = logs.collect();
        let offsets: Offsets =
            logs.iter().filter_map(|log| Some((log.topic_partition().clone(), offset_for(file, log)?))).collect();
        if written.get(file) == Some(&offsets) {
            return Ok(());
        }
        if file == RECOVERY_POINT_FILE {
            // Recovery takes epochs from the batches past the recovery point only.
            for log in &logs {
                log.inner.flush_epochs()?;
            }
        }
        checkpoint::write_offsets(&*self.env.disk, &dir.context.log_dir.path().join(file), &offsets)?;
        if file == RECOVERY_POINT_FILE {
            for log in &logs {
                if let Some(offset) = offsets.get(log.topic_partition()) {
                    log.inner.checkpointed.store(*offset, Ordering::Release);
                }
            }
        }
        written.insert(file, offsets);
        Ok(())
    }

    /// Runs what the background task does at its slowest rhythm, now: for tests and for `shutdown`-like moments.
    pub async fn checkpoint(self: &Arc<Self>) {
        let manager = Arc::clone(self);
        let write = move || {
            manager.write_checkpoints(&ALL);
        };
        let _ = levada_env::disk::run(&*self.env.disk, IoClass::Maintenance, write).await;
    }

    /// Takes a deleted partition of this name out of the checkpoint files: its offsets must never be taken for the new one's.
    pub(super) fn forget_deleted(&self, dir: &DirState, partition: &TopicPartition) -> Result<(), LogError> {
        for file in ALL {
            let listed = dir.written.lock().get(file).is_some_and(|offsets| offsets.contains_key(partition));
            if listed && let Err(error) = self.write_checkpoint(dir, file) {
                return Err(dir.context.log_dir.write_failed("writing a checkpoint", &error));
            }
        }
        Ok(())
    }
}

fn offset_for(file: &str, log: &PartitionLog) -> Option<i64> {
    match file {
        RECOVERY_POINT_FILE => Some(log.recovery_point()),
        HIGH_WATERMARK_FILE => Some(log.high_watermark()),
        CLEANER_FILE => Some(log.inner.cleaned_to.load(Ordering::Acquire)).filter(|offset| *offset > 0),
        _ => {
            let first = log.inner.segments().first().map_or(0, |segment| segment.base_offset);
            Some(log.log_start_offset()).filter(|start| *start > first)
        }
    }
}

impl Inner {
    /// Writes the leader epochs if they changed.
    pub(super) fn flush_epochs(&self) -> io::Result<()> {
        let entries = {
            let mut epochs = self.epochs.lock();
            if !std::mem::take(&mut epochs.dirty) {
                return Ok(());
            }
            epochs.entries().to_vec()
        };
        if self.is_closed() {
            return Ok(());
        }
        let written =
            checkpoint::write_epochs(&*self.env.disk, &self.dir.join(checkpoint::LEADER_EPOCH_FILE), &entries);
        match written {
            // It was deleted meanwhile, its directory renamed.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.is_closed() => Ok(()),
            Err(error) => {
                self.epochs.lock().dirty = true;
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }
}

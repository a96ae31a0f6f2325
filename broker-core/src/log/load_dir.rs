//! Opening what is in a log directory: its checkpoints, then every partition.

use levada_env::IoClass;
use levada_env::disk::FileKind;
use tokio::sync::oneshot;

use super::checkpoint::{CLEANER_FILE, LOG_START_FILE, RECOVERY_POINT_FILE};
use super::dir_checkpoints::DirCheckpoints;
use super::loader::load;
use super::manager::{DELETE_SUFFIX, DirState, STRAY_SUFFIX};
use super::shutdown::CLEAN_MARK_FILE;
use super::{LogError, LogManager, OpenError, TopicPartition};

impl LogManager {
    /// Opens every partition in `dir`, verifying what an unclean stop left.
    pub(super) async fn load_dir(&self, dir: &DirState) -> Result<(), OpenError> {
        let (disk, path) = (&self.env.disk, dir.context.log_dir.path());
        let mark = path.join(CLEAN_MARK_FILE);
        let clean = disk.exists(&mark);
        let checkpoints = DirCheckpoints::read(&**disk, path, clean)?;
        *dir.written.lock() = checkpoints.as_written();
        if clean {
            // From here on a stop is unclean until shutdown says otherwise.
            let removed = disk.remove_file(&mark).and_then(|()| disk.sync_dir(path));
            removed.map_err(OpenError::io("remove", &mark))?;
        }
        let mut loading = Vec::new();
        for entry in disk.read_dir(path).map_err(OpenError::io("list", path))? {
            let partition_dir = path.join(&entry.name);
            if entry.kind != FileKind::Dir {
                continue;
            }
            if entry.name.ends_with(DELETE_SUFFIX) {
                dir.context.log_dir.remove_later(vec![partition_dir], self.env.clock.now());
                continue;
            }
            let Some(partition) = TopicPartition::from_dir_name(&entry.name) else {
                if entry.name.ends_with(STRAY_SUFFIX) {
                    tracing::info!(path = %partition_dir.display(), "passing over a partition that was set aside; remove it when its records are not needed");
                } else {
                    tracing::warn!(path = %partition_dir.display(), "passing over a directory that is no partition's");
                }
                continue;
            };
            let (known, context, config) =
                (checkpoints.of(&partition), dir.context.clone(), self.options.default_config.clone());
            let (tx, rx) = oneshot::channel();
            let name = entry.name;
            let job = move || {
                let _ = tx.send(load(&context, partition, partition_dir, known, config, None));
            };
            disk.submit(IoClass::Read, Box::new(job));
            loading.push((name, rx));
        }
        let mut outdated = false;
        for (partition, loaded) in loading {
            let loaded = loaded.await.unwrap_or(Err(LogError::Closed));
            let log = loaded.map_err(|error| OpenError::Partition { partition: partition.clone(), error })?;
            outdated |= checkpoints.of(log.topic_partition()).is_past(log.log_end_offset());
            self.partitions.write().insert(log.topic_partition().clone(), log);
        }
        if outdated {
            // Now, before the log grows to where they would look right again.
            for file in [RECOVERY_POINT_FILE, LOG_START_FILE, CLEANER_FILE] {
                self.write_checkpoint(dir, file).map_err(OpenError::io("write", &path.join(file)))?;
            }
        }
        Ok(())
    }
}

//! The sink task: gathers the text of values, writes it in large pieces, and makes it durable before
//! offsets are committed.

use super::{
    config::{OnMismatch, TaskSettings},
    output::{Destination, Target, look, tail_of},
    recovery::{Start, Stored, decide, path_hash},
};
use levada_connector_api::{
    Committed, Config, ConnectorError, Result, SinkRecord, SinkTask, SinkTaskContext, TopicPartition,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
    sync::Arc,
};

type ReadConfig = fn(&Config) -> Result<TaskSettings>;

/// Appends the records of one task to its file.
pub struct FileSinkTask {
    read_config: ReadConfig,
    running: Option<Running>,
}

struct Running {
    context: Arc<dyn SinkTaskContext>,
    settings: TaskSettings,
    owned: BTreeSet<TopicPartition>,
    /// What the owned partitions had committed when they came.
    came_at: BTreeMap<TopicPartition, i64>,
    target: Option<Target>,
    /// Text of whole records that are not yet written.
    buffer: Vec<u8>,
    /// Bytes taken since the last commit.
    uncommitted: u64,
    /// Why nothing may be written any more.
    failed: Option<String>,
}

impl FileSinkTask {
    /// Not started yet; `read_config` is what differs between the classes.
    pub fn new(read_config: ReadConfig) -> Self {
        Self { read_config, running: None }
    }

    fn running(&mut self) -> Result<&mut Running> {
        self.running.as_mut().ok_or_else(|| ConnectorError::fatal("the task is not started"))
    }
}

impl SinkTask for FileSinkTask {
    fn start(&mut self, context: Arc<dyn SinkTaskContext>, config: Config) -> Result<()> {
        let settings = (self.read_config)(&config)?;
        let mut running = Running {
            context,
            settings,
            owned: BTreeSet::new(),
            came_at: BTreeMap::new(),
            target: None,
            buffer: Vec::new(),
            uncommitted: 0,
            failed: None,
        };
        running.check_path()?;
        self.running = Some(running);
        Ok(())
    }

    fn open(&mut self, added: &[Committed], owned: &[TopicPartition]) -> Result<()> {
        let running = self.running()?;
        running.owned = owned.iter().cloned().collect();
        running.came_at.retain(|partition, _| !added.iter().any(|added| added.partition == *partition));
        let known = added.iter().filter_map(|added| Some((added.partition.clone(), added.offset?)));
        running.came_at.extend(known);
        // With the file open already, this task's own state is newer than anything committed.
        if running.target.is_none() && !running.owned.is_empty() {
            running.target = Some(running.begin(added)?);
        }
        Ok(())
    }

    fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        let running = self.running()?;
        running.check()?;
        // An earlier write may have failed: first make room, so that memory stays bounded (invariant 9).
        running.write_if(running.settings.buffer_bytes)?;
        let before = running.buffer.len();
        for record in records {
            record.value.write_text(record.value_schema.as_deref(), &mut running.buffer);
            running.buffer.push(b'\n');
        }
        let more = (running.buffer.len() - before) as u64;
        if let Err(error) = running.write_if(running.settings.buffer_bytes) {
            // These records come again, those before them do not.
            running.buffer.truncate(before);
            return Err(error);
        }
        running.count(more);
        Ok(())
    }

    fn pre_commit(&mut self, consumed: &[(TopicPartition, i64)]) -> Result<Vec<(TopicPartition, i64, String)>> {
        let running = self.running()?;
        running.check()?;
        running.write_if(1)?;
        // Grown for the batches since the last commit; a task at rest needs none.
        running.buffer = Vec::new();
        let metadata = running.sync()?;
        let mut offsets = running.idle(consumed, &metadata);
        offsets.extend(consumed.iter().cloned());
        Ok(offsets.into_iter().map(|(partition, offset)| (partition, offset, metadata.clone())).collect())
    }

    fn committed(&mut self) -> Result<()> {
        // Puts do not come between `pre_commit` and this.
        self.running()?.uncommitted = 0;
        Ok(())
    }

    fn close(&mut self, partitions: &[TopicPartition], _lost: bool) -> Result<()> {
        let running = self.running()?;
        for partition in partitions {
            running.owned.remove(partition);
            running.came_at.remove(partition);
        }
        if running.owned.is_empty() {
            // The next `open` starts from what is committed then.
            (running.target, running.uncommitted) = (None, 0);
            running.buffer = Vec::new();
        } else if running.settings.exactly_once && running.uncommitted > 0 {
            running.failed = Some(
                "some of the task's partitions went to another member before their lines were committed, and \
                 those lines stand between others; restart the task, it starts from what was committed last"
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn stop(&mut self) {
        self.running = None;
    }

    fn version(&self) -> String {
        crate::VERSION.to_owned()
    }
}

impl Running {
    fn path(&self) -> Option<PathBuf> {
        self.settings.path.as_ref().map(PathBuf::from)
    }

    /// Tells early what would fail later; makes the file unless a commit may know more of it.
    fn check_path(&mut self) -> Result<()> {
        let Some(path) = self.path() else { return Ok(()) };
        let key = self.settings.key;
        if look(key, &path)?.is_some() || !self.settings.exactly_once {
            Destination::open(key, &path, false, None)?;
        }
        Ok(())
    }

    /// Opens the target where the committed offsets say.
    fn begin(&self, added: &[Committed]) -> Result<Target> {
        let Some(path) = self.path() else { return Ok(Target::Standard(Box::new(io::stdout()))) };
        let key = self.settings.key;
        if !self.settings.exactly_once {
            return Destination::open(key, &path, false, None).map(Target::File);
        }
        let stored: Vec<Stored> = added.iter().map(Stored::of).collect();
        let present = look(key, &path)?;
        let shown = path.display();
        let decided = decide(&stored, path_hash(&path.to_string_lossy()), present, |len| tail_of(&path, len));
        let decided = decided.map_err(|error| {
            ConnectorError::retriable(format!("`{key}` names {shown}, which can't be read: {error}"))
        })?;
        let cut_to = match decided {
            Ok(Start::Append) => None,
            Ok(Start::Cut(len)) => {
                let over = present.map_or(0, |present| present.len - len);
                if over > 0 {
                    let text = format!("{shown}: cut {over} bytes that no committed offset covers; they come again");
                    self.context.warn(&text);
                }
                Some(len)
            }
            Err(mismatch) if self.settings.on_mismatch == OnMismatch::Append => {
                self.context.warn(&format!(
                    "`{key}` names {shown}: {mismatch}; appending to it all the same, as `on.mismatch` says"
                ));
                None
            }
            Err(mismatch) => {
                return Err(ConnectorError::data(format!(
                    "`{key}` names {shown}: {mismatch}. Nothing was changed. Put the right file back, or set \
                     `on.mismatch` to append once, or stop the connector and reset its offsets to write all again"
                )));
            }
        };
        Destination::open(key, &path, true, cut_to).map(Target::File)
    }

    fn check(&self) -> Result<()> {
        match &self.failed {
            Some(text) => Err(ConnectorError::fatal(text.clone())),
            None => Ok(()),
        }
    }

    /// Writes the buffer when it holds at least so many bytes.
    fn write_if(&mut self, least: usize) -> Result<()> {
        if self.buffer.len() < least {
            return Ok(());
        }
        if self.target.is_none() {
            self.target = Some(self.begin(&[])?);
        }
        if let Some(target) = &mut self.target {
            target.write(&self.buffer)?;
        }
        self.buffer.clear();
        Ok(())
    }

    /// Owned partitions of which nothing was consumed, with what they have committed. They get the new mark too: an
    /// old one would speak of a file that is no longer there, or be taken for the newest.
    fn idle(&self, consumed: &[(TopicPartition, i64)], mark: &str) -> Vec<(TopicPartition, i64)> {
        if !self.settings.exactly_once || mark.is_empty() {
            return Vec::new();
        }
        let idle = |partition: &TopicPartition| consumed.iter().all(|(consumed, _)| consumed != partition);
        self.came_at
            .iter()
            .filter(|(partition, _)| self.owned.contains(*partition) && idle(partition))
            .map(|(partition, offset)| (partition.clone(), *offset))
            .collect()
    }

    fn sync(&mut self) -> Result<String> {
        let Some(target) = &mut self.target else { return Ok(String::new()) };
        target.sync()?;
        Ok(target.mark()?.map(|mark| mark.to_string()).unwrap_or_default())
    }

    /// Counts what was taken and asks for a commit when there is much of it.
    fn count(&mut self, more: u64) {
        let limit = self.settings.commit_bytes;
        let was_below = self.uncommitted < limit;
        self.uncommitted += more;
        if was_below && self.uncommitted >= limit {
            self.context.request_commit();
        }
    }
}

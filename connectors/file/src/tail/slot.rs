//! One path, and the files that were or are there: the one being read first, its successors behind it.

use super::{
    discovery::{Facts, PathKind},
    identity::{Progress, partition_of},
    life::{Life, ReadError},
    names::rotation_stem,
    rotation::{Step, Waits, step},
};
use levada_connector_api::{Checkpoint, SourcePartition, Str};
use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Most files that wait behind one path: what is beyond was replaced before anyone could read it.
const MOST_LIVES: usize = 16;

/// Something worth telling people, told once until it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// There is no file.
    Missing,
    /// The file is shorter than what was read of it.
    Truncated {
        /// How far it had been read.
        from: u64,
        /// Its size.
        to: u64,
    },
    /// The file's first bytes changed.
    Rewritten,
    /// A replaced file could not be found to read its last lines.
    Lost,
    /// A compressed file ends in the middle.
    Torn,
    /// It can't be read.
    Unreadable(String),
    /// The stored position is inside a line.
    InsideLine(u64),
}

/// A path that is followed.
pub struct Slot {
    /// The path.
    pub path: PathBuf,
    /// The path as text.
    pub name: Str,
    /// Source partition.
    pub partition: Arc<SourcePartition>,
    /// Common name of the files of its rotation.
    pub stem: String,
    /// Committed progress that no file was matched with yet.
    pub stored: Option<Progress>,
    /// Committed progress of the names that a file of this rotation may have had before.
    pub earlier: Vec<Progress>,
    /// Files, the one being read first.
    pub lives: VecDeque<Life>,
    /// Whether it waits for its turn to be read.
    pub ready: bool,
    /// Not before this time is it tried again after an error.
    pub blocked_until: Duration,
    /// What was told last.
    pub told: Option<Notice>,
    /// A file that was here goes on under another path: the next offset of this path, which forgets the file, must not
    /// be committed before that other path's.
    pub moved: bool,
}

/// What a look at a slot led to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What to tell people.
    pub notices: Vec<Notice>,
    /// Progress of files that are done with, for telling their copies.
    pub retired: Vec<Progress>,
    /// Offsets that are true from now on.
    pub checkpoints: Vec<Checkpoint>,
}

impl Slot {
    /// A path without files yet.
    pub fn new(path: PathBuf) -> Self {
        let name = name_of(&path);
        Self {
            partition: Arc::new(partition_of(&name)),
            stem: rotation_stem(&path),
            name: Str::from(name),
            path,
            stored: None,
            earlier: Vec::new(),
            lives: VecDeque::new(),
            ready: false,
            blocked_until: Duration::ZERO,
            told: None,
            moved: false,
        }
    }

    /// "This path is read up to here", true once everything before is acknowledged: the file may have been read under
    /// another path.
    pub fn checkpoint(&self, after: usize, progress: &Progress) -> Checkpoint {
        Checkpoint::new(after, Arc::clone(&self.partition), progress.to_offset())
    }

    /// "This path is read up to here", for lines that were read under this path: those of other paths don't matter.
    pub fn checkpoint_of_lines(&mut self, after: usize, progress: &Progress) -> Checkpoint {
        let checkpoint = self.checkpoint(after, progress);
        if std::mem::take(&mut self.moved) { checkpoint } else { checkpoint.of_its_partition() }
    }

    /// Puts a file behind those that are there.
    pub fn push(&mut self, life: Life, outcome: &mut Outcome) {
        if self.lives.len() >= MOST_LIVES {
            self.lives.truncate(MOST_LIVES - 1);
            outcome.notices.push(Notice::Lost);
        }
        self.lives.push_back(life);
    }

    /// Decides about the file in front, and about those behind it once it is done with.
    pub fn look(
        &mut self,
        facts: Option<&Facts>,
        now: Duration,
        waits: Waits,
        idle_flush: Option<Duration>,
    ) -> io::Result<Outcome> {
        let mut outcome = Outcome::default();
        let facts = facts.filter(|facts| facts.kind == PathKind::Regular);
        while let Some(life) = self.lives.front_mut() {
            if life.finishing || life.block.is_some() {
                self.ready = true;
                break;
            }
            let held = life.held(&self.path, facts)?;
            let at_path = facts.map(|facts| facts.id);
            let rewritten = is_rewritten(life, &self.path, facts)?;
            let decided = match step(&mut life.phase, &held, at_path, now, waits) {
                _ if rewritten => Step::Restart,
                decided => decided,
            };
            match decided {
                Step::Read => self.ready = true,
                Step::Rest => self.ready |= wants_flush(life, now, idle_flush),
                Step::Restart => {
                    let size = held.now.map_or(0, |(size, _)| size);
                    let from = life.progress().position;
                    let truncated = Notice::Truncated { from, to: size };
                    outcome.notices.push(if rewritten { Notice::Rewritten } else { truncated });
                    outcome.retired.push(life.progress().clone());
                    life.restart();
                    let progress = life.progress().clone();
                    outcome.checkpoints.push(self.checkpoint(0, &progress));
                    self.ready = true;
                }
                Step::Retire if held.now.is_none() => {
                    outcome.notices.push(Notice::Lost);
                    self.retire(&mut outcome);
                    continue;
                }
                Step::Retire => {
                    life.finishing = true;
                    self.ready = true;
                }
            }
            break;
        }
        Ok(outcome)
    }

    /// Ends the file in front; the next one's start is what is true of the path now.
    pub fn retire(&mut self, outcome: &mut Outcome) {
        if let Some(life) = self.lives.pop_front() {
            outcome.retired.push(life.progress().clone());
            let next = self.lives.front().map(|next| next.progress().clone()).unwrap_or_default();
            outcome.checkpoints.push(self.checkpoint(0, &next));
        }
    }
}

/// Whether a file at rest has other content than was read of it. Looked at when there is reason to:
/// it grew, or it changed without growing.
fn is_rewritten(life: &mut Life, path: &Path, facts: Option<&Facts>) -> io::Result<bool> {
    let Some(facts) = facts.filter(|facts| facts.id == life.id) else { return Ok(false) };
    if facts.modified == life.modified && facts.size == life.seen {
        return Ok(false);
    }
    life.modified = facts.modified;
    if life.progress().position == 0 || !life.open(path)? {
        return Ok(false);
    }
    Ok(life.has_all_that_was_read(facts.size) && !life.is_unchanged()?)
}

fn wants_flush(life: &mut Life, now: Duration, idle_flush: Option<Duration>) -> bool {
    let due = idle_flush.is_some_and(|wait| life.has_rest() && now.saturating_sub(life.quiet_since) >= wait);
    life.flushing = due;
    due
}

/// The path as the text that stands in offsets and keys. A name that is no UTF-8 gets a hash behind
/// it, so that two of them never become one.
pub fn name_of(path: &Path) -> String {
    match path.to_str() {
        Some(text) => text.to_owned(),
        None => {
            let bytes = path.as_os_str().as_encoded_bytes();
            format!("{}#{:016x}", path.to_string_lossy(), crate::hash::hash(bytes))
        }
    }
}

/// The text for people of why a file could not be read.
pub fn reason(error: &ReadError) -> String {
    match error {
        ReadError::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            "permission denied; give the user that the daemon runs as the right to read it".to_owned()
        }
        other => other.to_string(),
    }
}

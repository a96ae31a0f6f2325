//! All files of a task: found, told apart, and read in turns.
//!
//! The task calls [`Tracker::look`] when a hint or the clock says so and [`Tracker::read`] for a
//! batch. Memory is bounded (invariant 9): a file at rest keeps no bytes, handles and files have
//! limits, and a turn reads one buffer.

use super::{
    Hints,
    discovery::{Discovery, Facts, Found, PathKind},
    identity::{FileId, Progress, partition_of},
    life::{Life, ReadError},
    matching,
    names::earlier_names,
    rotation::Waits,
    slot::{Notice, Outcome, Slot, name_of, reason},
};
use crate::text::{Buffers, Line, LineRules};
use levada_connector_api::{
    Checkpoint, ConnectorError, Result, SourceBatch, SourcePartition, SourceRecord, SourceTaskContext, Str,
};
use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// How files are followed.
pub struct Settings {
    /// Name of the key that holds the path, for error texts.
    pub key: &'static str,
    /// Where to look.
    pub discovery: Discovery,
    /// How lines are made.
    pub rules: LineRules,
    /// Whether compressed files are unpacked.
    pub unpack: bool,
    /// Times of rotation.
    pub waits: Waits,
    /// Half a line is given out when nothing was added for so long.
    pub idle_flush: Option<Duration>,
    /// Most open files.
    pub max_open: usize,
    /// Time between two tries of a file that can't be read.
    pub retry: Duration,
}

/// Where a batch ends.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most records.
    pub records: usize,
    /// Bytes of text after which no more are taken.
    pub bytes: usize,
}

/// A file that is done with, remembered for telling its copies.
pub(super) struct Retired {
    /// Common name of its rotation.
    pub stem: String,
    /// Length of the path it had.
    pub path_len: usize,
    /// How far it was read.
    pub progress: Progress,
}

/// Makes the record of a line.
pub type MakeRecord = Box<dyn Fn(&Str, Line) -> SourceRecord + Send>;

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// A buffer's lines are given out; there may be more.
    Done,
    /// The batch was full before the buffer's lines were.
    Cut,
    /// Nothing is left for now.
    Rest,
}

/// Most retired files that are remembered for telling their copies.
const RETIRED: usize = 256;
/// Most paths without a file that are remembered.
const EMPTY: usize = 10_000;

/// The files of a task.
pub struct Tracker {
    pub(super) settings: Settings,
    context: Arc<dyn SourceTaskContext>,
    make: MakeRecord,
    pub(super) slots: BTreeMap<PathBuf, Slot>,
    pub(super) retired: VecDeque<Retired>,
    queue: VecDeque<PathBuf>,
    checkpoints: Vec<Checkpoint>,
    failure: Option<ConnectorError>,
    buffers: Buffers,
    turn: u64,
    told: HashSet<String>,
    look_soon: bool,
    /// Records of the last batch: about as many are expected of the next.
    last_count: usize,
}

impl Tracker {
    /// Without files yet.
    pub fn new(settings: Settings, context: Arc<dyn SourceTaskContext>, make: MakeRecord) -> Self {
        Self {
            settings,
            context,
            make,
            slots: BTreeMap::new(),
            retired: VecDeque::new(),
            queue: VecDeque::new(),
            checkpoints: Vec::new(),
            failure: None,
            buffers: Buffers::default(),
            turn: 0,
            told: HashSet::new(),
            look_soon: false,
            last_count: 0,
        }
    }

    /// Looks what there is and what became of what there was.
    pub fn look(&mut self, now: Duration, hints: &mut Hints) -> Result<()> {
        self.look_soon = false;
        let found = self.settings.discovery.look();
        hints.watch(&found.directories);
        self.tell_of(&found)?;
        self.add_paths(&found)?;
        self.follow_renames(&found.files);
        self.take_in_new_files(&found.files)?;
        let paths: Vec<PathBuf> = self.slots.keys().cloned().collect();
        for path in paths {
            self.look_at(&path, found.files.get(&path), now)?;
        }
        self.forget_empty(&found.files);
        self.close_some();
        Ok(())
    }

    /// Whether the next look should not wait: a file is done with and its successor is due.
    pub fn wants_look(&self) -> bool {
        self.look_soon
    }

    /// Lets go of what only busy times need.
    pub fn rest(&mut self) {
        self.buffers.release();
    }

    /// Fills a batch: files take turns of one buffer each.
    pub fn read(&mut self, now: Duration, limits: Limits) -> Result<SourceBatch> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let expected = if self.queue.is_empty() { 0 } else { self.last_count.min(limits.records) };
        let mut batch =
            SourceBatch { records: Vec::with_capacity(expected), checkpoints: std::mem::take(&mut self.checkpoints) };
        let mut bytes = 0;
        while batch.records.len() < limits.records && bytes < limits.bytes {
            let Some(path) = self.queue.pop_front() else { break };
            match self.take_turn(&path, now, limits, &mut batch, &mut bytes) {
                Ok(Turn::Done) => self.queue.push_back(path),
                // First again, so that no more than one file has lines waiting in memory.
                Ok(Turn::Cut) => self.queue.push_front(path),
                Ok(Turn::Rest) => {}
                Err(error) => {
                    let failed = self.failed(&path, &error, now);
                    // What was read before the failure is handed over before it is told.
                    match failed {
                        Some(error) if batch.records.is_empty() => {
                            self.checkpoints = batch.checkpoints;
                            return Err(error);
                        }
                        Some(error) => {
                            self.failure = Some(error);
                            break;
                        }
                        None => {}
                    }
                }
            }
        }
        self.last_count = batch.records.len();
        Ok(batch)
    }

    fn take_turn(
        &mut self,
        path: &Path,
        now: Duration,
        limits: Limits,
        batch: &mut SourceBatch,
        bytes: &mut usize,
    ) -> std::result::Result<Turn, ReadError> {
        let Some(slot) = self.slots.get_mut(path) else { return Ok(Turn::Rest) };
        let Some(life) = slot.lives.front_mut() else {
            slot.ready = false;
            return Ok(Turn::Rest);
        };
        self.turn += 1;
        life.used = self.turn;
        if life.block.is_none() {
            let seen = life.seen;
            if !life.open(path)? || !life.read(&self.settings.rules, &mut self.buffers)? {
                if life.seen != seen {
                    life.quiet_since = now;
                }
                let (torn, finished) = (life.torn, life.finishing);
                (slot.ready, life.flushing) = (false, false);
                self.after_rest(path, torn, finished);
                return Ok(Turn::Rest);
            }
        }
        let mut part = life.progress().part;
        let before = batch.records.len();
        let given_out = loop {
            let Some(block) = &mut life.block else { break Ok(Turn::Done) };
            if batch.records.len() >= limits.records || *bytes >= limits.bytes {
                break Ok(if block.rest().is_empty() { Turn::Done } else { Turn::Cut });
            }
            match block.next(&self.settings.rules, &mut part) {
                Ok(Some(line)) => {
                    *bytes += line.text.len();
                    batch.records.push((self.make)(&slot.name, line));
                }
                Ok(None) => break Ok(Turn::Done),
                Err(error) => break Err(error),
            }
        };
        life.advance(part)?;
        if batch.records.len() > before {
            let progress = life.progress().clone();
            batch.checkpoints.push(slot.checkpoint(batch.records.len(), &progress));
        }
        if matches!(given_out, Ok(Turn::Done))
            && let Some(life) = slot.lives.front_mut()
        {
            life.finish_block();
        }
        Ok(given_out?)
    }

    /// A file gave all it has for now.
    fn after_rest(&mut self, path: &Path, torn: bool, finished: bool) {
        let mut outcome = Outcome::default();
        if torn {
            outcome.notices.push(Notice::Torn);
        }
        if finished && let Some(slot) = self.slots.get_mut(path) {
            slot.retire(&mut outcome);
            self.look_soon = true;
        }
        // Offsets found true here go with the next batch, behind all of this one (invariant 7).
        self.settle(path, outcome);
    }

    fn add_paths(&mut self, found: &Found) -> Result<()> {
        let single = match &self.settings.discovery {
            Discovery::Single(path) => Some(path),
            Discovery::Pattern(_) => None,
        };
        let new: Vec<PathBuf> =
            found.files.keys().chain(single).filter(|path| !self.slots.contains_key(*path)).cloned().collect();
        for some in new.chunks(1000) {
            let mut slots: Vec<Slot> = some.iter().cloned().map(Slot::new).collect();
            self.recall(&mut slots)?;
            self.slots.extend(slots.into_iter().map(|slot| (slot.path.clone(), slot)));
        }
        Ok(())
    }

    /// Looks up what is committed for new paths and, where there is nothing, for the names before.
    fn recall(&self, slots: &mut [Slot]) -> Result<()> {
        let partitions: Vec<SourcePartition> = slots.iter().map(|slot| (*slot.partition).clone()).collect();
        let offsets = self.context.offsets(&partitions)?;
        for (slot, offset) in slots.iter_mut().zip(offsets) {
            slot.stored = offset.as_ref().and_then(Progress::of_offset);
        }
        if matches!(self.settings.discovery, Discovery::Single(_)) {
            return Ok(());
        }
        let unread = |slot: &Slot| slot.stored.as_ref().is_none_or(|stored| stored.position == 0);
        for slot in slots.iter_mut().filter(|slot| unread(slot)) {
            let partitions: Vec<SourcePartition> =
                earlier_names(&slot.path).iter().map(|path| partition_of(&name_of(path))).collect();
            if !partitions.is_empty() {
                let offsets = self.context.offsets(&partitions)?;
                slot.earlier = offsets.iter().flatten().filter_map(Progress::of_offset).collect();
            }
        }
        Ok(())
    }

    /// Files that are at another matching path now go on under that path.
    fn follow_renames(&mut self, files: &BTreeMap<PathBuf, Facts>) {
        let by_id: HashMap<FileId, &PathBuf> = files.iter().map(|(path, facts)| (facts.id, path)).collect();
        let mut moving: Vec<(PathBuf, Life)> = Vec::new();
        for (path, slot) in &mut self.slots {
            let here = files.get(path).map(|facts| facts.id);
            let mut index = 0;
            while let Some(life) = slot.lives.get(index) {
                match by_id.get(&life.id) {
                    Some(next) if here != Some(life.id) && *next != path => {
                        if let Some(life) = slot.lives.remove(index) {
                            moving.push(((*next).clone(), life));
                        }
                    }
                    _ => index += 1,
                }
            }
        }
        for (path, life) in moving {
            let Some(slot) = self.slots.get_mut(&path) else { continue };
            slot.stored = None;
            let mut outcome = Outcome::default();
            outcome.checkpoints.push(slot.checkpoint(0, life.progress()));
            slot.push(life, &mut outcome);
            self.settle(&path, outcome);
        }
    }

    /// Files that are not known yet get a place.
    fn take_in_new_files(&mut self, files: &BTreeMap<PathBuf, Facts>) -> Result<()> {
        let mut known: HashSet<FileId> =
            self.slots.values().flat_map(|slot| slot.lives.iter().map(|life| life.id)).collect();
        let mut placed = Vec::new();
        for (path, facts) in files {
            // One file under two names is read once.
            if facts.kind != PathKind::Regular || known.contains(&facts.id) {
                continue;
            }
            match matching::begin(self, path, facts, files) {
                Ok(begun) => {
                    let Some(slot) = self.slots.get_mut(path) else { continue };
                    let mut outcome = Outcome { notices: begun.notices, ..Outcome::default() };
                    placed.push(path);
                    for life in begun.lives {
                        known.insert(life.id);
                        let progress = life.progress();
                        if progress.position > 0 && slot.stored.as_ref() != Some(progress) {
                            // Known from another path, whose own offset will move on.
                            outcome.checkpoints.push(slot.checkpoint(0, progress));
                        }
                        slot.push(life, &mut outcome);
                    }
                    self.settle(path, outcome);
                }
                Err(error) => {
                    if let Some(error) = self.failed(path, &ReadError::Io(error), Duration::ZERO) {
                        return Err(error);
                    }
                }
            }
        }
        // Only now: a file may be the one that a path before it in the order had.
        for path in placed {
            if let Some(slot) = self.slots.get_mut(path) {
                (slot.stored, slot.earlier) = (None, Vec::new());
            }
        }
        Ok(())
    }

    fn look_at(&mut self, path: &Path, facts: Option<&Facts>, now: Duration) -> Result<()> {
        let (waits, idle_flush) = (self.settings.waits, self.settings.idle_flush);
        let Some(slot) = self.slots.get_mut(path) else { return Ok(()) };
        if now < slot.blocked_until {
            return Ok(());
        }
        let was_ready = slot.ready;
        match slot.look(facts, now, waits, idle_flush) {
            Ok(outcome) => {
                if slot.ready && !was_ready {
                    self.queue.push_back(path.to_owned());
                }
                self.settle(path, outcome);
                Ok(())
            }
            Err(error) => self.failed(path, &ReadError::Io(error), now).map_or(Ok(()), Err),
        }
    }

    /// Keeps and tells what a look or a turn led to.
    fn settle(&mut self, path: &Path, outcome: Outcome) {
        let Some(slot) = self.slots.get_mut(path) else { return };
        for progress in outcome.retired.into_iter().filter(|progress| progress.position > 0) {
            if self.retired.len() == RETIRED {
                self.retired.pop_front();
            }
            self.retired.push_back(Retired { stem: slot.stem.clone(), path_len: slot.name.len(), progress });
        }
        self.checkpoints.extend(outcome.checkpoints);
        for notice in outcome.notices {
            let again = matches!(notice, Notice::Missing | Notice::Torn) && slot.told.as_ref() == Some(&notice);
            if !again {
                self.context.warn(&text(&notice, self.settings.key, &slot.name));
                slot.told = Some(notice);
            }
        }
    }

    /// Tells what the look itself found wrong.
    fn tell_of(&mut self, found: &Found) -> Result<()> {
        let key = self.settings.key;
        if let Discovery::Single(path) = &self.settings.discovery {
            let shown = path.display();
            if let Some((_, error)) = found.errors.first() {
                let cause = reason(&ReadError::Io(std::io::Error::from(error.kind())));
                return Err(ConnectorError::retriable(format!("`{key}` names {shown}, which can't be read: {cause}")));
            }
            match found.files.get(path).map(|facts| facts.kind) {
                Some(PathKind::Directory) => {
                    let mend = "name a file in it, or use connector.class FileSource with a pattern such as";
                    let text = format!("`{key}` names {shown}, which is a directory; {mend} {shown}/*.log");
                    return Err(ConnectorError::config(text));
                }
                Some(PathKind::Other) => {
                    let text = format!("`{key}` names {shown}, which is a pipe or a device; name a regular file");
                    return Err(ConnectorError::config(text));
                }
                Some(PathKind::Regular) => drop(self.told.remove("missing")),
                None if self.told.insert("missing".to_owned()) => {
                    self.context.warn(&text(&Notice::Missing, key, &path.to_string_lossy()));
                }
                None => {}
            }
        }
        for (path, error) in &found.errors {
            let line = format!("`{key}`: {} can't be looked at: {error}", path.display());
            // Bounded: told texts are forgotten when there are many.
            if self.told.len() < 1000 && self.told.insert(line.clone()) {
                self.context.warn(&line);
            }
        }
        if found.too_many {
            let text = format!("`{key}` matches more files than `max.files` allows; narrow the pattern or raise it");
            return Err(ConnectorError::config(text));
        }
        Ok(())
    }

    /// A file can't be read. Alone, it fails the task; among others, it is told and tried again.
    fn failed(&mut self, path: &Path, error: &ReadError, now: Duration) -> Option<ConnectorError> {
        let key = self.settings.key;
        let slot = self.slots.get_mut(path)?;
        slot.ready = false;
        let cause = reason(error);
        let text = format!("`{key}`: {} can't be read: {cause}", slot.name);
        match error {
            ReadError::Line(_) => Some(ConnectorError::data(text)),
            ReadError::Io(_) if matches!(self.settings.discovery, Discovery::Single(_)) => {
                Some(ConnectorError::retriable(text))
            }
            ReadError::Io(_) => {
                slot.blocked_until = now + self.settings.retry;
                let notice = Notice::Unreadable(cause);
                if slot.told.as_ref() != Some(&notice) {
                    self.context.warn(&text);
                    slot.told = Some(notice);
                }
                None
            }
        }
    }

    fn forget_empty(&mut self, files: &BTreeMap<PathBuf, Facts>) {
        if self.slots.len() > files.len() + EMPTY {
            self.slots.retain(|path, slot| !slot.lives.is_empty() || files.contains_key(path));
        }
    }

    /// Closes the files used longest ago until no more than the limit are open.
    fn close_some(&mut self) {
        let lives = self.slots.values_mut().flat_map(|slot| slot.lives.iter_mut());
        let mut open: Vec<&mut Life> = lives.filter(|life| life.is_open() && life.block.is_none()).collect();
        if open.len() > self.settings.max_open {
            open.sort_by_key(|life| life.used);
            let over = open.len() - self.settings.max_open;
            open.into_iter().take(over).for_each(Life::close);
        }
    }
}

fn text(notice: &Notice, key: &str, name: &str) -> String {
    match notice {
        Notice::Missing => format!("`{key}` names {name}, which does not exist yet; waiting for it"),
        Notice::Truncated { from, to } => {
            format!("{name} was truncated: {from} bytes had been read and it has {to} now; reading it from its start")
        }
        Notice::Rewritten => format!("the beginning of {name} changed: it is read from its start"),
        Notice::Lost => format!(
            "{name} was replaced and the file that was there is not in its directory any more: \
             lines that were added to it before it went may be missing"
        ),
        Notice::Torn => format!("{name} ends in the middle of its compressed data; waiting for the rest"),
        Notice::Unreadable(cause) => format!("{name} can't be read: {cause}"),
        Notice::InsideLine(position) => format!(
            "the stored position {position} of {name} is inside a line; it may come from Apache's connector, which \
             counts characters instead of bytes where text is not ASCII: the first line read may be half of one"
        ),
    }
}

//! All files of a task: found, told apart, and read in turns.
//!
//! The task calls [`Tracker::look`] when a hint or the clock says so and [`Tracker::read`] for a
//! batch; the look is in `look`, texts for people are in `tell`. Memory is bounded (invariant 9): a file at rest keeps no bytes, handles and files have
//! limits, and a turn reads one buffer.

mod look;
mod tell;

use super::{
    discovery::Discovery,
    identity::Progress,
    life::ReadError,
    rotation::Waits,
    slot::{Notice, Outcome, Slot, reason},
};
use crate::text::{Buffers, Line, LineRules};
use levada_connector_api::{Checkpoint, ConnectorError, Result, SourceBatch, SourceRecord, SourceTaskContext, Str};
use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tell::text;

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
            batch.checkpoints.push(slot.checkpoint_of_lines(batch.records.len(), &progress));
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
}

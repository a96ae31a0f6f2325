//! The look of a tracker: what there is, what became of what there was, and which file is which.

use super::Tracker;
use crate::tail::{
    Hints,
    discovery::{Discovery, Facts, Found, PathKind},
    identity::{FileId, Progress, partition_of},
    life::{Life, ReadError},
    matching,
    names::earlier_names,
    slot::{Outcome, Slot, name_of},
};
use levada_connector_api::{Result, SourcePartition};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
    time::Duration,
};

/// Most paths without a file that are remembered.
const EMPTY: usize = 10_000;

impl Tracker {
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
                            slot.moved = true;
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

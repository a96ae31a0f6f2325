//! The coordinator's shared state, and the steps all requests are made of: find the group, lock it, let the machine decide, carry out what
//! it wants, set its timer.
//!
//! Lock order: a group's entry first, then its shard's map or write queue; never an entry under either. Writes are queued under the
//! entry's lock, which is what puts them into the log in the order they were decided.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use levada_env::Env;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Semaphore, watch};

use super::entry::Entry;
use super::log::OffsetsLog;
use super::machine::{Group, GroupError, GroupOptions, Now, Output};
use super::offsets::GroupOffsets;
use super::options::{GroupCoordinatorOptions, ProtectedGroups, TopicLookup};
use super::partitioner::partition_for;
use super::records::encode_group;
use super::shard::Shard;
use super::timers::Timers;
use super::writes::PersistWrite;

/// See the module.
pub(super) struct Inner {
    pub env: Env,
    pub options: GroupCoordinatorOptions,
    pub machine_options: Arc<GroupOptions>,
    pub log: Arc<dyn OffsetsLog>,
    pub topics: Arc<dyn TopicLookup>,
    pub protected: RwLock<Option<ProtectedGroups>>,
    pub shards: Vec<Shard>,
    pub timers: Timers,
    pub write_budget: Arc<Semaphore>,
    /// Set once the topic is known to exist.
    pub created: AtomicBool,
    /// False once the coordinator stops.
    pub active: watch::Sender<bool>,
    group_count: AtomicUsize,
    /// Memory that the members of all groups take.
    member_bytes: AtomicUsize,
}

impl Inner {
    pub fn new(
        env: Env,
        options: GroupCoordinatorOptions,
        log: Arc<dyn OffsetsLog>,
        topics: Arc<dyn TopicLookup>,
    ) -> Self {
        let count = log.partition_count();
        Self {
            machine_options: Arc::new(options.groups.clone()),
            shards: (0..count.unwrap_or(options.partitions).max(1)).map(Shard::new).collect(),
            protected: RwLock::new(None),
            timers: Timers::default(),
            write_budget: Arc::new(Semaphore::new(options.max_pending_write_bytes)),
            created: AtomicBool::new(count.is_some()),
            active: watch::Sender::new(true),
            group_count: AtomicUsize::new(0),
            member_bytes: AtomicUsize::new(0),
            env,
            options,
            log,
            topics,
        }
    }

    pub fn now(&self) -> Now {
        Now { instant: self.env.clock.now(), wall_ms: self.env.clock.wall_ms() }
    }

    pub fn is_active(&self) -> bool {
        *self.active.borrow()
    }

    /// The partition that holds `group`.
    pub fn shard_of(&self, group: &str) -> &Shard {
        let index = partition_for(group, self.shards.len() as i32) as usize;
        &self.shards[index]
    }

    /// Looks at a group, or changes it in a way that wants nothing done and ends no deadline sooner. `None` if there is no such group.
    pub fn look<R>(&self, group: &str, look: impl FnOnce(&mut Entry, Now) -> R) -> Option<R> {
        loop {
            let found = self.shard_of(group).find(group)?;
            let mut entry = found.lock();
            if !entry.removed {
                return Some(look(&mut entry, self.now()));
            }
        }
    }

    /// Makes a step of a group that exists.
    pub fn step<R>(self: &Arc<Self>, group: &str, step: impl FnOnce(&mut Entry, Now) -> (R, Vec<Output>)) -> Option<R> {
        loop {
            let found = self.shard_of(group).find(group)?;
            let mut entry = found.lock();
            if !entry.removed {
                return Some(self.step_locked(&mut entry, step));
            }
        }
    }

    /// Makes a step of a group, which is made if it doesn't exist. An error if there are too many groups already.
    pub fn step_or_create<R>(
        self: &Arc<Self>,
        group: &str,
        limited: bool,
        step: impl FnOnce(&mut Entry, Now) -> (R, Vec<Output>),
    ) -> Result<R, GroupError> {
        loop {
            let found = self.find_or_create(group, limited)?;
            let mut entry = found.lock();
            if !entry.removed {
                return Ok(self.step_locked(&mut entry, step));
            }
        }
    }

    fn find_or_create(&self, group: &str, limited: bool) -> Result<Arc<Mutex<Entry>>, GroupError> {
        let mut groups = self.shard_of(group).groups.lock();
        if let Some(found) = groups.get(group) {
            return Ok(Arc::clone(found));
        }
        if limited && self.group_count.load(Ordering::Relaxed) >= self.options.max_groups {
            return Err(GroupError::CoordinatorNotAvailable);
        }
        self.group_count.fetch_add(1, Ordering::Relaxed);
        let blank = Group::new(group, Arc::clone(&self.machine_options));
        let entry = Arc::new(Mutex::new(Entry::new(blank, GroupOffsets::default())));
        groups.insert(group.to_owned(), Arc::clone(&entry));
        Ok(entry)
    }

    fn step_locked<R>(
        self: &Arc<Self>,
        entry: &mut Entry,
        step: impl FnOnce(&mut Entry, Now) -> (R, Vec<Output>),
    ) -> R {
        let (result, outputs) = step(entry, self.now());
        self.carry_out(entry, outputs);
        self.count_members(entry);
        if entry.is_blank() {
            self.remove(entry);
        } else {
            self.rearm(entry);
        }
        result
    }

    fn count_members(&self, entry: &mut Entry) {
        let bytes = entry.group.member_bytes();
        let before = std::mem::replace(&mut entry.counted, bytes);
        self.member_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.member_bytes.fetch_sub(before, Ordering::Relaxed);
    }

    /// Memory that members may still take.
    pub fn member_room(&self) -> usize {
        self.options.max_member_bytes.saturating_sub(self.member_bytes.load(Ordering::Relaxed))
    }

    /// Does what the machine wants, in its order.
    pub fn carry_out(self: &Arc<Self>, entry: &mut Entry, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Join(ticket, answer) => entry.answer_join(ticket, answer),
                Output::Sync(ticket, answer) => entry.answer_sync(ticket, answer),
                Output::Persist(token, snapshot) => match encode_group(entry.group.id(), Some(&snapshot)) {
                    Ok(record) => {
                        let write = PersistWrite::new(entry.group.id().to_owned(), token, record);
                        self.enqueue(self.shard_of(entry.group.id()), Box::new(write));
                    }
                    Err(error) => {
                        tracing::warn!(group = entry.group.id(), %error, "the group has no record form");
                        let outputs = entry.group.persisted(token, Err(GroupError::RecordRefused), self.now());
                        self.carry_out(entry, outputs);
                    }
                },
            }
        }
    }

    /// Sets the timer for a deadline that is earlier than what it is set for. A later one is seen when the timer fires.
    pub fn rearm(&self, entry: &mut Entry) {
        if let Some(deadline) = entry.group.next_deadline()
            && entry.armed.is_none_or(|armed| deadline < armed)
        {
            entry.armed = Some(deadline);
            self.timers.arm(deadline, entry.group.id());
        }
    }

    /// Takes a group out of memory. What is in the log about it is the caller's business.
    pub fn remove(&self, entry: &mut Entry) {
        entry.removed = true;
        self.member_bytes.fetch_sub(std::mem::take(&mut entry.counted), Ordering::Relaxed);
        if self.shard_of(entry.group.id()).groups.lock().remove(entry.group.id()).is_some() {
            self.group_count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Puts in a group that came from the log.
    pub fn insert_loaded(&self, mut entry: Entry) -> Arc<Mutex<Entry>> {
        self.count_members(&mut entry);
        let id = entry.group.id().to_owned();
        let entry = Arc::new(Mutex::new(entry));
        self.group_count.fetch_add(1, Ordering::Relaxed);
        self.shard_of(&id).groups.lock().insert(id, Arc::clone(&entry));
        entry
    }
}

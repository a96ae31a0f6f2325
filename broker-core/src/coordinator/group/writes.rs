//! What can be written to `__consumer_offsets`: the records of each kind of write, and what changes in memory once they are durable.
//!
//! In-memory offsets change here only, in log order, so that memory is always what a replay would give.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::inner::Inner;
use super::machine::{GroupError, PersistToken};
use super::offsets::{OffsetAndMetadata, TopicPartition};
use super::records::{EncodedRecord, encode_group, encode_offset};
use super::retention;

/// A write on its way.
pub(super) trait Write: Send {
    /// True if its records depend on what the writes before it did: it is prepared when those are done, and goes alone.
    fn waits_for_others(&self) -> bool;

    /// Bytes of its records, where known beforehand.
    fn size(&self) -> usize {
        0
    }

    /// The records to append. None means that there is nothing to write, and the write is done.
    fn records(&mut self, inner: &Arc<Inner>) -> Vec<EncodedRecord>;

    /// The records are durable, or will never be.
    fn done(self: Box<Self>, inner: &Arc<Inner>, result: Result<(), GroupError>);
}

/// A group's state.
pub(super) struct PersistWrite {
    group: String,
    token: PersistToken,
    record: EncodedRecord,
}

impl PersistWrite {
    pub fn new(group: String, token: PersistToken, record: EncodedRecord) -> Self {
        Self { group, token, record }
    }
}

impl Write for PersistWrite {
    fn waits_for_others(&self) -> bool {
        false
    }

    fn size(&self) -> usize {
        self.record.len()
    }

    fn records(&mut self, _inner: &Arc<Inner>) -> Vec<EncodedRecord> {
        vec![self.record.clone()]
    }

    fn done(self: Box<Self>, inner: &Arc<Inner>, result: Result<(), GroupError>) {
        inner.step(&self.group, |entry, now| ((), entry.group.persisted(self.token, result, now)));
    }
}

/// An offset to commit.
pub(super) type Commit = (TopicPartition, OffsetAndMetadata);

/// One OffsetCommit request, checked against its group.
pub(super) struct CommitWrite {
    pub group: String,
    pub offsets: Vec<Commit>,
    pub encoded: Vec<EncodedRecord>,
    pub reply: oneshot::Sender<Result<(), GroupError>>,
    /// Room in the budget of pending commits, given back when the write is done.
    pub _permit: OwnedSemaphorePermit,
}

impl Write for CommitWrite {
    fn waits_for_others(&self) -> bool {
        false
    }

    fn size(&self) -> usize {
        self.encoded.iter().map(EncodedRecord::len).sum()
    }

    fn records(&mut self, _inner: &Arc<Inner>) -> Vec<EncodedRecord> {
        self.encoded.clone()
    }

    fn done(self: Box<Self>, inner: &Arc<Inner>, result: Result<(), GroupError>) {
        let Self { group, offsets, reply, .. } = *self;
        let applied = result.and_then(|()| {
            // The group may have been removed meanwhile; as in a replay, a commit after that makes it anew.
            inner.step_or_create(&group, false, |entry, _now| {
                for ((topic, partition), value) in offsets {
                    entry.offsets.apply(&topic, partition, Some(value));
                }
                ((), Vec::new())
            })
        });
        let _ = reply.send(applied);
    }
}

/// Removal of a group with all its offsets.
pub(super) struct DeleteGroupWrite {
    group: String,
    outcome: Result<(), GroupError>,
    reply: oneshot::Sender<Result<(), GroupError>>,
    _permit: OwnedSemaphorePermit,
}

impl DeleteGroupWrite {
    pub fn new(group: String, reply: oneshot::Sender<Result<(), GroupError>>, permit: OwnedSemaphorePermit) -> Self {
        Self { group, outcome: Err(GroupError::GroupIdNotFound), reply, _permit: permit }
    }
}

impl Write for DeleteGroupWrite {
    fn waits_for_others(&self) -> bool {
        true
    }

    fn records(&mut self, inner: &Arc<Inner>) -> Vec<EncodedRecord> {
        let prepared = inner.look(&self.group, |entry, now| {
            entry.group.validate_delete()?;
            // Nobody may join until the outcome is known. An empty group has nobody to answer.
            entry.group.kill(now);
            Ok(entry.offsets.select(|_, _, _| true))
        });
        match prepared {
            Some(Ok(offsets)) => {
                self.outcome = Ok(());
                group_tombstones(&self.group, &offsets)
            }
            Some(Err(error)) => {
                self.outcome = Err(error);
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    fn done(self: Box<Self>, inner: &Arc<Inner>, result: Result<(), GroupError>) {
        if self.outcome.is_ok() {
            finish_removal(inner, &self.group, result);
        }
        let _ = self.reply.send(self.outcome.and(result));
    }
}

/// Deletion of some of a group's offsets.
pub(super) struct DeleteOffsetsWrite {
    group: String,
    selection: Vec<TopicPartition>,
    reply: oneshot::Sender<Result<(), GroupError>>,
    _permit: OwnedSemaphorePermit,
}

impl DeleteOffsetsWrite {
    pub fn new(
        group: String,
        selection: Vec<TopicPartition>,
        reply: oneshot::Sender<Result<(), GroupError>>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self { group, selection, reply, _permit: permit }
    }
}

impl Write for DeleteOffsetsWrite {
    fn waits_for_others(&self) -> bool {
        true
    }

    fn records(&mut self, inner: &Arc<Inner>) -> Vec<EncodedRecord> {
        let selection = std::mem::take(&mut self.selection);
        let present = |entry: &mut super::entry::Entry, _now| {
            selection.into_iter().filter(|(topic, partition)| entry.offsets.get(topic, *partition).is_some()).collect()
        };
        self.selection = inner.look(&self.group, present).unwrap_or_default();
        offset_tombstones(&self.group, &self.selection)
    }

    fn done(self: Box<Self>, inner: &Arc<Inner>, result: Result<(), GroupError>) {
        if result.is_ok() {
            forget_offsets(inner, &self.group, &self.selection);
        }
        let _ = self.reply.send(result);
    }
}

/// Deletion of the offsets that the groups of one partition have in topics that are gone.
pub(super) struct TopicsDeletedWrite {
    shard: i32,
    topics: Arc<HashSet<String>>,
    reply: oneshot::Sender<Result<(), GroupError>>,
    /// What is deleted, by group.
    chosen: Vec<(String, Vec<TopicPartition>)>,
}

impl TopicsDeletedWrite {
    pub fn new(shard: i32, topics: Arc<HashSet<String>>, reply: oneshot::Sender<Result<(), GroupError>>) -> Self {
        Self { shard, topics, reply, chosen: Vec::new() }
    }
}

impl Write for TopicsDeletedWrite {
    fn waits_for_others(&self) -> bool {
        true
    }

    fn records(&mut self, inner: &Arc<Inner>) -> Vec<EncodedRecord> {
        let Some(shard) = inner.shards.get(self.shard as usize) else { return Vec::new() };
        let mut records = Vec::new();
        for entry in shard.entries() {
            let entry = entry.lock();
            let offsets = entry.offsets.select_topics(&self.topics);
            if !offsets.is_empty() {
                records.extend(offset_tombstones(entry.group.id(), &offsets));
                self.chosen.push((entry.group.id().to_owned(), offsets));
            }
        }
        records
    }

    fn done(self: Box<Self>, inner: &Arc<Inner>, result: Result<(), GroupError>) {
        if result.is_ok() {
            for (group, offsets) in &self.chosen {
                forget_offsets(inner, group, offsets);
            }
        }
        let _ = self.reply.send(result);
    }
}

/// Retention of one group: offsets past it go, and the group itself once it is empty of members and offsets.
pub(super) struct RetentionWrite {
    group: String,
    expired: Vec<TopicPartition>,
    removes_group: bool,
}

impl RetentionWrite {
    pub fn new(group: String) -> Self {
        Self { group, expired: Vec::new(), removes_group: false }
    }
}

impl Write for RetentionWrite {
    fn waits_for_others(&self) -> bool {
        true
    }

    fn records(&mut self, inner: &Arc<Inner>) -> Vec<EncodedRecord> {
        let verdict = inner.look(&self.group, |entry, now| {
            let verdict = retention::judge(entry, now.wall_ms, inner.options.offsets_retention);
            if verdict.removes_group {
                entry.group.kill(now);
            }
            verdict
        });
        let Some(verdict) = verdict else { return Vec::new() };
        (self.expired, self.removes_group) = (verdict.expired, verdict.removes_group);
        if self.removes_group {
            group_tombstones(&self.group, &self.expired)
        } else {
            offset_tombstones(&self.group, &self.expired)
        }
    }

    fn done(self: Box<Self>, inner: &Arc<Inner>, result: Result<(), GroupError>) {
        match result {
            Ok(()) if !self.expired.is_empty() || self.removes_group => {
                tracing::info!(group = %self.group, offsets = self.expired.len(), removed = self.removes_group, "expired");
            }
            Ok(()) => {}
            // The next round tries again.
            Err(error) => tracing::warn!(group = %self.group, %error, "expired offsets could not be deleted"),
        }
        if self.removes_group {
            finish_removal(inner, &self.group, result);
        } else if result.is_ok() {
            forget_offsets(inner, &self.group, &self.expired);
        }
    }
}

fn forget_offsets(inner: &Arc<Inner>, group: &str, gone: &[TopicPartition]) {
    inner.step(group, |entry, _now| {
        for (topic, partition) in gone {
            entry.offsets.apply(topic, *partition, None);
        }
        ((), Vec::new())
    });
}

/// Ends a removal that began with [`super::machine::Group::kill`].
fn finish_removal(inner: &Arc<Inner>, group: &str, result: Result<(), GroupError>) {
    inner.look(group, |entry, now| match result {
        Ok(()) => inner.remove(entry),
        Err(_) => entry.group.revive(now),
    });
}

/// Tombstones of offsets. What was committed has a record form, so nothing is left out here.
fn offset_tombstones(group: &str, offsets: &[TopicPartition]) -> Vec<EncodedRecord> {
    offsets.iter().filter_map(|(topic, partition)| encode_offset(group, topic, *partition, None).ok()).collect()
}

/// Tombstones of offsets and, last, of the group: what is cut off by a crash can be removed again.
fn group_tombstones(group: &str, offsets: &[TopicPartition]) -> Vec<EncodedRecord> {
    let mut records = offset_tombstones(group, offsets);
    records.extend(encode_group(group, None).ok());
    records
}

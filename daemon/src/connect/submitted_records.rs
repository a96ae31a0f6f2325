//! Which source offsets may be committed.
//!
//! Called by the source task runner on its own thread. Invariant 7: an offset becomes committable
//! only when the records it stands for have been acknowledged. Those are all records before its
//! checkpoint, or ([`Reach::Partition`]) the ones of its source partition; and in each source partition
//! offsets become committable in order. So a topic partition that is stuck holds back only the source
//! partitions with records in it.
//!
//! The bus names the batch that each record went into and tells which batches are done; a checkpoint
//! keeps the number of its records that are in batches which are not. Memory is bounded (invariant 9) by
//! the records in flight, and checkpoints that wait are thinned out past [`MOST_WAITING`].

use indexmap::IndexMap;
use levada_connector_api::{Reach, SourceOffset, SourcePartition};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// An offset to commit.
pub type Committable = (Arc<SourcePartition>, SourceOffset);

/// Checkpoints that may wait before newer ones replace older ones of the same source partition.
const MOST_WAITING: usize = 4096;
/// Entries of the open run after which those of one batch are put together.
const COMPACT_FROM: usize = 1024;

/// Checkpoints in order, and how far their records are acknowledged. Pure state.
#[derive(Debug, Default)]
pub struct SubmittedRecords {
    /// Records handed over.
    appended: u64,
    /// How many of them are acknowledged without a gap.
    acknowledged: u64,
    /// The records since the last checkpoint: how many of them are in which batch that is not done.
    run: Vec<(u64, u64)>,
    /// Whether there are records since the last checkpoint, done or not.
    run_has_records: bool,
    /// Entries of the run at which it is compacted next.
    compact_at: usize,
    /// Every record that belongs to no source partition in particular has a number below this.
    common: u64,
    /// Checkpoints that wait, by source partition.
    queues: IndexMap<Arc<SourcePartition>, Queue>,
    /// How many wait in all queues.
    waiting: usize,
    /// By batch: whose records it holds.
    shares: HashMap<u64, Vec<Share>>,
    /// Latest acknowledged offset of each partition that is not yet committed.
    committable: IndexMap<Arc<SourcePartition>, SourceOffset>,
}

/// The checkpoints of one source partition that wait.
#[derive(Debug, Default)]
struct Queue {
    /// Number of the first one.
    first: u64,
    checkpoints: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    offset: SourceOffset,
    /// Its own records that are not acknowledged.
    records: u64,
    /// How long the acknowledged prefix of all records must be besides.
    prefix: u64,
}

/// Records of one checkpoint in one batch.
#[derive(Debug)]
struct Share {
    partition: Arc<SourcePartition>,
    /// The checkpoint's number in its queue.
    checkpoint: u64,
    records: u64,
}

impl SubmittedRecords {
    /// A record was handed over and is in this batch.
    pub fn appended(&mut self, batch: u64) {
        self.appended += 1;
        self.run_has_records = true;
        match self.run.last_mut() {
            Some((last, records)) if *last == batch => *records += 1,
            _ => {
                if self.run.len() >= self.compact_at.max(COMPACT_FROM) {
                    compact(&mut self.run);
                    self.compact_at = self.run.len() * 2;
                }
                self.run.push((batch, 1));
            }
        }
    }

    /// Adds a checkpoint behind the records handed over so far.
    pub fn checkpoint(&mut self, partition: Arc<SourcePartition>, offset: SourceOffset, reach: Reach) {
        let has_records = std::mem::take(&mut self.run_has_records);
        let (run, prefix) = match reach {
            Reach::Partition => {
                compact(&mut self.run);
                (std::mem::take(&mut self.run), self.common)
            }
            Reach::All => {
                self.run.clear();
                if has_records {
                    self.common = self.appended;
                }
                (Vec::new(), self.appended)
            }
        };
        let records = run.iter().map(|(_, records)| records).sum();
        let added = self.enqueue(&partition, Waiting { offset, records, prefix });
        if let Some(checkpoint) = added {
            for (batch, records) in run {
                let share = Share { partition: Arc::clone(&partition), checkpoint, records };
                self.shares.entry(batch).or_default().push(share);
            }
        }
    }

    /// Puts a checkpoint behind those of its partition and tells its number; `None` when it is committable at once.
    fn enqueue(&mut self, partition: &Arc<SourcePartition>, new: Waiting) -> Option<u64> {
        let full = self.waiting >= MOST_WAITING;
        let Some(queue) = self.queues.get_mut(partition) else {
            if new.records == 0 && new.prefix <= self.acknowledged {
                self.committable.insert(Arc::clone(partition), new.offset);
                return None;
            }
            self.waiting += 1;
            let queue = Queue { first: 0, checkpoints: VecDeque::from([new]) };
            self.queues.insert(Arc::clone(partition), queue);
            return Some(0);
        };
        let alone = queue.checkpoints.len() < 2;
        match queue.checkpoints.back_mut() {
            // It waits for nothing more than the one before it, or there are too many: the older one is left out. One of
            // a full queue's own always stays, so that a partition that never rests is committed all the same.
            Some(last) if (new.records == 0 && new.prefix <= last.prefix) || (full && !alone) => {
                last.offset = new.offset;
                last.records += new.records;
                last.prefix = last.prefix.max(new.prefix);
            }
            _ => {
                queue.checkpoints.push_back(new);
                self.waiting += 1;
            }
        }
        Some(queue.first + queue.checkpoints.len() as u64 - 1)
    }

    /// Takes note that the first `prefix` records of all and everything in the batches `done` are acknowledged (or
    /// accepted as lost). True when the prefix has grown.
    pub fn acknowledged(&mut self, prefix: u64, done: &[u64]) -> bool {
        let grown = prefix > self.acknowledged;
        self.acknowledged = self.acknowledged.max(prefix);
        for batch in done {
            self.run.retain(|(of, _)| of != batch);
            for share in self.shares.remove(batch).unwrap_or_default() {
                let Some(queue) = self.queues.get_mut(&share.partition) else { continue };
                let place = share.checkpoint.checked_sub(queue.first).and_then(|place| usize::try_from(place).ok());
                if let Some(waiting) = place.and_then(|place| queue.checkpoints.get_mut(place)) {
                    waiting.records = waiting.records.saturating_sub(share.records);
                }
            }
        }
        if grown || !done.is_empty() {
            self.advance();
        }
        grown
    }

    /// Moves what nothing is missing of any more to the committable offsets.
    fn advance(&mut self) {
        let Self { queues, waiting, committable, acknowledged, .. } = self;
        queues.retain(|partition, queue| {
            while queue.checkpoints.front().is_some_and(|next| next.records == 0 && next.prefix <= *acknowledged) {
                let Some(next) = queue.checkpoints.pop_front() else { break };
                queue.first += 1;
                *waiting -= 1;
                committable.insert(Arc::clone(partition), next.offset);
            }
            !queue.checkpoints.is_empty()
        });
    }

    /// Whether there is anything to commit.
    pub fn has_committable(&self) -> bool {
        !self.committable.is_empty()
    }

    /// Takes the latest acknowledged offset of each partition.
    pub fn take(&mut self) -> Vec<Committable> {
        std::mem::take(&mut self.committable).into_iter().collect()
    }

    /// Gives back what could not be committed; newer offsets that became committable meanwhile win.
    pub fn give_back(&mut self, offsets: Vec<Committable>) {
        for (partition, offset) in offsets {
            self.committable.entry(partition).or_insert(offset);
        }
    }
}

/// Puts the entries of one batch together.
fn compact(run: &mut Vec<(u64, u64)>) {
    run.sort_unstable();
    run.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
}

#[cfg(test)]
mod tests;

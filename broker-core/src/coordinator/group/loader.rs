//! Reads partitions of `__consumer_offsets` into memory: each on first need, or soon after the start.

use std::collections::BTreeMap;
use std::sync::Arc;

use levada_env::time::{Duration, sleep, timeout};
use levada_wire::records::{Batch, BatchIter};

use super::entry::Entry;
use super::inner::Inner;
use super::log::OffsetsLogError;
use super::machine::{Group, GroupError, GroupSnapshot};
use super::offsets::GroupOffsets;
use super::records::{OffsetsRecord, decode};
use super::shard::{LoadState, Shard};

/// Between two tries to read a partition that can't be read.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// Largest decompressed batch. The coordinator's own are far smaller; this bounds what a damaged one can take (invariant 9).
const MAX_BATCH_BYTES: usize = 64 << 20;

impl Inner {
    /// Waits a moment for the partition of `group`.
    pub async fn ready(self: &Arc<Self>, group: &str) -> Result<(), GroupError> {
        if !self.is_active() {
            return Err(GroupError::CoordinatorNotAvailable);
        }
        self.loaded(self.shard_of(group)).await
    }

    /// Waits a moment for a partition.
    pub async fn loaded(self: &Arc<Self>, shard: &Shard) -> Result<(), GroupError> {
        if shard.is_loaded() {
            return Ok(());
        }
        self.begin_loading(shard);
        let mut state = shard.load.subscribe();
        let waited = timeout(self.options.load_wait, state.wait_for(|state| *state == LoadState::Loaded)).await;
        match waited {
            Ok(Ok(_)) => Ok(()),
            _ => Err(GroupError::CoordinatorLoadInProgress),
        }
    }

    /// Sees to it that a partition is loaded or being loaded.
    pub fn begin_loading(self: &Arc<Self>, shard: &Shard) {
        let exists = self.log.partition_count().is_some();
        let mut begin = false;
        shard.load.send_if_modified(|state| {
            if *state != LoadState::Unloaded {
                return false;
            }
            begin = exists;
            // Without a topic there is nothing to read, and what comes to be written later is in memory then.
            *state = if exists { LoadState::Loading } else { LoadState::Loaded };
            true
        });
        if begin {
            tokio::spawn(load(Arc::clone(self), shard.index));
        }
    }
}

/// Starts to load all partitions, one after the other, since nobody waits for them yet. An empty one costs one read of nothing.
pub(super) async fn load_all(inner: Arc<Inner>) {
    for shard in &inner.shards {
        inner.begin_loading(shard);
        let mut state = shard.load.subscribe();
        let mut active = inner.active.subscribe();
        tokio::select! {
            _ = state.wait_for(|state| *state == LoadState::Loaded) => {}
            _ = active.wait_for(|active| !active) => return,
        }
    }
}

/// Loads one partition, trying again while it can't be read. Ends when it is loaded or the coordinator stops.
async fn load(inner: Arc<Inner>, index: i32) {
    while inner.is_active() {
        match replay(&inner, index).await {
            Ok(replayed) => {
                install(&inner, replayed);
                inner.shards[index as usize].load.send_replace(LoadState::Loaded);
                return;
            }
            Err(error) => {
                tracing::warn!(partition = index, %error, "groups could not be loaded, trying again");
                sleep(RETRY_DELAY).await;
            }
        }
    }
}

type Replayed = BTreeMap<String, (Option<GroupSnapshot>, GroupOffsets)>;

async fn replay(inner: &Inner, index: i32) -> Result<Replayed, OffsetsLogError> {
    let mut groups = Replayed::new();
    let mut position = 0;
    loop {
        let chunk = inner.log.read(index, position).await?;
        for batch in BatchIter::of_chunks(chunk.batches) {
            match batch {
                Ok(batch) => replay_batch(index, &batch, &mut groups),
                Err(error) => return Err(OffsetsLogError::Unavailable(error.to_string())),
            }
        }
        if chunk.next_offset >= chunk.end_offset {
            return Ok(groups);
        }
        if chunk.next_offset <= position {
            // Half a partition must not pass for the whole: the groups in the rest would start over.
            return Err(OffsetsLogError::Unavailable(format!("nothing to read at offset {position}")));
        }
        position = chunk.next_offset;
    }
}

fn replay_batch(index: i32, batch: &Batch, groups: &mut Replayed) {
    if batch.header.is_control() {
        return;
    }
    let records = match batch.records(MAX_BATCH_BYTES) {
        Ok(records) => records,
        Err(error) => {
            tracing::error!(partition = index, offset = batch.header.base_offset, %error, "unreadable batch skipped");
            return;
        }
    };
    for record in records {
        let decoded = record.map_err(|error| error.to_string()).and_then(|record| {
            let Some(key) = record.key else { return Ok(None) };
            decode(key, record.value).map_err(|error| error.to_string())
        });
        match decoded {
            Ok(Some(record)) => replay_record(record, groups),
            Ok(None) => {}
            Err(error) => {
                tracing::error!(
                    partition = index,
                    offset = batch.header.base_offset,
                    error,
                    "unreadable record skipped"
                );
            }
        }
    }
}

fn replay_record(record: OffsetsRecord, groups: &mut Replayed) {
    match record {
        OffsetsRecord::Offset { group, topic, partition, value } => {
            groups.entry(group).or_default().1.apply(&topic, partition, value);
        }
        OffsetsRecord::Group { group, value } => groups.entry(group).or_default().0 = value,
    }
}

fn install(inner: &Arc<Inner>, replayed: Replayed) {
    let now = inner.now();
    for (id, (snapshot, offsets)) in replayed {
        let options = Arc::clone(&inner.machine_options);
        let group = match snapshot {
            Some(snapshot) => Group::restore(id, snapshot, options, now),
            None if offsets.is_empty() => continue,
            None => Group::new(id, options),
        };
        let loaded = inner.insert_loaded(Entry::new(group, offsets));
        let mut entry = loaded.lock();
        let outputs = entry.group.after_restore(now);
        inner.carry_out(&mut entry, outputs);
        inner.rearm(&mut entry);
    }
}

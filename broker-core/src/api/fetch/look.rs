//! One look at all partitions of a fetch.

use std::sync::Arc;

use levada_wire::messages::fetch::PartitionData;
use levada_wire::{ErrorCode, External, RecordSet};

use super::answer::{diverging, empty};
use super::session::{PartitionKey, TopicKey, Wanted};
use super::{Fetch, FileRecords};
use crate::api::answer_memory::HeldMemory;
use crate::api::error_map::ToErrorCode;
use crate::log::{LogRead, PartitionLog, ReadData};
use crate::replica::{GrowthMark, Partition, ReadWish, ReplicaError, TopicRef};

/// What a slice takes beside its bytes.
const SLICE_OVERHEAD: usize = 64;

/// What a look found.
pub(super) struct Looked {
    pub partitions: Vec<LookedAt>,
    /// Bytes there are, of each partition up to its limit: what `min_bytes` is compared with.
    pub counted: usize,
    /// Held for the records in memory.
    pub memory: HeldMemory,
}

/// A partition that was looked at: its answer so far, and what to wait for if the answer is not enough.
pub(super) struct LookedAt {
    pub key: PartitionKey,
    pub data: PartitionData,
    pub watched: Option<Watched>,
}

/// A partition that may grow.
pub(super) struct Watched {
    pub partition: Arc<Partition>,
    pub since: GrowthMark,
    /// How many further bytes would be answered.
    pub room: u64,
}

/// What may still be read.
struct Left {
    bytes: usize,
    /// Nothing was read yet.
    at_least_one: bool,
}

/// What reading one partition gave.
#[derive(Default)]
struct Reading {
    records: RecordSet,
    counted: usize,
    room: u64,
}

impl Looked {
    /// An error, or news that only an immediate answer tells.
    pub fn is_urgent(&self) -> bool {
        self.partitions.iter().any(|at| at.data.error_code != 0 || at.data.diverging_epoch.epoch >= 0)
    }
}

impl Fetch {
    /// Read every wanted partition once.
    pub(super) async fn look(&self) -> Looked {
        let mut left = Left { bytes: self.max_bytes, at_least_one: true };
        let partitions = Vec::with_capacity(self.session.wanted.len());
        let mut looked = Looked { partitions, counted: 0, memory: self.ctx.answer_memory.hold() };
        for wanted in &self.session.wanted {
            let (data, watched) = match self.look_at(wanted, &left, &mut looked.memory).await {
                Ok((data, counted, watched)) => {
                    looked.counted = looked.counted.saturating_add(counted);
                    (data, watched)
                }
                Err(error) => (self.failure(wanted, &error), None),
            };
            let bytes = data.records.as_ref().map_or(0, RecordSet::len);
            left.at_least_one &= bytes == 0;
            left.bytes = left.bytes.saturating_sub(bytes);
            looked.partitions.push(LookedAt { key: wanted.key.clone(), data, watched });
        }
        looked
    }

    async fn look_at(
        &self,
        wanted: &Wanted,
        left: &Left,
        memory: &mut HeldMemory,
    ) -> Result<(PartitionData, usize, Option<Watched>), ReplicaError> {
        let topic = match &wanted.key.0 {
            TopicKey::Name(name) => TopicRef::Name(name),
            TopicKey::Id(id) => TopicRef::Id(*id),
        };
        let partition = self.services.replicas.partition(topic, wanted.key.1).await?;
        let mut data = empty(wanted);
        if !self.may_read(partition.topic()) {
            data.error_code = match topic {
                TopicRef::Name(_) => ErrorCode::TopicAuthorizationFailed,
                // Not even that the id exists is told.
                TopicRef::Id(_) => ErrorCode::UnknownTopicId,
            }
            .code();
            return Ok((data, 0, None));
        }
        partition.check_epoch(wanted.leader_epoch)?;
        self.services.metrics.fetch_reads.add(1);
        let since = partition.growth_mark();
        let mut reading = Reading::default();
        if let Some(diverging) = diverging(&partition, wanted) {
            data.diverging_epoch = diverging;
        } else {
            reading = read(&partition, wanted, left, memory).await?;
        }
        data.records = Some(reading.records);
        let position = partition.position();
        data.high_watermark = position.high_watermark;
        data.last_stable_offset = position.last_stable_offset;
        data.log_start_offset = position.log_start_offset;
        data.aborted_transactions = self.read_committed.then(Vec::new);
        Ok((data, reading.counted, Some(Watched { partition, since, room: reading.room })))
    }

    fn failure(&self, wanted: &Wanted, error: &ReplicaError) -> PartitionData {
        self.services.metrics.failed_fetches.add(1);
        PartitionData { error_code: error.error_code().code(), ..empty(wanted) }
    }
}

async fn read(
    partition: &Partition,
    wanted: &Wanted,
    left: &Left,
    memory: &mut HeldMemory,
) -> Result<Reading, ReplicaError> {
    let max_bytes = usize::try_from(wanted.max_bytes).unwrap_or(0).min(left.bytes);
    if max_bytes == 0 && !left.at_least_one {
        return Ok(Reading { room: 1, ..Reading::default() });
    }
    let wish = ReadWish { max_bytes, at_least_one: left.at_least_one, from_files: false };
    let mut read = partition.read(wanted.fetch_offset, wish).await?;
    if let Some(found) = &read
        && !memory.try_add(memory_of(&found.data))
    {
        read = partition.read(wanted.fetch_offset, ReadWish { from_files: true, ..wish }).await?;
    }
    let Some(read) = read else { return Ok(Reading { room: max_bytes.max(1) as u64, ..Reading::default() }) };
    let bytes = read.data.len();
    Ok(Reading {
        // Whole batches rarely fill a limit; where more is there, the limit counts as filled.
        counted: if read.more { bytes.max(max_bytes) } else { bytes },
        // Never none: a batch of any size is answered where nothing else is.
        room: max_bytes.saturating_sub(bytes).max(1) as u64,
        records: records(read, partition.log()),
    })
}

fn memory_of(data: &ReadData) -> usize {
    match data {
        ReadData::Slices(slices) => data.len() + slices.len() * SLICE_OVERHEAD,
        ReadData::File(_) => 0,
    }
}

fn records(read: LogRead, log: &PartitionLog) -> RecordSet {
    match read.data {
        ReadData::Slices(slices) => RecordSet::Chunks(slices),
        ReadData::File(range) => {
            RecordSet::External(External::new(range.len, Arc::new(FileRecords { range, log: log.clone() })))
        }
    }
}

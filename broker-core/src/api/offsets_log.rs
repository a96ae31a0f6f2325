//! `__consumer_offsets` as the group coordinator sees it: its partitions through the replica layer, its names through the
//! metadata image.

use std::sync::Arc;

use bytes::Bytes;
use levada_env::Env;
use levada_wire::records::BatchIter;
use uuid::Uuid;

use super::topic_creation::TopicCreator;
use crate::coordinator::group::{OFFSETS_TOPIC, OffsetsChunk, OffsetsLog, OffsetsLogError, TopicLookup};
use crate::log::{AppendOrigin, FrameRoom, ValidationError};
use crate::quorum::{BoxFuture, MetadataQuorum};
use crate::replica::{AppendRules, Partition, ReadWish, ReplicaError, ReplicaManager, TopicRef};

/// Bytes read at a time when groups are loaded.
const READ_BYTES: usize = 1 << 20;

/// Implements the coordinator's traits over the layers below.
pub(crate) struct ReplicatedOffsets {
    pub env: Env,
    pub quorum: Arc<dyn MetadataQuorum>,
    pub replicas: Arc<ReplicaManager>,
    pub topics: TopicCreator,
}

impl ReplicatedOffsets {
    async fn partition(&self, index: i32) -> Result<Arc<Partition>, OffsetsLogError> {
        self.replicas.partition(TopicRef::Name(OFFSETS_TOPIC), index).await.map_err(unavailable)
    }

    async fn append_to(&self, index: i32, batch: Bytes) -> Result<i64, OffsetsLogError> {
        let partition = self.partition(index).await?;
        let config = self.replicas.topic_config(TopicRef::Name(OFFSETS_TOPIC));
        let rules = AppendRules {
            now_ms: self.env.clock.wall_ms(),
            origin: AppendOrigin::Coordinator,
            acks: -1,
            min_insync_replicas: config.map_or(1, |config| config.min_insync_replicas.max(1) as usize),
            zstd_allowed: true,
            full_validation: false,
        };
        let pending = partition.append(batch, rules, &mut FrameRoom::default()).await.map_err(refused)?;
        Ok(pending.acknowledged(-1).await.map_err(refused)?.base_offset)
    }

    async fn read_from(&self, index: i32, offset: i64) -> Result<OffsetsChunk, OffsetsLogError> {
        let never_written =
            self.quorum.image().topic(OFFSETS_TOPIC).is_none_or(|topic| !self.replicas.has_log(topic, index));
        if never_written {
            return Ok(OffsetsChunk::default());
        }
        let partition = self.partition(index).await?;
        let position = partition.position();
        let offset = offset.max(position.log_start_offset);
        let wish = ReadWish { max_bytes: READ_BYTES, at_least_one: true, from_files: false };
        let Some(read) = partition.read(offset, wish).await.map_err(unavailable)? else {
            return Ok(OffsetsChunk { next_offset: offset, end_offset: position.high_watermark, ..Default::default() });
        };
        let batches = partition.log().materialise(read.data).await.map_err(|e| unavailable(e.into()))?;
        let last = BatchIter::of_chunks(batches.iter().cloned()).filter_map(Result::ok).last();
        let next_offset = last.map_or(offset, |batch| batch.header.next_offset());
        Ok(OffsetsChunk { batches, next_offset, end_offset: partition.high_watermark() })
    }
}

fn unavailable(error: ReplicaError) -> OffsetsLogError {
    OffsetsLogError::Unavailable(error.to_string())
}

fn refused(error: ReplicaError) -> OffsetsLogError {
    match error {
        ReplicaError::Invalid(ValidationError::MessageTooLarge { .. } | ValidationError::RecordListTooLarge { .. }) => {
            OffsetsLogError::TooLarge
        }
        error => unavailable(error),
    }
}

impl OffsetsLog for ReplicatedOffsets {
    fn partition_count(&self) -> Option<i32> {
        Some(self.quorum.image().topic(OFFSETS_TOPIC)?.partitions.len() as i32)
    }

    fn create(&self) -> BoxFuture<'_, Result<i32, OffsetsLogError>> {
        Box::pin(async {
            let topic = self.topics.ensure(OFFSETS_TOPIC).await;
            topic
                .map(|topic| topic.partitions.len() as i32)
                .map_err(|error| OffsetsLogError::Unavailable(error.to_string()))
        })
    }

    fn append(&self, partition: i32, batch: Bytes) -> BoxFuture<'_, Result<i64, OffsetsLogError>> {
        Box::pin(self.append_to(partition, batch))
    }

    fn read(&self, partition: i32, offset: i64) -> BoxFuture<'_, Result<OffsetsChunk, OffsetsLogError>> {
        Box::pin(self.read_from(partition, offset))
    }
}

impl TopicLookup for ReplicatedOffsets {
    fn id_of(&self, name: &str) -> Option<Uuid> {
        self.quorum.image().topic(name).map(|topic| topic.id)
    }

    fn name_of(&self, id: Uuid) -> Option<String> {
        self.quorum.image().topic_by_id(id).map(|topic| topic.name.to_string())
    }

    fn has_partition(&self, name: &str, index: i32) -> bool {
        self.quorum.image().topic(name).is_some_and(|topic| topic.partition(index).is_some())
    }
}

//! Hands out producer ids from blocks reserved in the metadata log.

use std::sync::Arc;

use super::{MetadataQuorum, MetadataRecord, QuorumError, change};

const BLOCK: i64 = 1000;

/// Gives each idempotent producer an id no other ever had. Ids of a block that a crash leaves unused are skipped.
pub struct ProducerIdAllocator {
    quorum: Arc<dyn MetadataQuorum>,
    broker_id: i32,
    block: tokio::sync::Mutex<std::ops::Range<i64>>,
}

impl ProducerIdAllocator {
    /// An allocator without a block; the first id asks the quorum for one.
    pub fn new(quorum: Arc<dyn MetadataQuorum>, broker_id: i32) -> Self {
        Self { quorum, broker_id, block: tokio::sync::Mutex::new(0..0) }
    }

    /// The next id.
    pub async fn next_id(&self) -> Result<i64, QuorumError> {
        let mut block = self.block.lock().await;
        if let Some(id) = block.next() {
            return Ok(id);
        }
        let broker_id = self.broker_id;
        let (first, _) = change(&*self.quorum, |image| {
            let first = image.next_producer_id;
            Ok::<_, QuorumError>((vec![MetadataRecord::ProducerIds { broker_id, next: first + BLOCK }], first))
        })
        .await?;
        *block = first..first + BLOCK;
        block.next().ok_or(QuorumError::Closed)
    }
}

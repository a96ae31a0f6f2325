//! Takes writes to the log: for each partition one task while there is something to write, in order, as many writes to a batch as wait.
//!
//! While one batch is being made durable the next one gathers, so commits share their syncs. What is durable is applied to memory before
//! anything later is prepared.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use levada_wire::records::RecordBatchBuilder;

use super::inner::Inner;
use super::log::OffsetsLogError;
use super::machine::GroupError;
use super::records::EncodedRecord;
use super::shard::Shard;
use super::writes::Write;

/// Writes are gathered up to this much. A single write may be larger, up to what the topic allows in a batch.
const GATHER_BYTES: usize = 256 << 10;
/// Overhead of a record beside key and value, generously.
const RECORD_OVERHEAD: usize = 32;

impl Inner {
    /// Queues a write. To be called under the lock of the entry it was decided on.
    pub fn enqueue(self: &Arc<Self>, shard: &Shard, write: Box<dyn Write>) {
        let mut queue = shard.queue.lock();
        queue.writes.push_back(write);
        if !queue.running {
            queue.running = true;
            tokio::spawn(drain(Arc::clone(self), shard.index));
        }
    }

    fn next_writes(&self, index: i32) -> Vec<Box<dyn Write>> {
        let mut queue = self.shards[index as usize].queue.lock();
        let mut taken: Vec<Box<dyn Write>> = Vec::new();
        let mut bytes = 0;
        while let Some(next) = queue.writes.front() {
            let alone = next.waits_for_others();
            bytes += next.size();
            if !taken.is_empty() && (alone || bytes > GATHER_BYTES) {
                break;
            }
            taken.extend(queue.writes.pop_front());
            if alone {
                break;
            }
        }
        if taken.is_empty() {
            queue.running = false;
        }
        taken
    }
}

/// Writes until the queue is empty. It ends by itself; a stop of the coordinator lets it finish what was decided.
async fn drain(inner: Arc<Inner>, index: i32) {
    loop {
        let mut writes = inner.next_writes(index);
        if writes.is_empty() {
            return;
        }
        let records: Vec<Vec<EncodedRecord>> = writes.iter_mut().map(|write| write.records(&inner)).collect();
        let result = append_all(&inner, index, records.iter().flatten()).await;
        if result == Err(OffsetsLogError::TooLarge) && writes.len() > 1 {
            // One of them is at fault; the others must not suffer for it.
            for (write, records) in writes.into_iter().zip(records) {
                let result = append_all(&inner, index, records.iter()).await;
                write.done(&inner, to_group_error(index, result));
            }
            continue;
        }
        let result = to_group_error(index, result);
        for write in writes {
            write.done(&inner, result);
        }
    }
}

fn to_group_error(index: i32, result: Result<(), OffsetsLogError>) -> Result<(), GroupError> {
    result.map_err(|error| {
        tracing::warn!(partition = index, %error, "write to __consumer_offsets failed");
        match error {
            OffsetsLogError::TooLarge => GroupError::RecordRefused,
            OffsetsLogError::Unavailable(_) | OffsetsLogError::WrongPartitionCount { .. } => {
                GroupError::CoordinatorNotAvailable
            }
        }
    })
}

/// Appends records as one batch, or as several where they are tombstones of a removal that is larger than a batch should be: only those
/// may be cut, since half of a commit must never become durable alone.
async fn append_all(
    inner: &Arc<Inner>,
    index: i32,
    records: impl Iterator<Item = &EncodedRecord>,
) -> Result<(), OffsetsLogError> {
    let timestamp = inner.env.clock.wall_ms();
    let mut builder = RecordBatchBuilder::new(Vec::new());
    for record in records {
        if record.value.is_none() && builder.size() + record.len() + RECORD_OVERHEAD > GATHER_BYTES {
            append(inner, index, std::mem::replace(&mut builder, RecordBatchBuilder::new(Vec::new()))).await?;
        }
        builder
            .append(timestamp, Some(&record.key), record.value.as_deref(), std::iter::empty())
            .map_err(|_| OffsetsLogError::TooLarge)?;
    }
    append(inner, index, builder).await
}

async fn append(inner: &Arc<Inner>, index: i32, builder: RecordBatchBuilder) -> Result<(), OffsetsLogError> {
    if builder.is_empty() {
        return Ok(());
    }
    create_topic(inner).await?;
    inner.log.append(index, Bytes::from(builder.finish())).await?;
    Ok(())
}

async fn create_topic(inner: &Arc<Inner>) -> Result<(), OffsetsLogError> {
    if inner.created.load(Ordering::Acquire) {
        return Ok(());
    }
    let (actual, expected) = (inner.log.create().await?, inner.shards.len() as i32);
    if actual != expected {
        return Err(OffsetsLogError::WrongPartitionCount { expected, actual });
    }
    inner.created.store(true, Ordering::Release);
    Ok(())
}

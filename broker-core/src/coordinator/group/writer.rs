//! Takes writes to the log: for each partition one task while there is something to write, in order, as many writes to a batch as wait.
//!
//! While one batch is being made durable the next one gathers, so commits share their syncs. What is durable is applied to memory before
//! anything later is prepared.

use std::collections::VecDeque;
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

/// What the task at work on a queue has taken from it. A panic is a defect; it must neither stop the queue for good nor leave anyone
/// waiting: the queue is free for the next task, and what was taken or waits is answered with an error.
struct Taken {
    inner: Arc<Inner>,
    index: i32,
    writes: VecDeque<Box<dyn Write>>,
}

impl Drop for Taken {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let mut writes = std::mem::take(&mut self.writes);
        if let Some(shard) = self.inner.shards.get(self.index as usize) {
            let mut queue = shard.queue.lock();
            queue.running = false;
            writes.append(&mut queue.writes);
        }
        tracing::error!(partition = self.index, writes = writes.len(), "the writer of __consumer_offsets panicked");
        let inner = Arc::clone(&self.inner);
        // Not here: answering takes locks that whoever panicked may hold until it is unwound.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                for write in writes {
                    write.done(&inner, Err(GroupError::CoordinatorNotAvailable));
                }
            });
        }
    }
}

/// Writes until the queue is empty. It ends by itself; a stop of the coordinator lets it finish what was decided.
async fn drain(inner: Arc<Inner>, index: i32) {
    let mut taken = Taken { inner: Arc::clone(&inner), index, writes: VecDeque::new() };
    loop {
        taken.writes = inner.next_writes(index).into();
        if taken.writes.is_empty() {
            return;
        }
        let records: Vec<Vec<EncodedRecord>> = taken.writes.iter_mut().map(|write| write.records(&inner)).collect();
        let result = append_all(&inner, index, records.iter().flatten()).await;
        if result == Err(OffsetsLogError::TooLarge) && taken.writes.len() > 1 {
            // One of them is at fault; the others must not suffer for it.
            for records in records {
                let result = append_all(&inner, index, records.iter()).await;
                if let Some(write) = taken.writes.pop_front() {
                    write.done(&inner, to_group_error(index, result));
                }
            }
            continue;
        }
        let result = to_group_error(index, result);
        while let Some(write) = taken.writes.pop_front() {
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

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::super::tests::{Fixture, settle};
    use super::*;

    /// Its records cannot be made.
    struct Broken;

    impl Write for Broken {
        fn waits_for_others(&self) -> bool {
            false
        }

        fn records(&mut self, _inner: &Arc<Inner>) -> Vec<EncodedRecord> {
            panic!("a defect")
        }

        fn done(self: Box<Self>, _inner: &Arc<Inner>, _result: Result<(), GroupError>) {}
    }

    /// Says how it ended.
    struct Told(oneshot::Sender<Result<(), GroupError>>);

    impl Write for Told {
        fn waits_for_others(&self) -> bool {
            true
        }

        fn records(&mut self, _inner: &Arc<Inner>) -> Vec<EncodedRecord> {
            Vec::new()
        }

        fn done(self: Box<Self>, _inner: &Arc<Inner>, result: Result<(), GroupError>) {
            let _ = self.0.send(result);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_fails_what_waits_and_the_next_write_goes_through() {
        let f = Fixture::new();
        assert_eq!(f.commit("g", "t", 0, 1).await, 0);
        let (inner, (told, mut answer)) = (&f.coordinator.inner, oneshot::channel());
        inner.enqueue(inner.shard_of("g"), Box::new(Broken));
        inner.enqueue(inner.shard_of("g"), Box::new(Told(told)));
        settle().await;
        assert_eq!(answer.try_recv(), Ok(Err(GroupError::CoordinatorNotAvailable)));
        let limit = levada_env::time::Duration::from_secs(60);
        let committed = levada_env::time::timeout(limit, f.commit("g", "t", 0, 2)).await;
        assert_eq!(committed.expect("the queue is at work again"), 0);
    }
}

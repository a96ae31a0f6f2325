//! `__consumer_offsets` in memory for tests, with appends that can be held, failed or cut off by a crash.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use bytes::Bytes;
use levada_client::BoxFuture;
use levada_wire::records::{BatchIter, patch_base_offset};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::log::{OffsetsChunk, OffsetsLog, OffsetsLogError};

/// Batches of each partition. Outlives the coordinators that use it, as a disk does.
#[derive(Default)]
pub(super) struct Stored {
    partitions: Mutex<Option<Vec<Vec<Bytes>>>>,
}

/// One coordinator's way to [`Stored`].
pub(super) struct MemoryLog {
    pub stored: Arc<Stored>,
    partitions: i32,
    /// While false, appends wait before they are stored.
    pub appends_open: watch::Sender<bool>,
    /// While false, reads wait.
    pub reads_open: watch::Sender<bool>,
    /// The next appends fail with these.
    pub failures: Mutex<Vec<OffsetsLogError>>,
    pub max_batch: AtomicUsize,
    pub appends: AtomicI64,
    /// After this no append is stored any more, and none ends.
    crashed: watch::Sender<bool>,
}

impl MemoryLog {
    pub fn new(stored: Arc<Stored>, partitions: i32) -> Arc<Self> {
        Arc::new(Self {
            stored,
            partitions,
            appends_open: watch::Sender::new(true),
            reads_open: watch::Sender::new(true),
            failures: Mutex::default(),
            max_batch: AtomicUsize::new(1 << 20),
            appends: AtomicI64::new(0),
            crashed: watch::Sender::new(false),
        })
    }

    pub fn crash(&self) {
        self.crashed.send_replace(true);
    }

    async fn when_open(gate: &watch::Sender<bool>) {
        let _ = gate.subscribe().wait_for(|open| *open).await;
    }

    fn store(&self, partition: i32, batch: Bytes) -> Result<i64, OffsetsLogError> {
        if let Some(failure) = self.failures.lock().pop() {
            return Err(failure);
        }
        if batch.len() > self.max_batch.load(Ordering::Relaxed) {
            return Err(OffsetsLogError::TooLarge);
        }
        let mut partitions = self.stored.partitions.lock();
        let batches = &mut partitions.as_mut().expect("created before the first append")[partition as usize];
        let base = end_offset(batches);
        let mut batch = batch.to_vec();
        patch_base_offset(&mut batch, base);
        batches.push(batch.into());
        self.appends.fetch_add(1, Ordering::Relaxed);
        Ok(base)
    }
}

fn end_offset(batches: &[Bytes]) -> i64 {
    batches.last().map_or(0, |last| BatchIter::new(last.clone()).next().unwrap().unwrap().header.next_offset())
}

impl OffsetsLog for MemoryLog {
    fn partition_count(&self) -> Option<i32> {
        self.stored.partitions.lock().as_ref().map(|partitions| partitions.len() as i32)
    }

    fn create(&self) -> BoxFuture<'_, Result<i32, OffsetsLogError>> {
        let mut partitions = self.stored.partitions.lock();
        let made = partitions.get_or_insert_with(|| vec![Vec::new(); self.partitions as usize]);
        let count = made.len() as i32;
        Box::pin(async move { Ok(count) })
    }

    fn append(&self, partition: i32, batch: Bytes) -> BoxFuture<'_, Result<i64, OffsetsLogError>> {
        Box::pin(async move {
            Self::when_open(&self.appends_open).await;
            if *self.crashed.borrow() {
                std::future::pending::<()>().await;
            }
            self.store(partition, batch)
        })
    }

    fn read(&self, partition: i32, offset: i64) -> BoxFuture<'_, Result<OffsetsChunk, OffsetsLogError>> {
        Box::pin(async move {
            Self::when_open(&self.reads_open).await;
            let partitions = self.stored.partitions.lock();
            let Some(batches) = partitions.as_ref().map(|all| &all[partition as usize]) else {
                return Err(OffsetsLogError::Unavailable("no such topic".to_owned()));
            };
            // One batch at a time, so that reading on is tested too.
            let header = |batch: &Bytes| BatchIter::new(batch.clone()).next().unwrap().unwrap().header;
            let end = end_offset(batches);
            let found = batches.iter().find(|batch| header(batch).last_offset() >= offset);
            let next_offset = found.map_or(end, |batch| header(batch).next_offset());
            Ok(OffsetsChunk { batches: found.cloned().into_iter().collect(), next_offset, end_offset: end })
        })
    }
}

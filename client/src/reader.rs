//! Reads every partition of one topic from its start, outside of any group.

use crate::{
    ClientError, TopicName, Transport,
    admin::{Admin, EARLIEST, LATEST},
    fetch::{Fetcher, Position},
};
use levada_wire::records::Record;
use std::{sync::Arc, time::Duration};

/// Bytes of a fetch, and of the records handed out at once.
const FETCH_BYTES: usize = 1024 * 1024;

/// See the module's documentation.
pub struct Reader {
    admin: Admin,
    fetcher: Fetcher,
    deadline: Duration,
}

impl Reader {
    /// A reader at the start of `topic`; `None` when there is no such topic.
    pub async fn open(
        transport: Arc<dyn Transport>,
        topic: &str,
        deadline: Duration,
    ) -> Result<Option<Self>, ClientError> {
        let admin = Admin::new(transport.clone(), deadline);
        let Some(found) = admin.topic(topic).await? else { return Ok(None) };
        let topic = TopicName { name: found.name, id: found.id };
        let mut fetcher = Fetcher::new(transport, FETCH_BYTES, false);
        let positions = (0..found.partitions).map(|partition| Position::new(topic.clone(), partition, None));
        fetcher.assign(positions.collect());
        fetcher.look_up(&admin, EARLIEST).await?;
        Ok(Some(Self { admin, fetcher, deadline }))
    }

    /// Position of each partition; 0 while it is looked up again because the log's start has passed it.
    pub fn positions(&self) -> Vec<(i32, i64)> {
        let positions = self.fetcher.positions().iter();
        positions.map(|position| (position.partition, position.offset.unwrap_or(0))).collect()
    }

    /// End offset (exclusive) of each partition, in order.
    pub async fn end_offsets(&self) -> Result<Vec<i64>, ClientError> {
        let partitions: Vec<_> = self.fetcher.positions().iter().map(Position::key).collect();
        self.admin.list_offsets(&partitions, LATEST, false).await
    }

    /// Hands out records, in order per partition: those of the last fetch that are left, or of a new one,
    /// which waits up to `max_wait` for some. Not many at once: they are decompressed here, between the
    /// other tasks of the runtime.
    pub async fn next(&mut self, max_wait: Duration, mut each: impl FnMut(i32, Record)) -> Result<(), ClientError> {
        let mut failed = None;
        if !self.fetcher.has_records() {
            self.fetcher.look_up(&self.admin, EARLIEST).await?;
            failed = self.fetcher.fetch(max_wait, self.deadline).await?;
        }
        if self.fetcher.has_records() {
            self.fetcher.take(usize::MAX, |_, partition, _, record| each(partition, record))?;
            tokio::task::yield_now().await;
            return Ok(());
        }
        failed.map_or(Ok(()), Err)
    }
}

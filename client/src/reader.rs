//! Reads every partition of one topic from its start, outside of any group.

use crate::{
    ClientError, Transport,
    admin::{Admin, EARLIEST, LATEST},
    call::call,
    consumer::fetch::{self, Fetched, Position},
    error::check,
    offsets::TopicName,
};
use levada_wire::{ErrorCode, records::Record};
use std::{sync::Arc, time::Duration};

const FETCH_BYTES: usize = 1024 * 1024;

/// See the module's documentation.
pub struct Reader {
    transport: Arc<dyn Transport>,
    admin: Admin,
    topic: TopicName,
    positions: Vec<i64>,
    deadline: Duration,
    first: usize,
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
        let partitions: Vec<_> = (0..found.partitions).map(|partition| (found.name.clone(), partition)).collect();
        let positions = admin.list_offsets(&partitions, EARLIEST, false).await?;
        let topic = TopicName { name: found.name, id: found.id };
        Ok(Some(Self { transport, admin, topic, positions, deadline, first: 0 }))
    }

    /// Position of each partition.
    pub fn positions(&self) -> Vec<(i32, i64)> {
        (0..).zip(self.positions.iter().copied()).collect()
    }

    /// End offset (exclusive) of each partition, in order.
    pub async fn end_offsets(&self) -> Result<Vec<i64>, ClientError> {
        let partitions: Vec<_> =
            (0..).zip(&self.positions).map(|(index, _)| (self.topic.name.clone(), index)).collect();
        self.admin.list_offsets(&partitions, LATEST, false).await
    }

    /// One fetch: hands out its records, in order per partition. Waits up to `max_wait` for some.
    pub async fn next(&mut self, max_wait: Duration, mut each: impl FnMut(i32, Record)) -> Result<(), ClientError> {
        self.first = (self.first + 1) % self.positions.len().max(1);
        let all = (0..).zip(self.positions.iter().copied());
        let rotated: Vec<(i32, i64)> = all.clone().skip(self.first).chain(all.take(self.first)).collect();
        let positions =
            rotated.into_iter().map(|(partition, offset)| Position { topic: self.topic.clone(), partition, offset });
        let request = fetch::request(positions, max_wait, FETCH_BYTES, false);
        let answer = call(&*self.transport, request, max_wait + self.deadline).await?;
        check(|| format!("fetch of {}", self.topic.name), answer.error_code, None)?;
        let mut failed = None;
        for data in answer.responses.into_iter().flat_map(|topic| topic.partitions) {
            let partition = data.partition_index;
            let index = usize::try_from(partition).ok();
            let Some(position) = index.and_then(|index| self.positions.get_mut(index)) else { continue };
            match ErrorCode::from_code(data.error_code) {
                Some(ErrorCode::None) => {
                    let mut fetched = Fetched::new(self.topic.clone(), data, *position);
                    fetched.deliver(usize::MAX, &mut |_, record| each(partition, record))?;
                    *position = fetched.position;
                }
                // Retention has passed us: what is gone can't be read any more.
                Some(ErrorCode::OffsetOutOfRange) => {
                    let start =
                        self.admin.list_offsets(&[(self.topic.name.clone(), partition)], EARLIEST, false).await?;
                    *position = start.first().copied().unwrap_or(*position).max(*position);
                }
                _ => {
                    let subject = format!("{}-{partition}", self.topic.name);
                    failed = Some(ClientError::refused(subject, data.error_code, None));
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

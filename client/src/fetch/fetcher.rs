//! Fetches from a set of partitions and hands out what came, partition by partition.

use super::{Left, Position, fetched::Fetched};
use crate::{
    ClientError, TopicName, Transport,
    admin::{Admin, LATEST},
    call::call,
    consumer::{Taken, assignor::TopicPartition},
    error::check,
    topic_name::by_topic,
};
use levada_wire::{
    ErrorCode,
    messages::fetch::{FetchPartition, FetchRequest, FetchTopic, PartitionData},
    records::{Record, TimestampType},
};
use std::{collections::VecDeque, sync::Arc, time::Duration};

/// See the module.
pub(crate) struct Fetcher {
    transport: Arc<dyn Transport>,
    /// Bytes of a fetch, and of the records that are handed out at once.
    max_bytes: usize,
    read_committed: bool,
    positions: Vec<Position>,
    fetched: VecDeque<Fetched>,
    /// Who is first in a request is served first; the place moves on, so that nobody starves.
    next_first: usize,
}

impl Fetcher {
    pub(crate) fn new(transport: Arc<dyn Transport>, max_bytes: usize, read_committed: bool) -> Self {
        let (positions, fetched) = (Vec::new(), VecDeque::new());
        Self { transport, max_bytes, read_committed, positions, fetched, next_first: 0 }
    }

    /// Reads these partitions from now on.
    pub(crate) fn assign(&mut self, positions: Vec<Position>) {
        self.fetched.clear();
        self.positions = positions;
    }

    pub(crate) fn positions(&self) -> &[Position] {
        &self.positions
    }

    /// Whether there is something to take.
    pub(crate) fn has_records(&self) -> bool {
        !self.fetched.is_empty()
    }

    /// Tells the ids of topics, as far as they are known.
    pub(crate) fn rename(&mut self, id_of: impl Fn(&str) -> Option<uuid::Uuid>) {
        for position in &mut self.positions {
            if let Some(id) = id_of(&position.topic.name) {
                position.topic.id = id;
            }
        }
    }

    /// Moves a position; what was fetched for it is dropped. False where the partition is not read.
    pub(crate) fn seek(&mut self, topic: &str, partition: i32, offset: i64) -> bool {
        self.fetched.retain(|fetched| !fetched.is_of(topic, partition));
        let found = self.positions.iter_mut().find(|position| position.is(topic, partition));
        let moved = found.map(|position| {
            (position.offset, position.sought, position.refused) = (Some(offset), true, None);
        });
        moved.is_some()
    }

    /// Partitions without a position.
    pub(crate) fn missing(&self) -> Vec<TopicPartition> {
        self.positions.iter().filter(|position| position.offset.is_none()).map(Position::key).collect()
    }

    /// Gives positions without an offset the one at `timestamp`. Fails, and goes on to fail, when the log ends before where
    /// one was sought to.
    pub(crate) async fn look_up(&mut self, admin: &Admin, timestamp: i64) -> Result<(), ClientError> {
        let missing = self.missing();
        for refused in self.positions.iter().filter(|position| position.refused.is_some()) {
            let ends = admin.list_offsets(&[refused.key()], LATEST, false).await?;
            if let (Some(offset), Some(end)) = (refused.refused, ends.first().copied())
                && offset > end
            {
                let (topic, partition) = (refused.topic.name.to_string(), refused.partition);
                return Err(ClientError::PastEnd { topic, partition, offset, end });
            }
        }
        let offsets = admin.list_offsets(&missing, timestamp, self.read_committed).await?;
        let without = self.positions.iter_mut().filter(|position| position.offset.is_none());
        for (position, offset) in without.zip(offsets) {
            (position.offset, position.refused) = (Some(offset), None);
        }
        Ok(())
    }

    /// One fetch. `Ok(Some(_))` is the error of some partition; it comes again while it lasts.
    pub(crate) async fn fetch(
        &mut self,
        max_wait: Duration,
        request_timeout: Duration,
    ) -> Result<Option<ClientError>, ClientError> {
        self.next_first = (self.next_first + 1) % self.positions.len().max(1);
        let request = self.request(max_wait);
        let answer = call(&*self.transport, request, max_wait + request_timeout).await?;
        check(|| "fetch".to_owned(), answer.error_code, None)?;
        let mut failed = None;
        for topic in answer.responses {
            for data in topic.partitions {
                let is = |position: &Position| {
                    position.partition == data.partition_index && position.topic.is(&topic.topic, topic.topic_id)
                };
                if let Some(index) = self.positions.iter().position(is)
                    && let Err(error) = self.answered(index, data)
                {
                    failed = Some(error);
                }
            }
        }
        Ok(failed)
    }

    /// A full fetch without a session.
    fn request(&self, max_wait: Duration) -> FetchRequest {
        let max_bytes = i32::try_from(self.max_bytes).unwrap_or(i32::MAX);
        let rotated = self.positions.iter().cycle().skip(self.next_first).take(self.positions.len());
        let entries = rotated.filter_map(|position| {
            let entry = FetchPartition {
                partition: position.partition,
                current_leader_epoch: -1,
                fetch_offset: position.offset?,
                last_fetched_epoch: -1,
                log_start_offset: -1,
                partition_max_bytes: max_bytes,
                ..Default::default()
            };
            Some((position.topic.clone(), entry))
        });
        let topic = |(topic, partitions): (TopicName, Vec<FetchPartition>)| FetchTopic {
            topic: topic.name.to_string(),
            topic_id: topic.id,
            partitions,
        };
        FetchRequest {
            replica_id: -1,
            max_wait_ms: i32::try_from(max_wait.as_millis()).unwrap_or(i32::MAX),
            min_bytes: 1,
            max_bytes,
            isolation_level: i8::from(self.read_committed),
            session_id: 0,
            session_epoch: -1,
            topics: by_topic(entries).into_iter().map(topic).collect(),
            ..Default::default()
        }
    }

    fn answered(&mut self, index: usize, data: PartitionData) -> Result<(), ClientError> {
        let Some(position) = self.positions.get_mut(index) else { return Ok(()) };
        match ErrorCode::from_code(data.error_code) {
            Some(ErrorCode::None) => {}
            Some(ErrorCode::OffsetOutOfRange) => {
                tracing::warn!(
                    topic = %position.topic.name, partition = position.partition, offset = position.offset,
                    "position is out of range and is reset"
                );
                let offset = position.offset.take();
                position.refused = offset.filter(|_| position.sought);
                return Ok(());
            }
            _ => return Err(ClientError::refused(position.to_string(), data.error_code, None)),
        }
        position.end = Some(if self.read_committed { data.last_stable_offset } else { data.high_watermark });
        let Some(offset) = position.offset else { return Ok(()) };
        if data.records.as_ref().is_some_and(|records| !records.is_empty()) {
            self.fetched.push_back(Fetched::new(position.topic.clone(), data, offset));
        }
        Ok(())
    }

    /// Takes up to `max` fetched records in order, and no more than a fetch's bytes of them once they are
    /// decompressed, which happens here; says for each partition where it is after them.
    pub(crate) fn take(
        &mut self,
        max: usize,
        mut each: impl FnMut(&Arc<str>, i32, TimestampType, Record),
    ) -> Result<Vec<Taken>, ClientError> {
        let mut left = Left { records: max, bytes: self.max_bytes.max(1) };
        let mut taken = Vec::new();
        while !left.is_nothing()
            && let Some(fetched) = self.fetched.front_mut()
        {
            let Some(position) =
                self.positions.iter_mut().find(|position| fetched.is_of(&position.topic.name, position.partition))
            else {
                self.fetched.pop_front();
                continue;
            };
            let (topic, partition) = (position.topic.name.clone(), position.partition);
            let exhausted = fetched.deliver(&mut left, &mut |kind, record| each(&topic, partition, kind, record))?;
            position.offset = Some(fetched.position);
            taken.push(Taken { topic, partition, next_offset: fetched.position });
            if exhausted {
                self.fetched.pop_front();
            }
        }
        Ok(taken)
    }
}

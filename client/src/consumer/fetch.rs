//! Fetch requests, and records out of their answers.

use crate::{ClientError, offsets::TopicName};
use levada_wire::{
    messages::fetch::{AbortedTransaction, FetchPartition, FetchRequest, FetchTopic, PartitionData},
    records::{Batch, BatchIter, Record, RecordError, RecordIter, TimestampType},
};
use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

/// Most bytes that one batch may decompress to (invariant 9).
const DECOMPRESSED_LIMIT: usize = 256 * 1024 * 1024;

/// A partition to fetch from, and where.
#[derive(Clone, Debug)]
pub(crate) struct Position {
    pub(crate) topic: TopicName,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// A full fetch without a session.
pub(crate) fn request(
    positions: impl Iterator<Item = Position>,
    max_wait: Duration,
    max_bytes: usize,
    read_committed: bool,
) -> FetchRequest {
    let mut topics: Vec<FetchTopic> = Vec::new();
    for position in positions {
        let entry = FetchPartition {
            partition: position.partition,
            current_leader_epoch: -1,
            fetch_offset: position.offset,
            last_fetched_epoch: -1,
            log_start_offset: -1,
            partition_max_bytes: i32::try_from(max_bytes).unwrap_or(i32::MAX),
            ..Default::default()
        };
        match topics.iter_mut().find(|known| *known.topic == *position.topic.name) {
            Some(known) => known.partitions.push(entry),
            None => topics.push(FetchTopic {
                topic: position.topic.name.to_string(),
                topic_id: position.topic.id,
                partitions: vec![entry],
            }),
        }
    }
    FetchRequest {
        replica_id: -1,
        max_wait_ms: i32::try_from(max_wait.as_millis()).unwrap_or(i32::MAX),
        min_bytes: 1,
        max_bytes: i32::try_from(max_bytes).unwrap_or(i32::MAX),
        isolation_level: i8::from(read_committed),
        session_id: 0,
        session_epoch: -1,
        topics,
        ..Default::default()
    }
}

/// Fetched and not yet delivered records of one partition.
pub(crate) struct Fetched {
    topic: TopicName,
    partition: i32,
    batches: BatchIter,
    current: Option<(RecordIter, TimestampType, i64)>,
    aborted: VecDeque<AbortedTransaction>,
    aborting: HashSet<i64>,
    /// The next offset to deliver.
    pub(crate) position: i64,
}

impl Fetched {
    pub(crate) fn new(topic: TopicName, data: PartitionData, position: i64) -> Self {
        let batches = match &data.records {
            Some(records) => BatchIter::of_chunks(records.chunks().unwrap_or_default().iter().cloned()),
            None => BatchIter::default(),
        };
        let mut aborted = data.aborted_transactions.unwrap_or_default();
        aborted.sort_by_key(|transaction| transaction.first_offset);
        Self {
            topic,
            partition: data.partition_index,
            batches,
            current: None,
            aborted: aborted.into(),
            aborting: HashSet::new(),
            position,
        }
    }

    /// Whether these are records of that partition.
    pub(crate) fn is_of(&self, topic: &str, partition: i32) -> bool {
        self.partition == partition && *self.topic.name == *topic
    }

    /// Delivers up to `max` records; how many there were. Fewer than `max` says it is empty.
    pub(crate) fn deliver(
        &mut self,
        max: usize,
        each: &mut impl FnMut(TimestampType, Record),
    ) -> Result<usize, ClientError> {
        let mut delivered = 0;
        while delivered < max {
            let Some((records, timestamp_type, next)) = &mut self.current else {
                if !self.next_batch()? {
                    break;
                }
                continue;
            };
            match records.next() {
                Some(Ok(record)) if record.offset < self.position => {}
                Some(Ok(record)) => {
                    self.position = record.offset + 1;
                    each(*timestamp_type, record);
                    delivered += 1;
                }
                Some(Err(error)) => return Err(self.corrupt(&error)),
                None => {
                    self.position = self.position.max(*next);
                    self.current = None;
                }
            }
        }
        Ok(delivered)
    }

    /// Opens the next batch that has records for a consumer.
    fn next_batch(&mut self) -> Result<bool, ClientError> {
        while let Some(batch) = self.batches.next() {
            let batch = batch.map_err(|error| self.corrupt(&error))?;
            let next = batch.header.next_offset();
            if self.is_hidden(&batch) {
                self.position = self.position.max(next);
                continue;
            }
            batch.verify_crc().map_err(|error| self.corrupt(&error))?;
            let records = batch.records(DECOMPRESSED_LIMIT).map_err(|error| self.corrupt(&error))?;
            self.current = Some((records, batch.header.timestamp_type(), next));
            return Ok(true);
        }
        Ok(false)
    }

    /// Control batches and batches of aborted transactions.
    fn is_hidden(&mut self, batch: &Batch) -> bool {
        let header = &batch.header;
        while let Some(transaction) = self.aborted.front()
            && transaction.first_offset <= header.last_offset()
        {
            self.aborting.insert(transaction.producer_id);
            self.aborted.pop_front();
        }
        if header.is_control() {
            // The marker that ends the transaction.
            self.aborting.remove(&header.producer_id);
            return true;
        }
        header.is_transactional() && self.aborting.contains(&header.producer_id)
    }

    fn corrupt(&self, error: &RecordError) -> ClientError {
        ClientError::CorruptRecords {
            topic: self.topic.name.to_string(),
            partition: self.partition,
            offset: self.position,
            cause: error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use levada_wire::{codec::RecordSet, records::RecordBatchBuilder};

    fn batch(base: i64, values: &[&str], producer: Option<i64>, control: bool) -> Vec<u8> {
        let mut builder = RecordBatchBuilder::new(Vec::new());
        builder.set_position(base, 0);
        if let Some(producer) = producer {
            builder.set_producer(producer, 0, 0);
            builder.set_transactional(true);
        }
        builder.set_control(control);
        for value in values {
            builder.append(0, None, Some(value.as_bytes()), []).unwrap();
        }
        builder.finish()
    }

    fn fetched(bytes: Vec<u8>, position: i64, aborted: Vec<AbortedTransaction>) -> Fetched {
        let topic = TopicName { name: "t".into(), id: uuid::Uuid::nil() };
        let data = PartitionData {
            records: Some(RecordSet::Bytes(Bytes::from(bytes))),
            aborted_transactions: Some(aborted),
            ..Default::default()
        };
        Fetched::new(topic, data, position)
    }

    fn take(fetched: &mut Fetched, max: usize) -> Vec<(i64, String)> {
        let mut got = Vec::new();
        let mut each = |_, record: Record| {
            got.push((record.offset, String::from_utf8(record.value.unwrap().to_vec()).unwrap()));
        };
        fetched.deliver(max, &mut each).unwrap();
        got
    }

    #[test]
    fn delivery_starts_inside_a_batch_and_stops_at_the_limit() {
        let mut bytes = batch(10, &["a", "b", "c"], None, false);
        bytes.extend(batch(13, &["d"], None, false));
        let mut fetched = fetched(bytes, 11, Vec::new());
        assert_eq!(take(&mut fetched, 1), [(11, "b".to_owned())]);
        assert_eq!(fetched.position, 12);
        assert_eq!(take(&mut fetched, 10), [(12, "c".to_owned()), (13, "d".to_owned())]);
        assert_eq!(fetched.position, 14);
    }

    #[test]
    fn control_and_aborted_batches_are_passed_over() {
        let mut bytes = batch(0, &["bad"], Some(7), false);
        bytes.extend(batch(1, &["good"], Some(8), false));
        bytes.extend(batch(2, &["m"], Some(7), true));
        bytes.extend(batch(3, &["later"], Some(7), false));
        bytes.extend(batch(4, &["m"], Some(7), true));
        let mut fetched = fetched(bytes, 0, vec![AbortedTransaction { producer_id: 7, first_offset: 0 }]);
        assert_eq!(take(&mut fetched, 10), [(1, "good".to_owned()), (3, "later".to_owned())]);
        assert_eq!(fetched.position, 5);
    }

    #[test]
    fn damaged_records_are_an_error_and_move_nothing() {
        let mut bytes = batch(0, &["a"], None, false);
        let last = bytes.len() - 2;
        bytes[last] ^= 1;
        let mut fetched = fetched(bytes, 0, Vec::new());
        assert!(matches!(fetched.deliver(1, &mut |_, _| ()), Err(ClientError::CorruptRecords { offset: 0, .. })));
    }
}

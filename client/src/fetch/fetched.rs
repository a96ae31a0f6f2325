//! Records out of one partition's answer, decompressed as they are delivered.

use crate::{ClientError, TopicName};
use levada_wire::{
    messages::fetch::{AbortedTransaction, PartitionData},
    records::{Batch, BatchIter, Record, RecordError, RecordStream, TimestampType},
};
use std::collections::{HashSet, VecDeque};

/// Most bytes of one record of a compressed batch (invariant 9). What a batch expands to in all is
/// never in memory at once.
const RECORD_LIMIT: usize = 64 * 1024 * 1024;

/// What a record takes beside its bytes.
const RECORD_OVERHEAD: usize = 64;

/// How much may still be delivered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Left {
    pub(crate) records: usize,
    /// Decompressed. One record may go past it.
    pub(crate) bytes: usize,
}

impl Left {
    pub(crate) fn is_nothing(self) -> bool {
        self.records == 0 || self.bytes == 0
    }

    fn take(&mut self, record: &Record) {
        let part = |part: &Option<bytes::Bytes>| part.as_ref().map_or(0, bytes::Bytes::len);
        let headers: usize = record.headers.iter().map(|header| header.key.len() + part(&header.value)).sum();
        let size = part(&record.key) + part(&record.value) + headers + RECORD_OVERHEAD;
        self.records = self.records.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(size);
    }
}

/// Fetched and not yet delivered records of one partition.
pub(crate) struct Fetched {
    topic: TopicName,
    partition: i32,
    batches: BatchIter,
    current: Option<(RecordStream, TimestampType, i64)>,
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

    /// Delivers records while there is something `left`; whether there are none any more.
    pub(crate) fn deliver(
        &mut self,
        left: &mut Left,
        each: &mut impl FnMut(TimestampType, Record),
    ) -> Result<bool, ClientError> {
        while !left.is_nothing() {
            let Some((records, timestamp_type, next)) = &mut self.current else {
                if !self.next_batch()? {
                    return Ok(true);
                }
                continue;
            };
            match records.next() {
                Some(Ok(record)) if record.offset < self.position => {}
                Some(Ok(record)) => {
                    self.position = record.offset + 1;
                    left.take(&record);
                    each(*timestamp_type, record);
                }
                Some(Err(error)) => return Err(self.corrupt(&error)),
                None => {
                    self.position = self.position.max(*next);
                    self.current = None;
                }
            }
        }
        Ok(false)
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
            let records = RecordStream::new(&batch, RECORD_LIMIT).map_err(|error| self.corrupt(&error))?;
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
    use levada_wire::{
        codec::RecordSet,
        records::{Compression, RecordBatchBuilder},
    };

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
        fetched.deliver(&mut Left { records: max, bytes: usize::MAX }, &mut each).unwrap();
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

    /// A batch that expands a thousandfold is delivered in parts of bounded size.
    #[test]
    fn what_is_delivered_at_once_is_bounded_in_decompressed_bytes() {
        let mut builder = RecordBatchBuilder::new(Vec::new());
        for _ in 0..100 {
            builder.append(0, None, Some(&vec![0; 100_000]), []).unwrap();
        }
        let bytes = builder.finish_with(Compression::Zstd, None, &mut Vec::new()).unwrap();
        assert!(bytes.len() < 100_000);
        let mut fetched = fetched(bytes, 0, Vec::new());
        let (mut delivered, mut rounds, mut done) = (0, 0, false);
        while !done {
            let mut bytes = 0;
            let mut each = |_, record: Record| bytes += record.value.unwrap().len();
            done = fetched.deliver(&mut Left { records: usize::MAX, bytes: 1_000_000 }, &mut each).unwrap();
            assert!(bytes <= 1_100_000, "{bytes}");
            delivered += bytes;
            rounds += 1;
        }
        assert_eq!((delivered, fetched.position), (10_000_000, 100));
        assert!(rounds >= 10);
    }

    #[test]
    fn damaged_records_are_an_error_and_move_nothing() {
        let mut bytes = batch(0, &["a"], None, false);
        let last = bytes.len() - 2;
        bytes[last] ^= 1;
        let mut fetched = fetched(bytes, 0, Vec::new());
        let failed = fetched.deliver(&mut Left { records: 1, bytes: 1 }, &mut |_, _| ());
        assert!(matches!(failed, Err(ClientError::CorruptRecords { offset: 0, .. })));
    }
}

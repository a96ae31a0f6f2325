//! The dead letter queue: a topic for the records that a sink could not handle, as they came, with headers that say why.
//!
//! Fed by the conversion of fetched records on the task's thread, and by the task itself through its context from any
//! thread. No offset is committed before the records handed in up to then are acknowledged (invariant 7); one that the
//! topic refuses fails the task.

use super::DeadLetterOptions;
use crate::connect::{
    bus::{
        AckReport, BusError, BusProducer, ConsumedRecord, NewTopic, ProducerHeader, ProducerOptions, ProducerRecord,
    },
    task::{BUS_RETRY, Shared, Stage, TaskFailure, TaskId, TaskMetrics, exception_class},
};
use bytes::Bytes;
use levada_connector_api::{ConnectorError, TopicPartition};
use levada_env::{Instant, time};
use std::{
    collections::{HashMap, VecDeque},
    error::Error,
    fmt::Write as _,
    sync::Arc,
    time::Duration,
};

/// Bytes of original records that are kept for the task to report.
const KEPT_BYTES: usize = 16 * 1024 * 1024;

/// What failed where.
pub(super) struct Failed<'a> {
    pub(super) stage: Stage,
    pub(super) class: &'a str,
    pub(super) error: &'a ConnectorError,
}

/// Records as they were fetched, by their places, up to [`KEPT_BYTES`].
#[derive(Default)]
struct Originals {
    /// In order of their offsets.
    records: HashMap<TopicPartition, VecDeque<ConsumedRecord>>,
    /// In order of their coming.
    order: VecDeque<(TopicPartition, usize)>,
    bytes: usize,
}

impl Originals {
    /// Keeps a record; the oldest go when there are too many bytes.
    fn keep(&mut self, partition: &TopicPartition, record: &ConsumedRecord) {
        let len = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let bytes = len(&record.key) + len(&record.value) + 64;
        let kept = self.records.entry(partition.clone()).or_default();
        // A partition may begin again at an earlier offset.
        while kept.back().is_some_and(|last| last.offset >= record.offset) {
            kept.pop_back();
        }
        kept.push_back(record.clone());
        self.order.push_back((partition.clone(), bytes));
        self.bytes += bytes;
        while self.bytes > KEPT_BYTES
            && let Some((partition, bytes)) = self.order.pop_front()
        {
            self.bytes -= bytes;
            if let Some(kept) = self.records.get_mut(&partition) {
                kept.pop_front();
            }
        }
    }

    fn get(&self, partition: &TopicPartition, offset: i64) -> Option<ConsumedRecord> {
        let kept = self.records.get(partition)?;
        let at = kept.binary_search_by_key(&offset, |record| record.offset).ok()?;
        kept.get(at).cloned()
    }
}

/// The queue of one task.
pub(super) struct DeadLetters {
    producer: Box<dyn BusProducer>,
    topic: Arc<str>,
    headers: bool,
    reported: u64,
    acknowledged: u64,
    originals: Originals,
}

impl DeadLetters {
    /// Opens the queue, making its topic where it is missing; `None` when the task shall stop first.
    pub(super) fn open(shared: &Shared, options: &DeadLetterOptions) -> Result<Option<Self>, TaskFailure> {
        let id = &shared.id;
        let client =
            ProducerOptions { client_id: format!("connector-dlq-producer-{id}"), ..ProducerOptions::default() };
        let open = || shared.runtime.bus.producer(client.clone(), shared.owner.clone());
        let Some(mut producer) = shared.open_bus("dead letter queue", open)? else { return Ok(None) };
        let topic: Arc<str> = options.topic.as_str().into();
        loop {
            let failed = match shared.wait_or_stop(ensure(shared, &mut *producer, &topic, options)) {
                None => return Ok(None),
                Some(Ok(())) => break,
                Some(Err(error)) => error,
            };
            if !failed.is_retriable() {
                let doing = format!("could not make the dead letter queue's topic {topic}");
                return Err(TaskFailure::bus(&doing, &failed));
            }
            tracing::warn!(connector = %id.connector, task = id.task, error = %failed, "no dead letter queue yet");
            if shared.wait_stop(BUS_RETRY) {
                return Ok(None);
            }
        }
        Ok(Some(Self {
            producer,
            topic,
            headers: options.headers,
            reported: 0,
            acknowledged: 0,
            originals: Originals::default(),
        }))
    }

    /// Keeps a fetched record, for the task to report it later.
    pub(super) fn keep(&mut self, partition: &TopicPartition, record: &ConsumedRecord) {
        self.originals.keep(partition, record);
    }

    /// A kept record by its place.
    pub(super) fn original(&self, partition: &TopicPartition, offset: i64) -> Option<ConsumedRecord> {
        self.originals.get(partition, offset)
    }

    /// Hands a record over. Waits while too much is in flight.
    pub(super) fn report(
        &mut self,
        shared: &Shared,
        partition: &TopicPartition,
        record: &ConsumedRecord,
        failed: &Failed<'_>,
    ) -> Result<(), TaskFailure> {
        let mut headers = record.headers.clone();
        if self.headers {
            headers.extend(context(&shared.id, partition, record.offset, failed));
        }
        let outgoing = ProducerRecord {
            topic: &self.topic,
            partition: None,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            timestamp: Some(record.timestamp).filter(|timestamp| *timestamp >= 0),
            headers: &headers,
        };
        let refused = |error: &BusError| {
            TaskMetrics::add(&shared.metrics.dead_letter_failures, 1);
            TaskFailure::bus("could not produce to the dead letter queue", error)
        };
        if !self.producer.has_room() {
            shared.block_on(self.producer.room()).map_err(|error| refused(&error))?;
        }
        TaskMetrics::add(&shared.metrics.dead_letter_requests, 1);
        self.producer.append(outgoing).map_err(|error| refused(&error))?;
        self.reported += 1;
        self.producer.submit_idle().map_err(|error| refused(&error))
    }

    /// Waits until everything handed over is acknowledged. Called before each commit, and where a task
    /// stores its offsets itself.
    pub(super) fn settle(&mut self, shared: &Shared, timeout: Duration) -> Result<(), TaskFailure> {
        if self.acknowledged < self.reported {
            let bus = |error: &BusError| TaskFailure::bus("could not produce to the dead letter queue", error);
            self.producer.flush().map_err(|error| bus(&error))?;
            let deadline = Instant::now() + timeout;
            loop {
                let AckReport { acknowledged, failures, .. } = self.producer.acks();
                self.acknowledged = acknowledged;
                if let Some(failure) = failures.first() {
                    TaskMetrics::add(&shared.metrics.dead_letter_failures, failure.records as u64);
                    return Err(bus(&failure.error));
                }
                if self.acknowledged >= self.reported || shared.owner.is_revoked() {
                    break;
                }
                let progress = self.producer.progress();
                if shared.block_on(async { time::timeout_at(deadline, progress).await }).is_err() {
                    let action = "produce to the dead letter queue".to_owned();
                    return Err(bus(&BusError::Timeout { action, after: timeout }));
                }
            }
        }
        Ok(())
    }

    /// Whether everything handed over is acknowledged.
    pub(super) fn is_settled(&self) -> bool {
        self.acknowledged >= self.reported
    }

    /// What is committed will not be reported any more.
    pub(super) fn forget(&mut self) {
        self.originals = Originals::default();
    }
}

async fn ensure(
    shared: &Shared,
    producer: &mut dyn BusProducer,
    topic: &Arc<str>,
    options: &DeadLetterOptions,
) -> Result<(), BusError> {
    let bus = &shared.runtime.bus;
    if bus.describe_topic(topic, &[]).await?.is_none() {
        let new = NewTopic {
            name: topic.to_string(),
            partitions: Some(1),
            replication_factor: options.replication_factor,
            configs: Vec::new(),
        };
        let made = bus.create_topic(new).await?;
        tracing::info!(connector = %shared.id.connector, %topic, made, "topic for dead letters");
    }
    match producer.load_topic(topic, false).await? {
        Some(_) => Ok(()),
        None => Err(BusError::Retriable {
            action: format!("look-up of topic {topic}"),
            cause: "it is not there yet".into(),
        }),
    }
}

/// Connect's headers, all of them text.
fn context(id: &TaskId, partition: &TopicPartition, offset: i64, failed: &Failed<'_>) -> Vec<ProducerHeader> {
    let exception = exception_class(failed.error.kind);
    let mut trace = format!("{exception}: {}", failed.error);
    let mut cause = failed.error.source();
    // Bounded, since a connector may build a chain that has no end.
    for _ in 0..32 {
        let Some(error) = cause else { break };
        let _ = write!(trace, "\nCaused by: {error}");
        cause = error.source();
    }
    let header = |name: &str, value: String| ProducerHeader {
        key: format!("__connect.errors.{name}").into(),
        value: Some(value.into()),
    };
    vec![
        header("topic", partition.topic.to_string()),
        header("partition", partition.partition.to_string()),
        header("offset", offset.to_string()),
        header("connector.name", id.connector.to_string()),
        header("task.id", id.task.to_string()),
        header("stage", failed.stage.name().to_owned()),
        header("class.name", failed.class.to_owned()),
        header("exception.class.name", exception.to_owned()),
        header("exception.message", failed.error.message.clone()),
        header("exception.stacktrace", trace),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_connector_api::TimestampType;

    #[test]
    fn kept_records_are_found_until_there_are_too_many_bytes() {
        let partition = |number| TopicPartition { topic: "t".into(), partition: number };
        let record = |offset, bytes: usize| ConsumedRecord {
            offset,
            timestamp: 0,
            timestamp_type: TimestampType::CreateTime,
            key: None,
            value: Some(vec![0; bytes].into()),
            headers: Vec::new(),
        };
        let mut originals = Originals::default();
        for offset in [3, 5, 9] {
            originals.keep(&partition(0), &record(offset, 1));
            originals.keep(&partition(1), &record(offset + 1, 1));
        }
        let offset = |originals: &Originals, number, offset| {
            originals.get(&partition(number), offset).map(|record| record.offset)
        };
        assert_eq!(offset(&originals, 0, 5), Some(5));
        assert_eq!((offset(&originals, 0, 4), offset(&originals, 1, 4)), (None, Some(4)));
        // The partition is read again from an earlier offset.
        originals.keep(&partition(0), &record(5, 1));
        assert_eq!((offset(&originals, 0, 3), offset(&originals, 0, 9)), (Some(3), None));
        for offset in 10..20 {
            originals.keep(&partition(0), &record(offset, KEPT_BYTES / 4));
        }
        assert_eq!((offset(&originals, 0, 19), offset(&originals, 0, 12)), (Some(19), None));
        assert!(originals.bytes <= KEPT_BYTES && originals.order.len() < 5);
    }

    #[test]
    fn headers_are_connects() {
        let error = ConnectorError::data("bad line").caused_by(std::io::Error::other("at byte 3"));
        let failed = Failed { stage: Stage::ValueConverter, class: "x.JsonConverter", error: &error };
        let id = TaskId { connector: "sink".into(), task: 2 };
        let partition = TopicPartition { topic: "t".into(), partition: 1 };
        let headers = context(&id, &partition, 42, &failed);
        let text = |header: &ProducerHeader| {
            let value = header.value.clone().unwrap();
            (header.key.to_string(), String::from_utf8(value.to_vec()).unwrap())
        };
        let expected = [
            ("topic", "t"),
            ("partition", "1"),
            ("offset", "42"),
            ("connector.name", "sink"),
            ("task.id", "2"),
            ("stage", "VALUE_CONVERTER"),
            ("class.name", "x.JsonConverter"),
            ("exception.class.name", "org.apache.kafka.connect.errors.DataException"),
            ("exception.message", "bad line"),
            ("exception.stacktrace", "org.apache.kafka.connect.errors.DataException: bad line\nCaused by: at byte 3"),
        ];
        let expected = expected.map(|(name, value)| (format!("__connect.errors.{name}"), value.to_owned()));
        assert_eq!(headers.iter().map(text).collect::<Vec<_>>(), expected);
    }
}

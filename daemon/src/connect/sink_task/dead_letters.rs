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
use levada_connector_api::{ConnectorError, TopicPartition};
use levada_env::{Instant, time};
use std::{collections::VecDeque, error::Error, fmt::Write as _, sync::Arc, time::Duration};

/// Bytes of original records that are kept for the task to report.
const KEPT_BYTES: usize = 16 * 1024 * 1024;

/// What failed where.
pub(super) struct Failed<'a> {
    pub(super) stage: Stage,
    pub(super) class: &'a str,
    pub(super) error: &'a ConnectorError,
}

/// A record as it was fetched, by its place.
struct Original {
    partition: TopicPartition,
    record: ConsumedRecord,
    bytes: usize,
}

/// The queue of one task.
pub(super) struct DeadLetters {
    producer: Box<dyn BusProducer>,
    topic: Arc<str>,
    headers: bool,
    reported: u64,
    acknowledged: u64,
    originals: VecDeque<Original>,
    kept_bytes: usize,
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
            originals: VecDeque::new(),
            kept_bytes: 0,
        }))
    }

    /// Keeps a fetched record, for the task to report it later. The oldest go when there are too many bytes.
    pub(super) fn keep(&mut self, partition: &TopicPartition, record: &ConsumedRecord) {
        let len = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(0, bytes::Bytes::len);
        let bytes = len(&record.key) + len(&record.value) + 64;
        self.originals.push_back(Original { partition: partition.clone(), record: record.clone(), bytes });
        self.kept_bytes += bytes;
        while self.kept_bytes > KEPT_BYTES
            && let Some(oldest) = self.originals.pop_front()
        {
            self.kept_bytes -= oldest.bytes;
        }
    }

    /// A kept record by its place.
    pub(super) fn original(&self, topic: &str, partition: i32, offset: i64) -> Option<ConsumedRecord> {
        let same = |kept: &&Original| {
            kept.record.offset == offset && kept.partition.partition == partition && *kept.partition.topic == *topic
        };
        self.originals.iter().rev().find(same).map(|kept| kept.record.clone())
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

    /// Waits until everything handed over is acknowledged. Called before each commit.
    pub(super) fn settle(&mut self, shared: &Shared, timeout: Duration) -> Result<(), TaskFailure> {
        if self.acknowledged < self.reported {
            let bus = |error: &BusError| TaskFailure::bus("could not produce to the dead letter queue", error);
            self.producer.flush().map_err(|error| bus(&error))?;
            let deadline = Instant::now() + timeout;
            loop {
                let AckReport { acknowledged, failures } = self.producer.acks();
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

    /// What is committed will not be reported any more.
    pub(super) fn forget(&mut self) {
        self.originals.clear();
        self.kept_bytes = 0;
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

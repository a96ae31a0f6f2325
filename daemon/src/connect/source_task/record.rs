//! One source record on its way: transforms, converters, append. Errors meet `errors.*` here.

use super::{SourceTaskSpec, topics};
use crate::connect::{
    bus::{BusError, BusProducer, ProducerHeader, ProducerRecord},
    converter::{ConvertError, HeaderConverter},
    task::{FailedRecord, Shared, Stage, TaskFailure, Tried, with_retries},
};
use levada_connector_api::{ConnectorError, Headers, SourceRecord};
use std::sync::Arc;

/// Bytes of a key that an error's text shows.
const KEY_SHOWN: usize = 100;

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It is in the producer's hands, in the batch of this name.
    Appended(u64),
    /// A transform dropped it, or its error is tolerated.
    Skipped,
    /// The task shall stop, and the record was not handed over.
    Stopping,
}

/// Headers as bytes, and what they were made of: a source that gives all its records the same pays for them once.
#[derive(Default)]
struct Converted {
    headers: Vec<ProducerHeader>,
    of: Option<(Headers, Arc<str>)>,
}

impl Converted {
    /// The headers of a record of `topic`.
    fn of(
        &mut self,
        converter: &dyn HeaderConverter,
        topic: &Arc<str>,
        headers: &Headers,
    ) -> Result<&[ProducerHeader], ConvertError> {
        let known = |(known, of): &(Headers, Arc<str>)| known.is_shared_with(headers) && of == topic;
        if self.of.as_ref().is_some_and(known) {
            return Ok(&self.headers);
        }
        self.of = None;
        self.headers.clear();
        for header in headers {
            let value = converter.from_connect_header(topic, header)?;
            self.headers.push(ProducerHeader { key: header.key.clone(), value });
        }
        if headers.is_shared() {
            self.of = Some((headers.clone(), Arc::clone(topic)));
        }
        Ok(&self.headers)
    }
}

/// Turns records into bytes; keeps the buffers for it.
#[derive(Default)]
pub(super) struct RecordSender {
    key: Vec<u8>,
    value: Vec<u8>,
    headers: Converted,
    active_topic: Option<Arc<str>>,
    active_count: u64,
}

impl RecordSender {
    /// Sends one record. `now` stands in for a missing timestamp.
    pub(super) fn send(
        &mut self,
        shared: &Shared,
        spec: &mut SourceTaskSpec,
        producer: &mut dyn BusProducer,
        record: SourceRecord,
        now: i64,
    ) -> Result<Sent, TaskFailure> {
        let record = if spec.transforms.is_empty() {
            record
        } else {
            match transform(shared, spec, record)? {
                Ok(record) => record,
                Err(unsent) => return Ok(unsent),
            }
        };
        let (topic, key_schema, value_schema) =
            (&record.topic, record.key_schema.as_ref(), record.value_schema.as_ref());
        let failed = |stage, class: &str, error: ConvertError| {
            give_up(shared, spec, stage, class, (&record.topic, record.partition), &ConnectorError::from(error))
        };
        let key = match spec.key_converter.from_connect(topic, key_schema, &record.key, &mut self.key) {
            Ok(key) => key,
            Err(error) => return failed(Stage::KeyConverter, spec.key_converter.class(), error),
        };
        let value = match spec.value_converter.from_connect(topic, value_schema, &record.value, &mut self.value) {
            Ok(value) => value,
            Err(error) => return failed(Stage::ValueConverter, spec.value_converter.class(), error),
        };
        let headers = match self.headers.of(&*spec.header_converter, topic, &record.headers) {
            Ok(headers) => headers,
            Err(error) => return failed(Stage::HeaderConverter, spec.header_converter.class(), error),
        };
        let outgoing = ProducerRecord {
            topic,
            partition: record.partition,
            key,
            value,
            timestamp: Some(record.timestamp.unwrap_or(now)),
            headers,
        };
        let batch = loop {
            match producer.append(outgoing) {
                Ok(batch) => break batch,
                Err(BusError::UnknownTopic { .. }) => {
                    if !topics::ensure(shared, &spec.options, producer, topic)? {
                        return Ok(Sent::Stopping);
                    }
                }
                Err(error @ BusError::RecordTooLarge { .. }) => {
                    let text = format!(
                        "the record{} can't be produced: its topic takes no larger ones than its max.message.bytes says; for \
                         new topics that is topic.creation.default.max.message.bytes",
                        key.map_or_else(|| " without a key".to_owned(), |key| format!(" with the key {}", shown(key)))
                    );
                    let error = ConnectorError::data(text).caused_by(error);
                    return give_up(shared, spec, Stage::KafkaProduce, "producer", (topic, record.partition), &error);
                }
                Err(error @ BusError::UnknownPartition { .. }) => {
                    let error = ConnectorError::data("the record can't be produced").caused_by(error);
                    return give_up(shared, spec, Stage::KafkaProduce, "producer", (topic, record.partition), &error);
                }
                Err(error) => return Err(TaskFailure::bus("could not produce", &error)),
            }
        };
        if self.active_topic.as_ref().is_some_and(|active| Arc::ptr_eq(active, topic)) {
            self.active_count += 1;
        } else {
            self.count_topics(shared);
            (self.active_topic, self.active_count) = (Some(record.topic), 1);
        }
        Ok(Sent::Appended(batch))
    }

    /// Lets go of buffers.
    pub(super) fn rest(&mut self) {
        (self.key, self.value) = (Vec::new(), Vec::new());
        self.headers = Converted::default();
    }

    /// Brings the counters per topic up to date; called after each batch.
    pub(super) fn count_topics(&mut self, shared: &Shared) {
        if self.active_count == 0 {
            return;
        }
        let Some(topic) = &self.active_topic else { return };
        if shared.metrics.count_topic(topic, std::mem::take(&mut self.active_count)) {
            shared.topic_active(topic);
        }
    }
}

/// The begin of a key, to find its row by.
fn shown(key: &[u8]) -> String {
    let begin = key.get(..KEY_SHOWN).unwrap_or(key);
    let more = if begin.len() < key.len() { "..." } else { "" };
    format!("{}{more}", String::from_utf8_lossy(begin).replace(char::is_control, " "))
}

/// The transformed record, or what became of it instead.
fn transform(
    shared: &Shared,
    spec: &mut SourceTaskSpec,
    record: SourceRecord,
) -> Result<Result<SourceRecord, Sent>, TaskFailure> {
    let mut current = record;
    for index in 0..spec.transforms.len() {
        let Some(transform) = spec.transforms.get_mut(index) else { break };
        let place = (Arc::clone(&current.topic), current.partition);
        let result = {
            let _call = shared.calling("transform");
            if spec.options.errors.retries() {
                with_retries(shared, &spec.options.errors, || transform.apply(current.clone()))
            } else {
                Tried::Done(transform.apply(current))
            }
        };
        match result {
            Tried::Done(Ok(Some(next))) => current = next,
            Tried::Done(Ok(None)) => return Ok(Err(Sent::Skipped)),
            Tried::Stopping => return Ok(Err(Sent::Stopping)),
            Tried::Done(Err(error)) => {
                let class = transform.class().to_owned();
                return give_up(shared, spec, Stage::Transformation, &class, (&place.0, place.1), &error).map(Err);
            }
        }
    }
    Ok(Ok(current))
}

fn give_up(
    shared: &Shared,
    spec: &SourceTaskSpec,
    stage: Stage,
    class: &str,
    (topic, partition): (&str, Option<i32>),
    error: &ConnectorError,
) -> Result<Sent, TaskFailure> {
    let place = match partition {
        Some(partition) => format!("topic {topic}, partition {partition}"),
        None => format!("topic {topic}"),
    };
    let failed = FailedRecord { stage, class, place };
    let now = shared.runtime.clock.wall_ms();
    spec.options.errors.give_up(&shared.id, &shared.metrics, failed, error, now)?;
    Ok(Sent::Skipped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::converter::SchemaAndValue;
    use bytes::Bytes;
    use levada_connector_api::{Header, Value};

    /// Writes the topic's name and counts; refuses texts.
    #[derive(Default)]
    struct Topics(std::sync::atomic::AtomicU32);

    impl HeaderConverter for Topics {
        fn class(&self) -> &'static str {
            "Topics"
        }

        fn from_connect_header(&self, topic: &str, header: &Header) -> Result<Option<Bytes>, ConvertError> {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if matches!(header.value, Value::String(_)) {
                return Err(ConvertError::new("a text"));
            }
            Ok(Some(Bytes::copy_from_slice(topic.as_bytes())))
        }

        fn to_connect_header(&self, _: &str, _: &str, _: Option<Bytes>) -> Result<SchemaAndValue, ConvertError> {
            Ok(SchemaAndValue::default())
        }
    }

    #[test]
    fn shared_headers_are_converted_once_for_each_topic() {
        let (converter, mut converted) = (Topics::default(), Converted::default());
        let one = |value: Value| Headers::from(vec![Header { key: "h".into(), schema: None, value }]);
        let topics: [Arc<str>; 2] = ["a".into(), "b".into()];
        let (shared, bad) = (one(Value::Int8(1)), one(Value::string("x")));
        let kept = (shared.clone(), bad.clone());
        let mut asked = |topic: &Arc<str>, headers: &Headers| {
            let headers = converted.of(&converter, topic, headers).map(<[_]>::to_vec);
            let value = headers.ok().map(|headers| headers.first().and_then(|header| header.value.clone()));
            (value, converter.0.swap(0, std::sync::atomic::Ordering::Relaxed))
        };
        let written = |text: &'static str| Some(Some(Bytes::from_static(text.as_bytes())));
        assert_eq!(asked(&topics[0], &shared), (written("a"), 1));
        assert_eq!(asked(&topics[0], &kept.0), (written("a"), 0));
        assert_eq!(asked(&topics[1], &shared), (written("b"), 1));
        assert_eq!(asked(&topics[1], &bad), (None, 1));
        assert_eq!(asked(&topics[1], &bad), (None, 1), "what failed is tried again");
        assert_eq!(asked(&topics[1], &Headers::new()), (Some(None), 0));
        assert_eq!(asked(&topics[1], &shared), (written("b"), 1));
    }

    #[test]
    fn a_key_is_shown_by_its_begin_as_text() {
        assert_eq!(shown(br#"{"id":5}"#), r#"{"id":5}"#);
        assert_eq!(shown(&[b'k'; 101]), format!("{}...", "k".repeat(100)));
        assert_eq!(shown(b"a\nb"), "a b");
    }
}

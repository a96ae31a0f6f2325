//! Fetched records as sink records: converters and transforms. Errors meet `errors.*` here.

use super::{
    SinkTaskSpec,
    dead_letters::{DeadLetters, Failed as FailedAt},
};
use crate::connect::{
    bus::{ConsumedRecord, PartitionRecords},
    converter::{ConvertError, SchemaAndValue},
    task::{FailedRecord, Shared, Stage, TaskFailure, Tried, with_retries},
};
use levada_connector_api::{ConnectorError, Header, SinkRecord, TopicPartition};
use parking_lot::Mutex;
use std::{ops::ControlFlow, sync::Arc};

/// A queue that the task's context shares.
pub(super) type SharedDeadLetters = Arc<Mutex<Option<DeadLetters>>>;

/// Converts the records of one partition into `out`. Records that are dropped or skipped are left out. False when the
/// task shall stop before all are converted: then none of them may count as consumed.
pub(super) fn convert(
    shared: &Shared,
    spec: &mut SinkTaskSpec,
    dead_letters: &SharedDeadLetters,
    fetched: PartitionRecords,
    out: &mut Vec<SinkRecord>,
) -> Result<bool, TaskFailure> {
    out.reserve(fetched.records.len());
    let queued = spec.options.dead_letters.is_some();
    for record in fetched.records {
        // Its bytes are shared, not copied.
        let original = queued.then(|| record.clone());
        if let (Some(original), Some(letters)) = (&original, &mut *dead_letters.lock()) {
            letters.keep(&fetched.partition, original);
        }
        let place = Place {
            partition: &fetched.partition,
            offset: record.offset,
            timestamp: record.timestamp,
            original: original.as_ref(),
            dead_letters,
        };
        let converted = match sink_record(spec, &fetched.partition, record) {
            Ok(converted) => converted,
            Err((stage, class, error)) => {
                give_up(shared, spec, stage, &class, &place, &error.into())?;
                continue;
            }
        };
        if spec.transforms.is_empty() {
            out.push(converted);
        } else {
            match transform(shared, spec, converted, &place)? {
                ControlFlow::Continue(converted) => out.extend(converted),
                ControlFlow::Break(()) => return Ok(false),
            }
        }
    }
    Ok(true)
}

struct Place<'a> {
    partition: &'a TopicPartition,
    offset: i64,
    timestamp: i64,
    /// The record as it was fetched, where there is a queue for it.
    original: Option<&'a ConsumedRecord>,
    dead_letters: &'a SharedDeadLetters,
}

type Failed = (Stage, String, ConvertError);

fn sink_record(spec: &SinkTaskSpec, partition: &TopicPartition, record: ConsumedRecord) -> Result<SinkRecord, Failed> {
    let topic = &partition.topic;
    let key = spec
        .key_converter
        .to_connect(topic, record.key)
        .map_err(|error| (Stage::KeyConverter, spec.key_converter.class().to_owned(), error))?;
    let value = spec
        .value_converter
        .to_connect(topic, record.value)
        .map_err(|error| (Stage::ValueConverter, spec.value_converter.class().to_owned(), error))?;
    let mut headers = Vec::with_capacity(record.headers.len());
    for header in record.headers {
        let SchemaAndValue { schema, value } = spec
            .header_converter
            .to_connect_header(topic, &header.key, header.value)
            .map_err(|error| (Stage::HeaderConverter, spec.header_converter.class().to_owned(), error))?;
        headers.push(Header { key: header.key, schema, value });
    }
    Ok(SinkRecord {
        topic: topic.clone(),
        partition: partition.partition,
        offset: record.offset,
        key_schema: key.schema,
        key: key.value,
        value_schema: value.schema,
        value: value.value,
        timestamp: record.timestamp,
        timestamp_type: record.timestamp_type,
        headers: headers.into(),
        original_topic: None,
    })
}

/// What the transforms made of a record, if anything; breaks off when the task shall stop.
fn transform(
    shared: &Shared,
    spec: &mut SinkTaskSpec,
    record: SinkRecord,
    place: &Place<'_>,
) -> Result<ControlFlow<(), Option<SinkRecord>>, TaskFailure> {
    let mut current = record;
    for index in 0..spec.transforms.len() {
        let Some(transform) = spec.transforms.get_mut(index) else { break };
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
            Tried::Done(Ok(None)) => return Ok(ControlFlow::Continue(None)),
            Tried::Stopping => return Ok(ControlFlow::Break(())),
            Tried::Done(Err(error)) => {
                let class = transform.class().to_owned();
                return give_up(shared, spec, Stage::Transformation, &class, place, &error)
                    .map(|()| ControlFlow::Continue(None));
            }
        }
    }
    Ok(ControlFlow::Continue(Some(current)))
}

/// The record is skipped, into the dead letter queue where there is one, or the task ends.
fn give_up(
    shared: &Shared,
    spec: &SinkTaskSpec,
    stage: Stage,
    class: &str,
    place: &Place<'_>,
    error: &ConnectorError,
) -> Result<(), TaskFailure> {
    let TopicPartition { topic, partition } = place.partition;
    let text = format!("topic {topic}, partition {partition}, offset {}, timestamp {}", place.offset, place.timestamp);
    let now = shared.runtime.clock.wall_ms();
    let failed = FailedRecord { stage, class, place: text };
    spec.options.errors.give_up(&shared.id, &shared.metrics, failed, error, now)?;
    match (place.original, &mut *place.dead_letters.lock()) {
        (Some(original), Some(letters)) => {
            letters.report(shared, place.partition, original, &FailedAt { stage, class, error })
        }
        _ => Ok(()),
    }
}

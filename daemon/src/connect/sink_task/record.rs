//! Fetched records as sink records: converters and transforms. Errors meet `errors.*` here.

use super::SinkTaskSpec;
use crate::connect::{
    bus::{ConsumedRecord, PartitionRecords},
    converter::{ConvertError, SchemaAndValue},
    task::{FailedRecord, Shared, Stage, TaskFailure, Tried, with_retries},
};
use levada_connector_api::{ConnectorError, Header, SinkRecord, TopicPartition};
use std::ops::ControlFlow;

/// Converts the records of one partition into `out`. Records that are dropped or skipped are left out. False when the
/// task shall stop before all are converted: then none of them may count as consumed.
pub(super) fn convert(
    shared: &Shared,
    spec: &mut SinkTaskSpec,
    fetched: PartitionRecords,
    out: &mut Vec<SinkRecord>,
) -> Result<bool, TaskFailure> {
    out.reserve(fetched.records.len());
    for record in fetched.records {
        let place = Place { partition: &fetched.partition, offset: record.offset, timestamp: record.timestamp };
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
    let mut headers = Vec::new();
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
        headers,
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
            with_retries(shared, &spec.options.errors, || transform.apply(current.clone()))
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

/// The record is skipped, or the task ends. A dead letter queue will get the record's original bytes
/// from here.
fn give_up(
    shared: &Shared,
    spec: &SinkTaskSpec,
    stage: Stage,
    class: &str,
    place: &Place<'_>,
    error: &ConnectorError,
) -> Result<(), TaskFailure> {
    let TopicPartition { topic, partition } = place.partition;
    let place = format!("topic {topic}, partition {partition}, offset {}, timestamp {}", place.offset, place.timestamp);
    let now = shared.runtime.clock.wall_ms();
    let failed = FailedRecord { stage, class, place };
    spec.options.errors.give_up(&shared.id, &shared.metrics, failed, error, now)
}

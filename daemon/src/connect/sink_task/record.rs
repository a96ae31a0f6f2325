//! Fetched records as sink records: converters and transforms. Errors meet `errors.*` here.

use super::SinkTaskSpec;
use crate::connect::{
    bus::{ConsumedRecord, PartitionRecords},
    converter::{ConvertError, SchemaAndValue},
    task::{FailedRecord, Shared, Stage, TaskFailure, with_retries},
};
use levada_connector_api::{ConnectorError, Header, SinkRecord, TopicPartition};

/// Converts the records of one partition into `out`. Records that are dropped or skipped are left out.
pub(super) fn convert(
    shared: &Shared,
    spec: &mut SinkTaskSpec,
    fetched: PartitionRecords,
    out: &mut Vec<SinkRecord>,
) -> Result<(), TaskFailure> {
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
        } else if let Some(converted) = transform(shared, spec, converted, &place)? {
            out.push(converted);
        }
    }
    Ok(())
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
    })
}

fn transform(
    shared: &Shared,
    spec: &mut SinkTaskSpec,
    record: SinkRecord,
    place: &Place<'_>,
) -> Result<Option<SinkRecord>, TaskFailure> {
    let mut current = record;
    for index in 0..spec.transforms.len() {
        let Some(transform) = spec.transforms.get_mut(index) else { break };
        let result = {
            let _call = shared.calling("transform");
            with_retries(shared, &spec.options.errors, || transform.apply(current.clone()))
        };
        match result {
            Ok(Some(next)) => current = next,
            Ok(None) => return Ok(None),
            Err(error) => {
                let class = transform.class().to_owned();
                return give_up(shared, spec, Stage::Transformation, &class, place, &error).map(|()| None);
            }
        }
    }
    Ok(Some(current))
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

//! Any batch that the traits allow.

use levada_connector_api::{
    Bytes, Checkpoint, Field, Header, Reach, Schema, SchemaType, SinkRecord, SourceBatch, SourceRecord, Str,
    TimestampType, Value,
};
use proptest::{collection::vec, option, prelude::*};
use std::sync::Arc;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-zäß]{0,12}", Just("\0x".to_owned())]
}

fn kind() -> impl Strategy<Value = SchemaType> {
    proptest::sample::select(vec![
        SchemaType::Int8,
        SchemaType::Int16,
        SchemaType::Int32,
        SchemaType::Int64,
        SchemaType::Float32,
        SchemaType::Float64,
        SchemaType::Boolean,
        SchemaType::String,
        SchemaType::Bytes,
    ])
}

fn plain() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        any::<i8>().prop_map(Value::Int8),
        any::<i16>().prop_map(Value::Int16),
        any::<i32>().prop_map(Value::Int32),
        any::<i64>().prop_map(Value::Int64),
        any::<f32>().prop_map(Value::Float32),
        any::<f64>().prop_map(Value::Float64),
        text().prop_map(|text| Value::String(Str::from(text))),
        vec(any::<u8>(), 0..20).prop_map(|bytes| Value::Bytes(Bytes::from(bytes))),
    ]
}

prop_compose! {
    fn attributes()(
        optional in any::<bool>(),
        name in option::of(text()),
        version in option::of(any::<i32>()),
        doc in option::of(text()),
        parameters in proptest::collection::btree_map(text(), text(), 0..3),
        default in option::of(plain()),
    ) -> Schema {
        Schema { optional, name, version, doc, parameters, default, ..Schema::new(SchemaType::Int8) }
    }
}

/// `schema` with the attributes of another.
fn with(schema: Schema, attributes: Schema) -> Arc<Schema> {
    let Schema { kind, fields, key_schema, value_schema, .. } = schema;
    Arc::new(Schema { kind, fields, key_schema, value_schema, ..attributes })
}

pub fn schema() -> impl Strategy<Value = Arc<Schema>> {
    let leaf = (kind(), attributes()).prop_map(|(kind, attributes)| with(Schema::new(kind), attributes));
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            (inner.clone(), attributes()).prop_map(|(item, attributes)| with(Schema::array(item), attributes)),
            (inner.clone(), inner.clone(), attributes())
                .prop_map(|(key, item, attributes)| with(Schema::map(key, item), attributes)),
            structure(inner),
        ]
    })
}

fn structure(field: impl Strategy<Value = Arc<Schema>>) -> impl Strategy<Value = Arc<Schema>> {
    vec((text(), field), 0..4).prop_map(|fields| {
        let mut schema = Schema::new(SchemaType::Struct);
        schema.fields = fields.into_iter().map(|(name, schema)| Field { name, schema }).collect();
        // Its default is a struct of the same fields.
        let values = schema.fields.iter().map(|_| Value::Null).collect();
        let plain = Arc::new(schema.clone());
        schema.default = Some(Value::structure(plain, values));
        Arc::new(schema)
    })
}

pub fn value() -> impl Strategy<Value = Value> {
    plain().prop_recursive(3, 10, 4, |inner| {
        let fields = vec((text(), schema(), inner.clone()), 0..4);
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::Array),
            vec((inner.clone(), inner), 0..4).prop_map(Value::Map),
            fields.prop_map(|fields| {
                let mut schema = Schema::new(SchemaType::Struct);
                let mut values = Vec::new();
                for (name, field, value) in fields {
                    schema.fields.push(Field { name, schema: field });
                    values.push(value);
                }
                Value::structure(Arc::new(schema), values)
            }),
        ]
    })
}

prop_compose! {
    fn header()(key in text(), schema in option::of(schema()), value in value()) -> Header {
        Header { key: Str::from(key), schema, value }
    }
}

prop_compose! {
    fn source_record()(
        topic in text(),
        partition in option::of(0..i32::MAX),
        key_schema in option::of(schema()),
        key in value(),
        value_schema in option::of(schema()),
        value in value(),
        timestamp in option::of(-5_i64..i64::MAX),
        headers in vec(header(), 0..3),
    ) -> SourceRecord {
        let topic = Arc::from(topic);
        SourceRecord { topic, partition, key_schema, key, value_schema, value, timestamp, headers: headers.into() }
    }
}

prop_compose! {
    fn sink_record()(
        record in source_record(),
        offset in any::<i64>(),
        timestamp in any::<i64>(),
        late in any::<bool>(),
        original in option::of(text()),
    ) -> SinkRecord {
        SinkRecord {
            topic: record.topic,
            partition: record.partition.unwrap_or(0),
            offset,
            key_schema: record.key_schema,
            key: record.key,
            value_schema: record.value_schema,
            value: record.value,
            timestamp,
            timestamp_type: if late { TimestampType::LogAppendTime } else { TimestampType::CreateTime },
            headers: record.headers,
            original_topic: original.map(Arc::from),
        }
    }
}

pub fn sink_records() -> impl Strategy<Value = Vec<SinkRecord>> {
    vec(sink_record(), 0..5)
}

pub fn source_batch() -> impl Strategy<Value = SourceBatch> {
    let reach = prop_oneof![Just(Reach::All), Just(Reach::Partition)];
    let point = (any::<proptest::sample::Index>(), text(), any::<i64>(), reach);
    (vec(source_record(), 0..5), vec(point, 0..4)).prop_map(|(records, points)| {
        let object = |name: &str, value: serde_json::Value| {
            let mut map = serde_json::Map::new();
            map.insert(name.to_owned(), value);
            map
        };
        let mut points: Vec<_> = points
            .into_iter()
            .map(|(after, name, at, reach)| (after.index(records.len() + 1), name, at, reach))
            .collect();
        points.sort_by_key(|(after, ..)| *after);
        let checkpoints = points
            .into_iter()
            .map(|(after, name, at, reach)| Checkpoint {
                after,
                partition: Arc::new(object("filename", name.into())),
                offset: object("position", at.into()),
                reach,
            })
            .collect();
        SourceBatch { records, checkpoints }
    })
}

//! Batches come back as they went, and no bytes whatever break a reader (invariant 9).

use super::arbitrary::{sink_records, source_batch};
use levada_connector_api::{
    Bytes, ErrorKind, Schema, SchemaType, SinkRecord, SourceBatch, Value,
    abi::batch::{MAX_DEPTH, read_sink, read_source, write_sink, write_source},
    testkit::record,
};
use proptest::{collection::vec, prelude::*};
use std::sync::Arc;

/// All that a value holds; unlike `==` it also tells a NaN from another.
fn shown<T: std::fmt::Debug>(value: &T) -> String {
    format!("{value:?}")
}

/// Reads as both kinds; neither may panic.
fn read(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    drop(read_source(bytes.clone()));
    drop(read_sink(bytes));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn source_batches_come_back_as_they_went(batch in source_batch()) {
        let bytes = write_source(&batch).unwrap();
        prop_assert_eq!(shown(&read_source(bytes.into()).unwrap()), shown(&batch));
    }

    #[test]
    fn sink_batches_come_back_as_they_went(records in sink_records()) {
        let bytes = write_sink(&records).unwrap();
        prop_assert_eq!(shown(&read_sink(bytes.into()).unwrap()), shown(&records));
    }

    #[test]
    fn a_cut_batch_is_refused(batch in source_batch(), cut in any::<proptest::sample::Index>()) {
        let bytes = write_source(&batch).unwrap();
        let cut = cut.index(bytes.len());
        prop_assume!(cut > 0);
        prop_assert!(read_source(Bytes::copy_from_slice(&bytes[..cut])).is_err());
    }

    #[test]
    fn damaged_bytes_never_panic(
        batch in source_batch(),
        records in sink_records(),
        damage in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
    ) {
        for mut bytes in [write_source(&batch).unwrap(), write_sink(&records).unwrap()] {
            for (at, byte) in &damage {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            read(&bytes);
        }
    }

    #[test]
    fn random_bytes_never_panic(kind in 0_u8..4, tail in vec(any::<u8>(), 0..400)) {
        read(&tail);
        let mut bytes = b"LVB1".to_vec();
        bytes.extend([kind, 1, 0, 0]);
        bytes.extend(tail);
        read(&bytes);
    }

    /// Small numbers, as counts and indexes are, get further in than random ones.
    #[test]
    fn small_numbers_never_panic(kind in 1_u8..3, numbers in vec(0_u8..16, 0..200)) {
        let mut bytes = b"LVB1".to_vec();
        bytes.extend([kind, 1, 0, 0]);
        for number in numbers {
            bytes.extend(if number < 8 { vec![number, 0, 0, 0] } else { vec![number - 8] });
        }
        read(&bytes);
    }
}

fn error_of(bytes: Vec<u8>) -> String {
    let error = read_source(bytes.into()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Fatal);
    error.message
}

/// A source batch without topics that goes on as given.
fn batch_with(rest: &[&[u8]]) -> Vec<u8> {
    let mut bytes = b"LVB1\x01\x01\0\0\0\0\0\0".to_vec();
    bytes.extend(rest.concat());
    bytes
}

#[test]
fn no_bytes_are_an_empty_batch() {
    assert!(read_source(Bytes::new()).unwrap().records.is_empty());
    assert!(read_sink(Bytes::new()).unwrap().is_empty());
}

#[test]
fn claimed_counts_allocate_nothing() {
    let huge = u32::MAX.to_le_bytes();
    for bytes in [
        b"LVB1\x01\x01\0\0\xFF\xFF\xFF\xFF".to_vec(),
        batch_with(&[&huge]),
        batch_with(&[&[0; 4], &huge]),
        batch_with(&[&[0; 8], &huge]),
        batch_with(&[&[0; 12], &huge]),
    ] {
        assert!(error_of(bytes).contains("count"));
    }
}

#[test]
fn what_is_wrong_is_told() {
    for (bytes, told) in [
        (b"PK\x03\x04".to_vec(), "LVB1"),
        (b"LVB1\x02\x01\0\0".to_vec(), "other kind"),
        (b"LVB1\x01\x02\0\0".to_vec(), "layout version 2"),
        (b"LVB1\x01\x01\0".to_vec(), "ends too soon"),
        (batch_with(&[&[0; 16], b"x"]), "after its end"),
    ] {
        let message = error_of(bytes);
        assert!(message.contains(told), "{message}");
    }
}

fn sink_record(schema: Option<Arc<Schema>>, value: Value) -> SinkRecord {
    SinkRecord { value_schema: schema, ..record("t", 0, 0, value) }
}

#[test]
fn depth_is_bounded_on_both_sides() {
    let nested = |depth: u32| (0..depth).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
    let fine = write_sink(&[sink_record(None, nested(MAX_DEPTH))]).unwrap();
    assert!(read_sink(fine.into()).is_ok());
    assert!(write_sink(&[sink_record(None, nested(MAX_DEPTH + 1))]).is_err());

    let deep = |depth: u32| {
        (1..depth).fold(Arc::new(Schema::new(SchemaType::Int8)), |inner, _| Arc::new(Schema::array(inner)))
    };
    let fine = write_sink(&[sink_record(Some(deep(MAX_DEPTH)), Value::Null)]).unwrap();
    assert!(read_sink(fine.into()).is_ok());
    assert!(write_sink(&[sink_record(Some(deep(MAX_DEPTH + 2)), Value::Null)]).is_err());
}

/// 40 schemas, each with the one before it as both of its fields: small as bytes, endless as a tree.
#[test]
fn a_schema_of_endless_size_is_refused() {
    let doubled = (0..40).fold(Arc::new(Schema::new(SchemaType::Int8)), |inner, _| {
        Arc::new(Schema::structure([("a", Arc::clone(&inner)), ("b", inner)]))
    });
    let bytes = write_sink(&[sink_record(Some(doubled), Value::Null)]).unwrap();
    assert!(bytes.len() < 10_000, "schemas that are shared are written once");
    assert!(read_sink(bytes.into()).unwrap_err().message.contains("too large"));
}

#[test]
fn schemas_and_topics_are_written_once() {
    let size = |count: i64, shared: bool| {
        let schema = || Arc::new(Schema::new(SchemaType::String).named("a.rather.long.name.of.a.schema"));
        let one = schema();
        let records = (0..count).map(|offset| SinkRecord {
            value_schema: Some(if shared { Arc::clone(&one) } else { schema() }),
            ..record("a-rather-long-name-of-a-topic", 0, offset, Value::Null)
        });
        write_sink(&records.collect::<Vec<_>>()).unwrap().len()
    };
    // Length, topic, partition, timestamp, offset, its type, two values without bytes, no headers.
    let row = 4 + 4 + 4 + 8 + 8 + 1 + 5 + 5 + 4;
    assert_eq!(size(100, true) - size(1, true), 99 * row);
    assert_eq!(size(100, false), size(100, true), "equal schemas are one");
}

#[test]
fn a_struct_that_does_not_fit_its_schema_is_not_written() {
    let schema = Arc::new(Schema::structure([("a", Arc::new(Schema::new(SchemaType::Int8)))]));
    let value = Value::structure(schema, Vec::new());
    assert_eq!(write_sink(&[sink_record(None, value)]).unwrap_err().kind, ErrorKind::Data);
}

/// The layout of this version, byte by byte: what a library of today writes must be read for ever.
#[test]
fn the_layout_is_as_documented() {
    let schema = Arc::new(Schema::new(SchemaType::Int32).optional());
    let record = SinkRecord {
        key_schema: None,
        key: Value::string("k"),
        timestamp: 5,
        ..sink_record(Some(schema), Value::Int32(-2))
    };
    let bytes = write_sink(&[record]).unwrap();
    let expected: Vec<&[u8]> = vec![
        b"LVB1\x02\x01\0\0",
        b"\x01\0\0\0\x01\0\0\0t",
        b"\x01\0\0\0\x12\0\0\0\x02\x01\0\0\0\0\0\0\0\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
        b"\x01\0\0\0\x30\0\0\0\0\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\xFF\xFF\xFF\xFF\x08\x01\0\0\0k\0\0\0\0\x04\xFE\xFF\xFF\xFF\0\0\0\0",
    ];
    assert_eq!(bytes, expected.concat());
    assert!(write_source(&SourceBatch::default()).is_ok());
}

//! Frames: headers, sizes, segments, served versions.

use std::sync::Arc;

use bytes::Bytes;
use levada_wire::frame::{
    FrameError, RequestFrame, decode_response, encode_request, encode_response, split_correlation_id,
    unsupported_api_versions,
};
use levada_wire::messages::fetch::{FetchResponse, FetchableTopicResponse, PartitionData};
use levada_wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use levada_wire::messages::{ApiVersionsRequest, ApiVersionsResponse, ConsumerProtocolSubscription, HeartbeatRequest};
use levada_wire::schemas::consumer_group_member_metadata::ClassicMemberMetadata;
use levada_wire::{
    ApiKey, CoordinatorRecord, DecodeError, EncodeError, External, Message, RecordSet, RequestKind, ResponseKind,
    Segment, schemas, versions,
};

/// Checks the size prefix and takes it off.
fn unsized_frame(frame: &Bytes) -> Bytes {
    assert_eq!(i32::from_be_bytes(frame[..4].try_into().unwrap()) as usize, frame.len() - 4);
    frame.slice(4..)
}

#[test]
fn request_comes_back_with_its_header_in_every_version() {
    let requests = [RequestKind::from(HeartbeatRequest::default()), ApiVersionsRequest::default().into()];
    for (request, version) in
        requests.into_iter().flat_map(|request| (0..=4).map(move |version| (request.clone(), version)))
    {
        for client_id in [None, Some(""), Some("me")] {
            let frame = encode_request(&request, version, 77, client_id).unwrap().into_bytes().unwrap();
            let read = RequestFrame::decode(unsized_frame(&frame)).unwrap();
            assert_eq!((read.api_key, read.api_version, read.correlation_id), (request.api_key(), version, 77));
            assert_eq!(read.client_id.as_deref(), client_id);
            assert_eq!(read.request(), Ok(request.clone()));
        }
    }
}

#[test]
fn golden_heartbeat_request_bytes() {
    let request =
        HeartbeatRequest { group_id: "g".into(), generation_id: 5, member_id: "m".into(), group_instance_id: None };
    let frame = encode_request(&request.into(), 4, 1, Some("c")).unwrap().into_bytes().unwrap();
    let expected: &[u8] = &[
        0, 0, 0, 22, // size
        0, 12, 0, 4, 0, 0, 0, 1, // key, version, correlation id
        0, 1, b'c', 0, // client id (never compact), header tags
        2, b'g', 0, 0, 0, 5, 2, b'm', 0, 0, // body
    ];
    assert_eq!(frame, expected);
}

#[test]
fn response_header_has_tags_only_in_flexible_versions_and_never_for_api_versions() {
    let plain =
        encode_response(&ResponseKind::from(levada_wire::messages::HeartbeatResponse::default()), 3, 9).unwrap();
    assert_eq!(plain.into_bytes().unwrap(), Bytes::from_static(&[0, 0, 0, 10, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0]));
    let flexible =
        encode_response(&ResponseKind::from(levada_wire::messages::HeartbeatResponse::default()), 4, 9).unwrap();
    assert_eq!(flexible.into_bytes().unwrap(), Bytes::from_static(&[0, 0, 0, 12, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0]));
    let versions =
        encode_response(&ResponseKind::from(ApiVersionsResponse::default()), 3, 9).unwrap().into_bytes().unwrap();
    assert_eq!(versions[8..], [0, 0, 1, 0, 0, 0, 0, 0]);
    let read = decode_response(ApiKey::ApiVersions, 3, unsized_frame(&versions)).unwrap();
    assert_eq!(read, ApiVersionsResponse::default().into());
}

#[test]
fn newer_api_versions_request_gets_the_table_in_version_0() {
    let mut frame =
        encode_request(&ApiVersionsRequest::default().into(), 4, 3, None).unwrap().into_bytes().unwrap().to_vec();
    frame[7] = 99;
    let error = RequestFrame::decode(unsized_frame(&frame.into())).unwrap_err();
    let FrameError::UnsupportedApiVersions { version: 99, correlation_id: 3 } = error else { panic!("{error}") };
    let answer = unsized_frame(&unsupported_api_versions(3).unwrap().into_bytes().unwrap());
    assert_eq!(split_correlation_id(&answer), Ok(3));
    let ResponseKind::ApiVersions(answer) = decode_response(ApiKey::ApiVersions, 0, answer).unwrap() else { panic!() };
    assert_eq!(answer.error_code, 35);
    assert_eq!(answer.api_keys.len(), versions::SUPPORTED.len());
}

#[test]
fn unserved_keys_and_versions_are_refused_before_the_body_is_read() {
    let frame = |key: i16, version: i16| {
        Bytes::from([&key.to_be_bytes()[..], &version.to_be_bytes(), &[0, 0, 0, 1, 0xff, 0xff]].concat())
    };
    let refused = |key, version| {
        RequestFrame::decode(frame(key, version)) == Err(FrameError::Unsupported { api_key: key, version })
    };
    assert!(refused(4, 0), "no such api");
    assert!(refused(-1, 0));
    assert!(refused(27, 1), "known to the codec, not served");
    assert!(refused(0, 2), "advertised for librdkafka, not served");
    assert!(refused(0, 14));
    assert!(RequestFrame::decode(frame(0, 3)).is_ok());
    for end in 0..8 {
        assert!(matches!(
            RequestFrame::decode(frame(0, 3).slice(..end)),
            Err(FrameError::Header(DecodeError::UnexpectedEnd { .. }))
        ));
    }
}

#[test]
fn served_versions_are_known_to_the_codec_and_sorted() {
    for served in versions::SUPPORTED {
        let codec = served.api_key.codec_versions();
        let range = versions::served_versions(served.api_key).unwrap();
        assert!(codec.contains(range.min) && codec.contains(range.max), "{}", served.api_key);
    }
    assert!(versions::SUPPORTED.is_sorted_by_key(|served| served.api_key.code()));
}

fn fetch_response(records: RecordSet) -> ResponseKind {
    let partition = PartitionData { records: Some(records), ..Default::default() };
    let topic = FetchableTopicResponse {
        partitions: vec![partition.clone(), PartitionData { partition_index: 1, ..partition }],
        ..Default::default()
    };
    FetchResponse { responses: vec![topic], ..Default::default() }.into()
}

#[test]
fn fetched_records_are_sent_without_a_copy() {
    let records = Bytes::from(vec![7u8; 5_000]);
    for version in 4..=18 {
        let segments = encode_response(&fetch_response(records.clone().into()), version, 1).unwrap().into_segments();
        let sent: Vec<&Bytes> =
            segments.iter().filter_map(|s| if let Segment::Bytes(b) = s { Some(b) } else { None }).collect();
        assert_eq!(sent.iter().filter(|bytes| bytes.as_ptr() == records.as_ptr() && bytes.len() == 5_000).count(), 2);
    }
}

#[test]
fn external_records_stand_in_the_stream_where_their_bytes_belong() {
    let in_memory = Bytes::from(vec![7u8; 5_000]);
    let handle = Arc::new(String::from("a file range"));
    for version in 4..=18 {
        let expected =
            encode_response(&fetch_response(in_memory.clone().into()), version, 1).unwrap().into_bytes().unwrap();
        let encoded =
            encode_response(&fetch_response(External::new(5_000, handle.clone()).into()), version, 1).unwrap();
        assert_eq!(encoded.len(), expected.len());
        let mut sent = Vec::new();
        for segment in encoded.segments() {
            match segment {
                Segment::Bytes(bytes) => sent.extend_from_slice(bytes),
                Segment::External(external) => {
                    assert_eq!(external.handle::<String>().unwrap(), "a file range");
                    sent.extend_from_slice(&in_memory[..external.len()]);
                }
            }
        }
        assert_eq!(sent, expected, "version {version}");
        assert_eq!(encoded.into_bytes(), Err(EncodeError::ExternalRecords));
    }
}

#[test]
fn chunked_records_read_back_as_one_run() {
    let chunks =
        vec![Bytes::from(vec![1u8; 2_000]), Bytes::from_static(b"short"), Bytes::new(), Bytes::from(vec![2u8; 3_000])];
    let whole = RecordSet::from(chunks.clone()).to_bytes().unwrap();
    let frame = encode_response(&fetch_response(chunks.into()), 12, 1).unwrap().into_bytes().unwrap();
    assert_eq!(decode_response(ApiKey::Fetch, 12, unsized_frame(&frame)).unwrap(), fetch_response(whole.into()));
}

#[test]
fn produced_records_are_slices_of_the_frame() {
    let partition = PartitionProduceData { index: 0, records: Some(Bytes::from(vec![9u8; 3_000])) };
    let topic = TopicProduceData { name: "t".into(), partition_data: vec![partition], ..Default::default() };
    let request = ProduceRequest { acks: -1, topic_data: vec![topic], ..Default::default() };
    let frame = unsized_frame(&encode_request(&request.clone().into(), 9, 1, None).unwrap().into_bytes().unwrap());
    let RequestKind::Produce(read) = RequestFrame::decode(frame.clone()).unwrap().request().unwrap() else { panic!() };
    assert_eq!(read, request);
    let records = read.topic_data[0].partition_data[0].records.as_ref().unwrap();
    assert!(frame.as_ptr_range().contains(&records.as_ptr()));
}

#[test]
fn field_missing_in_a_version_is_refused_unless_ignorable() {
    let request = HeartbeatRequest { group_instance_id: Some("static".into()), ..Default::default() };
    let error = request.to_bytes(2).unwrap_err();
    assert_eq!(
        error,
        EncodeError::FieldNotInVersion { message: "HeartbeatRequest", field: "group_instance_id", version: 2 }
    );
    let response = levada_wire::messages::HeartbeatResponse { throttle_time_ms: 5, error_code: 0 };
    assert_eq!(response.to_bytes(0).unwrap(), Bytes::from_static(&[0, 0]));
    assert!(matches!(response.to_bytes(5), Err(EncodeError::UnsupportedVersion { .. })));
}

#[test]
fn coordinator_records_carry_type_and_version() {
    let key = schemas::OffsetCommitKey { group: "g".into(), topic: "t".into(), partition: 3 };
    let bytes = key.to_key_bytes().unwrap();
    assert_eq!(bytes, Bytes::from_static(&[0, 1, 0, 1, b'g', 0, 1, b't', 0, 0, 0, 3]));
    assert_eq!(levada_wire::codec::record_type(&bytes), Ok(1));
    assert_eq!(schemas::OffsetCommitKey::from_key_bytes(bytes.clone()), Ok(key));
    assert!(schemas::GroupMetadataKey::from_key_bytes(bytes).is_err());
    let value = schemas::OffsetCommitValue { offset: 8, metadata: "m".into(), ..Default::default() };
    let bytes = value.to_versioned_bytes(3).unwrap();
    assert_eq!(bytes[..2], [0, 3]);
    assert_eq!(schemas::OffsetCommitValue::from_versioned_bytes(bytes), Ok(value));
}

#[test]
fn subscription_of_a_newer_version_is_read_as_the_newest_known() {
    let subscription =
        ConsumerProtocolSubscription { topics: vec!["t".into()], generation_id: 4, ..Default::default() };
    let mut bytes = subscription.to_versioned_bytes(3).unwrap().to_vec();
    bytes[1] = 9;
    bytes.extend([1, 2, 3]);
    let bytes = Bytes::from(bytes);
    assert_eq!(ConsumerProtocolSubscription::from_versioned_bytes_or_newer(bytes.clone()), Ok(subscription));
    assert!(ConsumerProtocolSubscription::from_versioned_bytes(bytes).is_err());
}

/// Bytes as Apache Kafka's own classes write them.
#[test]
fn nullable_struct_in_a_tag_has_a_variable_length_mark() {
    let value = schemas::ConsumerGroupMemberMetadataValue { classic_member_metadata: None, ..Default::default() };
    let bytes = value.to_bytes(0).unwrap();
    assert_eq!(bytes[bytes.len() - 4..], [1, 0, 1, 0], "one tag, number 0, one byte, null");
    assert_eq!(schemas::ConsumerGroupMemberMetadataValue::decode_exact(bytes, 0), Ok(value));
    let metadata = ClassicMemberMetadata { session_timeout_ms: 5, ..Default::default() };
    let value =
        schemas::ConsumerGroupMemberMetadataValue { classic_member_metadata: Some(metadata), ..Default::default() };
    let bytes = value.to_bytes(0).unwrap();
    assert_eq!(bytes[bytes.len() - 10..], [1, 0, 7, 1, 0, 0, 0, 5, 1, 0]);
    assert_eq!(schemas::ConsumerGroupMemberMetadataValue::decode_exact(bytes, 0), Ok(value));
}

//! Batches against a model, against another implementation, and against damage.

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

type ModelRecord = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(Vec<u8>, Option<Vec<u8>>)>);

const LIMIT: usize = 16 << 20;

fn model_record() -> impl Strategy<Value = ModelRecord> {
    let bytes = || vec(any::<u8>(), 0..200);
    let header = (vec(b'a'..=b'z', 0..10), option::of(vec(any::<u8>(), 0..20)));
    (0i64..4_000_000_000_000, option::of(bytes()), option::of(bytes()), vec(header, 0..4))
}

fn build(records: &[ModelRecord], codec: Compression) -> Vec<u8> {
    let mut builder = RecordBatchBuilder::new(Vec::new());
    builder.set_producer(77, 3, 100);
    for (timestamp, key, value, headers) in records {
        let headers = headers.iter().map(|(name, content)| (name.as_slice(), content.as_deref()));
        builder.append(*timestamp, key.as_deref(), value.as_deref(), headers).unwrap();
    }
    builder.finish_with(codec, None, &mut Vec::new()).unwrap()
}

fn read_back(batch: &Batch) -> Vec<ModelRecord> {
    let own = |part: Option<Bytes>| part.map(|part| part.to_vec());
    let records = batch.records(LIMIT).unwrap().map(|record| {
        let record = record.unwrap();
        let headers = record.headers.into_iter().map(|h| (h.key.to_vec(), own(h.value))).collect();
        (record.timestamp, own(record.key), own(record.value), headers)
    });
    records.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_built_is_read_with_every_codec(records in vec(model_record(), 1..30), codec in 0u8..5) {
        let codec = Compression::from_id(codec).unwrap();
        let bytes = Bytes::from(build(&records, codec));
        let header = BatchHeader::parse(&bytes).unwrap();
        prop_assert_eq!(header.size(), bytes.len());
        header.verify_crc(&bytes).unwrap();
        prop_assert_eq!(&header.to_bytes()[..], &bytes[..HEADER_LEN]);
        prop_assert_eq!(header.max_timestamp, records.iter().map(|r| r.0).max().unwrap());
        prop_assert_eq!(header.last_sequence(), 100 + records.len() as i32 - 1);
        let batch = BatchIter::new(bytes).next().unwrap().unwrap();
        batch.verify_crc().unwrap();
        let summary = walk_records(&batch.header, &batch.decompressed(LIMIT).unwrap()).unwrap();
        prop_assert_eq!(summary.max_timestamp, header.max_timestamp);
        prop_assert_eq!(summary.first_null_key.map(|i| i as usize), records.iter().position(|r| r.1.is_none()));
        let streamed: Vec<Record> = RecordStream::new(&batch, LIMIT).unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(streamed, batch.records(LIMIT).unwrap().map(Result::unwrap).collect::<Vec<_>>());
        prop_assert_eq!(read_back(&batch), records);
    }

    #[test]
    fn batches_are_found_whatever_the_cuts(sizes in vec(1usize..5, 1..6), cuts in vec(any::<prop::sample::Index>(), 0..6), tail in 0usize..200) {
        let mut all = Vec::new();
        for (i, size) in sizes.iter().enumerate() {
            let mut batch = build(&vec![(5, None, Some(vec![i as u8; 40]), vec![]); *size], Compression::None);
            patch_base_offset(&mut batch, i as i64 * 100);
            patch_leader_epoch(&mut batch, 9);
            all.extend_from_slice(&batch);
        }
        let next = build(&[(5, None, Some(vec![0; 200]), vec![])], Compression::None);
        all.extend_from_slice(&next[..tail]);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(all.len())).chain([0, all.len()]).collect();
        cuts.sort_unstable();
        let chunks: Vec<Bytes> = cuts.windows(2).map(|w| Bytes::copy_from_slice(&all[w[0]..w[1]])).collect();
        let batches: Vec<Batch> = BatchIter::of_chunks(chunks).map(Result::unwrap).collect();
        prop_assert_eq!(batches.len(), sizes.len());
        for (i, batch) in batches.iter().enumerate() {
            batch.verify_crc().unwrap();
            prop_assert_eq!(batch.header.base_offset, i as i64 * 100);
            prop_assert_eq!(batch.header.leader_epoch, 9);
            prop_assert_eq!(batch.header.records_count as usize, sizes[i]);
        }
    }

    #[test]
    fn a_stream_says_of_a_block_what_a_walk_over_the_whole_of_it_says(
        records in vec(model_record(), 1..8), large in 0usize..100_000, codec in 0u8..5,
        damage in option::of((any::<prop::sample::Index>(), any::<u8>(), 0usize..3)),
    ) {
        let codec = Compression::from_id(codec).unwrap();
        let mut records = records;
        records.push((9, Some(vec![1; large]), Some(vec![2; large / 2]), vec![(vec![b'h'; large / 3], Some(vec![3; 9]))]));
        let plain = Batch::split_from(&mut Bytes::from(build(&records, Compression::None))).unwrap();
        let mut block = plain.records.to_vec();
        if let Some((at, byte, cut)) = damage {
            let at = at.index(block.len());
            match cut {
                0 => block.truncate(at),
                1 => block.insert(at, byte),
                _ => block[at] = byte,
            }
        }
        let mut packed = Vec::new();
        compress(codec, None, &block, &mut packed).unwrap();
        let mut header = plain.header;
        header.attributes = i16::from(codec.id());
        let batch = Batch { header, records: packed.into() };
        prop_assert_eq!(walk_batch(&batch, LIMIT).ok(), walk_records(&header, &block).ok());
        prop_assert!(walk_batch(&batch, block.len().saturating_sub(1)).is_err() || codec == Compression::None);
    }

    #[test]
    fn a_flipped_bit_is_noticed_and_nothing_panics(records in vec(model_record(), 1..5), codec in 0u8..5, at: prop::sample::Index, bit in 0u8..8) {
        let mut bytes = build(&records, Compression::from_id(codec).unwrap());
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        // Base offset and leader epoch are outside the checksum.
        let noticed = match BatchHeader::parse(&bytes) {
            Err(_) => true,
            Ok(header) => header.verify_crc(&bytes).is_err(),
        };
        prop_assert_eq!(noticed, !(at < LENGTH_OFFSET || (LEADER_EPOCH_OFFSET..MAGIC_OFFSET).contains(&at)));
        for batch in BatchIter::new(Bytes::from(bytes)).flatten() {
            if let Ok(block) = batch.decompressed(LIMIT) {
                let _ = walk_records(&batch.header, &block);
            }
            if let Ok(records) = batch.records(LIMIT) {
                let _ = records.count();
            }
        }
    }

    #[test]
    fn garbage_never_panics(bytes in vec(any::<u8>(), 0..400), codec in 0u8..8, count: i32) {
        let _ = RecordRefIter::new(&bytes, count).count();
        if let Ok(codec) = Compression::from_id(codec) {
            let _ = decompress(codec, &bytes, 10_000);
            let mut header = BatchHeader::parse(&build(&[(5, None, None, vec![])], codec)).unwrap();
            (header.records_count, header.last_offset_delta) = (count, count.wrapping_sub(1));
            let batch = Batch { header, records: Bytes::copy_from_slice(&bytes) };
            let _ = (batch.walk_memory(10_000), walk_batch(&batch, 10_000));
            let mut framed = vec![0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];
            framed.extend_from_slice(&bytes);
            let _ = decompress(codec, &framed, 10_000);
            for block in [&bytes, &framed] {
                let mut batch = Batch::split_from(&mut Bytes::from(build(&[(5, None, None, vec![])], codec))).unwrap();
                (batch.header.records_count, batch.records) = (count, Bytes::copy_from_slice(block));
                let _ = RecordStream::new(&batch, 10_000).map(Iterator::count);
            }
        }
        let _ = BatchIter::new(Bytes::from(bytes)).count();
    }

    #[test]
    fn the_other_implementation_reads_ours_and_we_read_its(records in vec(model_record(), 1..20)) {
        use kafka_protocol::records as other;
        let ours = build(&records, Compression::None);
        let decoded = other::RecordBatchDecoder::decode(&mut Bytes::from(ours)).unwrap().records;
        prop_assert_eq!(decoded.len(), records.len());
        for (i, (theirs, model)) in decoded.iter().zip(&records).enumerate() {
            prop_assert_eq!((theirs.offset, theirs.timestamp, theirs.sequence), (i as i64, model.0, 100 + i as i32));
            prop_assert_eq!(theirs.key.as_deref(), model.1.as_deref());
            prop_assert_eq!(theirs.value.as_deref(), model.2.as_deref());
        }
        let options = other::RecordEncodeOptions { version: 2, compression: other::Compression::None };
        let mut encoded = BytesMut::new();
        other::RecordBatchEncoder::encode(&mut encoded, &decoded, &options).unwrap();
        let batches: Vec<Batch> = BatchIter::new(encoded.freeze()).map(Result::unwrap).collect();
        let mut back = Vec::new();
        for batch in &batches {
            batch.verify_crc().unwrap();
            walk_records(&batch.header, &batch.records).unwrap();
            back.extend(read_back(batch));
        }
        // It keeps headers in a map, so only records without repeated names compare.
        for (ours, model) in back.iter().zip(&records) {
            prop_assert_eq!((&ours.0, &ours.1, &ours.2), (&model.0, &model.1, &model.2));
        }
        prop_assert_eq!(back.len(), records.len());
    }
}

#[test]
fn decompression_stops_at_the_limit() {
    let zeros = vec![0u8; 5_000_000];
    for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let mut packed = Vec::new();
        compress(codec, None, &zeros, &mut packed).unwrap();
        assert_eq!(decompress(codec, &packed, 5_000_000).unwrap(), zeros, "{codec}");
        let refused = decompress(codec, &packed, 4_999_999).unwrap_err();
        assert_eq!(refused, RecordError::DecompressedTooLarge { limit: 4_999_999 }, "{codec}");
    }
}

/// A stream is longer than a piece, its records lie across the pieces' ends, and one is longer than a piece.
#[test]
fn a_stream_gives_the_same_records_across_its_pieces() {
    let values = [10, 200_000, 0, 70_000, 70_000, 70_000, 5, 300_000];
    let model: Vec<ModelRecord> =
        (0u8..).zip(values).map(|(i, size)| (5, Some(vec![i]), Some(vec![i; size]), vec![])).collect();
    for codec in Compression::ALL {
        let batch = Batch::split_from(&mut Bytes::from(build(&model, codec))).unwrap();
        let mut streamed = RecordStream::new(&batch, 400_000).unwrap();
        let whole = batch.records(LIMIT).unwrap();
        for (i, record) in whole.enumerate() {
            assert_eq!(streamed.next().unwrap().unwrap(), record.unwrap(), "{codec} {i}");
        }
        assert!(streamed.next().is_none());
    }
}

/// A batch that expands to much more than its limit is read as long as no single record is too large.
#[test]
fn a_stream_holds_a_piece_and_a_record_whatever_the_batch_expands_to() {
    let model: Vec<ModelRecord> = (0..400).map(|_| (5, None, Some(vec![7; 100_000]), vec![])).collect();
    for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let batch = Batch::split_from(&mut Bytes::from(build(&model, codec))).unwrap();
        assert!(matches!(batch.records(1 << 20), Err(RecordError::DecompressedTooLarge { .. })));
        let mut streamed = RecordStream::new(&batch, 1 << 20).unwrap();
        for _ in 0..400 {
            assert_eq!(streamed.next().unwrap().unwrap().value.unwrap().len(), 100_000);
            assert!(streamed.piece_len() <= 300_000, "{codec}: {}", streamed.piece_len());
        }
        let mut small = RecordStream::new(&batch, 50_000).unwrap();
        assert!(small.next().unwrap().is_err(), "{codec}");
        assert!(small.next().is_none());
    }
}

#[test]
fn raw_snappy_is_read() {
    let packed = snap::raw::Encoder::new().compress_vec(b"hello hello hello").unwrap();
    assert_eq!(decompress(Compression::Snappy, &packed, 100).unwrap(), b"hello hello hello");
}

#[test]
fn a_raw_snappy_claim_of_gigabytes_allocates_nothing() {
    let claim = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0];
    assert!(decompress(Compression::Snappy, &claim, usize::MAX).is_err());
}

#[test]
fn log_append_time_overwrites_all_timestamps_and_keeps_the_checksum_right() {
    let mut bytes = build(&[(5, None, None, vec![]), (9, None, None, vec![])], Compression::None);
    rewrite_log_append_time(&mut bytes, 1234).unwrap();
    let batch = BatchIter::new(Bytes::from(bytes)).next().unwrap().unwrap();
    batch.verify_crc().unwrap();
    assert_eq!(batch.header.timestamp_type(), TimestampType::LogAppendTime);
    assert!(batch.records(LIMIT).unwrap().all(|record| record.unwrap().timestamp == 1234));
}

#[test]
fn structural_walk_refuses_each_lie() {
    let good = build(&[(5, None, Some(vec![1; 10]), vec![]), (6, None, None, vec![])], Compression::None);
    let header = BatchHeader::parse(&good).unwrap();
    let block = &good[HEADER_LEN..];
    walk_records(&header, block).unwrap();
    let refused = |change: fn(&mut BatchHeader)| {
        let mut header = header;
        change(&mut header);
        walk_records(&header, block).is_err()
    };
    assert!(refused(|h| h.records_count = 0));
    assert!(refused(|h| h.records_count = 1));
    assert!(refused(|h| (h.records_count, h.last_offset_delta) = (1, 0)), "bytes left over");
    assert!(refused(|h| (h.records_count, h.last_offset_delta) = (3, 2)), "a record missing");
    assert!(refused(|h| (h.records_count, h.last_offset_delta) = (i32::MIN, i32::MAX)));
    assert!(walk_records(&header, &block[..block.len() - 1]).is_err());
    let mut builder = RecordBatchBuilder::new(Vec::new());
    builder.append_at(1, 0, None, None, []).unwrap();
    builder.append_at(3, 0, None, None, []).unwrap();
    let gap = builder.finish();
    let mut header = BatchHeader::parse(&gap).unwrap();
    header.last_offset_delta = 1;
    assert!(walk_records(&header, &gap[HEADER_LEN..]).is_err(), "deltas not from 0 in steps of 1");
}

#[test]
fn sequences_wrap() {
    let mut header = BatchHeader::parse(&build(&vec![(0, None, None, vec![]); 3], Compression::None)).unwrap();
    header.base_sequence = i32::MAX - 1;
    assert_eq!(header.last_sequence(), 0);
}

#[test]
fn buffers_come_back_from_the_builder() {
    let mut scratch = Vec::with_capacity(100_000);
    let mut builder = RecordBatchBuilder::new(Vec::with_capacity(50_000));
    builder.append(1, Some(b"k"), Some(&[7; 1000]), []).unwrap();
    let batch = builder.finish_with(Compression::Lz4, None, &mut scratch).unwrap();
    assert!(batch.capacity() >= 100_000 && scratch.capacity() >= 50_000);
    assert!(batch.len() < 500);
}

#[test]
fn transaction_markers_round_trip() {
    use super::control::{ControlType, EndTxnMarker};
    let marker = EndTxnMarker { control_type: ControlType::Commit, coordinator_epoch: 12 };
    let batch = BatchIter::new(Bytes::from(marker.into_batch(5, 9, 1).unwrap())).next().unwrap().unwrap();
    assert!(batch.header.is_control() && batch.header.is_transactional());
    let record = batch.records(LIMIT).unwrap().next().unwrap().unwrap();
    assert_eq!(EndTxnMarker::parse(&record.key.unwrap(), record.value.as_deref()).unwrap(), Some(marker));
    assert_eq!(EndTxnMarker::parse(&[0, 0, 0, 9], None).unwrap(), None);
    assert!(EndTxnMarker::parse(&[0], None).is_err());
}

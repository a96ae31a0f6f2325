//! Bytes that no honest peer sends: decoding answers an error or a message, never panics, and stays within its memory (invariant 9).

use bytes::Bytes;
use levada_wire::frame::RequestFrame;
use levada_wire::messages::{ApiVersionsRequest, FetchRequest, MetadataRequest, SaslAuthenticateRequest};
use levada_wire::records::{Batch, Compression, RecordBatchBuilder, walk_batch};
use levada_wire::{DecodeError, Message, versions};

use crate::allocations::peak;
use crate::outline;
use crate::rng::Rng;
use crate::targets::{self, Target};
use crate::values::{Choose, Random, encode};

/// The most memory that decoding `len` bytes may take: array elements up to 8 times the bytes and 64 KiB, twice that while a vector
/// grows into a new block beside the old one and its spare room, and the strings.
fn limit(len: usize) -> usize {
    len * 26 + 256 * 1024
}

fn decode_bounded(target: &Target, version: i16, bytes: &Bytes, context: &str) {
    let used = peak(|| drop((target.decode)(bytes.clone(), version)));
    assert!(used <= limit(bytes.len()), "{context}: {used} bytes for {} encoded ones", bytes.len());
}

/// Every message and version with what `spoil` makes of a valid encoding.
fn each_spoiled(seeds: std::ops::Range<u64>, spoil: fn(&mut Vec<u8>, &mut Rng)) {
    let outlines = outline::messages();
    for target in targets::all() {
        let outline = outlines.iter().find(|outline| outline.name == target.name).unwrap();
        for version in target.min..=target.max {
            for seed in seeds.clone() {
                let mut rng = Rng::new(seed ^ 0x5eed);
                let mut bytes = encode(outline, version, &mut Random(&mut rng));
                spoil(&mut bytes, &mut rng);
                let context = format!("{} version {version} seed {seed}", target.name);
                decode_bounded(&target, version, &Bytes::from(bytes), &context);
            }
        }
    }
}

fn flip_bits(bytes: &mut [u8], rng: &mut Rng) {
    for _ in 0..=rng.below(3) {
        if !bytes.is_empty() {
            let at = rng.below(bytes.len());
            bytes[at] ^= 1 << rng.below(8);
        }
    }
}

fn overwrite(bytes: &mut Vec<u8>, rng: &mut Rng) {
    const EXTREMES: [&[u8]; 5] =
        [&[0xff; 4], &[0x7f, 0xff, 0xff, 0xff], &[0x80, 0, 0, 0], &[0xff, 0xff, 0xff, 0xff, 0x0f], &[0x7f, 0xff]];
    let extreme = EXTREMES[rng.below(EXTREMES.len())];
    let at = rng.below(bytes.len() + 1);
    bytes.splice(at..(at + extreme.len()).min(bytes.len()), extreme.iter().copied());
}

fn randomize(bytes: &mut Vec<u8>, rng: &mut Rng) {
    let length = rng.below(200);
    *bytes = rng.bytes(length);
}

#[test]
fn flipped_bits_are_survived() {
    each_spoiled(0..15, |bytes, rng| flip_bits(bytes, rng));
}

#[test]
fn extreme_lengths_are_survived() {
    each_spoiled(0..15, overwrite);
}

#[test]
fn random_bytes_are_survived() {
    each_spoiled(0..15, randomize);
}

fn random_frames(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let mut rng = Rng::new(seed);
        let served = versions::SUPPORTED[rng.below(versions::SUPPORTED.len())];
        let version = rng.below(20) as i16 - 1;
        let length = rng.below(120);
        let body = rng.bytes(length);
        let mut frame =
            [&served.api_key.code().to_be_bytes()[..], &version.to_be_bytes(), &[0, 0, 0, 1, 0, 2], &body].concat();
        frame.truncate(rng.below(frame.len() + 40));
        let frame = Bytes::from(frame);
        let used = peak(|| drop(RequestFrame::decode(frame.clone()).map(|frame| frame.request())));
        assert!(used <= limit(frame.len()), "seed {seed}: {used} bytes");
    }
}

#[test]
fn random_frames_are_survived() {
    random_frames(0..20_000);
}

#[test]
fn the_counter_counts() {
    assert!(peak(|| drop(std::hint::black_box(vec![1u8; 100_000]))) >= 100_000);
}

#[test]
#[ignore = "long"]
fn spoiled_bytes_are_survived_long() {
    each_spoiled(100..3_000, |bytes, rng| flip_bits(bytes, rng));
    each_spoiled(100..3_000, overwrite);
    each_spoiled(100..3_000, randomize);
    random_frames(20_000..3_000_000);
}

#[test]
fn truncated_messages_are_errors() {
    let outlines = outline::messages();
    for target in targets::all() {
        let outline = outlines.iter().find(|outline| outline.name == target.name).unwrap();
        for version in target.min..=target.max {
            let bytes = Bytes::from(encode(outline, version, &mut Random(&mut Rng::new(7))));
            // All cuts of short messages, a sample of longer ones' cuts.
            for end in (0..bytes.len()).step_by(1 + bytes.len() / 256) {
                let cut = (target.decode)(bytes.slice(..end), version);
                assert!(cut.is_err(), "{} version {version} cut at {end} of {}", target.name, bytes.len());
            }
        }
    }
}

/// One array of the message has many elements, which are as short as they can be.
struct ManyShort {
    deep: usize,
    count: usize,
}

impl Choose for ManyShort {
    fn elements(&mut self, depth: usize) -> usize {
        match depth.cmp(&self.deep) {
            std::cmp::Ordering::Less => 1,
            std::cmp::Ordering::Equal => self.count,
            std::cmp::Ordering::Greater => 0,
        }
    }

    fn null(&mut self) -> bool {
        false
    }

    fn tag(&mut self) -> bool {
        false
    }

    fn number(&mut self, size: usize) -> Vec<u8> {
        vec![0; size]
    }

    fn text(&mut self) -> Vec<u8> {
        Vec::new()
    }
}

fn many_short_elements(versions_of: fn(&Target) -> Vec<i16>) {
    let outlines = outline::messages();
    for target in targets::all() {
        let outline = outlines.iter().find(|outline| outline.name == target.name).unwrap();
        for (version, deep) in
            versions_of(&target).into_iter().flat_map(|version| [(version, 0), (version, 1), (version, 2)])
        {
            let bytes = Bytes::from(encode(outline, version, &mut ManyShort { deep, count: 20_000 }));
            decode_bounded(&target, version, &bytes, &format!("{} version {version}", target.name));
        }
    }
}

#[test]
fn many_short_elements_take_bounded_memory() {
    many_short_elements(|target| vec![target.max]);
}

#[test]
#[ignore = "long"]
fn many_short_elements_take_bounded_memory_long() {
    many_short_elements(|target| (target.min..=target.max).collect());
}

#[test]
fn array_of_two_billion_claimed_elements_is_refused() {
    let claimed = Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff, 0, 0]);
    let used = peak(|| {
        let answer = MetadataRequest::decode(&mut claimed.clone(), 0);
        assert_eq!(answer, Err(DecodeError::ArrayTooLong { claimed: 0x7fff_ffff, left: 2 }));
    });
    assert!(used < 1024, "{used} bytes");
    let compact = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0]);
    assert!(matches!(MetadataRequest::decode(&mut compact.clone(), 9), Err(DecodeError::ArrayTooLong { .. })));
}

#[test]
fn lengths_below_minus_one_are_refused() {
    assert_eq!(
        MetadataRequest::decode_exact(Bytes::from_static(&[0xff, 0xff, 0xff, 0xfe]), 1),
        Err(DecodeError::NegativeLength(-2))
    );
    assert_eq!(
        SaslAuthenticateRequest::decode_exact(Bytes::from_static(&[0x80, 0, 0, 0]), 0),
        Err(DecodeError::NegativeLength(-0x8000_0000))
    );
}

#[test]
fn null_array_is_all_topics_only_where_the_version_has_null() {
    let null = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff]);
    assert_eq!(MetadataRequest::decode_exact(null.clone(), 0), Err(DecodeError::UnexpectedNull));
    assert_eq!(MetadataRequest::decode_exact(null, 1).unwrap().topics, None);
}

#[test]
fn unknown_tags_are_skipped_and_doubled_tags_refused() {
    let known = ApiVersionsRequest { client_software_name: "a".into(), client_software_version: "1".into() };
    let plain = known.to_bytes(3).unwrap();
    let with_tags = |tags: &[u8]| Bytes::from([&plain[..plain.len() - 1], tags].concat());
    assert_eq!(ApiVersionsRequest::decode_exact(with_tags(&[2, 9, 3, 1, 2, 3, 77, 0]), 3).unwrap(), known);
    assert_eq!(ApiVersionsRequest::decode_exact(with_tags(&[2, 9, 0, 9, 0]), 3), Err(DecodeError::DuplicateTag(9)));
    assert!(matches!(
        ApiVersionsRequest::decode_exact(with_tags(&[1, 9, 200]), 3),
        Err(DecodeError::UnexpectedEnd { .. })
    ));
}

#[test]
fn content_of_a_known_tag_must_fill_its_size() {
    let request = FetchRequest { cluster_id: Some("c".into()), ..Default::default() };
    let mut bytes = request.to_bytes(12).unwrap().to_vec();
    // The tag section: one tag, number 0, size 2, compact string "c".
    assert_eq!(bytes[bytes.len() - 5..], [1, 0, 2, 2, b'c']);
    let size = bytes.len() - 3;
    bytes[size] = 3;
    bytes.push(0);
    assert_eq!(FetchRequest::decode_exact(bytes.into(), 12), Err(DecodeError::TagSize { tag: 0, left: 1 }));
}

#[test]
fn bytes_after_a_message_are_left_or_refused() {
    let mut bytes = MetadataRequest::default().to_bytes(4).unwrap().to_vec();
    bytes.extend([1, 2, 3]);
    let mut rest = Bytes::from(bytes.clone());
    MetadataRequest::decode(&mut rest, 4).unwrap();
    assert_eq!(rest, Bytes::from_static(&[1, 2, 3]));
    assert_eq!(MetadataRequest::decode_exact(bytes.into(), 4), Err(DecodeError::TrailingBytes(3)));
}

#[test]
fn passing_over_a_batch_that_unpacks_far_takes_the_memory_that_was_told_and_no_more() {
    // zstd's memory is not counted here: it is C's.
    for codec in [Compression::Gzip, Compression::Lz4, Compression::Snappy] {
        let mut builder = RecordBatchBuilder::new(Vec::new());
        for i in 0..16u8 {
            builder.append(0, None, Some(&vec![i; 2 << 20]), []).unwrap();
        }
        let packed = builder.finish_with(codec, None, &mut Vec::new()).unwrap();
        let batch = Batch::split_from(&mut Bytes::from(packed)).unwrap();
        let told = batch.walk_memory(1 << 30);
        assert!(told < 1 << 20, "{codec}: {told}");
        let used = peak(|| assert!(walk_batch(&batch, 64 << 20).is_ok()));
        assert!(used <= told + (64 << 10), "{codec}: {used} bytes, {told} told");
        let used = peak(|| assert!(walk_batch(&batch, 1 << 20).is_err()));
        assert!(used <= told + (64 << 10), "{codec}: {used} bytes, {told} told");
    }
}

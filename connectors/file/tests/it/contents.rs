//! What is in the files: encodings, compression, long lines, invalid text, unended lines.

use crate::world::{World, lines, texts};
use flate2::{Compression, write::GzEncoder};
use levada_connector_api::{ErrorKind, SourceRecord, Value};
use std::io::Write;

pub fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn marked(record: &SourceRecord) -> (String, Vec<(String, Value)>) {
    let Value::String(text) = &record.value else { panic!("{record:?}") };
    let headers = record.headers.iter().map(|header| (header.key.to_string(), header.value.clone()));
    (text.to_string(), headers.collect())
}

#[test]
fn encodings_are_read_with_positions_in_bytes() {
    let world = World::new();
    let utf16: Vec<u8> = "\u{feff}añ\n€\r\n😀".encode_utf16().flat_map(u16::to_le_bytes).collect();
    world.write("le", &utf16);
    let mut run = world.files("le", &[("encoding", "UTF-16LE")]);
    assert_eq!(run.take_texts(2), ["añ", "€"]);
    run.commit().unwrap();
    assert_eq!(world.position("le"), Some(14));
    run.stop();
    world.append("le", "\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>());
    assert_eq!(world.files("le", &[("encoding", "UTF-16LE")]).take_texts(1), ["😀"]);
    world.write("latin", b"a\xf1\n");
    assert_eq!(world.files("latin", &[("encoding", "latin1")]).take_texts(1), ["añ"]);
    world.write("bom", b"\xef\xbb\xbffirst\nsecond\n");
    assert_eq!(world.stream("bom", &[]).take_texts(2), ["first", "second"]);
}

#[test]
fn invalid_text_is_replaced_or_refused() {
    let world = World::new();
    world.write("in", b"good\nb\xffd\ngood\n");
    assert_eq!(world.stream("in", &[]).take_texts(3), ["good", "b\u{fffd}d", "good"]);
    let mut run = world.files("in", &[("invalid.text", "fail")]);
    assert_eq!(run.take_texts(1), ["good"], "what is before it comes through");
    let error = run.take_error();
    assert_eq!(error.kind, ErrorKind::Data);
    assert!(error.message.contains("byte 5") && error.message.contains(&world.text("in")), "{error}");
}

#[test]
fn compressed_files_are_read_whole() {
    let world = World::new();
    let content = lines("x", 30_000) + "unended";
    world.write("a.gz", gzip(content.as_bytes()));
    world.write("b.zst", zstd::encode_all(content.as_bytes(), 1).unwrap());
    let mut members = gzip(b"one\ntw");
    members.extend(gzip(b"o\n"));
    world.write("members", members);
    for name in ["a.gz", "b.zst"] {
        let mut run = world.files(name, &[]);
        let mut expected = texts("x", 30_000);
        expected.push("unended".to_owned());
        let first = run.poll().unwrap().len();
        run.commit().unwrap();
        run.stop();
        let rest = world.files(name, &[]).take_texts(expected.len() - first);
        assert_eq!(rest, expected[first..], "{name}: resumed in the middle");
    }
    let mut run = world.files("members", &[]);
    assert_eq!(run.take_texts(2), ["one", "two"]);
    run.expect_nothing();
    run.commit().unwrap();
    run.stop();
    world.files("members", &[]).expect_nothing();
}

#[test]
fn a_compressed_file_in_the_making_is_waited_for() {
    let world = World::new();
    let packed = gzip(lines("x", 1000).as_bytes());
    let (start, rest) = packed.split_at(packed.len() / 2);
    world.write("a.gz", start);
    let mut run = world.files("a.gz", &[]);
    let mut seen = run.poll_until(|run| run.context.warnings().iter().any(|text| text.contains("compressed")));
    assert!(seen.len() < 1000);
    world.append("a.gz", rest);
    seen.extend(run.take(1000 - seen.len()).unwrap());
    let values: Vec<_> = seen.into_iter().map(|record| record.value).collect();
    assert_eq!(values, texts("x", 1000).into_iter().map(Value::string).collect::<Vec<_>>());
}

#[test]
fn long_lines_are_split_truncated_or_refused() {
    let world = World::new();
    let long = "0123456789".repeat(120_000);
    world.write("in", format!("short\n{long}\nafter\n"));
    let limit = ("max.line.bytes", "500000");
    let split = world.files("in", &[limit]).take(5).unwrap();
    let split: Vec<_> = split.iter().map(marked).collect();
    let pieces: String = split[1..4].iter().map(|(text, _)| text.as_str()).collect();
    assert_eq!(pieces, long);
    let part = |n: i32| vec![("file.line.part".to_owned(), Value::Int32(n))];
    assert_eq!(
        split.iter().map(|line| line.1.clone()).collect::<Vec<_>>(),
        [vec![], part(0), part(1), part(2), vec![]]
    );

    let cut = world.files("in", &[limit, ("long.lines", "truncate")]).take(3).unwrap();
    let cut: Vec<_> = cut.iter().map(marked).collect();
    assert_eq!(cut[1].0, long[..500_000]);
    assert_eq!(cut[1].1, [("file.line.truncated".to_owned(), Value::Boolean(true))]);
    assert_eq!(cut[2].0, "after");

    let mut run = world.stream("in", &[limit]);
    assert_eq!(run.take_texts(1), ["short"]);
    let error = run.take_error();
    assert_eq!(error.kind, ErrorKind::Data);
    assert!(error.message.contains("max.line.bytes") && error.message.contains("byte 6"), "{error}");
}

#[test]
fn splitting_resumes_in_the_middle_of_a_line() {
    let world = World::new();
    let long = "abcdefghij".repeat(10);
    world.write("in", format!("{long}\nnext\n"));
    let keys = [("max.line.bytes", "40"), ("batch.size", "1")];
    let mut run = world.files("in", &keys);
    let first = marked(&run.take(1).unwrap()[0]);
    run.commit().unwrap();
    run.stop();
    let rest: Vec<_> = world.files("in", &keys).take(3).unwrap().iter().map(marked).collect();
    assert_eq!(first.0 + &rest[0].0 + &rest[1].0, long);
    assert_eq!(rest[0].1, [("file.line.part".to_owned(), Value::Int32(1))]);
    assert_eq!(rest[2], ("next".to_owned(), vec![]));
}

#[test]
fn half_a_line_waits_for_its_end_or_for_the_idle_flush() {
    let world = World::new();
    world.write("in", "whole\nhalf");
    let mut run = world.files("in", &[]);
    assert_eq!(run.take_texts(1), ["whole"]);
    run.expect_nothing();
    let mut run = world.files("in", &[("idle.flush.ms", "20")]);
    assert_eq!(run.take_texts(2), ["whole", "half"]);
    run.commit().unwrap();
    assert_eq!(world.position("in"), Some(10));
    world.append("in", " more\n");
    assert_eq!(run.take_texts(1), [" more"]);
}

#[test]
fn an_endless_line_that_grows_is_not_given_out_early() {
    let world = World::new();
    world.write("in", "x".repeat(300));
    let mut run = world.files("in", &[("max.line.bytes", "100"), ("long.lines", "truncate")]);
    run.expect_nothing();
    for _ in 0..3 {
        world.append("in", "y".repeat(300));
        run.expect_nothing();
    }
    world.append("in", "\nnext\n");
    assert_eq!(run.take_texts(2), ["x".repeat(100), "next".to_owned()]);
}

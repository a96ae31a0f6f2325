//! Following one file, as Apache's connector does, and several.

use crate::world::{World, lines, texts};
use levada_connector_api::{
    Config, Schema, SchemaType, SourceConnector, Value,
    testkit::{Offsets, SourceRun},
};
use levada_connector_file::FileSource;
use serde_json::{Value as Json, json};
use std::{fs, sync::Arc};

#[test]
fn records_are_as_apaches() {
    let world = World::new();
    world.write("in.txt", "foo\nbar\r\nbaz\rlast");
    let mut run = world.stream("in.txt", &[]);
    let records = run.take(3).unwrap();
    let first = &records[0];
    assert_eq!((&*first.topic, first.partition, &first.key, &first.key_schema), ("lines", None, &Value::Null, &None));
    assert_eq!(first.value_schema, Some(Arc::new(Schema::new(SchemaType::String))));
    let values: Vec<_> = records.iter().map(|record| record.value.clone()).collect();
    assert_eq!(values, ["foo", "bar", "baz"].map(Value::string));
    run.expect_nothing();
    run.commit().unwrap();
    assert_eq!(world.position("in.txt"), Some(13), "behind the last line end");
    world.append("in.txt", " line\nnext\n");
    assert_eq!(run.take_texts(2), ["last line", "next"]);
}

#[test]
fn waits_for_a_missing_file_and_says_so() {
    let world = World::new();
    let mut run = world.stream("late.txt", &[]);
    run.expect_nothing();
    assert!(run.context.warnings()[0].contains("late.txt"), "{:?}", run.context.warnings());
    assert_eq!(run.context.warnings().len(), 1, "once");
    world.write("late.txt", "here\n");
    assert_eq!(run.take_texts(1), ["here"]);
}

#[test]
fn batches_have_at_most_batch_size_records() {
    let world = World::new();
    world.write("in.txt", lines("x", 5000));
    let mut run = world.stream("in.txt", &[]);
    let sizes = [2000, 2000, 1000].map(|_| run.poll().unwrap().len());
    assert_eq!(sizes, [2000, 2000, 1000]);
    run.commit().unwrap();
    assert_eq!(world.position("in.txt"), Some(lines("x", 5000).len() as i64));
    let mut small = World::new().stream("in.txt", &[("batch.size", "0")]);
    small.expect_nothing();
}

#[test]
fn a_commit_in_the_middle_of_a_buffer_resumes_there() {
    let world = World::new();
    world.write("in.txt", lines("x", 100));
    let mut run = world.stream("in.txt", &[("batch.size", "30")]);
    assert_eq!(run.poll().unwrap().len(), 30);
    run.commit().unwrap();
    assert_eq!(run.poll().unwrap().len(), 30);
    run.stop();
    let rest = world.stream("in.txt", &[]).take_texts(70);
    assert_eq!(rest, texts("x", 100)[30..]);
}

#[test]
fn apaches_offset_is_taken_over() {
    let world = World::new();
    world.write("in.txt", "foo\nbår\nbaz\n");
    let partition = json!({"filename": world.text("in.txt")});
    let set = |offset: Json| world.offsets.set(partition.as_object().unwrap(), offset.as_object().unwrap().clone());
    set(json!({"position": 4}));
    let mut run = world.stream("in.txt", &[]);
    assert_eq!(run.take_texts(2), ["bår", "baz"]);
    assert!(run.context.warnings().is_empty());
    set(json!({"position": 8}));
    let mut run = world.stream("in.txt", &[]);
    assert_eq!(run.take_texts(2), ["", "baz"], "Apache counts characters");
    assert!(run.context.warnings()[0].contains("inside a line"), "{:?}", run.context.warnings());
}

#[test]
fn large_files_are_read_whole_and_in_order() {
    let world = World::new();
    // More than a few read buffers, with lines that cross their borders.
    let content: Vec<String> = (0..40_000).map(|n| format!("{n} {}", "é".repeat(n % 90))).collect();
    world.write("in.txt", content.join("\n") + "\n");
    for (name, key) in [("FileStreamSource", "file"), ("FileSource", "path")] {
        let mut run = if key == "file" { world.stream("in.txt", &[]) } else { world.files("in.txt", &[]) };
        assert_eq!(run.take_texts(content.len()), content, "{name}");
        run.expect_nothing();
    }
}

#[test]
fn a_batch_that_ends_where_a_buffer_does_is_no_end() {
    let world = World::new();
    // 131,072 lines fill a read buffer exactly.
    world.write("in.txt", "abc\n".repeat(300_000));
    for size in ["32768", "131072", "1"] {
        let mut run = world.files("in.txt", &[("batch.size", size), ("batch.bytes", "100000000")]);
        let count = if size == "1" { 500 } else { 300_000 };
        let mut seen = 0;
        while seen < count {
            let records = run.poll().unwrap().len();
            assert!(records > 0, "a poll came back empty after {seen} of {count}");
            seen += records;
        }
    }
}

#[test]
fn a_pattern_reads_all_files_and_those_that_come_later() {
    let world = World::new();
    world.write("a.log", lines("a", 3));
    world.write("b.log", lines("b", 2));
    world.write("c.txt", lines("c", 2));
    let mut run = world.files("**/*.log", &[("key", "filename")]);
    let records = run.take(5).unwrap();
    let mut seen: Vec<_> = records.iter().map(|record| (record.key.clone(), record.value.clone())).collect();
    seen.sort_by_key(|pair| format!("{pair:?}"));
    let key = |name: &str| Value::string(world.text(name));
    assert_eq!(seen[0], (key("a.log"), Value::string("a-0")));
    assert_eq!(seen[4], (key("b.log"), Value::string("b-1")));
    world.write("new/deep/d.log", lines("d", 2));
    assert_eq!(run.take_texts(2), ["d-0", "d-1"]);
    run.commit().unwrap();
    run.stop();
    world.append("b.log", "more\n");
    assert_eq!(world.files("**/*.log", &[]).take_texts(1), ["more"]);
}

#[test]
fn files_take_turns() {
    let world = World::new();
    world.write("big.log", lines("big", 200_000));
    world.write("small.log", lines("small", 1));
    let mut run = world.files("*.log", &[("batch.bytes", "600000"), ("batch.size", "1000000")]);
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.extend(run.poll().unwrap());
    }
    assert!(seen.len() < 200_000, "the big one is not done yet");
    assert!(seen.iter().any(|record| record.value == Value::string("small-0")), "but the small one is");
}

#[test]
fn more_files_than_may_be_open_are_all_followed() {
    let world = World::new();
    for n in 0..30 {
        world.write(&format!("{n}.log"), "one\n");
    }
    let mut run = world.files("*.log", &[("max.open.files", "3")]);
    run.take(30).unwrap();
    run.expect_nothing();
    for n in 0..30 {
        world.append(&format!("{n}.log"), "two\n");
    }
    assert_eq!(run.take_texts(30), vec!["two"; 30]);
    let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let links = open.filter_map(|entry| fs::read_link(entry.path()).ok());
    let ours = links.filter(|link| link.starts_with(world.path("")) && link.extension().is_some());
    run.expect_nothing();
    assert!(ours.count() <= 3 + 30, "turns may open more, a look closes them");
}

#[test]
fn tasks_divide_the_files_of_a_pattern() {
    let world = World::new();
    for n in 0..20 {
        world.write(&format!("f{n}.csv"), format!("line of {n}\n"));
    }
    let mut source = FileSource::default();
    let config: Config = world.config("path", "*.csv", &[]);
    let mut runs = SourceRun::start_all(&mut source, config, 3, &world.offsets).unwrap();
    assert_eq!(runs.len(), 3);
    let mut seen = Vec::new();
    for run in &mut runs {
        for _ in 0..5 {
            seen.extend(run.poll().unwrap().into_iter().map(|record| format!("{:?}", record.value)));
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 20);
    source.stop();
}

#[test]
fn one_file_under_two_names_is_read_once() {
    let world = World::new();
    world.write("a.log", "one\n");
    fs::hard_link(world.path("a.log"), world.path("b.log")).unwrap();
    std::os::unix::fs::symlink(world.path("a.log"), world.path("c.log")).unwrap();
    let mut run = world.files("*.log", &[]);
    assert_eq!(run.take_texts(1), ["one"]);
    run.expect_nothing();
}

#[test]
fn a_replaced_name_in_another_offset_store_starts_at_zero() {
    let world = World::new();
    world.write("a.log", "one\n");
    let mut run = world.files("a.log", &[]);
    run.take(1).unwrap();
    run.commit().unwrap();
    run.stop();
    let fresh = Offsets::default();
    let config = world.config("path", "a.log", &[]);
    let mut run = SourceRun::start(&mut FileSource::default(), config, &fresh).unwrap();
    assert_eq!(run.take_texts(1), ["one"]);
}

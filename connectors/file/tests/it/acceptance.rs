//! The acceptance suite that every connector passes.

use crate::world::World;
use levada_connector_api::{
    SinkConnector, SinkRecord, Value,
    testkit::{SinkCase, SourceCase, accept_sink, accept_source, config, record},
};
use levada_connector_file::{FileSink, FileSource, FileStreamSink, FileStreamSource};
use std::fs;

#[test]
fn file_stream_source_is_accepted() {
    let world = World::new();
    let mut fed = 0;
    world.write("in", "");
    accept_source(&mut SourceCase {
        new: &|| Box::new(FileStreamSource::default()),
        config: world.config("file", "in", &[]),
        broken: config([("batch.size", "abc"), ("long.lines", "x")]),
        wrong: &["topic", "batch.size", "long.lines"],
        feed: &mut |count| {
            for _ in 0..count {
                fed += 1;
                world.append("in", format!("line {fed}\n"));
            }
        },
    });
}

#[test]
fn file_source_is_accepted() {
    let world = World::new();
    let mut fed = 0;
    accept_source(&mut SourceCase {
        new: &|| Box::new(FileSource::default()),
        config: world.config("path", "*/*.log", &[]),
        broken: config([("topic", ""), ("key", "what"), ("exclude", "[")]),
        wrong: &["path", "topic", "key", "exclude"],
        feed: &mut |count| {
            for _ in 0..count {
                fed += 1;
                let name = format!("{}/{}.log", fed % 3, fed % 5);
                if !world.path(&name).exists() {
                    world.write(&name, "");
                }
                world.append(&name, format!("line {fed}\n"));
            }
        },
    });
}

fn line(partition: i32, offset: i64) -> SinkRecord {
    record("lines", partition, offset, Value::string(format!("{partition}:{offset}").as_str()))
}

fn accept(new: &dyn Fn() -> Box<dyn SinkConnector>, keys: &[(&str, &str)], wrong: &[&str], exactly_once: bool) {
    let world = World::new();
    let out = world.text("out");
    accept_sink(&SinkCase {
        new,
        config: config(keys.iter().map(|(key, value)| (*key, if *value == "OUT" { out.as_str() } else { value }))),
        broken: config([("exactly.once", "perhaps"), ("buffer.bytes", "0"), ("on.mismatch", "cry")]),
        wrong,
        record: &line,
        read: &|| fs::read_to_string(&out).unwrap().lines().map(str::to_owned).collect(),
        shown: &|record| format!("{}:{}", record.partition, record.offset),
        exactly_once,
    });
}

#[test]
fn file_sink_is_accepted() {
    let wrong = ["path", "exactly.once", "buffer.bytes", "on.mismatch"];
    accept(&|| Box::new(FileSink::default()), &[("path", "OUT")], &wrong, true);
}

#[test]
fn file_stream_sink_is_accepted() {
    let wrong = ["exactly.once", "buffer.bytes", "on.mismatch"];
    accept(&|| Box::new(FileStreamSink::default()), &[("file", "OUT")], &wrong, false);
    accept(&|| Box::new(FileStreamSink::default()), &[("file", "OUT"), ("exactly.once", "true")], &wrong, true);
}

//! The acceptance suite that every connector passes.

use crate::world::World;
use levada_connector_api::testkit::{SourceCase, accept_source, config};
use levada_connector_file::{FileSource, FileStreamSource};

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

//! What goes wrong, and what is said of it.

use crate::world::World;
use levada_connector_api::{ConnectorError, ErrorKind, testkit::SourceRun};
use levada_connector_file::{FileSource, FileStreamSource};
use std::{fs, os::unix::fs::PermissionsExt};

fn first_error(mut run: SourceRun) -> ConnectorError {
    run.take_error()
}

#[test]
fn a_directory_is_named_with_the_mend() {
    let world = World::new();
    fs::create_dir(world.path("logs")).unwrap();
    for run in [world.stream("logs", &[]), world.files("logs", &[])] {
        let error = first_error(run);
        assert_eq!(error.kind, ErrorKind::Config);
        assert!(error.message.contains(&world.text("logs")), "{error}");
        assert!(error.message.contains("is a directory") && error.message.contains("*.log"), "{error}");
    }
}

#[test]
fn a_pipe_is_refused_without_hanging() {
    let error = first_error(World::new().stream("../../../../../../../../dev/null", &[]));
    assert!(error.message.contains("pipe or a device"), "{error}");
}

#[test]
fn an_unreadable_file_fails_the_task_until_it_is_readable() {
    let world = World::new();
    world.write("secret.log", "line\n");
    fs::set_permissions(world.path("secret.log"), fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(world.path("secret.log")).is_ok() {
        // Root reads everything; there is nothing to see here then.
        return;
    }
    let mut run = world.stream("secret.log", &[]);
    let error = run.take_error();
    assert_eq!(error.kind, ErrorKind::Retriable);
    assert!(error.message.contains("`file`") && error.message.contains("permission denied"), "{error}");
    fs::set_permissions(world.path("secret.log"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(run.take_texts(1), ["line"]);
}

#[test]
fn corrupt_compressed_data_is_told_and_other_files_go_on() {
    let world = World::new();
    world.write("bad.gz", b"\x1f\x8b\x08\x00 this is no deflate stream at all, whatever it claims");
    world.write("good.log", "line\n");
    let mut run = world.files("*", &[]);
    assert_eq!(run.take_texts(1), ["line"]);
    run.poll_until(|run| run.context.warnings().iter().any(|text| text.contains("bad.gz")));
    let error = first_error(world.files("bad.gz", &[]));
    assert!(error.message.contains("bad.gz"), "{error}");
}

#[test]
fn too_many_files_are_an_error_with_the_mend() {
    let world = World::new();
    for n in 0..5 {
        world.write(&format!("{n}.log"), "");
    }
    let error = first_error(world.files("*.log", &[("max.files", "4")]));
    assert!(error.message.contains("max.files"), "{error}");
}

#[test]
fn broken_keys_are_all_told_at_once() {
    let world = World::new();
    let broken = [("topic", ""), ("encoding", "klingon"), ("max.line.bytes", "0"), ("batch.size", "many")];
    let error = world.try_run(&mut FileSource::default(), "path", "[", &broken).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Config);
    for key in ["path", "topic", "encoding", "max.line.bytes", "batch.size"] {
        assert!(error.message.contains(&format!("configuration {key}:")), "{key} in {error}");
    }
    let lonely = [("exclude", "*.gz")];
    let error = world.try_run(&mut FileSource::default(), "path", "a", &lonely).err().unwrap();
    assert!(error.message.contains("exclude"), "{error}");
    let none = world.try_run(&mut FileStreamSource::default(), "file", "a", &[("batch.size", "abc")]).err().unwrap();
    assert_eq!(none.message, "Invalid value abc for configuration batch.size: Not a number of type INT");
}

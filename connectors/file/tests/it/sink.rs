//! The sinks: text, durability, crashes, full disks.

use crate::world::World;
use levada_connector_api::{
    ErrorKind, Result, SinkConnector, SinkRecord, TopicPartition, Value,
    testkit::{GroupOffsets, SinkRun, config, record},
};
use levada_connector_file::{FileSink, FileStreamSink};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

fn partitions() -> [TopicPartition; 2] {
    [0, 1].map(|partition| TopicPartition { topic: Arc::from("lines"), partition })
}

fn records(partition: i32, offsets: std::ops::Range<i64>) -> Vec<SinkRecord> {
    offsets
        .map(|offset| record("lines", partition, offset, Value::string(format!("{partition}:{offset}").as_str())))
        .collect()
}

fn text(partition: i32, offsets: std::ops::Range<i64>) -> String {
    let lines: Vec<String> = offsets.map(|offset| format!("{partition}:{offset}\n")).collect();
    lines.concat()
}

fn start_with(
    sink: &mut dyn SinkConnector,
    key: &str,
    path: &str,
    group: &GroupOffsets,
    more: &[(&str, &str)],
) -> Result<SinkRun> {
    SinkRun::start(sink, config([(key, path)].into_iter().chain(more.iter().copied())), &partitions(), group)
}

fn exact(world: &World, group: &GroupOffsets, more: &[(&str, &str)]) -> Result<SinkRun> {
    start_with(&mut FileSink::default(), "path", &world.text("out"), group, more)
}

fn read(world: &World) -> String {
    fs::read_to_string(world.path("out")).unwrap()
}

#[test]
fn a_file_that_is_written_exactly_once_has_one_writer() {
    let world = World::new();
    let mut group = GroupOffsets::new();
    let mut first = exact(&world, &group, &[]).unwrap();
    first.put(&records(0, 0..10)).unwrap();
    first.commit(&mut group).unwrap();
    let other = GroupOffsets::new();
    let beside = start_with(&mut FileStreamSink::default(), "file", &world.text("out"), &other, &[]);
    for refused in [exact(&world, &other, &[]), beside] {
        let error = refused.err().unwrap();
        assert_eq!(error.kind, ErrorKind::Retriable);
        assert!(error.message.contains("another connector"), "{error}");
    }
    first.stop();
    assert_eq!(read(&world), text(0, 0..10));
    exact(&world, &group, &[]).unwrap().stop();
}

#[test]
fn apaches_sink_appends_the_text_of_values() {
    let world = World::new();
    world.write("out", "before\n");
    let mut group = GroupOffsets::new();
    let out = world.text("out");
    let mut run = start_with(&mut FileStreamSink::default(), "file", &out, &group, &[]).unwrap();
    let values =
        [Value::string("text"), Value::Null, Value::Int64(7), Value::Map(vec![(Value::string("a"), Value::Int8(1))])];
    let records: Vec<_> =
        values.into_iter().enumerate().map(|(at, value)| record("lines", 0, at as i64, value)).collect();
    run.put(&records).unwrap();
    run.commit(&mut group).unwrap();
    assert_eq!(read(&world), "before\ntext\nnull\n7\n{a=1}\n");
    assert_eq!(group[&partitions()[0]], (4, String::new()), "nothing of ours in Apache's offsets");
}

#[test]
fn apaches_sink_makes_its_file_at_once() {
    let world = World::new();
    start_with(&mut FileStreamSink::default(), "file", &world.text("out"), &GroupOffsets::new(), &[]).unwrap();
    assert_eq!(read(&world), "");
}

#[test]
fn what_no_offset_covers_is_cut_after_a_crash() {
    let world = World::new();
    let mut group = GroupOffsets::new();
    let mut run = exact(&world, &group, &[("buffer.bytes", "1")]).unwrap();
    run.put(&records(0, 0..3)).unwrap();
    run.commit(&mut group).unwrap();
    run.put(&records(0, 3..5)).unwrap();
    assert_eq!(read(&world), text(0, 0..5), "written, not committed");
    drop(run);
    // A crash in the middle of a write leaves part of a line.
    world.append("out", "0:5 and a ha");
    let mut run = exact(&world, &group, &[]).unwrap();
    assert_eq!(read(&world), text(0, 0..3));
    assert!(run.context.warnings()[0].contains("cut"), "{:?}", run.context.warnings());
    run.put(&records(0, 3..6)).unwrap();
    run.commit(&mut group).unwrap();
    assert_eq!(read(&world), text(0, 0..6));
}

#[test]
fn the_newest_commit_counts_where_partitions_differ() {
    let world = World::new();
    let mut group = GroupOffsets::new();
    let mut run = exact(&world, &group, &[]).unwrap();
    run.put(&records(0, 0..2)).unwrap();
    run.put(&records(1, 0..1)).unwrap();
    run.commit(&mut group).unwrap();
    let early = group[&partitions()[1]].clone();
    run.put(&records(0, 2..4)).unwrap();
    run.commit(&mut group).unwrap();
    // As if partition 1 had not been owned at the last commit.
    group.insert(partitions()[1].clone(), early);
    drop(run);
    exact(&world, &group, &[]).unwrap();
    assert_eq!(read(&world), text(0, 0..2) + &text(1, 0..1) + &text(0, 2..4));
}

#[test]
fn another_or_changed_file_is_never_cut() {
    let world = World::new();
    let mut group = GroupOffsets::new();
    let mut run = exact(&world, &group, &[]).unwrap();
    run.put(&records(0, 0..3)).unwrap();
    run.commit(&mut group).unwrap();
    run.stop();
    let refused = |what: &str| {
        let before = fs::read(world.path("out")).ok();
        let error = exact(&world, &group, &[]).err().unwrap_or_else(|| panic!("accepted: {what}"));
        assert_eq!(error.kind, ErrorKind::Data);
        for part in ["`path`", &world.text("out"), what, "on.mismatch"] {
            assert!(error.message.contains(part), "{part} in {error}");
        }
        assert_eq!(fs::read(world.path("out")).ok(), before, "nothing was changed");
    };
    let content = read(&world);
    world.write("other", content.clone() + "and more\n");
    world.rename("out", "kept");
    refused("does not exist");
    world.rename("other", "out");
    refused("is not the file");
    world.rename("kept", "out");
    world.write("out", content.replace("0:2", "9:9"));
    refused("is not what was written");
    world.write("out", "0:0\n");
    refused("4 bytes");
    let mut run = exact(&world, &group, &[("on.mismatch", "append")]).unwrap();
    run.put(&records(0, 3..4)).unwrap();
    run.commit(&mut group).unwrap();
    assert_eq!(read(&world), "0:0\n0:3\n");
    run.stop();
    exact(&world, &group, &[]).unwrap();
}

#[test]
fn an_idle_partition_gets_the_mark_of_the_new_file_too() {
    let world = World::new();
    let mut group = GroupOffsets::new();
    let mut run = exact(&world, &group, &[]).unwrap();
    run.put(&records(0, 0..3)).unwrap();
    run.put(&records(1, 0..3)).unwrap();
    run.commit(&mut group).unwrap();
    run.stop();
    world.rename("out", "away");
    let mut run = exact(&world, &group, &[("on.mismatch", "append")]).unwrap();
    run.put(&records(0, 3..4)).unwrap();
    run.commit(&mut group).unwrap();
    let [busy, idle] = partitions().map(|partition| group[&partition].clone());
    assert_eq!((idle.0, idle.1), (3, busy.1), "its offset, with the mark of the other");
    run.stop();
    exact(&world, &group, &[]).unwrap();
    assert_eq!(read(&world), text(0, 3..4));
}

#[test]
fn beside_marks_an_offset_without_one_is_never_cut_past() {
    let world = World::new();
    let mut group = GroupOffsets::new();
    let mut run = exact(&world, &group, &[]).unwrap();
    run.put(&records(0, 0..3)).unwrap();
    run.commit(&mut group).unwrap();
    run.stop();
    world.append("out", "more\n");
    group.insert(partitions()[1].clone(), (7, String::new()));
    let error = exact(&world, &group, &[]).err().unwrap();
    assert!(error.kind == ErrorKind::Data && error.message.contains("says nothing of this file"), "{error}");
    assert_eq!(read(&world), text(0, 0..3) + "more\n");
}

#[test]
fn without_metadata_nothing_is_cut() {
    let world = World::new();
    world.write("out", "precious, without line end");
    let mut group = GroupOffsets::from([(partitions()[0].clone(), (5, "of another program".to_owned()))]);
    let mut run = exact(&world, &group, &[]).unwrap();
    run.put(&records(0, 5..6)).unwrap();
    run.commit(&mut group).unwrap();
    assert_eq!(read(&world), "precious, without line end0:5\n");
}

#[test]
fn a_new_path_in_the_configuration_starts_there() {
    let world = World::new();
    let mut group = GroupOffsets::new();
    let mut run = exact(&world, &group, &[]).unwrap();
    run.put(&records(0, 0..3)).unwrap();
    run.commit(&mut group).unwrap();
    run.stop();
    world.write("second", "content\n");
    let mut run = start_with(&mut FileSink::default(), "path", &world.text("second"), &group, &[]).unwrap();
    run.put(&records(0, 3..4)).unwrap();
    run.commit(&mut group).unwrap();
    assert_eq!(fs::read_to_string(world.path("second")).unwrap(), "content\n0:3\n");
    assert_eq!(read(&world), text(0, 0..3));
}

#[test]
fn a_foreign_writer_is_noticed() {
    let world = World::new();
    let mut run = exact(&world, &GroupOffsets::new(), &[("buffer.bytes", "1")]).unwrap();
    run.put(&records(0, 0..1)).unwrap();
    world.append("out", "foreign\n");
    let error = run.put(&records(0, 1..2)).unwrap_err();
    assert!(error.message.contains("another program"), "{error}");
}

#[test]
fn partitions_come_and_go_without_losing_the_place() {
    let world = World::new();
    let mut group = GroupOffsets::new();
    let mut run = exact(&world, &group, &[]).unwrap();
    let [first, second] = partitions();
    run.put(&records(0, 0..2)).unwrap();
    run.put(&records(1, 0..2)).unwrap();
    run.commit(&mut group).unwrap();
    run.task.close(std::slice::from_ref(&second), false).unwrap();
    run.consumed.remove(&second);
    run.put(&records(0, 2..4)).unwrap();
    run.commit(&mut group).unwrap();
    run.open(std::slice::from_ref(&second), &partitions(), &group).unwrap();
    run.put(&records(1, 2..3)).unwrap();
    let all = text(0, 0..2) + &text(1, 0..2) + &text(0, 2..4) + &text(1, 2..3);
    // All partitions lost at once: what was not committed comes again.
    run.task.close(&[first, second], true).unwrap();
    run.open(&partitions(), &partitions(), &group).unwrap();
    run.put(&records(1, 2..3)).unwrap();
    run.commit(&mut group).unwrap();
    assert_eq!(read(&world), all);
    // Some lost with lines between others: no way to be exact but to start again.
    run.put(&records(0, 4..5)).unwrap();
    run.task.close(&partitions()[1..], true).unwrap();
    assert!(run.put(&records(0, 5..6)).unwrap_err().message.contains("restart the task"));
}

#[test]
fn asks_for_a_commit_when_much_was_written() {
    let world = World::new();
    let mut group = GroupOffsets::new();
    let mut run = exact(&world, &group, &[("commit.bytes", "100")]).unwrap();
    run.put(&records(0, 0..10)).unwrap();
    assert_eq!(run.context.requested_commits(), 0);
    run.put(&records(0, 10..40)).unwrap();
    run.put(&records(0, 40..80)).unwrap();
    assert_eq!(run.context.requested_commits(), 1, "once per commit");
    run.commit(&mut group).unwrap();
    run.put(&records(0, 80..180)).unwrap();
    assert_eq!(run.context.requested_commits(), 2);
}

#[test]
fn unusable_paths_are_named_with_the_mend() {
    let world = World::new();
    fs::create_dir(world.path("dir")).unwrap();
    world.write("locked/out", "");
    let text = |path: &str| world.text(path);
    for (path, mend) in [("dir", "is a directory"), ("none/out", "create it")] {
        for (sink, key) in
            [(&mut FileSink::default() as &mut dyn SinkConnector, "path"), (&mut FileStreamSink::default(), "file")]
        {
            let error = start_with(sink, key, &text(path), &GroupOffsets::new(), &[]).err().unwrap();
            assert_eq!(error.kind, ErrorKind::Config);
            for part in [format!("`{key}`").as_str(), &text(path), mend] {
                assert!(error.message.contains(part), "{part} in {error}");
            }
        }
    }
    fs::set_permissions(world.path("locked/out"), fs::Permissions::from_mode(0o400)).unwrap();
    if fs::OpenOptions::new().append(true).open(world.path("locked/out")).is_err() {
        let run = start_with(&mut FileSink::default(), "path", &text("locked/out"), &GroupOffsets::new(), &[]);
        assert!(run.err().unwrap().message.contains("can't be written"));
    }
}

#[test]
fn the_standard_output_cannot_be_exactly_once() {
    let keys = config([("exactly.once", "true")]);
    let error =
        SinkRun::start(&mut FileStreamSink::default(), keys, &partitions(), &GroupOffsets::new()).err().unwrap();
    assert!(error.message.contains("exactly.once") && error.message.contains("set `file`"), "{error}");
}

#[test]
fn a_full_device_is_worth_a_retry() {
    let full = "/dev/full";
    let keys = [("buffer.bytes", "1")];
    let mut run = start_with(&mut FileStreamSink::default(), "file", full, &GroupOffsets::new(), &keys).unwrap();
    let error = run.put(&records(0, 0..1)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Retriable);
    assert!(error.message.contains("free some space") && error.message.contains(full), "{error}");
}

const SMALL_DISK: &str = "LEVADA_TEST_SMALL_DISK";

/// Runs [`on_a_small_disk`] where a file system of 64 KiB can be mounted without rights of our own.
#[test]
fn a_full_disk_leaves_whole_lines_only_and_work_goes_on_with_space() {
    let directory = tempfile::tempdir().unwrap();
    let script =
        "mount -t tmpfs -o size=64k none \"$1\" || exit 77; exec \"$0\" --exact sink::on_a_small_disk --ignored";
    let status = Command::new("unshare")
        .args(["-rm", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .arg(directory.path())
        .env(SMALL_DISK, directory.path())
        .stdout(Stdio::null())
        .status();
    match status.map(|status| status.code()) {
        // Without the program, or without the right to mount, there is nothing to see here.
        Err(_) | Ok(Some(77 | 1)) if Path::new("/proc/self/ns/user").exists() => {
            assert!(!can_mount(), "the small disk could be mounted, and the test on it failed");
        }
        Ok(code) => assert_eq!(code, Some(0), "the test on the small disk failed"),
        Err(error) => panic!("{error}"),
    }
}

fn can_mount() -> bool {
    let status = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "none", "/mnt"]).status();
    status.is_ok_and(|status| status.success())
}

#[test]
#[ignore = "run by the test above, on a disk of its own"]
fn on_a_small_disk() {
    // Asked for with all ignored tests it has no disk; the test above is what runs it.
    let Some(disk) = std::env::var_os(SMALL_DISK).map(std::path::PathBuf::from) else { return };
    let out = disk.join("out").to_str().unwrap().to_owned();
    fs::write(disk.join("ballast"), vec![0; 32 * 1024]).unwrap();
    for (sink, key) in
        [(&mut FileSink::default() as &mut dyn SinkConnector, "path"), (&mut FileStreamSink::default(), "file")]
    {
        let mut group = GroupOffsets::new();
        let mut run = start_with(sink, key, &out, &group, &[("buffer.bytes", "5000")]).unwrap();
        let mut next = 0;
        let error = loop {
            match run.put(&records(0, next..next + 100)) {
                Ok(()) => next += 100,
                Err(error) => break error,
            }
            assert!(next < 100_000, "the disk never became full");
        };
        assert_eq!(error.kind, ErrorKind::Retriable, "{error}");
        let content = fs::read_to_string(&out).unwrap();
        assert!(text(0, 0..next).starts_with(&content) && content.ends_with('\n'), "whole lines only");
        assert!(run.put(&records(0, next..next + 100)).is_err(), "still full");
        fs::remove_file(disk.join("ballast")).unwrap();
        run.put(&records(0, next..next + 100)).unwrap();
        run.commit(&mut group).unwrap();
        assert_eq!(fs::read_to_string(&out).unwrap(), text(0, 0..next + 100));
        run.stop();
        fs::remove_file(&out).unwrap();
        fs::write(disk.join("ballast"), vec![0; 32 * 1024]).unwrap();
    }
}

//! Rotation, truncation and replacement, while reading and while stopped.

use crate::world::{World, lines, texts};
use std::{fs, os::unix::fs::symlink};

#[test]
fn rename_rotation_loses_and_doubles_nothing() {
    let world = World::new();
    world.write("a.log", lines("old", 3));
    let mut run = world.files("a.log", &[]);
    assert_eq!(run.take_texts(3), texts("old", 3));
    world.rename("a.log", "a.log.1");
    world.append("a.log.1", "late-0\n");
    world.write("a.log", lines("new", 2));
    assert_eq!(run.take_texts(3), ["late-0", "new-0", "new-1"]);
    run.commit().unwrap();
    run.stop();
    world.append("a.log", "more\n");
    assert_eq!(world.files("a.log", &[]).take_texts(1), ["more"]);
}

#[test]
fn a_renamed_file_is_followed_until_there_is_a_new_one() {
    let world = World::new();
    world.write("a.log", lines("old", 1));
    let mut run = world.stream("a.log", &[]);
    run.take(1).unwrap();
    world.rename("a.log", "elsewhere");
    run.expect_nothing();
    world.append("elsewhere", "late\n");
    assert_eq!(run.take_texts(1), ["late"]);
    world.write("a.log", "new\n");
    assert_eq!(run.take_texts(1), ["new"]);
}

#[test]
fn rotation_inside_a_pattern_goes_on_under_the_new_name() {
    let world = World::new();
    world.write("a.log", lines("one", 2));
    let mut run = world.files("a.log*", &[]);
    run.take(2).unwrap();
    for round in ["two", "three"] {
        if world.path("a.log.1").exists() {
            world.rename("a.log.1", "a.log.2");
        }
        world.rename("a.log", "a.log.1");
        world.write("a.log", lines(round, 2));
        assert_eq!(run.take_texts(2), texts(round, 2));
    }
    run.expect_nothing();
    run.commit().unwrap();
    run.stop();
    world.append("a.log.1", "late\n");
    let mut run = world.files("a.log*", &[]);
    assert_eq!(run.take_texts(1), ["late"]);
    run.expect_nothing();
}

#[test]
fn rotation_while_stopped_is_seen_in_the_pattern() {
    let world = World::new();
    world.write("a.log", lines("one", 2));
    let mut run = world.files("a.log*", &[]);
    run.take(2).unwrap();
    run.commit().unwrap();
    run.stop();
    world.append("a.log", "late\n");
    world.rename("a.log", "a.log.1");
    world.write("a.log", "two\n");
    let mut run = world.files("a.log*", &[]);
    let mut seen = run.take_texts(2);
    seen.sort();
    assert_eq!(seen, ["late", "two"]);
    run.expect_nothing();
}

#[test]
fn rotation_while_stopped_is_seen_beside_a_single_path() {
    let world = World::new();
    world.write("a.log", lines("one", 2));
    let mut run = world.stream("a.log", &[]);
    run.take(2).unwrap();
    run.commit().unwrap();
    run.stop();
    world.append("a.log", "late\n");
    world.rename("a.log", "a.log.1");
    world.write("a.log", "two\n");
    let mut run = world.stream("a.log", &[]);
    assert_eq!(run.take_texts(2), ["late", "two"], "the old file first");
    run.expect_nothing();
}

#[test]
fn copytruncate_starts_again_and_does_not_resend_the_copy() {
    let world = World::new();
    world.write("a.log", lines("one", 3));
    let mut run = world.files("a.log*", &[]);
    run.take(3).unwrap();
    fs::copy(world.path("a.log"), world.path("a.log.1")).unwrap();
    world.write("a.log", "");
    run.expect_nothing();
    world.append("a.log", "two\n");
    assert_eq!(run.take_texts(1), ["two"]);
    run.expect_nothing();
    assert!(run.context.warnings().iter().any(|text| text.contains("truncated")), "{:?}", run.context.warnings());
}

#[test]
fn a_file_truncated_and_grown_past_the_position_between_two_looks_is_read_from_its_start() {
    let world = World::new();
    world.write("a.log", "one\n");
    let mut run = world.stream("a.log", &[]);
    run.take(1).unwrap();
    world.write("a.log", lines("two", 50));
    assert_eq!(run.take_texts(50), texts("two", 50));
}

#[test]
fn a_file_rewritten_at_the_same_size_is_read_again() {
    let world = World::new();
    world.write("a.log", "one\n");
    let mut run = world.stream("a.log", &[]);
    run.take(1).unwrap();
    // The time of the last change has the granularity of a kernel tick: write until it moves.
    let modified = || fs::metadata(world.path("a.log")).unwrap().modified().unwrap();
    let before = modified();
    while modified() == before {
        world.write("a.log", "two\n");
    }
    assert_eq!(run.take_texts(1), ["two"]);
}

#[test]
fn truncated_while_stopped() {
    let world = World::new();
    world.write("a.log", lines("one", 9));
    let mut run = world.stream("a.log", &[]);
    run.take(9).unwrap();
    run.commit().unwrap();
    run.stop();
    for (content, count) in [("short\n".to_owned(), 1), (lines("grown", 60), 60)] {
        world.write("a.log", &content);
        let mut run = world.stream("a.log", &[]);
        assert_eq!(run.take_texts(count).concat(), content.replace('\n', ""));
        assert_eq!(run.context.warnings().len(), 1, "{:?}", run.context.warnings());
        run.commit().unwrap();
        run.stop();
    }
}

#[test]
fn deleted_and_created_again() {
    let world = World::new();
    world.write("a.log", "one\nhalf");
    let mut run = world.files("a.log", &[]);
    run.take(1).unwrap();
    fs::remove_file(world.path("a.log")).unwrap();
    assert_eq!(run.take_texts(1), ["half"], "the end of a file that is gone needs no line end");
    run.expect_nothing();
    assert!(run.context.warnings().iter().any(|text| text.contains("does not exist")), "{:?}", run.context.warnings());
    // The same first line, and often the same inode.
    world.write("a.log", "one\ntwo\n");
    assert_eq!(run.take_texts(2), ["one", "two"]);
    run.commit().unwrap();
    assert_eq!(world.position("a.log"), Some(8));
}

#[test]
fn a_file_replaced_by_rename_is_read_from_its_start() {
    let world = World::new();
    world.write("a.txt", "one\n");
    let mut run = world.stream("a.txt", &[]);
    run.take(1).unwrap();
    world.write("temporary", "one\nagain\n");
    world.rename("temporary", "a.txt");
    assert_eq!(run.take_texts(2), ["one", "again"]);
}

#[test]
fn a_switched_symlink_is_a_rotation() {
    let world = World::new();
    world.write("2026-01-01", lines("first", 2));
    world.write("2026-01-02", lines("second", 2));
    symlink(world.path("2026-01-01"), world.path("current")).unwrap();
    let mut run = world.files("current", &[]);
    assert_eq!(run.take_texts(2), texts("first", 2));
    fs::remove_file(world.path("current")).unwrap();
    symlink(world.path("2026-01-02"), world.path("current")).unwrap();
    assert_eq!(run.take_texts(2), texts("second", 2));
}

#[test]
fn rotated_and_packed_files_are_not_sent_again() {
    let world = World::new();
    world.write("a.log", lines("one", 500));
    let mut run = world.files("a.log*", &[]);
    run.take(500).unwrap();
    run.commit().unwrap();
    world.rename("a.log", "a.log.1");
    world.write("a.log", "two\n");
    assert_eq!(run.take_texts(1), ["two"]);
    run.commit().unwrap();
    for (packed, how) in [("a.log.2.gz", "while running"), ("a.log.3.zst", "while stopped")] {
        let content = lines("one", 500);
        match how {
            "while running" => world.write(packed, crate::contents::gzip(content.as_bytes())),
            _ => {
                run.stop();
                world.write(packed, zstd::encode_all(content.as_bytes(), 1).unwrap());
                run = world.files("a.log*", &[]);
            }
        }
        run.expect_nothing();
        run.commit().unwrap();
    }
}

//! Rotation, truncation and replacement, while reading and while stopped: a table of what happens to files and what must
//! come of it, and the one story that needs more than that.

use crate::{
    contents::gzip,
    world::{World, lines, texts},
};
use levada_connector_api::{Checkpoint, Reach, testkit::SourceRun};
use std::{fs, os::unix::fs::symlink};

/// What happens, or must have happened.
enum Step {
    /// The file has this content now.
    Write(&'static str, Vec<u8>),
    Append(&'static str, &'static str),
    Rename(&'static str, &'static str),
    Copy(&'static str, &'static str),
    Remove(&'static str),
    /// The second is a symbolic link to the first now.
    Link(&'static str, &'static str),
    /// The next records, in this order.
    Comes(Vec<String>),
    /// The next records, in any order.
    ComeTogether(Vec<String>),
    /// No record comes.
    Nothing,
    Commit,
    /// Commits, stops, and starts again after what follows.
    Stop,
    /// So many warnings since the start, this text in one of them.
    Warned(usize, &'static str),
    /// The committed position of a file.
    Position(&'static str, i64),
}

use Step::{Append, ComeTogether, Comes, Commit, Copy, Link, Nothing, Position, Remove, Rename, Stop, Warned, Write};

/// Which class reads what.
#[derive(Clone, Copy)]
enum Over {
    /// Apache's class on one file.
    Stream(&'static str),
    /// Levada's class on a file or pattern.
    Files(&'static str),
}

use Over::{Files, Stream};

fn write(name: &'static str, content: impl AsRef<[u8]>) -> Step {
    Write(name, content.as_ref().to_vec())
}

fn comes(texts: &[&str]) -> Step {
    Comes(texts.iter().map(|text| (*text).to_owned()).collect())
}

/// Files and the source over them.
struct Player {
    world: World,
    over: Over,
    run: Option<SourceRun>,
}

impl Player {
    /// The source, started when it is first needed: the files that are there by then are there at its start.
    fn run(&mut self) -> &mut SourceRun {
        self.run.get_or_insert_with(|| match self.over {
            Stream(name) => self.world.stream(name, &[]),
            Files(pattern) => self.world.files(pattern, &[]),
        })
    }

    fn play(&mut self, number: usize, step: Step) {
        let world = &self.world;
        match step {
            Write(name, content) => world.write(name, content),
            Append(name, content) => world.append(name, content),
            Rename(from, to) => world.rename(from, to),
            Copy(from, to) => drop(fs::copy(world.path(from), world.path(to)).unwrap()),
            Remove(name) => fs::remove_file(world.path(name)).unwrap(),
            Link(to, name) => symlink(world.path(to), world.path(name)).unwrap(),
            Comes(texts) => assert_eq!(self.run().take_texts(texts.len()), texts, "step {number}"),
            ComeTogether(texts) => {
                let mut come = self.run().take_texts(texts.len());
                come.sort();
                assert_eq!(come, texts, "step {number}");
            }
            Nothing => self.run().expect_nothing(),
            Commit => self.run().commit().unwrap(),
            Stop => {
                self.run().commit().unwrap();
                self.run.take().into_iter().for_each(SourceRun::stop);
            }
            Warned(count, text) => {
                let warnings = self.run().context.warnings();
                let fits = warnings.len() == count && warnings.iter().any(|warning| warning.contains(text));
                assert!(fits, "step {number}: {count} warnings, one with {text:?}, of {warnings:?}");
            }
            Position(name, position) => assert_eq!(world.position(name), Some(position), "step {number}"),
        }
    }
}

macro_rules! table {
    ($($case:ident: $over:expr => [$($step:expr),+ $(,)?];)+) => {$(
        #[test]
        fn $case() {
            let mut player = Player { world: World::new(), over: $over, run: None };
            vec![$($step),+].into_iter().enumerate().for_each(|(number, step)| player.play(number, step));
        }
    )+};
}

table! {
    rename_rotation_loses_and_doubles_nothing: Files("a.log") => [
        write("a.log", lines("old", 3)),
        Comes(texts("old", 3)),
        Rename("a.log", "a.log.1"),
        Append("a.log.1", "late-0\n"),
        write("a.log", lines("new", 2)),
        comes(&["late-0", "new-0", "new-1"]),
        Stop,
        Append("a.log", "more\n"),
        comes(&["more"]),
    ];
    a_renamed_file_is_followed_until_there_is_a_new_one: Stream("a.log") => [
        write("a.log", lines("old", 1)),
        Comes(texts("old", 1)),
        Rename("a.log", "elsewhere"),
        Nothing,
        Append("elsewhere", "late\n"),
        comes(&["late"]),
        write("a.log", "new\n"),
        comes(&["new"]),
    ];
    rotation_inside_a_pattern_goes_on_under_the_new_name: Files("a.log*") => [
        write("a.log", lines("one", 2)),
        Comes(texts("one", 2)),
        Rename("a.log", "a.log.1"),
        write("a.log", lines("two", 2)),
        Comes(texts("two", 2)),
        Rename("a.log.1", "a.log.2"),
        Rename("a.log", "a.log.1"),
        write("a.log", lines("three", 2)),
        Comes(texts("three", 2)),
        Nothing,
        Stop,
        Append("a.log.1", "late\n"),
        comes(&["late"]),
        Nothing,
    ];
    rotation_while_stopped_is_seen_in_the_pattern: Files("a.log*") => [
        write("a.log", lines("one", 2)),
        Comes(texts("one", 2)),
        Stop,
        Append("a.log", "late\n"),
        Rename("a.log", "a.log.1"),
        write("a.log", "two\n"),
        ComeTogether(vec!["late".to_owned(), "two".to_owned()]),
        Nothing,
    ];
    rotation_while_stopped_is_seen_beside_a_single_path_the_old_file_first: Stream("a.log") => [
        write("a.log", lines("one", 2)),
        Comes(texts("one", 2)),
        Stop,
        Append("a.log", "late\n"),
        Rename("a.log", "a.log.1"),
        write("a.log", "two\n"),
        comes(&["late", "two"]),
        Nothing,
    ];
    copytruncate_starts_again_and_does_not_resend_the_copy: Files("a.log*") => [
        write("a.log", lines("one", 3)),
        Comes(texts("one", 3)),
        Copy("a.log", "a.log.1"),
        write("a.log", ""),
        Nothing,
        Append("a.log", "two\n"),
        comes(&["two"]),
        Nothing,
        Warned(1, "truncated"),
    ];
    a_file_truncated_and_grown_past_the_position_between_two_looks_is_read_from_its_start: Stream("a.log") => [
        write("a.log", "one\n"),
        comes(&["one"]),
        write("a.log", lines("two", 50)),
        Comes(texts("two", 50)),
    ];
    truncated_while_stopped: Stream("a.log") => [
        write("a.log", lines("one", 9)),
        Comes(texts("one", 9)),
        Stop,
        write("a.log", "short\n"),
        comes(&["short"]),
        Warned(1, "truncated"),
        Stop,
        write("a.log", lines("grown", 60)),
        Comes(texts("grown", 60)),
        Warned(1, "beginning"),
    ];
    deleted_and_created_again: Files("a.log") => [
        write("a.log", "one\nhalf"),
        comes(&["one"]),
        Remove("a.log"),
        // The end of a file that is gone needs no line end.
        comes(&["half"]),
        Nothing,
        Warned(1, "does not exist"),
        // The same first line, and often the same inode.
        write("a.log", "one\ntwo\n"),
        comes(&["one", "two"]),
        Commit,
        Position("a.log", 8),
    ];
    a_file_replaced_by_rename_is_read_from_its_start: Stream("a.txt") => [
        write("a.txt", "one\n"),
        comes(&["one"]),
        write("temporary", "one\nagain\n"),
        Rename("temporary", "a.txt"),
        comes(&["one", "again"]),
    ];
    a_switched_symlink_is_a_rotation: Files("current") => [
        write("2026-01-01", lines("first", 2)),
        write("2026-01-02", lines("second", 2)),
        Link("2026-01-01", "current"),
        Comes(texts("first", 2)),
        Remove("current"),
        Link("2026-01-02", "current"),
        Comes(texts("second", 2)),
    ];
    rotated_and_packed_files_are_not_sent_again: Files("a.log*") => [
        write("a.log", lines("one", 500)),
        Comes(texts("one", 500)),
        Commit,
        Rename("a.log", "a.log.1"),
        write("a.log", "two\n"),
        comes(&["two"]),
        Commit,
        write("a.log.2.gz", gzip(lines("one", 500).as_bytes())),
        Nothing,
        Stop,
        write("a.log.3.zst", zstd::encode_all(lines("one", 500).as_bytes(), 1).unwrap()),
        Nothing,
        Commit,
    ];
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
fn offsets_of_a_path_wait_for_its_own_lines_and_after_a_rename_for_all() {
    let world = World::new();
    world.write("a.log", "a\n");
    world.write("b.log", "b\n");
    let mut run = world.files("*.log*", &[]);
    let reaches = |run: &mut SourceRun, records: usize| {
        run.take(records).unwrap();
        let reach = |checkpoint: &Checkpoint| {
            let path = checkpoint.partition["filename"].as_str().unwrap();
            (path.rsplit('/').next().unwrap().to_owned(), checkpoint.reach)
        };
        let found: Vec<_> = run.pending.iter().map(reach).collect();
        run.commit().unwrap();
        found
    };
    let (own, all) = (|path: &str| (path.to_owned(), Reach::Partition), |path: &str| (path.to_owned(), Reach::All));
    assert_eq!(reaches(&mut run, 2), [own("a.log"), own("b.log")]);
    // The file's offset moves to its new path: that is true only once what was read under the old one is
    // acknowledged, and the old path must not forget it before.
    world.rename("a.log", "a.log.1");
    world.write("a.log", "new\n");
    assert_eq!(reaches(&mut run, 1), [all("a.log.1"), all("a.log")]);
    world.append("a.log", "more\n");
    assert_eq!(reaches(&mut run, 1), [own("a.log")]);
}

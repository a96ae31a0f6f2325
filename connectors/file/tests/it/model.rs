//! Random histories of a rotated log, against what must come out of it: every line, once, and in
//! order within its file; doubled only by a crash, and then only what was not committed.

use crate::world::World;
use levada_connector_api::{Value, testkit::SourceRun};
use proptest::prelude::*;
use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

#[derive(Clone, Debug)]
enum Step {
    /// Adds lines, the last one perhaps only in half.
    Append(usize, bool),
    /// Shifts `a.log.1` to `a.log.2` and so on, and `a.log` to `a.log.1`.
    Rotate,
    /// Copies `a.log` away and empties it, once all of it was read.
    CopyTruncate,
    /// Packs the oldest file.
    Pack,
    Poll,
    Commit,
    /// Commits and stops; the next poll starts again.
    Stop,
    /// Ends without a commit.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1usize..5, any::<bool>()).prop_map(|(count, half)| Step::Append(count, half)),
        2 => Just(Step::Rotate),
        1 => Just(Step::CopyTruncate),
        1 => Just(Step::Pack),
        5 => Just(Step::Poll),
        2 => Just(Step::Commit),
        1 => Just(Step::Stop),
        1 => Just(Step::Crash),
    ]
}

struct Story {
    world: World,
    run: Option<SourceRun>,
    written: usize,
    half: bool,
    rotations: usize,
    copies: usize,
    crashed: bool,
    /// How often each line came.
    seen: BTreeMap<String, usize>,
}

impl Story {
    fn new() -> Self {
        let world = World::new();
        world.write("a.log", "");
        Self {
            world,
            run: None,
            written: 0,
            half: false,
            rotations: 0,
            copies: 0,
            crashed: false,
            seen: BTreeMap::new(),
        }
    }

    fn line(number: usize) -> String {
        format!("line {number} {}", "x".repeat(number % 40))
    }

    fn append(&mut self, count: usize, half: bool) {
        let mut text = String::new();
        if std::mem::take(&mut self.half) {
            text.push_str(&Self::line(self.written)[3..]);
            text.push('\n');
            self.written += 1;
        }
        for _ in 0..count {
            text.push_str(&Self::line(self.written));
            text.push('\n');
            self.written += 1;
        }
        if half {
            text += &Self::line(self.written)[..3];
            self.half = true;
        }
        self.world.append("a.log", text);
    }

    fn poll(&mut self) {
        let world = &self.world;
        let keys = [("rotate.wait.ms", "0"), ("delete.wait.ms", "0")];
        let run = self.run.get_or_insert_with(|| world.files("a.log*", &keys));
        for record in run.poll().unwrap() {
            let Value::String(text) = record.value else { panic!("no text") };
            *self.seen.entry(text.to_string()).or_default() += 1;
        }
    }

    /// Polls until every whole line was seen.
    fn drain(&mut self) {
        let since = Instant::now();
        while !(0..self.written).all(|number| self.seen.contains_key(&Self::line(number))) {
            self.poll();
            assert!(since.elapsed() < Duration::from_secs(30), "lines are missing: {:?}", self.missing());
        }
    }

    fn missing(&self) -> Vec<usize> {
        (0..self.written).filter(|number| !self.seen.contains_key(&Self::line(*number))).collect()
    }

    fn commit(&mut self) {
        if let Some(run) = &mut self.run {
            run.commit().unwrap();
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Append(count, half) => self.append(*count, *half),
            Step::Rotate => {
                // A writer ends its line before it lets go of a file.
                self.append(1, false);
                for number in (1..=self.rotations).rev() {
                    for suffix in ["", ".gz"] {
                        let from = format!("a.log.{number}{suffix}");
                        if self.world.path(&from).exists() {
                            self.world.rename(&from, &format!("a.log.{}{suffix}", number + 1));
                        }
                    }
                }
                self.world.rename("a.log", "a.log.1");
                self.world.write("a.log", "");
                self.rotations += 1;
            }
            Step::CopyTruncate => {
                self.append(1, false);
                self.drain();
                self.copies += 1;
                fs::copy(self.world.path("a.log"), self.world.path(&format!("a.log-2026010{}", self.copies))).unwrap();
                self.world.write("a.log", "");
                // The writer does not write before the reader looks: what it could not see is lost by nature.
                for _ in 0..3 {
                    self.poll();
                }
            }
            Step::Pack => {
                let name = format!("a.log.{}", self.rotations);
                if let Ok(content) = fs::read(self.world.path(&name)) {
                    self.drain();
                    self.world.write(&format!("{name}.gz"), crate::contents::gzip(&content));
                    fs::remove_file(self.world.path(&name)).unwrap();
                }
            }
            Step::Poll => self.poll(),
            Step::Commit => self.commit(),
            Step::Stop => {
                self.commit();
                if let Some(run) = self.run.take() {
                    run.stop();
                }
            }
            Step::Crash => {
                self.crashed |= self.run.is_some();
                self.run = None;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_history_of_a_log_loses_or_doubles_a_line(steps in proptest::collection::vec(step(), 1..25)) {
        let mut story = Story::new();
        for step in &steps {
            story.step(step);
        }
        story.append(1, false);
        story.drain();
        story.poll();
        for (line, times) in &story.seen {
            prop_assert!(line.starts_with("line "), "half a line: {line}");
            prop_assert!(*times == 1 || story.crashed, "{line} came {times} times");
        }
    }
}

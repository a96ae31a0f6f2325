//! The acceptance suite: what holds for every connector, wherever it runs.

use super::{GroupOffsets, Offsets, SinkRun, SourceRun};
use crate::{Config, ConnectorContext, ConnectorInfo, SinkConnector, SinkRecord, SourceConnector, TopicPartition};
use std::{
    collections::BTreeSet,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

/// A wait that only a hanging task lives through.
const HANG: Duration = Duration::from_secs(180);

/// A source and its outside world.
pub struct SourceCase<'a> {
    /// Makes the connector, in whatever placement is tested.
    pub new: &'a dyn Fn() -> Box<dyn SourceConnector>,
    /// A configuration that works.
    pub config: Config,
    /// One that is wrong in the keys of `wrong`.
    pub broken: Config,
    /// Keys of `broken` that must all be told.
    pub wrong: &'a [&'a str],
    /// Adds that many records' worth of input to the outside world.
    pub feed: &'a mut dyn FnMut(usize),
}

/// A sink and its outside world.
pub struct SinkCase<'a> {
    /// Makes the connector, in whatever placement is tested.
    pub new: &'a dyn Fn() -> Box<dyn SinkConnector>,
    /// A configuration that works.
    pub config: Config,
    /// One that is wrong in the keys of `wrong`.
    pub broken: Config,
    /// Keys of `broken` that must all be told.
    pub wrong: &'a [&'a str],
    /// A record of that partition and offset; no two may look the same to `read`.
    pub record: &'a dyn Fn(i32, i64) -> SinkRecord,
    /// What the outside world holds, in order.
    pub read: &'a dyn Fn() -> Vec<String>,
    /// What `read` shows for a record.
    pub shown: &'a dyn Fn(&SinkRecord) -> String,
    /// Whether a crash must leave no doubles.
    pub exactly_once: bool,
}

/// What a connector says of itself is whole and consistent, and a broken configuration is told with
/// all that is wrong with it at once.
pub fn check_info(info: &ConnectorInfo, config: &Config, broken: &Config, wrong: &[&str]) {
    assert!(!info.class.is_empty() && !info.version.is_empty(), "class and version are given");
    let mut names = BTreeSet::new();
    for key in &info.config_def.keys {
        assert!(names.insert(&key.name), "{} is defined twice", key.name);
        assert!(!key.documentation.is_empty(), "{} has no documentation", key.name);
        assert!(!(key.required && key.default.is_some()), "{} is required and has a default", key.name);
        if key.default.is_some() {
            let state = key.state(None);
            assert!(state.errors.is_empty(), "the default of {} is refused: {:?}", key.name, state.errors);
        }
    }
    if let Err(errors) = info.config_def.check(config) {
        panic!("the good configuration is refused: {errors}");
    }
    let told: BTreeSet<String> = match info.config_def.check(broken) {
        Ok(()) => panic!("the broken configuration is accepted"),
        Err(errors) => errors.0.into_iter().map(|error| error.key).collect(),
    };
    for key in wrong {
        assert!(told.contains(*key), "{key} is wrong but not told; told are {told:?}");
    }
}

/// Runs a source through its life.
pub fn accept_source(case: &mut SourceCase<'_>) {
    let info = (case.new)().info();
    check_info(&info, &case.config, &case.broken, case.wrong);
    source_refuses_broken_configuration(case);
    let offsets = Offsets::default();
    source_moves_and_resumes(case, &offsets);
    source_repeats_what_was_not_committed(case, &offsets);
    source_vouches_for_its_own_offsets(case);
    source_stops_when_asked(case, &offsets);
}

fn source_refuses_broken_configuration(case: &SourceCase<'_>) {
    let mut connector = (case.new)();
    let context = ConnectorContext::new("test");
    assert!(connector.start(context, case.broken.clone()).is_err(), "start accepts a broken configuration");
    connector.stop();
}

fn start_source(case: &SourceCase<'_>, offsets: &Offsets) -> SourceRun {
    let run = SourceRun::start(&mut *(case.new)(), case.config.clone(), offsets);
    run.unwrap_or_else(|error| panic!("start failed: {error}"))
}

fn take(run: &mut SourceRun, count: usize) {
    drop(run.take(count).unwrap_or_else(|error| panic!("poll failed: {error}")));
}

fn commit(run: &mut SourceRun) {
    run.commit().unwrap_or_else(|error| panic!("committed failed: {error}"));
}

fn source_moves_and_resumes(case: &mut SourceCase<'_>, offsets: &Offsets) {
    (case.feed)(3);
    let mut run = start_source(case, offsets);
    take(&mut run, 3);
    (case.feed)(2);
    take(&mut run, 2);
    run.expect_nothing();
    commit(&mut run);
    assert!(!offsets.is_empty(), "records come with offsets");
    run.stop();

    (case.feed)(4);
    let mut run = start_source(case, offsets);
    take(&mut run, 4);
    run.expect_nothing();
    commit(&mut run);
    run.stop();
}

fn source_repeats_what_was_not_committed(case: &mut SourceCase<'_>, offsets: &Offsets) {
    (case.feed)(5);
    let mut run = start_source(case, offsets);
    take(&mut run, 5);
    // As a crash does it: neither commit nor stop.
    drop(run);
    let mut run = start_source(case, offsets);
    take(&mut run, 5);
    commit(&mut run);
    run.stop();
}

fn source_vouches_for_its_own_offsets(case: &mut SourceCase<'_>) {
    let offsets = Offsets::default();
    let mut run = start_source(case, &offsets);
    let mut changes = Vec::new();
    while changes.is_empty() {
        let batch = run.task.poll(Duration::from_millis(20));
        let batch = batch.unwrap_or_else(|error| panic!("poll failed: {error}"));
        changes.extend(batch.checkpoints.into_iter().map(|point| ((*point.partition).clone(), Some(point.offset))));
    }
    run.stop();
    let connector = (case.new)();
    if let Err(error) = connector.alter_offsets(&case.config, &changes) {
        panic!("the connector refuses an offset of its own: {error}");
    }
    for change in &mut changes {
        change.1 = None;
    }
    if let Err(error) = connector.alter_offsets(&case.config, &changes) {
        panic!("the connector refuses to reset an offset of its own: {error}");
    }
}

fn source_stops_when_asked(case: &SourceCase<'_>, offsets: &Offsets) {
    let mut run = start_source(case, offsets);
    run.expect_nothing();
    let context = Arc::clone(&run.context);
    let (done, ended) = mpsc::channel();
    let poller = thread::spawn(move || {
        let result = run.task.poll(Duration::from_secs(3600));
        run.task.stop();
        let fine = match result {
            Ok(batch) => batch.records.is_empty(),
            Err(error) => error.kind == crate::ErrorKind::Cancelled,
        };
        // The receiver waits for it, unless the test has failed already.
        let _ = done.send(fine);
    });
    context.cancel();
    assert_eq!(ended.recv_timeout(HANG), Ok(true), "poll ends, with nothing, when the task is asked to stop");
    assert!(poller.join().is_ok(), "stop did not panic");
}

/// Runs a sink through its life.
pub fn accept_sink(case: &SinkCase<'_>) {
    let info = (case.new)().info();
    check_info(&info, &case.config, &case.broken, case.wrong);
    let mut connector = (case.new)();
    let context = ConnectorContext::new("test");
    assert!(connector.start(context, case.broken.clone()).is_err(), "start accepts a broken configuration");
    connector.stop();

    let mut sink = SinkStory { case, group: GroupOffsets::new(), next: [0, 0], expected: Vec::new() };
    sink.commits_what_is_durable();
    sink.resumes_after_a_stop();
    sink.survives_a_crash();
}

/// The story of a sink with two partitions.
struct SinkStory<'a> {
    case: &'a SinkCase<'a>,
    group: GroupOffsets,
    next: [i64; 2],
    expected: Vec<String>,
}

impl SinkStory<'_> {
    fn start(&self) -> SinkRun {
        let topic = Arc::clone(&(self.case.record)(0, 0).topic);
        let partitions = [0, 1].map(|partition| TopicPartition { topic: Arc::clone(&topic), partition });
        let run = SinkRun::start(&mut *(self.case.new)(), self.case.config.clone(), &partitions, &self.group);
        run.unwrap_or_else(|error| panic!("start or open failed: {error}"))
    }

    fn records(&self, count: i64) -> Vec<SinkRecord> {
        let of = |partition: usize| (self.next[partition]..self.next[partition] + count).map(move |at| (partition, at));
        of(0).chain(of(1)).map(|(partition, at)| (self.case.record)(partition as i32, at)).collect()
    }

    fn put(&mut self, run: &mut SinkRun, count: i64) {
        let records = self.records(count);
        run.put(&records).unwrap_or_else(|error| panic!("put failed: {error}"));
        self.expected.extend(records.iter().map(|record| (self.case.shown)(record)));
        self.next = self.next.map(|next| next + count);
    }

    fn commit(&mut self, run: &mut SinkRun) {
        run.commit(&mut self.group).unwrap_or_else(|error| panic!("pre_commit failed: {error}"));
    }

    fn commits_what_is_durable(&mut self) {
        let mut run = self.start();
        run.put(&[]).unwrap_or_else(|error| panic!("an empty put failed: {error}"));
        self.commit(&mut run);
        self.put(&mut run, 3);
        self.put(&mut run, 2);
        self.commit(&mut run);
        assert_eq!((self.case.read)(), self.expected, "what was committed can be read");
        for (partition, (offset, _)) in &self.group {
            assert_eq!(*offset, self.next[partition.partition as usize], "all that was put is committed");
        }
        run.stop();
    }

    fn resumes_after_a_stop(&mut self) {
        let mut run = self.start();
        self.put(&mut run, 4);
        self.commit(&mut run);
        run.stop();
        assert_eq!((self.case.read)(), self.expected, "a second task goes on where the first ended");
    }

    fn survives_a_crash(&mut self) {
        let (mut run, before) = (self.start(), (self.next, self.expected.clone()));
        self.put(&mut run, 3);
        // Durable, but the answer never became a commit: the crash came between.
        drop(run.pre_commit().unwrap_or_else(|error| panic!("pre_commit failed: {error}")));
        drop(run);
        // The group still holds the old offsets, so the same records come again.
        (self.next, self.expected) = before;
        let mut run = self.start();
        self.put(&mut run, 3);
        self.commit(&mut run);
        run.stop();
        let read = (self.case.read)();
        if self.case.exactly_once {
            assert_eq!(read, self.expected, "nothing lost and nothing doubled by a crash");
        } else {
            let all = self.expected.iter().all(|line| read.contains(line));
            assert!(all, "nothing lost by a crash: {read:?}");
        }
    }
}

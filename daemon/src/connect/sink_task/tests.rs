//! The sink runner against a bus with faults and tasks with faults.

use super::{SinkTaskOptions, SinkTaskSpec};
use crate::connect::{
    bus::BusError,
    converter::{JsonConverter, SimpleHeaderConverter, StringConverter},
    task::{
        ErrorPolicy, StopOutcome, TargetState, TaskHandle, TaskId, TaskStatus, Tolerance,
        testkit::{Latch, Recorder, quick_times, runtime},
    },
    testing::{eventually, task_bus::TaskBus},
};
use levada_connector_api::{
    Committed, Config, ConnectorError, Result, SinkRecord, SinkTask, SinkTaskContext, TopicPartition, Value,
};
use parking_lot::Mutex;
use std::{collections::VecDeque, sync::Arc, time::Duration};

/// What the next put of the scripted task does; without one it takes the records.
enum Put {
    Fail(ConnectorError),
    Panic,
    Hang(Arc<Latch>),
}

#[derive(Default)]
struct Log {
    calls: Vec<String>,
    puts: VecDeque<Put>,
    context: Option<Arc<dyn SinkTaskContext>>,
}

struct Scripted(Arc<Mutex<Log>>);

impl Scripted {
    fn note(&self, call: String) {
        self.0.lock().calls.push(call);
    }
}

impl SinkTask for Scripted {
    fn start(&mut self, context: Arc<dyn SinkTaskContext>, _: Config) -> Result<()> {
        self.0.lock().context = Some(context);
        Ok(())
    }

    fn open(&mut self, added: &[Committed], _: &[TopicPartition]) -> Result<()> {
        let describe =
            |added: &Committed| format!("{}:{:?}:{}", added.partition.partition, added.offset, added.metadata);
        self.note(format!("open {}", added.iter().map(describe).collect::<Vec<_>>().join(",")));
        Ok(())
    }

    fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        let text = |record: &SinkRecord| match &record.value {
            Value::String(text) => text.to_string(),
            other => format!("{other:?}"),
        };
        self.note(format!("put {}", records.iter().map(text).collect::<Vec<_>>().join(",")));
        let put = self.0.lock().puts.pop_front();
        match put {
            None => Ok(()),
            Some(Put::Fail(error)) => Err(error),
            Some(Put::Panic) => panic!("the sink is broken"),
            Some(Put::Hang(latch)) => {
                latch.wait();
                Ok(())
            }
        }
    }

    fn pre_commit(&mut self, consumed: &[(TopicPartition, i64)]) -> Result<Vec<(TopicPartition, i64, String)>> {
        self.note("pre_commit".to_owned());
        Ok(consumed.iter().map(|(partition, offset)| (partition.clone(), *offset, format!("len={offset}"))).collect())
    }

    fn committed(&mut self) -> Result<()> {
        self.note("committed".to_owned());
        Ok(())
    }

    fn close(&mut self, _: &[TopicPartition], lost: bool) -> Result<()> {
        self.note(format!("close {lost}"));
        Ok(())
    }

    fn stop(&mut self) {
        self.note("stop".to_owned());
    }
}

struct Rig {
    handle: TaskHandle,
    listener: Arc<Recorder>,
    log: Arc<Mutex<Log>>,
}

impl Rig {
    fn calls(&self) -> Vec<String> {
        self.log.lock().calls.clone()
    }

    fn has(&self, call: &str) -> bool {
        self.log.lock().calls.iter().any(|known| known == call)
    }
}

fn rig_with(bus: &Arc<TaskBus>, puts: Vec<Put>, change: impl FnOnce(&mut SinkTaskSpec)) -> Rig {
    let (runtime, listener) = runtime(bus);
    let config: Config = [("topics".to_owned(), "t".to_owned())].into_iter().collect();
    let mut spec = SinkTaskSpec {
        id: TaskId { connector: "s".into(), task: 0 },
        options: SinkTaskOptions::from_config("s", &config, quick_times(), "client".to_owned()).unwrap(),
        config,
        key_converter: Arc::new(StringConverter::default()),
        value_converter: Arc::new(StringConverter::default()),
        header_converter: Arc::new(SimpleHeaderConverter::default()),
        transforms: Vec::new(),
    };
    spec.options.errors.retry_delay_max = Duration::from_millis(5);
    change(&mut spec);
    let log = Arc::new(Mutex::new(Log { puts: puts.into(), ..Log::default() }));
    let handle = spec.spawn(runtime, Box::new(Scripted(log.clone())), TargetState::Started).unwrap();
    Rig { handle, listener, log }
}

fn rig(bus: &Arc<TaskBus>, puts: Vec<Put>) -> Rig {
    rig_with(bus, puts, |_| ())
}

fn last_commit(bus: &TaskBus) -> Option<(i64, String)> {
    bus.commits().last().and_then(|commit| commit.first().map(|(_, offset, metadata)| (*offset, metadata.clone())))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_are_put_and_committed_with_metadata_once_caught_up() {
    let bus = TaskBus::new(&[("t", &["a", "b", "c"])]);
    let task = rig(&bus, vec![]);
    eventually(|| last_commit(&bus) == Some((3, "len=3".to_owned()))).await;
    assert_eq!(task.calls()[..4], ["open 0:None:", "put a,b,c", "pre_commit", "committed"]);
    let counters = task.handle.metrics().counters();
    assert!(counters.contains(&("sink-record-send-total", 3)) && counters.contains(&("sink-record-lag", 0)));
    assert_eq!(task.handle.stop(Duration::from_secs(5)).await, StopOutcome::Stopped);
    assert!(bus.left());
    assert_eq!(task.calls()[4..], ["close false", "stop"]);
    // The next incarnation gets back what this one committed.
    let next = rig(&bus, vec![]);
    eventually(|| next.has("open 0:Some(3):len=3")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retriable_put_gets_the_same_batch_again_while_the_membership_goes_on() {
    let bus = TaskBus::new(&[("t", &["a", "b"])]);
    let later = || Put::Fail(ConnectorError::retriable("busy"));
    let task = rig_with(&bus, vec![later(), later()], |spec| {
        spec.options.errors.retry_delay_max = Duration::from_millis(60);
    });
    eventually(|| last_commit(&bus).is_some()).await;
    let puts: Vec<_> = task.calls().into_iter().filter(|call| call.starts_with("put")).collect();
    assert_eq!(puts, ["put a,b", "put a,b", "put a,b"]);
    assert!(bus.polls() > 5, "the consumer was polled during the waits");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebalance_commits_before_the_partitions_go() {
    let bus = TaskBus::new(&[("t", &["a"])]);
    let task = rig_with(&bus, vec![], |spec| spec.options.times.idle_commit_delay = Duration::from_secs(60));
    eventually(|| task.has("put a")).await;
    assert!(bus.commits().is_empty());
    bus.rebalance(false);
    task.log.lock().context.as_ref().unwrap().request_commit();
    eventually(|| task.has("open 0:Some(1):len=1")).await;
    let calls = task.calls();
    assert_eq!(calls[2..], ["pre_commit", "committed", "close false", "open 0:Some(1):len=1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_partitions_are_closed_without_a_commit() {
    let bus = TaskBus::new(&[("t", &["a"])]);
    let slow = |spec: &mut SinkTaskSpec| spec.options.times.idle_commit_delay = Duration::from_secs(60);
    let task = rig_with(&bus, vec![], slow);
    eventually(|| task.has("put a")).await;
    bus.rebalance(true);
    eventually(|| task.has("close true")).await;
    assert!(bus.commits().is_empty());
    // The record comes again, since nothing was committed.
    eventually(|| task.calls().iter().filter(|call| *call == "put a").count() == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_waits_for_its_retry_is_given_up_with_its_partitions() {
    let bus = TaskBus::new(&[("t", &["a"])]);
    let task = rig_with(&bus, vec![Put::Fail(ConnectorError::retriable("busy"))], |spec| {
        spec.options.errors.retry_delay_max = Duration::from_secs(60);
    });
    eventually(|| task.has("put a")).await;
    bus.rebalance(false);
    eventually(|| last_commit(&bus).is_some()).await;
    let expected = ["open 0:None:", "put a", "close false", "open 0:None:", "put a", "pre_commit", "committed"];
    assert_eq!(task.calls(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fatal_put_fails_the_task_and_commits_nothing_of_the_batch() {
    let bus = TaskBus::new(&[("t", &["a"])]);
    let task = rig(&bus, vec![Put::Fail(ConnectorError::fatal("no space left"))]);
    eventually(|| task.listener.trace().is_some()).await;
    let trace = task.listener.trace().unwrap();
    assert!(
        trace.contains("Exiting WorkerSinkTask due to unrecoverable exception.") && trace.contains("no space left")
    );
    assert!(bus.commits().is_empty() && bus.left());
    assert!(task.has("stop") && !task.has("pre_commit"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_put_fails_the_task() {
    let bus = TaskBus::new(&[("t", &["a"])]);
    let task = rig(&bus, vec![Put::Panic]);
    eventually(|| task.listener.trace().is_some()).await;
    assert!(task.listener.trace().unwrap().contains("panicked in put: the sink is broken"));
    assert!(bus.commits().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_put_fails_the_task_and_can_commit_nothing_later() {
    let (bus, latch) = (TaskBus::new(&[("t", &["a"])]), Arc::new(Latch::default()));
    let task = rig_with(&bus, vec![Put::Hang(latch.clone())], |spec| {
        spec.options.times.call_timeout = Duration::from_millis(30);
    });
    eventually(|| task.listener.trace().is_some()).await;
    assert!(task.listener.trace().unwrap().contains("put did not return"));
    latch.open();
    eventually(|| task.has("stop")).await;
    assert!(bus.commits().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_commit_is_tried_again() {
    let bus = TaskBus::new(&[("t", &["a"])]);
    bus.fail_commit(BusError::Retriable { action: "commit".into(), cause: "rebalancing".into() });
    let task = rig(&bus, vec![]);
    eventually(|| last_commit(&bus) == Some((1, "len=1".to_owned()))).await;
    assert!(task.handle.metrics().counters().contains(&("offset-commit-failure-total", 1)));
    assert_eq!(task.listener.last(), Some(TaskStatus::Running));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_does_not_convert_fails_the_task_or_is_skipped() {
    let with_json = |spec: &mut SinkTaskSpec| {
        let config = [("schemas.enable".to_owned(), "false".to_owned())].into_iter().collect();
        spec.value_converter = Arc::new(JsonConverter::from_config(&config).unwrap());
    };
    let strict_bus = TaskBus::new(&[("t", &["\"a\"", "{"])]);
    let strict = rig_with(&strict_bus, vec![], with_json);
    eventually(|| strict.listener.trace().is_some()).await;
    assert!(strict.listener.trace().unwrap().contains("Tolerance exceeded in error handler"));

    let bus = TaskBus::new(&[("t", &["\"a\"", "{", "\"b\""])]);
    let tolerant = rig_with(&bus, vec![], |spec| {
        with_json(spec);
        spec.options.errors = ErrorPolicy { tolerance: Tolerance::All, ..ErrorPolicy::default() };
    });
    eventually(|| last_commit(&bus).is_some_and(|(offset, _)| offset == 3)).await;
    assert!(tolerant.has("put a,b"));
    assert!(tolerant.handle.metrics().counters().contains(&("total-records-skipped", 1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_task_puts_nothing_and_stays_in_its_group() {
    let bus = TaskBus::new(&[("t", &["a"])]);
    let task = rig(&bus, vec![]);
    eventually(|| last_commit(&bus).is_some()).await;
    task.handle.pause();
    eventually(|| task.listener.last() == Some(TaskStatus::Paused)).await;
    bus.add("t", "b");
    let polls = bus.polls();
    eventually(|| bus.polls() > polls + 2).await;
    assert!(!task.has("put b") && !bus.left());
    task.handle.resume();
    eventually(|| task.has("put b")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_brings_no_more_records_than_asked_for() {
    let bus = TaskBus::new(&[("t", &["a", "b", "c"])]);
    let task = rig_with(&bus, vec![], |spec| spec.options.consumer.max_poll_records = 2);
    eventually(|| last_commit(&bus).is_some_and(|(offset, _)| offset == 3)).await;
    assert!(task.has("put a,b") && task.has("put c"));
}

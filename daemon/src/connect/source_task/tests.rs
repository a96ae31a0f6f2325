//! The source runner against a bus with faults and tasks with faults.

use super::{OffsetStore, SourceTaskOptions, SourceTaskSpec, TopicCreation};
use crate::connect::{
    bus::{self, BoxFuture, OwnerToken},
    converter::{JsonConverter, SimpleHeaderConverter, StringConverter},
    task::{
        ErrorPolicy, StartError, StopOutcome, TargetState, TaskHandle, TaskId, TaskStatus, Tolerance,
        testkit::{Latch, Recorder, quick_times, runtime},
    },
    testing::{
        eventually,
        task_bus::{Acks, TaskBus},
    },
    transform::Transform,
};
use levada_connector_api::{
    Checkpoint, Config, ConnectorError, Result, SourceBatch, SourceOffset, SourcePartition, SourceRecord, SourceTask,
    SourceTaskContext, Value,
};
use parking_lot::Mutex;
use serde_json::json;
use std::{collections::VecDeque, sync::Arc, time::Duration};

/// Offsets that were committed, as the number in `at`.
#[derive(Default)]
struct Offsets(Mutex<Vec<u64>>);

impl Offsets {
    fn all(&self) -> Vec<u64> {
        self.0.lock().clone()
    }

    fn last(&self) -> Option<u64> {
        self.0.lock().last().copied()
    }
}

impl OffsetStore for Offsets {
    fn read<'a>(
        &'a self,
        _: &'a str,
        partitions: &'a [SourcePartition],
    ) -> BoxFuture<'a, bus::Result<Vec<Option<SourceOffset>>>> {
        Box::pin(async { Ok(partitions.iter().map(|_| None).collect()) })
    }

    fn write<'a>(
        &'a self,
        _: &'a str,
        offsets: &'a [(Arc<SourcePartition>, SourceOffset)],
        owner: &'a OwnerToken,
    ) -> BoxFuture<'a, bus::Result<()>> {
        Box::pin(async move {
            let _held = owner.hold()?;
            self.0.lock().extend(offsets.iter().map(|(_, offset)| offset["at"].as_u64().unwrap()));
            Ok(())
        })
    }
}

/// What a poll of the scripted task does.
enum Step {
    /// Gives these values, and an offset after them.
    Batch(Vec<&'static str>, u64),
    Fail(ConnectorError),
    Panic,
    Hang(Arc<Latch>),
}

struct Scripted {
    steps: Arc<Mutex<VecDeque<Step>>>,
    context: Option<Arc<dyn SourceTaskContext>>,
    stopped: Arc<Mutex<bool>>,
}

fn batch(values: Vec<&'static str>, at: u64) -> SourceBatch {
    let partition = Arc::new(json!({"p": 1}).as_object().unwrap().clone());
    let offset = json!({ "at": at }).as_object().unwrap().clone();
    let record = |value| SourceRecord {
        topic: "t".into(),
        partition: None,
        key_schema: None,
        key: Value::Null,
        value_schema: None,
        value: Value::string(value),
        timestamp: None,
        headers: Vec::new(),
    };
    let checkpoints = vec![Checkpoint { after: values.len(), partition, offset }];
    SourceBatch { records: values.into_iter().map(record).collect(), checkpoints }
}

impl SourceTask for Scripted {
    fn start(&mut self, context: Arc<dyn SourceTaskContext>, _: Config) -> Result<()> {
        self.context = Some(context);
        Ok(())
    }

    fn poll(&mut self, max_wait: Duration) -> Result<SourceBatch> {
        let step = self.steps.lock().pop_front();
        match step {
            Some(Step::Batch(values, at)) => Ok(batch(values, at)),
            Some(Step::Fail(error)) => Err(error),
            Some(Step::Panic) => panic!("the task is broken"),
            Some(Step::Hang(latch)) => {
                latch.wait();
                Ok(batch(vec!["late"], 99))
            }
            None => {
                self.context.as_ref().unwrap().wait(max_wait.min(Duration::from_millis(5)));
                Ok(SourceBatch::default())
            }
        }
    }

    fn stop(&mut self) {
        *self.stopped.lock() = true;
    }
}

struct Rig {
    handle: TaskHandle,
    listener: Arc<Recorder>,
    offsets: Arc<Offsets>,
    steps: Arc<Mutex<VecDeque<Step>>>,
    stopped: Arc<Mutex<bool>>,
}

fn rig_with(bus: &Arc<TaskBus>, steps: Vec<Step>, change: impl FnOnce(&mut SourceTaskSpec)) -> Rig {
    let (runtime, listener) = runtime(bus);
    let (offsets, stopped) = (Arc::new(Offsets::default()), Arc::new(Mutex::new(false)));
    let steps = Arc::new(Mutex::new(steps.into()));
    let mut spec = SourceTaskSpec {
        id: TaskId { connector: "c".into(), task: 0 },
        config: Config::new(),
        options: SourceTaskOptions {
            times: quick_times(),
            topic_creation: Some(TopicCreation::from_config(&Config::new()).unwrap()),
            ..SourceTaskOptions::default()
        },
        key_converter: Arc::new(StringConverter::default()),
        value_converter: Arc::new(StringConverter::default()),
        header_converter: Arc::new(SimpleHeaderConverter::default()),
        transforms: Vec::new(),
        offsets: offsets.clone(),
    };
    change(&mut spec);
    let task = Scripted { steps: steps.clone(), context: None, stopped: stopped.clone() };
    let handle = spec.spawn(runtime, Box::new(task), TargetState::Started).unwrap();
    Rig { handle, listener, offsets, steps, stopped }
}

fn rig(bus: &Arc<TaskBus>, steps: Vec<Step>) -> Rig {
    rig_with(bus, steps, |_| ())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_arrive_and_their_offset_is_committed_soon() {
    let bus = TaskBus::new(&[]);
    let rig = rig(&bus, vec![Step::Batch(vec!["a", "b"], 2), Step::Batch(vec!["c"], 3)]);
    eventually(|| rig.offsets.last() == Some(3)).await;
    assert_eq!(bus.values("t"), ["a", "b", "c"]);
    assert_eq!(bus.created()[0].name, "t");
    assert_eq!(rig.listener.topics(), ["t"]);
    assert!(rig.handle.metrics().counters().contains(&("source-record-write-total", 3)));
    assert_eq!(rig.handle.stop(Duration::from_secs(5)).await, StopOutcome::Stopped);
    assert_eq!(rig.listener.all(), [TaskStatus::Running, TaskStatus::Unassigned]);
    assert!(*rig.stopped.lock());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_offset_is_committed_before_everything_up_to_it_is_acknowledged() {
    let bus = TaskBus::new(&[("t", &[])]);
    bus.set_acks(Acks::Held);
    let rig = rig(&bus, vec![Step::Batch(vec!["a"], 1), Step::Batch(vec!["b"], 2)]);
    eventually(|| bus.held() == 2).await;
    // The second answer comes first.
    bus.release(1);
    levada_env::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(rig.offsets.last(), None);
    bus.release(0);
    eventually(|| rig.offsets.last() == Some(2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_batch_fails_the_task_and_its_offset_is_never_committed() {
    let bus = TaskBus::new(&[("t", &[])]);
    let rig = rig(&bus, vec![Step::Batch(vec!["a"], 1)]);
    eventually(|| rig.offsets.last() == Some(1)).await;
    bus.set_acks(Acks::Refused);
    rig.steps.lock().push_back(Step::Batch(vec!["b"], 2));
    eventually(|| rig.listener.trace().is_some()).await;
    let trace = rig.listener.trace().unwrap();
    assert!(trace.contains("Tolerance exceeded") && trace.contains("InvalidRecord"), "{trace}");
    assert_eq!(rig.offsets.all(), [1u64]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_batch_is_skipped_and_counted_where_errors_are_tolerated() {
    let bus = TaskBus::new(&[("t", &[])]);
    bus.set_acks(Acks::Refused);
    let tolerant = |spec: &mut SourceTaskSpec| {
        spec.options.errors = ErrorPolicy { tolerance: Tolerance::All, ..ErrorPolicy::default() };
    };
    let rig = rig_with(&bus, vec![Step::Batch(vec!["a"], 1)], tolerant);
    eventually(|| rig.offsets.last() == Some(1)).await;
    assert!(rig.handle.metrics().counters().contains(&("total-records-skipped", 1)));
    assert_eq!(rig.listener.last(), Some(TaskStatus::Running));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_fails_this_task_alone_and_commits_what_was_acknowledged() {
    let bus = TaskBus::new(&[("t", &[])]);
    let broken = rig(&bus, vec![Step::Batch(vec!["a"], 1), Step::Panic]);
    eventually(|| broken.listener.trace().is_some()).await;
    assert!(broken.listener.trace().unwrap().contains("panicked in poll: the task is broken"));
    let other = TaskBus::new(&[("t", &[])]);
    let healthy = rig(&other, vec![Step::Batch(vec!["x"], 1)]);
    eventually(|| healthy.offsets.last() == Some(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_poll_fails_the_task_and_takes_its_handles_away() {
    let (bus, latch) = (TaskBus::new(&[("t", &[])]), Arc::new(Latch::default()));
    let hang = vec![Step::Batch(vec!["a"], 1), Step::Hang(latch.clone())];
    let rig = rig_with(&bus, hang, |spec| spec.options.times.call_timeout = Duration::from_millis(30));
    eventually(|| rig.listener.trace().is_some()).await;
    assert!(rig.listener.trace().unwrap().contains("poll did not return within task.call.timeout.ms=30"));
    assert!(rig.handle.is_ended() && rig.handle.health().abandoned);
    latch.open();
    eventually(|| *rig.stopped.lock()).await;
    // What the late poll brought is written nowhere (invariant 8).
    assert!(!bus.values("t").contains(&"late".to_owned()));
    assert_eq!(rig.offsets.all().iter().filter(|at| **at == 99).count(), 0);
    assert!(matches!(rig.listener.last(), Some(TaskStatus::Failed { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_task_starts_while_too_many_threads_hang() {
    let bus = TaskBus::new(&[("t", &[])]);
    let (runtime, _) = runtime(&bus);
    let latch = Arc::new(Latch::default());
    let spawn = |runtime: &crate::connect::task::TaskRuntime| {
        let spec = SourceTaskSpec {
            id: TaskId { connector: "c".into(), task: 0 },
            config: Config::new(),
            options: SourceTaskOptions { times: quick_times(), ..SourceTaskOptions::default() },
            key_converter: Arc::new(StringConverter::default()),
            value_converter: Arc::new(StringConverter::default()),
            header_converter: Arc::new(SimpleHeaderConverter::default()),
            transforms: Vec::new(),
            offsets: Arc::new(Offsets::default()),
        };
        let steps = Arc::new(Mutex::new(VecDeque::from([Step::Hang(latch.clone())])));
        let task = Scripted { steps, context: None, stopped: Arc::default() };
        spec.spawn(runtime.clone(), Box::new(task), TargetState::Started)
    };
    for abandoned in 1..=2 {
        let handle = spawn(&runtime).unwrap();
        eventually(|| handle.health().call.is_some_and(|(call, _)| call == "poll")).await;
        assert_eq!(handle.stop(Duration::from_millis(10)).await, StopOutcome::Abandoned);
        assert_eq!(runtime.abandoned.count(), abandoned);
    }
    assert!(matches!(spawn(&runtime), Err(StartError::TooManyAbandoned { count: 2, limit: 2 })));
    latch.open();
    eventually(|| runtime.abandoned.count() == 0).await;
    assert!(spawn(&runtime).is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fatal_error_fails_the_task_and_a_retriable_one_is_tried_again() {
    let bus = TaskBus::new(&[("t", &[])]);
    let retry = Step::Fail(ConnectorError::retriable("try later"));
    let rig = rig_with(&bus, vec![retry, Step::Batch(vec!["a"], 1)], |spec| {
        spec.options.errors.retry_delay_max = Duration::from_millis(1);
    });
    eventually(|| rig.offsets.last() == Some(1)).await;
    rig.steps.lock().push_back(Step::Fail(ConnectorError::fatal("the file is gone")));
    eventually(|| rig.listener.trace().is_some()).await;
    assert!(rig.listener.trace().unwrap().contains("the file is gone\n\tat poll"));
    assert!(*rig.stopped.lock());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_in_flight_are_bounded() {
    let bus = TaskBus::new(&[("t", &[])]);
    bus.set_acks(Acks::Held);
    let steps = (0..100).map(|at| Step::Batch(vec!["0123456789"], at)).collect();
    let rig = rig_with(&bus, steps, |spec| spec.options.producer.max_in_flight_bytes = 45);
    eventually(|| bus.held() == 5).await;
    levada_env::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(bus.held(), 5);
    assert!(rig.handle.health().in_flight_bytes >= 40);
    rig.handle.request_stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_stops_polling_and_a_resume_goes_on() {
    let bus = TaskBus::new(&[("t", &[])]);
    let rig = rig(&bus, vec![Step::Batch(vec!["a"], 1)]);
    eventually(|| rig.offsets.last() == Some(1)).await;
    rig.handle.pause();
    eventually(|| rig.listener.last() == Some(TaskStatus::Paused)).await;
    rig.steps.lock().push_back(Step::Batch(vec!["b"], 2));
    levada_env::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(bus.values("t"), ["a"]);
    rig.handle.resume();
    eventually(|| rig.offsets.last() == Some(2)).await;
    let expected = [TaskStatus::Running, TaskStatus::Paused, TaskStatus::Running];
    assert_eq!(rig.listener.all(), expected);
}

struct DropB;

impl Transform<SourceRecord> for DropB {
    fn apply(&mut self, record: SourceRecord) -> Result<Option<SourceRecord>> {
        Ok((record.value != Value::string("b")).then_some(record))
    }

    fn class(&self) -> &str {
        "test.DropB"
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_a_transform_drops_counts_as_acknowledged() {
    let bus = TaskBus::new(&[("t", &[])]);
    let drop_b = |spec: &mut SourceTaskSpec| spec.transforms.push(Box::new(DropB));
    let rig = rig_with(&bus, vec![Step::Batch(vec!["a", "b"], 2), Step::Batch(vec!["b"], 3)], drop_b);
    eventually(|| rig.offsets.last() == Some(3)).await;
    assert_eq!(bus.values("t"), ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_go_through_the_connectors_converter() {
    let bus = TaskBus::new(&[("t", &[])]);
    let with_json = |spec: &mut SourceTaskSpec| {
        spec.value_converter = Arc::new(JsonConverter::from_config(&Config::new()).unwrap());
    };
    let rig = rig_with(&bus, vec![Step::Batch(vec!["a"], 1)], with_json);
    eventually(|| rig.offsets.last() == Some(1)).await;
    assert_eq!(bus.values("t"), [r#"{"schema":null,"payload":"a"}"#]);
}

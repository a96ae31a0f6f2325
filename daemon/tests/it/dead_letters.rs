//! Sink tasks that report single records, against the real broker.

use crate::node::eventually;
use levada_broker::{Broker, config::BrokerConfig};
use levada_connector_api::{
    Config, ConnectorError, Result, SinkRecord, SinkTask, SinkTaskContext, TopicPartition, Value,
};
use levada_daemon::connect::{
    bus::{Bus, BusAdmin, NewTopic, WriteRecord, embedded::EmbeddedBus},
    converter,
    sink_task::{SinkTaskOptions, SinkTaskSpec},
    task::{AbandonedThreads, TargetState, TaskHandle, TaskId, TaskRuntime, TaskStatus, TaskStatusListener, TaskTimes},
};
use levada_env::Env;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

/// Takes every value but `bad`, which it reports.
struct Picky {
    context: Option<Arc<dyn SinkTaskContext>>,
    taken: Arc<Mutex<Vec<String>>>,
    /// Reports everything and waits for it to be in the queue.
    keeps_offsets: bool,
}

impl SinkTask for Picky {
    fn start(&mut self, context: Arc<dyn SinkTaskContext>, _: Config) -> Result<()> {
        self.context = Some(context);
        Ok(())
    }

    fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        if self.keeps_offsets {
            let context = self.context.as_ref().unwrap();
            records.iter().try_for_each(|record| context.report(record, ConnectorError::data("row refused")))?;
            context.flush_reports()?;
            // As a crash behind the commit of what it writes to: the group's offsets are never committed.
            return Err(ConnectorError::fatal("flushed"));
        }
        for record in records {
            match &record.value {
                Value::String(text) if *text != *"bad" => self.taken.lock().unwrap().push(text.to_string()),
                _ => self.context.as_ref().unwrap().report(record, ConnectorError::data("row refused"))?,
            }
        }
        Ok(())
    }

    fn pre_commit(&mut self, consumed: &[(TopicPartition, i64)]) -> Result<Vec<(TopicPartition, i64, String)>> {
        Ok(consumed.iter().map(|(partition, offset)| (partition.clone(), *offset, String::new())).collect())
    }
}

/// Has the task wait for the queue by itself.
const KEEPS_OFFSETS: (&str, &str) = ("keeps.offsets", "true");

#[derive(Default)]
struct Statuses(Mutex<Vec<TaskStatus>>);

impl TaskStatusListener for Statuses {
    fn task_status(&self, _: &TaskId, status: TaskStatus) {
        self.0.lock().unwrap().push(status);
    }
}

struct World {
    broker: Broker,
    bus: Arc<EmbeddedBus>,
    statuses: Arc<Statuses>,
    taken: Arc<Mutex<Vec<String>>>,
    _dir: tempfile::TempDir,
}

impl World {
    /// A broker with three records in the topic `rows`, the second of them bad.
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pairs = [("listeners", "PLAINTEXT://127.0.0.1:0"), ("group.initial.rebalance.delay.ms", "0")];
        let map: BTreeMap<String, String> = pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let config = BrokerConfig::from_map(dir.path(), &map).unwrap();
        let broker = Broker::start(Env::real(), config).await.unwrap();
        let transports = broker.clone();
        let bus = EmbeddedBus::new(
            Arc::new(move |client_id: &str| transports.transport(client_id)),
            tokio::runtime::Handle::current(),
            Env::real().clock,
        );
        bus.create_topic(NewTopic { name: "rows".to_owned(), partitions: Some(1), ..NewTopic::default() })
            .await
            .unwrap();
        let row = |value: &'static str| WriteRecord {
            partition: Some(0),
            key: format!("key of {value}").into(),
            value: Some(value.into()),
        };
        bus.write("rows", vec![row("one"), row("bad"), row("two")]).await.unwrap();
        let (bus, statuses, taken) = (Arc::new(bus), Arc::default(), Arc::default());
        Self { broker, bus, statuses, taken, _dir: dir }
    }

    fn sink(&self, extra: &[(&str, &str)]) -> TaskHandle {
        let mut config: Config = [("topics".to_owned(), "rows".to_owned())].into();
        config.extend(extra.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let times = TaskTimes { offset_flush_interval: Duration::from_millis(50), ..TaskTimes::default() };
        let string = "org.apache.kafka.connect.storage.StringConverter";
        let spec = SinkTaskSpec {
            id: TaskId { connector: "s".into(), task: 0 },
            options: SinkTaskOptions::from_config("s", &config, times, "sink-s-0".to_owned()).unwrap(),
            config,
            key_converter: converter::create(string, true, &Config::new()).unwrap(),
            value_converter: converter::create(string, false, &Config::new()).unwrap(),
            header_converter: converter::create_header(string, &Config::new()).unwrap(),
            transforms: Vec::new(),
        };
        let runtime = TaskRuntime {
            bus: self.bus.clone(),
            tokio: tokio::runtime::Handle::current(),
            clock: Env::real().clock,
            abandoned: Arc::new(AbandonedThreads::new(1)),
            listener: self.statuses.clone(),
        };
        let keeps_offsets = extra.contains(&KEEPS_OFFSETS);
        let task = Picky { context: None, taken: self.taken.clone(), keeps_offsets };
        spec.spawn(runtime, Box::new(task), TargetState::Started).unwrap()
    }

    async fn committed(&self) -> Option<i64> {
        let committed = self.bus.group_offsets("connect-s").await.unwrap();
        committed.first().and_then(|committed| committed.offset)
    }

    async fn dead(&self) -> Vec<(String, String)> {
        let mut records = Vec::new();
        let mut reader = self.bus.reader("dead").await.unwrap();
        reader.read_to_end(&mut |record| records.push(record)).await.unwrap();
        let text = |bytes: Option<_>| String::from_utf8(Vec::<u8>::from(bytes.unwrap_or_default())).unwrap();
        records.into_iter().map(|record| (text(record.key), text(record.value))).collect()
    }

    fn trace(&self) -> Option<String> {
        let statuses = self.statuses.0.lock().unwrap();
        statuses.iter().find_map(|status| match status {
            TaskStatus::Failed { trace } => Some(trace.clone()),
            _ => None,
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reported_record_is_in_the_queue_before_its_offset_is_committed() {
    let world = World::new().await;
    let task = world.sink(&[("errors.tolerance", "all"), ("errors.deadletterqueue.topic.name", "dead")]);
    eventually("all three count as consumed", || async { world.committed().await == Some(3) }).await;
    assert_eq!(world.dead().await, [("key of bad".to_owned(), "bad".to_owned())]);
    assert_eq!(*world.taken.lock().unwrap(), ["one", "two"]);
    task.stop(Duration::from_secs(10)).await;
    assert_eq!(world.trace(), None);
    world.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_tolerance_a_reported_record_fails_the_task() {
    let world = World::new().await;
    let task = world.sink(&[("errors.deadletterqueue.topic.name", "dead")]);
    eventually("the task fails", || async { world.trace().is_some() }).await;
    let trace = world.trace().unwrap();
    assert!(trace.contains("org.apache.kafka.connect.errors.DataException: row refused"), "{trace}");
    assert_eq!(world.dead().await, [], "nothing was passed over");
    assert_ne!(world.committed().await, Some(3));
    task.stop(Duration::from_secs(10)).await;
    world.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_whose_topic_can_not_be_made_fails_the_task_at_its_start() {
    let world = World::new().await;
    let task = world.sink(&[
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "dead"),
        ("errors.deadletterqueue.topic.replication.factor", "3"),
    ]);
    eventually("the task fails", || async { world.trace().is_some() }).await;
    let trace = world.trace().unwrap();
    assert!(trace.contains("dead letter queue's topic dead") && trace.contains("replication factor 3"), "{trace}");
    task.stop(Duration::from_secs(10)).await;
    world.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_keeps_its_offsets_waits_for_the_queue() {
    let world = World::new().await;
    let keys = [("errors.tolerance", "all"), ("errors.deadletterqueue.topic.name", "dead"), KEEPS_OFFSETS];
    let task = world.sink(&keys);
    eventually("the task fails", || async { world.trace().is_some() }).await;
    assert!(world.trace().unwrap().contains("flushed"), "{:?}", world.trace());
    assert_eq!(world.dead().await.len(), 3);
    task.stop(Duration::from_secs(10)).await;
    world.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_keeps_its_offsets_is_told_what_the_queue_refuses() {
    let world = World::new().await;
    let configs = vec![("max.message.bytes".to_owned(), "10".to_owned())];
    let small = NewTopic { name: "dead".to_owned(), partitions: Some(1), configs, ..NewTopic::default() };
    world.bus.create_topic(small).await.unwrap();
    let keys = [("errors.tolerance", "all"), ("errors.deadletterqueue.topic.name", "dead"), KEEPS_OFFSETS];
    let task = world.sink(&keys);
    eventually("the task fails", || async { world.trace().is_some() }).await;
    let trace = world.trace().unwrap();
    assert!(trace.contains("dead letter queue") && !trace.contains("flushed"), "{trace}");
    task.stop(Duration::from_secs(10)).await;
    world.broker.shutdown().await;
}

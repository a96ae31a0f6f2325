//! Signals to a source task, from outside and from a topic of the real broker.

use crate::node::eventually;
use levada_broker::{Broker, config::BrokerConfig};
use levada_connector_api::{
    Config, Result, SignalTopic, SourceBatch, SourceOffset, SourcePartition, SourceTask, SourceTaskContext, TaskSignal,
};
use levada_daemon::connect::{
    bus::{self, BoxFuture, Bus, BusAdmin, NewTopic, OwnerToken, WriteRecord, embedded::EmbeddedBus},
    converter,
    source_task::{OffsetStore, SourceTaskOptions, SourceTaskSpec},
    task::{
        AbandonedThreads, SignalError, TargetState, TaskHandle, TaskId, TaskRuntime, TaskStatus, TaskStatusListener,
        TaskTimes,
    },
};
use levada_env::Env;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

type Taken = Arc<Mutex<Vec<(String, Option<(i32, i64)>)>>>;

/// Has no records, and notes its signals.
struct Listening {
    topic: Option<SignalTopic>,
    context: Option<Arc<dyn SourceTaskContext>>,
    taken: Taken,
}

impl SourceTask for Listening {
    fn start(&mut self, context: Arc<dyn SourceTaskContext>, _: Config) -> Result<()> {
        if let Some(topic) = &self.topic {
            context.accept_signals(Some(topic))?;
        }
        self.context = Some(context);
        Ok(())
    }

    fn poll(&mut self, max_wait: Duration) -> Result<SourceBatch> {
        let context = self.context.as_ref().unwrap();
        context.wait(max_wait);
        let signals = context.take_signals().into_iter().map(|signal| (signal.text, signal.next));
        self.taken.lock().unwrap().extend(signals);
        Ok(SourceBatch::default())
    }
}

/// Keeps nothing, and tells nobody.
struct Nothing;

impl OffsetStore for Nothing {
    fn read<'a>(
        &'a self,
        _: &'a str,
        partitions: &'a [SourcePartition],
    ) -> BoxFuture<'a, bus::Result<Vec<Option<SourceOffset>>>> {
        Box::pin(async { Ok(vec![None; partitions.len()]) })
    }

    fn write<'a>(
        &'a self,
        _: &'a str,
        _: &'a [(Arc<SourcePartition>, SourceOffset)],
        _: &'a OwnerToken,
    ) -> BoxFuture<'a, bus::Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

impl TaskStatusListener for Nothing {
    fn task_status(&self, _: &TaskId, _: TaskStatus) {}
}

fn spawn(bus: &Arc<EmbeddedBus>, topic: Option<SignalTopic>) -> (TaskHandle, Taken) {
    let config = Config::new();
    let string = "org.apache.kafka.connect.storage.StringConverter";
    let spec = SourceTaskSpec {
        id: TaskId { connector: "s".into(), task: 0 },
        options: SourceTaskOptions::from_config(&config, TaskTimes::default(), true, "source-s-0".to_owned()).unwrap(),
        config,
        key_converter: converter::create(string, true, &Config::new()).unwrap(),
        value_converter: converter::create(string, false, &Config::new()).unwrap(),
        header_converter: converter::create_header(string, &Config::new()).unwrap(),
        transforms: Vec::new(),
        offsets: Arc::new(Nothing),
    };
    let runtime = TaskRuntime {
        bus: bus.clone(),
        tokio: tokio::runtime::Handle::current(),
        clock: Env::real().clock,
        abandoned: Arc::new(AbandonedThreads::new(1)),
        listener: Arc::new(Nothing),
    };
    let taken = Taken::default();
    let task = Listening { topic, context: None, taken: taken.clone() };
    (spec.spawn(runtime, Box::new(task), TargetState::Started).unwrap(), taken)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_come_from_outside_and_from_a_topic_behind_the_offsets_that_the_task_names() {
    let dir = tempfile::tempdir().unwrap();
    let map: BTreeMap<String, String> = [("listeners".to_owned(), "PLAINTEXT://127.0.0.1:0".to_owned())].into();
    let broker = Broker::start(Env::real(), BrokerConfig::from_map(dir.path(), &map).unwrap()).await.unwrap();
    let transports = broker.clone();
    let local = Arc::new(move |client_id: &str| transports.transport(client_id));
    let bus = Arc::new(EmbeddedBus::new(local, tokio::runtime::Handle::current(), Env::real().clock));
    let topic = NewTopic { name: "signals".to_owned(), partitions: Some(1), ..NewTopic::default() };
    bus.create_topic(topic).await.unwrap();
    let write = async |key: &'static str, value: &'static str| {
        let record = WriteRecord { partition: Some(0), key: key.into(), value: Some(value.into()) };
        bus.write("signals", vec![record]).await.unwrap();
    };
    let signals = |from: &[(i32, i64)]| {
        Some(SignalTopic { topic: "signals".to_owned(), key: "p".to_owned(), from: from.to_vec() })
    };
    write("p", "old").await;

    let (task, taken) = spawn(&bus, signals(&[]));
    let has = |taken: &Taken, count: usize| {
        let taken = taken.clone();
        move || {
            let enough = taken.lock().unwrap().len() >= count;
            async move { enough }
        }
    };
    eventually("it learns where the topic begins to count", has(&taken, 1)).await;
    write("q", "another's").await;
    write("p", "new").await;
    eventually("a signal comes from the topic", has(&taken, 2)).await;
    let outside = TaskSignal { id: "1".to_owned(), text: "outside".to_owned(), next: None };
    assert_eq!(task.signal(outside.clone()), Ok(()));
    eventually("and one from outside", has(&taken, 3)).await;
    task.stop(Duration::from_secs(10)).await;
    assert_eq!(task.signal(outside.clone()), Err(SignalError::NotRunning));
    let expected = [(String::new(), Some((0, 1))), ("new".to_owned(), Some((0, 3))), ("outside".to_owned(), None)];
    assert_eq!(*taken.lock().unwrap(), expected);

    write("p", "meanwhile").await;
    let (task, taken) = spawn(&bus, signals(&[(0, 3)]));
    eventually("what came meanwhile comes", has(&taken, 2)).await;
    task.stop(Duration::from_secs(10)).await;
    assert_eq!(taken.lock().unwrap()[1], ("meanwhile".to_owned(), Some((0, 4))));

    // The topic was deleted and made anew since offset 9 was remembered.
    let (task, taken) = spawn(&bus, signals(&[(0, 9), (4, 2)]));
    eventually("what the new topic has comes from its beginning", has(&taken, 7)).await;
    task.stop(Duration::from_secs(10)).await;
    let told = |partition, next| (String::new(), Some((partition, next)));
    let begun = [told(0, 9), told(4, 2), told(0, 0), told(4, 0)];
    let from_topic = [("old", 1), ("new", 3), ("meanwhile", 4)].map(|(text, next)| (text.to_owned(), Some((0, next))));
    assert_eq!(*taken.lock().unwrap(), [&begun[..], &from_topic].concat());

    let (task, _) = spawn(&bus, None);
    eventually("its start is over", || async { task.signal(outside.clone()) != Err(SignalError::NotRunning) }).await;
    assert_eq!(task.signal(outside.clone()), Err(SignalError::NotTaken));
    task.stop(Duration::from_secs(10)).await;
    broker.shutdown().await;
}

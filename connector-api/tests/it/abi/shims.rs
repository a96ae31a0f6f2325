//! A connector in Rust through its tables: every call and callback arrives as it left, and what goes
//! wrong inside comes out as an error (invariant 10).

use levada_connector_api::{
    Committed, Config, ConfigDef, ConnectorConfig, ConnectorContext, ConnectorError, ConnectorInfo, ConnectorKind,
    Done, ErrorKind, ExactlyOnceSupport, Headers, OffsetChange, Progress, Result, SignalTopic, SinkConnector,
    SinkRecord, SinkTask, SinkTaskContext, SourceBatch, SourceConnector, SourceOffset, SourcePartition, SourceRecord,
    SourceTask, SourceTaskContext, TaskSignal, TopicPartition, Value,
    abi::{
        host::{Library, LibraryConnector},
        layout::{self, Buffer, Connector, Handle, PluginEntry, Pointer, Slice},
    },
    testkit::{Offsets, SinkContext, SourceContext, config, record},
};
use serde_json::json;
use std::{
    mem::offset_of,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

static ENTRY: PluginEntry = entry();

/// The entry of a library with the two connectors.
pub const fn entry() -> PluginEntry {
    levada_connector_api::plugin_entry!(Source, Sink)
}

/// The two connectors, behind the tables.
fn connectors() -> [LibraryConnector; 2] {
    // SAFETY: made by the macro.
    let library = unsafe { Library::from_entry(&raw const ENTRY) }.unwrap();
    library.connectors.try_into().unwrap()
}

fn even(text: &str) -> std::result::Result<(), String> {
    if text.len().is_multiple_of(2) { Ok(()) } else { Err("must be of even length".to_owned()) }
}

/// Keys of both connectors.
#[derive(Debug, ConnectorConfig)]
struct Keys {
    /// What the test wants to happen.
    #[config(default = "nothing", one_of("nothing", "error", "panic"))]
    #[allow(dead_code, reason = "read as text")]
    happens: String,
    /// A checked text.
    #[config(check = even, required)]
    #[allow(dead_code, reason = "only checked")]
    even: String,
}

fn happens(config: &Config) -> Result<()> {
    match config.get("happens").map(String::as_str) {
        Some("error") => {
            Err(ConnectorError::retriable("not now")
                .caused_by(ConnectorError::data("inner").caused_by(std::fmt::Error)))
        }
        Some("tries") => Err(ConnectorError::retries_used_up("failed 3 times", ConnectorError::retriable("not now"))),
        Some("panic") => panic!("boom {}", 7),
        _ => Ok(()),
    }
}

fn info(class: &str, kind: ConnectorKind) -> ConnectorInfo {
    let config_def: ConfigDef = Keys::config_def();
    ConnectorInfo { class: class.into(), aliases: vec!["a".into()], kind, version: "1.2".into(), config_def }
}

/// Live values of the types below, to see that all are released.
static LIVE: AtomicUsize = AtomicUsize::new(0);

struct Counted;
impl Counted {
    fn new() -> Self {
        LIVE.fetch_add(1, Ordering::SeqCst);
        Self
    }
}
impl Default for Counted {
    fn default() -> Self {
        Self::new()
    }
}
impl Drop for Counted {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Default)]
struct Source {
    name: String,
    config: Config,
    context: Option<ConnectorContext>,
    _live: Counted,
}

impl SourceConnector for Source {
    fn info(&self) -> ConnectorInfo {
        info("t.Source", ConnectorKind::Source)
    }

    fn start(&mut self, context: ConnectorContext, config: Config) -> Result<()> {
        happens(&config)?;
        context.request_task_reconfiguration();
        (self.name, self.config) = (context.name.clone(), config);
        self.context = Some(context);
        Ok(())
    }

    fn task_configs(&self, max_tasks: usize) -> Result<Vec<Config>> {
        Ok(vec![config([("name", self.name.as_str()), ("max", &max_tasks.to_string())]); 2])
    }

    fn task(&self) -> Box<dyn SourceTask> {
        happens(&config([("happens", if self.name == "no task" { "panic" } else { "" })])).unwrap();
        Box::new(Task::default())
    }

    fn exactly_once_support(&self, config: &Config) -> ExactlyOnceSupport {
        if config.contains_key("once") { ExactlyOnceSupport::Supported } else { ExactlyOnceSupport::Unsupported }
    }

    fn alter_offsets(&self, config: &Config, changes: &[OffsetChange]) -> Result<bool> {
        happens(config)?;
        Ok(changes[0].1.is_none() && changes[1].1.as_ref().is_some_and(|offset| offset["position"] == 3))
    }
}

#[derive(Default)]
struct Task {
    source: Option<Arc<dyn SourceTaskContext>>,
    sink: Option<Arc<dyn SinkTaskContext>>,
    config: Config,
    log: Vec<String>,
    _live: Counted,
}

fn line(text: String) -> SourceRecord {
    SourceRecord {
        topic: Arc::from("log"),
        partition: None,
        key_schema: None,
        key: Value::Null,
        value_schema: None,
        value: Value::string(text),
        timestamp: None,
        headers: Headers::new(),
    }
}

fn progress() -> Progress {
    let rows = Some(Done { done: 3, total: Some(12) });
    Progress { phase: "snapshot".to_owned(), rows, lag_bytes: Some(u64::MAX), ..Progress::default() }
}

fn signal_topic() -> SignalTopic {
    SignalTopic { topic: "signals".to_owned(), key: "ü".to_owned(), from: vec![(0, 7), (1, i64::MAX)] }
}

impl SourceTask for Task {
    fn start(&mut self, context: Arc<dyn SourceTaskContext>, config: Config) -> Result<()> {
        let asked = [json!({"a": 1}), json!({"b": 2})].map(|value| value.as_object().unwrap().clone());
        let found = context.offsets(&asked)?;
        self.log.push(format!("{} {} {found:?}", context.connector(), context.task()));
        context.warn("careful");
        context.set_progress(progress());
        context.accept_signals(Some(&signal_topic()))?;
        self.source = Some(context);
        self.config = config;
        happens(&self.config)
    }

    fn poll(&mut self, max_wait: Duration) -> Result<SourceBatch> {
        happens(&self.config)?;
        let context = self.source.as_ref().unwrap();
        self.log.push(format!("{max_wait:?} {} {}", context.cancelled(), context.wait(Duration::ZERO)));
        self.log.extend(context.take_signals().iter().map(|signal| format!("{signal:?}")));
        Ok(SourceBatch { records: self.log.drain(..).map(line).collect(), checkpoints: Vec::new() })
    }

    fn committed(&mut self, offsets: &[(Arc<SourcePartition>, SourceOffset)]) -> Result<()> {
        self.log.push(format!("{offsets:?}"));
        Ok(())
    }

    fn version(&self) -> String {
        "task 1".to_owned()
    }
}

#[derive(Default)]
struct Sink;

impl SinkConnector for Sink {
    fn info(&self) -> ConnectorInfo {
        info("t.Sink", ConnectorKind::Sink)
    }

    fn start(&mut self, _context: ConnectorContext, _config: Config) -> Result<()> {
        Ok(())
    }

    fn task_configs(&self, _max_tasks: usize) -> Result<Vec<Config>> {
        Ok(Vec::new())
    }

    fn task(&self) -> Box<dyn SinkTask> {
        Box::new(Task::default())
    }
}

/// Answers `pre_commit` with its log, as metadata.
impl SinkTask for Task {
    fn start(&mut self, context: Arc<dyn SinkTaskContext>, config: Config) -> Result<()> {
        context.request_commit();
        context.set_retry_backoff(Duration::from_secs(1));
        context.set_progress(progress());
        context.warn("careful");
        self.log.push(format!("{} {} {}", context.connector(), context.task(), context.cancelled()));
        self.sink = Some(context);
        self.config = config;
        Ok(())
    }

    fn open(&mut self, added: &[Committed], owned: &[TopicPartition]) -> Result<()> {
        for known in added.iter().filter(|known| known.metadata == "again") {
            self.sink.as_ref().unwrap().seek(&known.partition, 3)?;
        }
        self.log.push(format!("{added:?} {owned:?}"));
        Ok(())
    }

    fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        happens(&self.config)?;
        for record in records.iter().filter(|record| record.value == Value::string("bad")) {
            let error = ConnectorError::data("row refused").caused_by(std::io::Error::other("at column 3"));
            self.sink.as_ref().unwrap().report(record, error)?;
            self.sink.as_ref().unwrap().flush_reports()?;
        }
        self.log.push(format!("{records:?}"));
        Ok(())
    }

    fn pre_commit(&mut self, consumed: &[(TopicPartition, i64)]) -> Result<Vec<(TopicPartition, i64, String)>> {
        let (at, offset) = consumed[0].clone();
        Ok(self.log.drain(..).map(|line| (at.clone(), offset, line)).collect())
    }

    fn committed(&mut self) -> Result<()> {
        self.log.push("committed".to_owned());
        Ok(())
    }

    fn close(&mut self, partitions: &[TopicPartition], lost: bool) -> Result<()> {
        self.log.push(format!("{partitions:?} {lost}"));
        Ok(())
    }
}

fn started(happens: &str) -> Result<(Box<dyn SourceTask>, Arc<SourceContext>)> {
    let mut connector = connectors()[0].source()?;
    connector.start(ConnectorContext::new("n"), Config::new())?;
    let (mut task, offsets) = (connector.task(), Offsets::default());
    let object = |value: serde_json::Value| value.as_object().unwrap().clone();
    offsets.set(&object(json!({"b": 2})), object(json!({"x": [1, {"y": null}]})));
    let context = SourceContext::new(offsets);
    task.start(Arc::clone(&context) as _, config([("happens", happens)]))?;
    Ok((task, context))
}

#[test]
fn a_connector_is_what_it_is_in_rust() {
    let [source, sink] = connectors();
    let (there, here) = (&source.info, info("t.Source", ConnectorKind::Source));
    assert_eq!(
        (&there.class, &there.aliases, there.kind, &there.version),
        (&here.class, &here.aliases, here.kind, &here.version)
    );
    assert_eq!(there.config_def.info(), here.config_def.info());
    assert_eq!(sink.info.kind, ConnectorKind::Sink);

    let mut connector = source.source().unwrap();
    connector.start(ConnectorContext::new("näme"), Config::new()).unwrap();
    assert_eq!(connector.task_configs(3).unwrap(), vec![config([("name", "näme"), ("max", "3")]); 2]);
    assert_eq!(connector.exactly_once_support(&config([("once", "")])), ExactlyOnceSupport::Supported);
    assert_eq!(connector.exactly_once_support(&Config::new()), ExactlyOnceSupport::Unsupported);
    let object = |value: serde_json::Value| value.as_object().unwrap().clone();
    let changes = [(object(json!({"f": 1})), None), (object(json!({"f": 2})), Some(object(json!({"position": 3}))))];
    assert!(connector.alter_offsets(&Config::new(), &changes).unwrap());
    assert!(connector.alter_offsets(&config([("happens", "error")]), &changes).is_err());
    connector.stop();
}

#[test]
fn a_connector_asks_for_its_work_to_be_divided_anew() {
    let asked = Arc::new(AtomicUsize::new(0));
    let context = {
        let asked = Arc::clone(&asked);
        ConnectorContext::new("n").with_reconfiguration(move || {
            asked.fetch_add(1, Ordering::SeqCst);
        })
    };
    let mut connector = connectors()[0].source().unwrap();
    assert!(connector.start(context.clone(), config([("happens", "error")])).is_err());
    assert_eq!((asked.load(Ordering::SeqCst), Arc::strong_count(&asked)), (0, 2), "that context was given back");
    connector.start(context, config([("k", "v")])).unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    drop(connector);
    assert_eq!(Arc::strong_count(&asked), 1, "the context was given back");
}

/// A library of minor version 4 has a shorter table, behind which may be anything.
#[test]
fn a_library_of_an_earlier_minor_version_works_without_what_came_later() {
    unsafe extern "C" fn never(
        _: Handle,
        _: *const layout::ConnectorContext,
        _: Slice,
        _: Slice,
        _: *mut Buffer,
    ) -> i32 {
        std::process::abort()
    }
    let here = entry();
    // SAFETY: the entry has two tables, which are plain data.
    let mut table = unsafe { std::ptr::read((*here.connectors).0) };
    table.struct_size = offset_of!(Connector, start_in) as u32;
    table.start_in = Some(never);
    let table: &'static Connector = Box::leak(Box::new(table));
    let tables = Box::leak(Box::new([Pointer(&raw const *table)]));
    let entry = Box::leak(Box::new(PluginEntry { abi_minor: 4, ..PluginEntry::new("x", "1", tables) }));
    // SAFETY: the entry and its tables live for ever.
    let library = unsafe { Library::from_entry(&raw const *entry) }.unwrap();
    assert_eq!(library.abi, (0, 4));
    let mut connector = library.connectors[0].source().unwrap();
    let context = ConnectorContext::new("n").with_reconfiguration(|| panic!("it can't ask"));
    connector.start(context, Config::new()).unwrap();
    assert_eq!(connector.task_configs(1).unwrap(), vec![config([("name", "n"), ("max", "1")]); 2]);
}

#[test]
fn validation_tells_the_same_on_both_sides() {
    let (there, here) = (&connectors()[0].info.config_def, Keys::config_def());
    for pairs in [
        &[("even", "ab")][..],
        &[("even", "abc")],
        &[],
        &[("even", "abc"), ("happens", "rain")],
        &[("happens", "rain"), ("other", "x")],
    ] {
        let config = config(pairs.iter().copied());
        let errors = |def: &ConfigDef| def.check(&config).map_err(|errors| errors.0);
        assert_eq!(errors(there), errors(&here), "{pairs:?}");
    }
}

#[test]
fn errors_keep_kind_text_and_causes_and_panics_become_fatal() {
    let mut connector = connectors()[0].source().unwrap();
    let mut start =
        |happens: &str| connector.start(ConnectorContext::new("n"), config([("happens", happens)])).unwrap_err();
    let error = start("error");
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Retriable, "not now"));
    let cause = std::error::Error::source(&error).unwrap();
    assert_eq!(cause.to_string(), "inner");
    assert!(std::error::Error::source(cause).is_some());
    let error = start("tries");
    let cause = error.source.as_ref().unwrap().downcast_ref::<ConnectorError>().unwrap();
    assert_eq!((error.kind, cause.kind), (ErrorKind::Fatal, ErrorKind::Retriable), "the restart policy looks for it");
    let error = start("panic");
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Fatal, "panicked: boom 7"));
    connector.stop();

    for (happens, told) in [("error", "not now"), ("panic", "panicked: boom 7")] {
        assert_eq!(started(happens).err().unwrap().message, told);
    }
    let mut connector = connectors()[0].source().unwrap();
    connector.start(ConnectorContext::new("no task"), Config::new()).unwrap();
    let error = connector.task().start(SourceContext::new(Offsets::default()), Config::new()).unwrap_err();
    assert!(error.message.starts_with("panicked: "), "{error}");
}

#[test]
fn a_source_task_and_its_context_reach_each_other() {
    let (mut task, context) = started("").unwrap();
    assert_eq!(context.warnings(), ["careful"]);
    assert_eq!(task.version(), "task 1");
    let partition = json!({"f": "ü"}).as_object().unwrap().clone();
    let offset = json!({"position": 9_007_199_254_740_993_i64}).as_object().unwrap().clone();
    task.committed(&[(Arc::new(partition), offset)]).unwrap();
    context.cancel();
    assert_eq!(context.signal_topic(), Some(signal_topic()));
    let signal = TaskSignal { id: "1".to_owned(), text: "{\"type\": \"ü\"}".to_owned(), next: Some((1, i64::MAX)) };
    context.signal(signal.clone());
    context.signal(TaskSignal { next: None, ..signal.clone() });
    let batch = task.poll(Duration::from_millis(1500)).unwrap();
    let lines: Vec<_> = batch.records.iter().map(|record| format!("{:?}", record.value)).collect();
    assert!(lines[0].contains("test 0 [None, Some") && lines[0].contains("Null"), "{}", lines[0]);
    assert!(lines[1].contains("9007199254740993") && lines[1].contains('ü'), "{}", lines[1]);
    assert!(lines[2].contains("1.5s true true"), "{}", lines[2]);
    for (line, signal) in lines[3..].iter().zip([signal.clone(), TaskSignal { next: None, ..signal }]) {
        assert_eq!(*line, format!("{:?}", Value::string(format!("{signal:?}").as_str())));
    }
    assert_eq!(lines.len(), 5);
    task.stop();
}

#[test]
fn a_sink_task_gets_what_the_runtime_gives() {
    let mut task = connectors()[1].sink().unwrap().task();
    let context = Arc::new(SinkContext::default());
    task.start(Arc::clone(&context) as _, Config::new()).unwrap();
    assert_eq!((context.requested_commits(), context.warnings()), (1, vec!["careful".to_owned()]));
    let at = |partition| TopicPartition { topic: Arc::from("t"), partition };
    let added = [
        Committed { partition: at(1), offset: Some(4), metadata: "{\"m\":\"\"}".into() },
        Committed { partition: at(2), offset: None, metadata: String::new() },
    ];
    let (owned, records) = ([at(1), at(2), at(3)], [record("t", 1, 5, Value::string("x"))]);
    task.open(&added, &owned).unwrap();
    assert!(context.seeks().is_empty());
    task.put(&records).unwrap();
    task.committed().unwrap();
    task.close(&owned[..1], true).unwrap();
    let told = task.pre_commit(&[(at(1), i64::MAX)]).unwrap();
    assert!(told.iter().all(|(partition, offset, _)| (partition, *offset) == (&at(1), i64::MAX)));
    let log: Vec<_> = told.into_iter().map(|(_, _, line)| line).collect();
    let expected = [
        "test 0 false".to_owned(),
        format!("{added:?} {owned:?}"),
        format!("{records:?}"),
        "committed".to_owned(),
        format!("{:?} true", &owned[..1]),
    ];
    assert_eq!(log, expected);
    task.stop();
}

#[test]
fn a_sink_task_says_where_to_read_on() {
    let mut task = connectors()[1].sink().unwrap().task();
    let context = Arc::new(SinkContext::default());
    task.start(Arc::clone(&context) as _, Config::new()).unwrap();
    let partition = TopicPartition { topic: Arc::from("t"), partition: 2 };
    let known = Committed { partition: partition.clone(), offset: Some(9), metadata: "again".to_owned() };
    task.open(std::slice::from_ref(&known), std::slice::from_ref(&partition)).unwrap();
    assert_eq!(context.seeks(), [(partition, 3)]);
    task.stop();
}

#[test]
fn a_sink_task_reports_records_and_both_tell_their_progress() {
    let mut task = connectors()[1].sink().unwrap().task();
    let context = Arc::new(SinkContext::default());
    task.start(Arc::clone(&context) as _, Config::new()).unwrap();
    assert_eq!(context.progress(), Some(progress()));
    let mut bad = record("t", 1, 5, Value::string("bad"));
    bad.original_topic = Some("read-from".into());
    let error = task.put(&[bad.clone()]).unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Data, "row refused"), "not tolerated");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "at column 3");
    context.tolerate_errors();
    task.put(&[bad.clone(), record("t", 1, 6, Value::string("good"))]).unwrap();
    let reported = context.reported();
    assert_eq!(reported.len(), 1);
    assert_eq!((format!("{:?}", reported[0].0), reported[0].1.as_str()), (format!("{bad:?}"), "row refused"));
    context.lose_reports(true);
    let error = task.put(std::slice::from_ref(&bad)).unwrap_err();
    assert_eq!(error.message, "the dead letter queue refuses records");
    task.stop();
    let (mut task, context) = started("").unwrap();
    assert_eq!(context.progress(), Some(progress()));
    task.stop();
}

#[test]
fn nothing_is_kept() {
    // Other tests make such values meanwhile; each round would leave several behind if one did.
    let context = {
        let (mut task, context) = started("").unwrap();
        assert!(Arc::strong_count(&context) > 1, "the task holds it");
        task.stop();
        context
    };
    assert_eq!(Arc::strong_count(&context), 1, "the context was given back");
    for _ in 0..1000 {
        drop(started("").unwrap());
        assert!(started("error").is_err());
    }
    assert!(LIVE.load(Ordering::SeqCst) < 500, "connectors and tasks are released");
}

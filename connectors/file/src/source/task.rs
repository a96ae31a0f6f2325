//! The source task: looks when there is reason to, reads, and waits.

use super::{
    config::{RecordKey, TaskSettings},
    stdin::StandardInput,
};
use crate::{
    tail::{Hints, Limits, MakeRecord, Tracker},
    text::Mark,
};
use levada_connector_api::{
    Config, ConnectorError, Header, Headers, Result, Schema, SchemaType, SourceBatch, SourceRecord, SourceTask,
    SourceTaskContext, Str, Value,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Longest sleep without looking whether the task shall stop, where nothing ends it early.
const NAP: Duration = Duration::from_millis(100);
/// Shortest time between two looks that hints asked for.
const LEAST_GAP: Duration = Duration::from_millis(5);

type ReadConfig = fn(&Config) -> Result<TaskSettings>;

/// Follows the files of one task configuration.
pub struct FileSourceTask {
    read_config: ReadConfig,
    running: Option<Running>,
}

struct Running {
    context: Arc<dyn SourceTaskContext>,
    /// Whether hints end the context's waits.
    wakes: bool,
    started: Instant,
    limits: Limits,
    input: Input,
}

enum Input {
    Files { tracker: Box<Tracker>, hints: Hints, pace: Pace },
    Standard(StandardInput),
}

/// When to look.
struct Pace {
    interval: Duration,
    last: Option<Duration>,
    /// How long the last look took; looks that hints ask for keep a distance of many times that.
    cost: Duration,
}

impl FileSourceTask {
    /// Not started yet; `read_config` is what differs between the classes.
    pub fn new(read_config: ReadConfig) -> Self {
        Self { read_config, running: None }
    }
}

impl SourceTask for FileSourceTask {
    fn start(&mut self, context: Arc<dyn SourceTaskContext>, config: Config) -> Result<()> {
        let settings = (self.read_config)(&config)?;
        let limits = Limits { records: settings.batch_records, bytes: settings.batch_bytes };
        let make = make_record(Arc::from(settings.topic.as_str()), settings.key);
        let wake = context.waker();
        let wakes = wake.is_some();
        let input = match settings.files {
            Some(files) => Input::Files {
                tracker: Box::new(Tracker::new(files, Arc::clone(&context), make)),
                hints: Hints::new(wake),
                pace: Pace { interval: settings.scan_interval, last: None, cost: Duration::ZERO },
            },
            None => Input::Standard(StandardInput::new(settings.rules, make)),
        };
        self.running = Some(Running { context, wakes, started: Instant::now(), limits, input });
        Ok(())
    }

    fn poll(&mut self, max_wait: Duration) -> Result<SourceBatch> {
        let running = self.running.as_mut().ok_or_else(|| ConnectorError::fatal("poll before start"))?;
        let deadline = running.started.elapsed() + max_wait;
        loop {
            let batch = running.read()?;
            if !batch.records.is_empty() || !batch.checkpoints.is_empty() {
                return Ok(batch);
            }
            let left = deadline.saturating_sub(running.started.elapsed());
            if left.is_zero() || running.context.cancelled() || !running.wait(left) {
                return Ok(batch);
            }
        }
    }

    fn stop(&mut self) {
        self.running = None;
    }

    fn version(&self) -> String {
        crate::VERSION.to_owned()
    }
}

impl Running {
    fn read(&mut self) -> Result<SourceBatch> {
        let (tracker, hints, pace) = match &mut self.input {
            Input::Standard(input) => return input.read(self.limits),
            Input::Files { tracker, hints, pace } => (tracker, hints, pace),
        };
        let now = self.started.elapsed();
        let hinted = pace.may_follow_hint(now) && hints.take();
        if hinted || pace.is_due(now) || tracker.wants_look() {
            let looked = tracker.look(now, hints);
            let after = self.started.elapsed();
            (pace.last, pace.cost) = (Some(after), after.saturating_sub(now));
            looked?;
        }
        let batch = tracker.read(now, self.limits)?;
        if batch.records.is_empty() {
            tracker.rest();
        }
        Ok(batch)
    }

    /// Waits for a reason to look. False when the runtime ended the wait for one of its own.
    fn wait(&mut self, most: Duration) -> bool {
        match &mut self.input {
            Input::Standard(input) => {
                if !input.wait(most.min(NAP)) {
                    self.context.wait(most.min(NAP));
                }
                true
            }
            Input::Files { hints, pace, .. } => {
                let now = self.started.elapsed();
                let follows = pace.may_follow_hint(now);
                let most = most.min(if follows { pace.until_due(now) } else { pace.gap() });
                if !self.wakes && follows {
                    hints.wait(most.min(NAP));
                    return true;
                }
                if follows && hints.is_raised() {
                    return true;
                }
                let began = Instant::now();
                self.context.wait(most.min(if self.wakes { most } else { NAP }));
                !self.wakes || hints.is_raised() || began.elapsed() >= most
            }
        }
    }
}

impl Pace {
    fn gap(&self) -> Duration {
        LEAST_GAP.max(self.cost * 10)
    }

    fn may_follow_hint(&self, now: Duration) -> bool {
        self.last.is_none_or(|last| now.saturating_sub(last) >= self.gap())
    }

    fn is_due(&self, now: Duration) -> bool {
        self.until_due(now).is_zero()
    }

    fn until_due(&self, now: Duration) -> Duration {
        self.last.map_or(Duration::ZERO, |last| (last + self.interval.max(self.gap())).saturating_sub(now))
    }
}

/// Makes records of lines: value a required string, no timestamp, so that they get that of the append.
fn make_record(topic: Arc<str>, key: RecordKey) -> MakeRecord {
    let text = Arc::new(Schema::new(SchemaType::String));
    let part = Arc::new(Schema::new(SchemaType::Int32));
    let truncated = Arc::new(Schema::new(SchemaType::Boolean));
    Box::new(move |name, line| {
        let headers = match line.mark {
            None => Headers::new(),
            Some(Mark::Part(number)) => {
                let value = Value::Int32(i32::try_from(number).unwrap_or(i32::MAX));
                header("file.line.part", &part, value)
            }
            Some(Mark::Truncated) => header("file.line.truncated", &truncated, Value::Boolean(true)),
        };
        let (key_schema, key) = match key {
            RecordKey::None => (None, Value::Null),
            RecordKey::Filename => (Some(Arc::clone(&text)), Value::String(name.clone())),
        };
        SourceRecord {
            topic: Arc::clone(&topic),
            partition: None,
            key_schema,
            key,
            value_schema: Some(Arc::clone(&text)),
            value: Value::String(line.text),
            timestamp: None,
            headers,
        }
    })
}

fn header(name: &'static str, schema: &Arc<Schema>, value: Value) -> Headers {
    vec![Header { key: Str::from_static(name), schema: Some(Arc::clone(schema)), value }].into()
}

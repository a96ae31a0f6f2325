//! The source task: hands over what the reading thread has read, and starts another one when that ends.

use crate::{
    config::{SourceConfig, unsupported},
    error::Error,
    offset::{self, Position},
    reading::{Begin, Chunk, Popped, Pump, Settings, check_signal},
    shape,
};
use levada_connector_api::{
    Checkpoint, Config, ConnectorConfig, ConnectorError, ErrorKind, Reach, Result, SignalTopic, SourceBatch,
    SourceOffset, SourcePartition, SourceTask, SourceTaskContext,
};
use std::{sync::Arc, time::Duration};

/// Longest sleep without looking whether the task shall stop.
const NAP: Duration = Duration::from_millis(100);

/// The task.
#[derive(Default)]
pub struct PostgresSourceTask {
    running: Option<Running>,
}

struct Running {
    settings: Settings,
    partition: Arc<SourcePartition>,
    /// Behind the last record that was handed over.
    begin: Begin,
    pump: Option<Pump>,
    failures: i32,
}

impl SourceTask for PostgresSourceTask {
    fn start(&mut self, context: Arc<dyn SourceTaskContext>, config: Config) -> Result<()> {
        let typed = SourceConfig::parse(&config)?;
        for found in unsupported(&config) {
            context.warn(&format!("{}: {}", found.key, found.reason));
        }
        let partition = offset::partition(&typed.capture.topic_prefix);
        let stored = context.offsets(std::slice::from_ref(&partition))?.into_iter().next().flatten();
        let position = stored.map(|stored| Position::from_offset(&stored)).transpose().map_err(|reason| {
            ConnectorError::config(format!(
                "the stored offset can't be used: {reason}. Reset it by DELETE /connectors/{}/offsets",
                context.connector()
            ))
        })?;
        accept_signals(&*context, &typed, position.as_ref())?;
        let run_id = uuid::Uuid::new_v4().to_string();
        let settings = Settings { config: typed, raw: config, context, run_id, inbox: Arc::default() };
        let partition = Arc::new(partition);
        let begin = Begin { position, ..Begin::default() };
        self.running = Some(Running { settings, partition, begin, pump: None, failures: 0 });
        Ok(())
    }

    fn poll(&mut self, max_wait: Duration) -> Result<SourceBatch> {
        let running = self.running.as_mut().ok_or_else(|| ConnectorError::fatal("poll before start"))?;
        let mut left = max_wait;
        loop {
            let nap = left.min(NAP);
            match running.pump()?.pop(nap) {
                Popped::Chunk(chunk) => return running.taken(chunk),
                Popped::End(end) => return running.ended(end),
                Popped::Nothing => {}
            }
            left = left.saturating_sub(nap);
            if left.is_zero() || running.settings.context.cancelled() {
                return Ok(SourceBatch::default());
            }
        }
    }

    fn committed(&mut self, offsets: &[(Arc<SourcePartition>, SourceOffset)]) -> Result<()> {
        let Some(running) = &self.running else { return Ok(()) };
        for (partition, offset) in offsets {
            if **partition == *running.partition
                && let Ok(position) = Position::from_offset(offset)
                && let Some(pump) = &running.pump
                // A snapshot's offsets say nothing of the stream.
                && !position.in_snapshot()
            {
                pump.stored(position.resume().from);
            }
        }
        Ok(())
    }

    fn stop(&mut self) {
        self.running = None;
    }

    fn version(&self) -> String {
        crate::VERSION.to_owned()
    }
}

/// Says which signals the task takes. A runtime that has none is fine where none are asked for.
fn accept_signals(context: &dyn SourceTaskContext, config: &SourceConfig, position: Option<&Position>) -> Result<()> {
    let topic = config.snapshot.channel("kafka").then(|| {
        let prefix = &config.capture.topic_prefix;
        let named = config.snapshot.signal_topic.clone().filter(|topic| !topic.trim().is_empty());
        let from =
            position.map(|position| position.signals.iter().map(|(partition, next)| (*partition, *next)).collect());
        SignalTopic {
            topic: named.unwrap_or_else(|| format!("{prefix}-signal")),
            key: prefix.clone(),
            from: from.unwrap_or_default(),
        }
    });
    context.check_signals(Arc::new(|signal| check_signal(&signal.text).map_err(ConnectorError::data)));
    match context.accept_signals(topic.as_ref()) {
        Err(error) if topic.is_some() => Err(error),
        _ => Ok(()),
    }
}

impl Running {
    fn pump(&mut self) -> Result<&Pump> {
        if self.pump.is_none() {
            let started = Pump::start(self.settings.clone(), self.begin.clone());
            self.pump =
                Some(started.map_err(|error| ConnectorError::retriable("no thread can be started").caused_by(error))?);
        }
        self.pump.as_ref().ok_or_else(|| ConnectorError::fatal("the reading thread is gone"))
    }

    fn taken(&mut self, chunk: Chunk) -> Result<SourceBatch> {
        let mut checkpoints = Vec::new();
        let after = chunk.records.len();
        if after > 0 {
            self.failures = 0;
        }
        for (relation, offset) in chunk.shapes {
            let partition = shape::partition(&self.settings.config.capture.topic_prefix, relation);
            self.begin.shapes.insert(relation, offset.clone());
            checkpoints.push(Checkpoint { after, partition: Arc::new(partition), offset, reach: Reach::All });
        }
        if let Some(offset) = chunk.offset {
            let position = Position::from_offset(&offset).map_err(ConnectorError::fatal)?;
            // A snapshot's first offset comes before anything of it was read.
            if !position.in_snapshot() {
                self.failures = 0;
            }
            self.begin.again |= !position.in_snapshot();
            self.begin.position = Some(position);
            checkpoints.push(Checkpoint { after, partition: Arc::clone(&self.partition), offset, reach: Reach::All });
        }
        Ok(SourceBatch { records: chunk.records, checkpoints })
    }

    /// The thread has ended: the next poll starts another one, when the runtime tries again.
    fn ended(&mut self, end: Result<(), Error>) -> Result<SourceBatch> {
        self.pump = None;
        let Err(error) = end else { return Ok(SourceBatch::default()) };
        if matches!(error, Error::Stopped) {
            return if self.settings.context.cancelled() {
                Err(ConnectorError::cancelled())
            } else {
                Ok(SourceBatch::default())
            };
        }
        // A pause lasts as long as the user likes.
        let waits = matches!(error, Error::SchemaChange { .. });
        let error = ConnectorError::from(error);
        if error.kind == ErrorKind::Retriable && !waits {
            self.failures += 1;
            let most = self.settings.config.streaming.max_retries;
            if most >= 0 && self.failures > most {
                let text = format!("reading failed {} times (errors.max.retries={most}): {error}", self.failures);
                return Err(ConnectorError::retries_used_up(text, error));
            }
        }
        Err(error)
    }
}

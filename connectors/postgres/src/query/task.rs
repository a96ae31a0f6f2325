//! The task: hands over what the reader has read, and starts another one when that ends.

use super::{
    config::{Dialect, Settings, without_effect},
    connector::tables_of,
    offset::Position,
    reader::{Job, Reader},
    rows::Batch,
    tables::Target,
};
use crate::error::Error;
use levada_connector_api::{
    Checkpoint, Config, ConnectorError, Result, SourceBatch, SourcePartition, SourceTask, SourceTaskContext,
};
use std::{
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::sync::watch;

/// Longest sleep without looking whether the task shall stop.
const NAP: Duration = Duration::from_millis(100);
/// Batches between the reader and the task; each is bounded by rows and bytes.
const BATCHES: usize = 2;

/// The task.
pub struct QuerySourceTask {
    dialect: Dialect,
    running: Option<Running>,
}

impl QuerySourceTask {
    /// Not started yet.
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, running: None }
    }
}

/// How far a target was handed over.
struct Progress {
    target: Target,
    partition: Arc<SourcePartition>,
    position: Position,
    begun: bool,
}

struct Running {
    settings: Arc<Settings>,
    context: Arc<dyn SourceTaskContext>,
    targets: Vec<Progress>,
    reading: Option<Reading>,
}

/// A reader on a thread of its own.
struct Reading {
    batches: Option<Receiver<Batch>>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl Reading {
    /// How it ended, once its batches have.
    fn end(mut self) -> Result<()> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(Err(Error::Stopped))) | None => Ok(()),
            Some(Ok(end)) => end.map_err(Into::into),
            Some(Err(_)) => Err(ConnectorError::fatal("the reader panicked")),
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        // First, since the reader may wait for room in it.
        self.batches = None;
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The reader's thread.
fn read(reader: Reader, jobs: Vec<Job>, mut stopped: watch::Receiver<bool>) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let end = runtime.block_on(async {
        tokio::select! {
            end = reader.run(jobs) => end,
            _ = stopped.wait_for(|stop| *stop) => Err(Error::Stopped),
        }
    });
    runtime.shutdown_timeout(Duration::from_millis(100));
    end
}

impl SourceTask for QuerySourceTask {
    fn start(&mut self, context: Arc<dyn SourceTaskContext>, config: Config) -> Result<()> {
        let settings = Settings::read(self.dialect, &config)?;
        for (key, reason) in without_effect(&config) {
            context.warn(&format!("{key}: {reason}"));
        }
        if !settings.non_null && (settings.mode.uses_timestamp() || settings.mode.uses_incrementing()) {
            context.warn("validate.non.null=false: rows with a null in the columns of mode are never read");
        }
        let targets = match &settings.query {
            Some(query) => vec![Target::query(&settings, query)],
            None => tables_of(&config)?.into_iter().map(|table| Target::table(&settings, table)).collect(),
        };
        let targets: Result<_> = targets.into_iter().map(|target| Progress::load(target, &*context)).collect();
        self.running = Some(Running { settings: Arc::new(settings), context, targets: targets?, reading: None });
        Ok(())
    }

    fn poll(&mut self, max_wait: Duration) -> Result<SourceBatch> {
        let running = self.running.as_mut().ok_or_else(|| ConnectorError::fatal("poll before start"))?;
        running.poll(max_wait)
    }

    fn stop(&mut self) {
        self.running = None;
    }

    fn version(&self) -> String {
        crate::VERSION.to_owned()
    }
}

impl Progress {
    /// With the stored offset.
    fn load(target: Target, context: &dyn SourceTaskContext) -> Result<Self> {
        let stored = context.offsets(&target.partitions)?.into_iter().flatten().find(|offset| !offset.is_empty());
        let position = stored.as_ref().map(Position::from_offset).transpose().map_err(|reason| {
            ConnectorError::config(format!(
                "the stored offset of {target} can't be used: {reason}. Reset it by DELETE /connectors/{}/offsets",
                context.connector()
            ))
        })?;
        let partition = Arc::new(target.partitions.first().cloned().unwrap_or_default());
        Ok(Self { target, partition, position: position.unwrap_or_default(), begun: position.is_some() })
    }
}

impl Running {
    fn poll(&mut self, max_wait: Duration) -> Result<SourceBatch> {
        let mut left = max_wait;
        loop {
            if self.context.cancelled() {
                return Ok(SourceBatch::default());
            }
            let nap = left.min(NAP);
            match self.next(nap)? {
                Some(batch) => return Ok(self.handed_over(batch)),
                None if left <= nap => return Ok(SourceBatch::default()),
                None => left -= nap,
            }
        }
    }

    /// The next batch, if one comes in time.
    fn next(&mut self, wait: Duration) -> Result<Option<Batch>> {
        let reading = match self.reading.take() {
            Some(reading) => reading,
            None => self.start()?,
        };
        let came = reading.batches.as_ref().map(|batches| batches.recv_timeout(wait));
        match came {
            Some(Ok(batch)) => {
                self.reading = Some(reading);
                Ok(Some(batch))
            }
            Some(Err(RecvTimeoutError::Timeout)) => {
                self.reading = Some(reading);
                Ok(None)
            }
            // It has ended; the next poll starts another one, when the runtime tries again.
            Some(Err(RecvTimeoutError::Disconnected)) | None => reading.end().map(|()| None),
        }
    }

    fn start(&self) -> Result<Reading> {
        let (out, batches) = mpsc::sync_channel(BATCHES);
        let (stop, stopped) = watch::channel(false);
        let job = |of: &Progress| Job { target: of.target.clone(), position: of.position, begun: of.begun };
        let jobs = self.targets.iter().map(job).collect();
        let reader = Reader::new(Arc::clone(&self.settings), Arc::clone(&self.context), out);
        let name = format!("pg-{}", self.context.connector());
        let thread = thread::Builder::new().name(name).spawn(move || read(reader, jobs, stopped));
        let thread = thread.map_err(|error| ConnectorError::retriable(format!("no thread to read in: {error}")))?;
        Ok(Reading { batches: Some(batches), stop, thread: Some(thread) })
    }

    fn handed_over(&mut self, batch: Batch) -> SourceBatch {
        let Batch { target, records, checkpoint } = batch;
        let mut checkpoints = Vec::new();
        if let (Some((after, position)), Some(of)) = (checkpoint, self.targets.get_mut(target)) {
            (of.position, of.begun) = (position, true);
            checkpoints.push(Checkpoint::new(after, Arc::clone(&of.partition), position.to_offset()));
        }
        SourceBatch { records, checkpoints }
    }
}

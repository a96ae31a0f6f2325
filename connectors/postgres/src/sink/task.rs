//! The sink task: one session, one batch at a time, tried again as its failures allow.

use super::{
    config::{Dialect, Settings, ignored},
    failure::{Treatment, at_once, ends_session, fatal, treatment},
    offsets::Ledger,
    session::{self, Session},
    transaction::{Engine, Failure, Live},
    write::Stages,
};
use crate::{error::Error, net::Dialer};
use levada_connector_api::{
    Committed, Config, ConnectorError, ErrorKind, Result, SinkRecord, SinkTask, SinkTaskContext, TopicPartition,
};
use std::{cell::OnceCell, pin::pin, sync::Arc, time::Duration};
use tokio::{runtime::Runtime, time::timeout};

/// Time between two looks whether the task shall stop.
const LOOK: Duration = Duration::from_millis(100);
/// Looks that what is under way is left to finish, once the task shall stop.
const GRACE: u32 = 100;
/// Longest time for ending what a batch without an end left on the server.
const CANCEL_TIME: Duration = Duration::from_secs(5);

/// The task.
pub struct PostgresSinkTask {
    dialect: Dialect,
    running: Option<Running>,
}

struct Running {
    runtime: Runtime,
    dialer: Dialer,
    live: Option<Live>,
    engine: Engine,
    limit: Duration,
    failures: u32,
    reloads: u32,
}

/// What a task asks of the database.
#[derive(Clone, Copy)]
enum Work<'a> {
    Put(&'a [SinkRecord]),
    Store(&'a [(TopicPartition, i64)]),
}

impl PostgresSinkTask {
    /// Not started yet.
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, running: None }
    }

    fn running(&mut self) -> Result<&mut Running> {
        self.running.as_mut().ok_or_else(|| ConnectorError::fatal("the task is not started"))
    }
}

impl SinkTask for PostgresSinkTask {
    fn start(&mut self, context: Arc<dyn SinkTaskContext>, config: Config) -> Result<()> {
        let settings = Settings::read(self.dialect, &config)?;
        for found in ignored(self.dialect, &config) {
            context.warn(&format!("{}: {}", found.key, found.reason));
        }
        let dialer = Dialer::new(&settings.connection).map_err(fatal)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(|error| ConnectorError::retriable("no runtime can be started").caused_by(error))?;
        let ledger = Ledger::new(&settings, context.connector())?;
        let limit = settings.batch_limit();
        let engine = Engine::new(settings, context, ledger);
        self.running = Some(Running { runtime, dialer, live: None, engine, limit, failures: 0, reloads: 0 });
        Ok(())
    }

    fn open(&mut self, added: &[Committed], _owned: &[TopicPartition]) -> Result<()> {
        let running = self.running()?;
        let Some(ledger) = &mut running.engine.ledger else { return Ok(()) };
        ledger.opened(added);
        // Now, so that reading begins where the table of offsets says; what is claimed by none is never written to.
        running.patiently(Work::Store(&[]))
    }

    fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        self.running()?.attempt(Work::Put(records))
    }

    /// What was put is committed already.
    fn pre_commit(&mut self, consumed: &[(TopicPartition, i64)]) -> Result<Vec<(TopicPartition, i64, String)>> {
        let running = self.running()?;
        if running.engine.ledger.is_some() {
            running.attempt(Work::Store(consumed))?;
        }
        Ok(consumed.iter().map(|(partition, offset)| (partition.clone(), *offset, String::new())).collect())
    }

    fn close(&mut self, partitions: &[TopicPartition], _lost: bool) -> Result<()> {
        if let Some(ledger) = &mut self.running()?.engine.ledger {
            ledger.closed(partitions);
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

impl Running {
    /// Does it, again at once where that is sensible, else as the runtime comes again.
    fn attempt(&mut self, work: Work<'_>) -> Result<()> {
        loop {
            let error = match self.once(work) {
                Ok(()) => {
                    (self.failures, self.reloads) = (0, 0);
                    return Ok(());
                }
                Err(Failure::Runtime(error)) => return Err(error),
                Err(Failure::Server(error)) => error,
            };
            match treatment(&error) {
                Treatment::Retry => {
                    self.failures += 1;
                    let (most, key) = (self.engine.settings.max_retries, self.engine.settings.keys.max_retries);
                    if self.failures > most {
                        let tries = std::mem::take(&mut self.failures);
                        let text = format!("a batch failed {tries} times in a row ({key}={most}): {error}");
                        let last = ConnectorError::retriable(error.to_string());
                        return Err(ConnectorError::retries_used_up(text, last));
                    }
                    if at_once(&error) && self.failures <= 2 {
                        tracing::debug!(%error, "a batch is tried again at once");
                        continue;
                    }
                    self.engine.context.set_retry_backoff(self.engine.settings.retry_backoff);
                    return Err(ConnectorError::retriable(error.to_string()));
                }
                // The catalog is read anew, once; what then is missing is missing.
                Treatment::Reload if self.reloads == 0 => {
                    self.reloads = 1;
                    self.engine.plans.clear();
                    if let Some(live) = &mut self.live {
                        live.session.forget_statements();
                        live.stages.forget();
                    }
                }
                _ => {
                    self.reloads = 0;
                    return Err(fatal(error));
                }
            }
        }
    }

    /// The same, with the waits between the tries in here.
    fn patiently(&mut self, work: Work<'_>) -> Result<()> {
        loop {
            match self.attempt(work) {
                Err(error) if error.kind == ErrorKind::Retriable => {
                    tracing::warn!(%error, "partitions can't be claimed yet");
                    let wait = self.engine.settings.retry_backoff;
                    let context = Arc::clone(&self.engine.context);
                    self.runtime.block_on(rest(&*context, wait))?;
                }
                other => return other,
            }
        }
    }

    fn once(&mut self, work: Work<'_>) -> std::result::Result<(), Failure> {
        // It is put back when all is well: what breaks off in the middle takes the session with it.
        let live = self.live.take().filter(|live| !live.session.is_closed());
        let Self { runtime, dialer, engine, limit, .. } = self;
        let context = Arc::clone(&engine.context);
        if live.is_none() {
            if let Some(ledger) = &mut engine.ledger {
                ledger.session_ended();
            }
            engine.plans.clear();
        }
        let token = OnceCell::new();
        let body = async {
            let mut live = match live {
                Some(live) => live,
                None => Live { session: connect(engine, dialer).await?, stages: Stages::default() },
            };
            let _ = token.set(live.session.cancel_token());
            let result = match work {
                Work::Put(records) => engine.batch(&mut live, records).await,
                Work::Store(consumed) => match engine.claim(&live.session).await {
                    Ok(()) => engine.store(&live.session, consumed).await,
                    Err(failure) => Err(failure),
                },
            };
            let ended = matches!(&result, Err(Failure::Server(error)) if ends_session(error));
            Ok((result, Some(live).filter(|_| !ended)))
        };
        let finished = runtime.block_on(watched(&*context, *limit, Box::pin(body)));
        // Broken off in the middle: what the server is at would go on, with its locks.
        if finished.is_err()
            && let Some(token) = token.get()
        {
            let cancelled = runtime.block_on(async { timeout(CANCEL_TIME, session::cancel(token, dialer)).await });
            tracing::debug!(done = matches!(cancelled, Ok(Ok(()))), "a batch without an end is cancelled");
        }
        let (result, live) = finished?;
        self.live = live;
        result
    }
}

/// Runs what the database is asked, for no longer than `limit`, and not much longer once the task shall stop.
async fn watched<T>(
    context: &dyn SinkTaskContext,
    limit: Duration,
    body: impl Future<Output = std::result::Result<T, Failure>>,
) -> std::result::Result<T, Failure> {
    let mut body = pin!(timeout(limit, body));
    let mut looks = 0;
    loop {
        match timeout(LOOK, &mut body).await {
            Ok(Ok(done)) => return done,
            Ok(Err(_)) => {
                let text = format!("no end of a batch after {} s", limit.as_secs());
                return Err(Error::Broken(std::io::Error::new(std::io::ErrorKind::TimedOut, text)).into());
            }
            Err(_) if context.cancelled() => {
                looks += 1;
                if looks >= GRACE {
                    return Err(ConnectorError::cancelled().into());
                }
            }
            Err(_) => {}
        }
    }
}

/// Waits, unless the task shall stop.
async fn rest(context: &dyn SinkTaskContext, wait: Duration) -> Result<()> {
    let mut left = wait;
    while !left.is_zero() {
        if context.cancelled() {
            return Err(ConnectorError::cancelled());
        }
        let nap = left.min(LOOK);
        tokio::time::sleep(nap).await;
        left = left.saturating_sub(nap);
    }
    Ok(())
}

async fn connect(engine: &Engine, dialer: &Dialer) -> std::result::Result<Session, Error> {
    let (attempts, backoff) = engine.settings.attempts;
    let mut attempt = 1;
    loop {
        match Session::connect(&engine.settings, dialer).await {
            Err(error)
                if treatment(&error) == Treatment::Retry && attempt < attempts && !engine.context.cancelled() =>
            {
                attempt += 1;
                tokio::time::sleep(backoff).await;
            }
            other => return other,
        }
    }
}

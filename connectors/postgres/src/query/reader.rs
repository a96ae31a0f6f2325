//! Reads the targets of a task in turn, each as often as the configuration says, in one session.

use super::{
    columns::{self, Column},
    config::{Mode, Settings},
    fence::{self, Fence, Upper},
    offset::Position,
    rows::{Batch, Gathering, Plan},
    statement::{self, Keys, Time},
    tables::{self, Target},
};
use crate::{
    error::{Error, Result},
    net::Sql,
};
use levada_connector_api::{ErrorKind, SourceTaskContext};
use std::sync::{Arc, mpsc::SyncSender};
use tokio::time::Instant;

/// Something to read, and how far it has come.
pub struct Job {
    /// What.
    pub target: Target,
    /// Behind which row.
    pub position: Position,
    /// Whether the position is that of a stored offset or of rows that were read.
    pub begun: bool,
}

/// The same with what a run knows of it.
struct Running {
    job: Job,
    due: Instant,
    fence: Fence,
    /// Columns that were told to be left out.
    told: Vec<String>,
    /// Why it can't be read, as it was told.
    gone: Option<String>,
}

/// The reader.
pub struct Reader {
    settings: Arc<Settings>,
    context: Arc<dyn SourceTaskContext>,
    out: SyncSender<Batch>,
    sql: Option<Sql>,
}

impl Reader {
    /// Sends what it reads to `out`, which holds few batches and so holds it back.
    pub fn new(settings: Arc<Settings>, context: Arc<dyn SourceTaskContext>, out: SyncSender<Batch>) -> Self {
        Self { settings, context, out, sql: None }
    }

    /// Reads until something fails.
    pub async fn run(mut self, jobs: Vec<Job>) -> Result<()> {
        let now = Instant::now();
        let running = |job| Running { job, due: now, fence: Fence::default(), told: Vec::new(), gone: None };
        let mut jobs: Vec<_> = jobs.into_iter().map(running).collect();
        loop {
            let next = jobs.iter().enumerate().min_by_key(|(_, job)| job.due).map(|(index, job)| (index, job.due));
            let Some((index, due)) = next else { return std::future::pending().await };
            tokio::time::sleep_until(due).await;
            let Some(job) = jobs.get_mut(index) else { continue };
            let read = self.read(index, job).await;
            if read.is_ok() {
                job.gone = None;
            }
            if let Err(error) = read {
                // Whatever the session was in the middle of.
                self.sql = None;
                let gone = matches!(error.code(), Some("42P01" | "3F000"));
                if !gone || job.job.target.table.is_none() {
                    return Err(error);
                }
                // A dropped table ends with the next division of the work; the others go on.
                let text = format!("{} is passed over: {error}", job.job.target);
                if job.gone.as_ref() != Some(&text) {
                    self.context.warn(&text);
                    job.gone = Some(text);
                }
            }
            job.due = Instant::now() + self.settings.poll_interval;
        }
    }

    /// A session, tried as often as the configuration says.
    async fn session(&mut self) -> Result<Sql> {
        if let Some(sql) = self.sql.take().filter(|sql| !sql.is_closed()) {
            return Ok(sql);
        }
        let (attempts, backoff) = self.settings.attempts;
        for _ in 1..attempts {
            match tables::connect(&self.settings).await {
                Err(error) if error.kind() == ErrorKind::Retriable => {
                    tracing::warn!(connector = self.context.connector(), %error, "will be tried again");
                    tokio::time::sleep(backoff).await;
                }
                done => return done,
            }
        }
        tables::connect(&self.settings).await
    }

    async fn read(&mut self, index: usize, running: &mut Running) -> Result<()> {
        let sql = self.session().await?;
        self.begin(&sql, index, running).await?;
        let mut known = None;
        if self.settings.mode != Mode::Bulk {
            known = Some(self.look(&sql, &running.job.target).await?.1);
        }
        let keys = known.unwrap_or_default();
        let upper = running.fence.upper(&sql, &self.settings, &keys, &running.job.target).await?;
        if let Some(since) = running.fence.held_back() {
            self.context.warn(&format!(
                "{} waits for a transaction that has been open for {} seconds; end it, or set wait.for.transactions=false \
                 and miss rows that it may still commit",
                running.job.target,
                since.as_secs()
            ));
        }
        if let Some(upper) = upper.filter(|upper| *upper != Upper::Nothing) {
            self.copy(&sql, index, running, upper).await?;
        }
        self.sql = Some(sql);
        Ok(())
    }

    /// Where to begin without an offset.
    async fn begin(&self, sql: &Sql, index: usize, running: &mut Running) -> Result<()> {
        if std::mem::replace(&mut running.job.begun, true) {
            return Ok(());
        }
        let initial = self.settings.initial;
        if self.settings.mode.uses_incrementing() {
            running.job.position.incrementing = initial.incrementing;
        }
        let Some(millis) = initial.timestamp.filter(|_| self.settings.mode.uses_timestamp()) else { return Ok(()) };
        if millis != -1 || !initial.now {
            running.job.position.timestamp = Some(super::instant::Instant::of_parts(millis, None));
            return Ok(());
        }
        running.job.position.timestamp = Some(fence::clock(sql).await?);
        // Stored at once: a restart before the first row must not begin at another time.
        let checkpoint = Some((0, running.job.position));
        self.send(Batch { target: index, records: Vec::new(), checkpoint })
    }

    async fn look(&self, sql: &Sql, target: &Target) -> Result<(Vec<Column>, Keys)> {
        let columns = columns::columns(sql, target).await?;
        let keys = columns::keys(&self.settings, target, &columns).map_err(|findings| columns::failure(&findings))?;
        Ok((columns, keys))
    }

    /// Reads in one transaction what is behind the position.
    async fn copy(&self, sql: &Sql, index: usize, running: &mut Running, upper: Upper) -> Result<()> {
        let Running { job: Job { target, position, .. }, told, .. } = running;
        let settings = &self.settings;
        sql.execute("a transaction can't be begun", &format!("BEGIN{}", settings.isolation.sql())).await?;
        // Again, now that the table can't change until it is read.
        let (columns, keys) = self.look(sql, target).await?;
        let plan = Plan::new(settings, target, &columns, &keys);
        if plan.left_out != *told {
            told.clone_from(&plan.left_out);
            if !told.is_empty() {
                self.context.warn(&format!(
                    "{target}: columns without a form in this connector are left out: {}; other.types.mapping=string gives \
                     their text",
                    told.join(", ")
                ));
            }
        }
        let time = Time::new(&keys, &settings.zone, settings.utc);
        let conditions = statement::conditions(settings.mode, &time, *position, upper);
        let list = plan.list();
        let query =
            format!("COPY (SELECT {list} FROM {} AS _q{conditions} {}) TO STDOUT", target.from, settings.suffix);
        let mut gathering = Gathering::new(&plan, target, settings, index);
        sql.copy_out(&target.action(), &query, async |line| {
            if let Some(batch) = gathering.line(&line)? {
                if let Some((_, reached)) = batch.checkpoint {
                    *position = reached;
                }
                self.send(batch)?;
            }
            Ok(())
        })
        .await?;
        if let Some(batch) = gathering.end() {
            if let Some((_, reached)) = batch.checkpoint {
                *position = reached;
            }
            self.send(batch)?;
        }
        sql.execute("a transaction can't be ended", "COMMIT").await
    }

    /// Waits for room. The thread has nothing else to do meanwhile; when the task ends, so does the wait.
    fn send(&self, batch: Batch) -> Result<()> {
        self.out.send(batch).map_err(|_| Error::Stopped)
    }
}

//! A batch's way into the database: planned, gathered per table, written in one transaction; a bad record is found by
//! halving, and the rest goes on.

use super::{
    config::Settings,
    event::{self, Change, Placeholder},
    failure::{Treatment, treatment},
    held::{Held, RowKey},
    offsets::Ledger,
    plan::{PlanError, Plans},
    session::Session,
    steps::{How, Job, Planned, Step, run, steps},
    write::{Stages, Writer},
};
use crate::error::Error;
use levada_connector_api::{ConnectorError, SinkRecord, SinkTaskContext, TopicPartition};
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

/// Bytes of rows in one transaction (invariant 9).
const MAX_BYTES: usize = 16 << 20;
/// Records of one transaction.
const MAX_RECORDS: usize = 50_000;

/// Why a batch is not written.
#[derive(Debug)]
pub enum Failure {
    /// The server, or the way to it.
    Server(Error),
    /// The runtime's answer to a bad record, or its wish to stop.
    Runtime(ConnectorError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Server(error)
    }
}

impl From<ConnectorError> for Failure {
    fn from(error: ConnectorError) -> Self {
        Self::Runtime(error)
    }
}

/// A session with what lives as long as it.
pub struct Live {
    /// The session.
    pub session: Session,
    /// Its staging tables.
    pub stages: Stages,
}

/// Records of a batch that are done although the batch is not.
#[derive(Default)]
struct Done {
    /// First record and count of the batch: the same records come again after a retriable error.
    batch: Option<(Arc<str>, i32, i64, usize)>,
    committed: usize,
    reported: HashSet<usize>,
}

/// What came of some records of a batch that are tried apart.
enum Attempt {
    Written,
    /// The server refuses them.
    Refused(Error),
    /// It takes them, and they don't hold against what is checked at the end.
    Unchecked(Error),
}

/// Writes batches.
pub struct Engine {
    pub(super) settings: Settings,
    pub(super) context: Arc<dyn SinkTaskContext>,
    pub(super) ledger: Option<Ledger>,
    pub(super) plans: Plans,
    placeholder: Placeholder,
    done: Done,
}

impl Engine {
    /// For a task.
    pub fn new(settings: Settings, context: Arc<dyn SinkTaskContext>, ledger: Option<Ledger>) -> Self {
        let placeholder = Placeholder::new(&settings.placeholder);
        Self { settings, context, ledger, plans: Plans::default(), placeholder, done: Done::default() }
    }

    /// Claims partitions that came.
    pub async fn claim(&mut self, session: &Session) -> Result<(), Failure> {
        let Some(ledger) = &mut self.ledger else { return Ok(()) };
        let moved = ledger.claim(session).await?;
        for (partition, next) in moved {
            self.moved(&partition, next)?;
        }
        Ok(())
    }

    /// The table's offset is not where the consumer group reads on.
    fn moved(&self, partition: &TopicPartition, next: i64) -> Result<(), Failure> {
        let (topic, number) = (&partition.topic, partition.partition);
        self.context.seek(partition, next).map_err(|error| {
            let text = format!(
                "partition {topic}-{number} can't be read from offset {next}, where the table of offsets has it"
            );
            Failure::Runtime(ConnectorError::new(error.kind, text).caused_by(error))
        })
    }

    /// Stores offsets of records that asked for nothing.
    pub async fn store(&mut self, session: &Session, consumed: &[(TopicPartition, i64)]) -> Result<(), Failure> {
        let Some(ledger) = &mut self.ledger else { return Ok(()) };
        let behind = ledger.behind(consumed);
        if behind.is_empty() {
            return Ok(());
        }
        self.context.flush_reports()?;
        ledger.advance(session, &behind).await?;
        ledger.advanced(&behind);
        Ok(())
    }

    /// Writes a batch. What of it is committed when it fails is not written again when it comes again.
    pub async fn batch(&mut self, live: &mut Live, records: &[SinkRecord]) -> Result<(), Failure> {
        self.begin(records);
        self.claim(&live.session).await?;
        while self.done.committed < records.len() {
            let from = self.done.committed;
            let end = records.len().min(from + MAX_RECORDS);
            let part = records.get(from..end).unwrap_or_default();
            let written = self.part(live, from, part).await?;
            self.done.committed += written;
        }
        self.done = Done::default();
        Ok(())
    }

    fn how(&self) -> How<'_> {
        How { mode: self.settings.insert_mode, placeholder: &self.placeholder }
    }

    fn begin(&mut self, records: &[SinkRecord]) {
        let batch = records
            .first()
            .map(|first| (Arc::clone(first.original_topic()), first.partition, first.offset, records.len()));
        if self.done.batch != batch {
            self.done = Done { batch, ..Done::default() };
        }
    }

    /// Writes the first records of a part, in one transaction; gives their count.
    async fn part(&mut self, live: &mut Live, from: usize, records: &[SinkRecord]) -> Result<usize, Failure> {
        let planned = self.plan(&live.session, from, records).await?;
        let mut bad = Vec::new();
        let (parts, taken) = steps(planned.iter(), MAX_BYTES, &self.how(), &mut bad);
        for (at, reason) in bad {
            self.report(at.0, at.1, reason)?;
        }
        let taken_records = match planned.get(taken) {
            Some((place, _)) => place - from,
            None => records.len(),
        };
        let offsets = self.offsets(records.get(..taken_records).unwrap_or_default());
        if parts.is_empty() && offsets.is_empty() {
            return Ok(taken_records);
        }
        if self.ledger.is_some() {
            // The table's offset leads: what it passes over must be safe elsewhere.
            self.context.flush_reports()?;
        }
        match self.write(live, &parts, &offsets).await {
            Ok(()) => {}
            Err(error) if treatment(&error) == Treatment::Row => {
                drop(parts);
                let planned = planned.get(..taken).unwrap_or_default();
                self.halve(live, planned, &offsets).await?;
            }
            Err(error) => return Err(error.into()),
        }
        if let Some(ledger) = &mut self.ledger {
            ledger.advanced(&offsets);
        }
        Ok(taken_records)
    }

    /// The offsets behind these records, when they are stored with them.
    fn offsets(&self, records: &[SinkRecord]) -> Vec<(TopicPartition, i64)> {
        if self.ledger.is_none() {
            return Vec::new();
        }
        let mut offsets = BTreeMap::new();
        for record in records {
            let topic = Arc::clone(record.original_topic());
            let next = offsets.entry(TopicPartition { topic, partition: record.partition }).or_insert(0);
            *next = record.offset + 1;
        }
        offsets.into_iter().collect()
    }

    async fn plan<'a>(
        &mut self,
        session: &Session,
        from: usize,
        records: &'a [SinkRecord],
    ) -> Result<Vec<(usize, Planned<'a>)>, Failure> {
        let mut planned = Vec::with_capacity(records.len());
        for (at, record) in records.iter().enumerate() {
            let at = from + at;
            let stored = self
                .ledger
                .as_ref()
                .is_some_and(|ledger| ledger.has(record.original_topic(), record.partition, record.offset));
            if stored || self.done.reported.contains(&at) {
                continue;
            }
            match self.job(session, record).await {
                Ok(Some(job)) => planned.push((at, Planned { record, job })),
                Ok(None) => {}
                Err(PlanError::Record(reason)) => self.report(at, record, reason)?,
                Err(PlanError::Server(error)) => return Err(error.into()),
            }
        }
        Ok(planned)
    }

    async fn job<'a>(&mut self, session: &Session, record: &'a SinkRecord) -> Result<Option<Job<'a>>, PlanError> {
        Ok(match event::change(record, &self.settings).map_err(PlanError::Record)? {
            Change::Skip => None,
            Change::Truncate => {
                let table = self.plans.table_of(session, &self.settings, record).await?;
                table.map(Job::Truncate)
            }
            change => {
                let plan = self.plans.plan(session, &self.settings, record).await?;
                plan.map(|plan| Job::Row(change, plan))
            }
        })
    }

    /// One transaction without a way back within it: the common case.
    async fn write(&mut self, live: &mut Live, steps: &[Step], offsets: &[(TopicPartition, i64)]) -> Result<(), Error> {
        let Live { session, stages } = live;
        let session = &*session;
        let mode = self.settings.insert_mode;
        let ledger = self.ledger.as_ref();
        if let ([Step::Rows(rows)], None, false) = (steps, ledger, self.settings.defer)
            && Writer::is_one_statement(rows, mode)
        {
            return run(Writer { session, stages, mode, copy: false }, steps).await;
        }
        let begin = if self.settings.defer { "BEGIN; SET CONSTRAINTS ALL DEFERRED" } else { "BEGIN" };
        let begin = session.run("a transaction can't begin", begin);
        let body = async {
            if let Some(ledger) = ledger {
                ledger.advance(session, offsets).await?;
            }
            run(Writer { session, stages: &mut *stages, mode, copy: true }, steps).await
        };
        // The server gets both at once; it answers in order.
        let (begun, written) = futures_util::future::join(begin, Box::pin(body)).await;
        let result = match begun.and(written) {
            Ok(()) => session.run("the batch can't be committed", "COMMIT").await,
            Err(error) => Err(error),
        };
        stages.ended(result.is_ok());
        if let Err(error) = &result
            && !super::failure::ends_session(error)
        {
            session.run("the batch can't be taken back", "ROLLBACK").await?;
        }
        result
    }

    /// Writes a batch of which the server refuses a row: halves of it under savepoints, down to the bad records.
    async fn halve(
        &mut self,
        live: &mut Live,
        planned: &[(usize, Planned<'_>)],
        offsets: &[(TopicPartition, i64)],
    ) -> Result<(), Failure> {
        let result = self.halves(live, planned, offsets).await;
        live.stages.ended(false);
        if let Err(failure) = &result {
            let over = matches!(failure, Failure::Server(error) if super::failure::ends_session(error));
            if !over {
                live.session.run("the batch can't be taken back", "ROLLBACK").await?;
            }
        }
        result
    }

    async fn halves(
        &mut self,
        live: &mut Live,
        planned: &[(usize, Planned<'_>)],
        offsets: &[(TopicPartition, i64)],
    ) -> Result<(), Failure> {
        // What is checked at the end only would be nobody's fault.
        let modes = if self.settings.defer { "DEFERRED" } else { "IMMEDIATE" };
        let begin = format!("BEGIN; SET CONSTRAINTS ALL {modes}");
        live.session.run("a transaction can't begin", &begin).await?;
        if let Some(ledger) = &self.ledger {
            ledger.advance(&live.session, offsets).await?;
        }
        let mut held = Held::all(planned.len());
        while let Some(round) = held.next_round(|at| self.row_key(planned, at)) {
            self.round(live, planned, round, &mut held).await?;
            for (at, reason) in held.give_up() {
                self.report_at(planned, at, reason)?;
            }
        }
        if self.ledger.is_some() {
            self.context.flush_reports()?;
        }
        Ok(live.session.run("the batch can't be committed", "COMMIT").await?)
    }

    /// Goes once through what is not written yet, in order.
    async fn round(
        &mut self,
        live: &mut Live,
        planned: &[(usize, Planned<'_>)],
        round: Vec<usize>,
        held: &mut Held,
    ) -> Result<(), Failure> {
        let truncates = planned.iter().any(|(_, entry)| matches!(entry.job, Job::Truncate(_)));
        let mut open = Vec::from([round]);
        while let Some(mut part) = open.pop() {
            if self.context.cancelled() {
                return Err(ConnectorError::cancelled().into());
            }
            // The records of a row stay in order: one waits for the one before it.
            part.retain(|at| !held.waits(*at, || self.row_key(planned, *at)));
            let Some(first) = part.first().copied() else { continue };
            match self.attempt(live, planned, &part).await? {
                Attempt::Written => held.progress(),
                Attempt::Refused(_) | Attempt::Unchecked(_) if part.len() > 1 => {
                    open.push(part.split_off(part.len() / 2));
                    open.push(part);
                }
                Attempt::Refused(error) => self.report_at(planned, first, error.to_string())?,
                // Nothing can be moved past where a table is emptied.
                Attempt::Unchecked(error) if truncates => self.report_at(planned, first, error.to_string())?,
                // What it refers to may be among what comes after it.
                Attempt::Unchecked(error) => held.hold(first, self.row_key(planned, first), error.to_string()),
            }
        }
        Ok(())
    }

    fn row_key(&self, planned: &[(usize, Planned<'_>)], at: usize) -> Option<RowKey> {
        planned.get(at).and_then(|(_, entry)| entry.row_key(&self.placeholder))
    }

    /// Writes some of a batch under a savepoint.
    async fn attempt(
        &mut self,
        live: &mut Live,
        planned: &[(usize, Planned<'_>)],
        part: &[usize],
    ) -> Result<Attempt, Failure> {
        let Live { session, stages } = live;
        let session = &*session;
        // Bad values were reported when the whole batch was gathered; they are left out again.
        let entries = part.iter().filter_map(|at| planned.get(*at));
        let (parts, _) = steps(entries, usize::MAX, &self.how(), &mut Vec::new());
        session.run("a savepoint can't be made", "SAVEPOINT levada").await?;
        let writer = Writer { session, stages: &mut *stages, mode: self.settings.insert_mode, copy: false };
        let attempt = match run(writer, &parts).await {
            Err(error) => Attempt::Refused(error),
            Ok(()) if self.settings.defer => {
                let check = "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED; RELEASE levada";
                let checked = session.run("a check at the end of the batch fails", check).await;
                checked.map_or_else(Attempt::Unchecked, |()| Attempt::Written)
            }
            Ok(()) => {
                session.run("a savepoint can't be released", "RELEASE levada").await?;
                Attempt::Written
            }
        };
        match attempt {
            Attempt::Refused(error) | Attempt::Unchecked(error) if treatment(&error) != Treatment::Row => {
                return Err(error.into());
            }
            Attempt::Refused(_) | Attempt::Unchecked(_) => {
                session.run("a savepoint can't be used", "ROLLBACK TO levada; RELEASE levada").await?;
            }
            Attempt::Written => {}
        }
        Ok(attempt)
    }

    fn report_at(&mut self, planned: &[(usize, Planned<'_>)], at: usize, reason: String) -> Result<(), Failure> {
        match planned.get(at) {
            Some((at, entry)) => self.report(*at, entry.record, reason),
            None => Ok(()),
        }
    }

    /// Hands a record to the connector's error handling, once.
    fn report(&mut self, at: usize, record: &SinkRecord, reason: String) -> Result<(), Failure> {
        if self.done.reported.contains(&at) {
            return Ok(());
        }
        let place =
            format!("topic {}, partition {}, offset {}", record.original_topic(), record.partition, record.offset);
        self.context.report(record, ConnectorError::data(format!("{reason} ({place})")))?;
        self.done.reported.insert(at);
        Ok(())
    }
}

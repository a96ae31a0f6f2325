//! What reading needs, and its course: look, snapshot, stream.

use super::{
    checks::{Course, course},
    gap::{ServerFacts, judge},
    published::Published,
    pump::{Settings, Shared},
    queue::Chunk,
    reselect::Wish,
    shapes::{Shapes, StoredShapes},
};
use crate::{
    catalog::{self, Publication, Slot, TableId},
    config::Reselect,
    datatype::TypeRegistry,
    error::{Error, Result},
    event::{Batch, Emitter, EmitterOptions, SharedSchemas},
    filter::{Choice, Filters},
    lsn::Lsn,
    mask::Masks,
    naming::Naming,
    net::{Dialer, Login, Replication, Sql},
    offset::{Current, Position},
    shape::Origin,
    table::Builder,
};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Bytes of records after which a batch goes to the queue: so few that the task's thread finds them in the processor's caches.
const BATCH_BYTES: usize = 256 << 10;

/// Everything that reading needs.
pub struct Engine {
    pub(super) settings: Settings,
    pub(super) shared: Arc<Shared>,
    pub(super) dialer: Dialer,
    pub(super) login: Login,
    pub(super) sql: Sql,
    pub(super) version: u32,
    pub(super) emitter: Emitter,
    pub(super) builder: Builder,
    pub(super) types: TypeRegistry,
    pub(super) slot: Slot,
    pub(super) publication: Publication,
    pub(super) position: Position,
    pub(super) batch: Batch,
    pub(super) shapes: Shapes,
    /// Which values are read from their tables.
    pub(super) reselect: Option<Reselect>,
    /// Rows of the batch that lack such values.
    pub(super) wishes: Vec<Wish>,
    /// The captured tables of each topic, to tell of one that comes later and shares it.
    pub(super) topics: HashMap<Arc<str>, Vec<TableId>>,
    pub(super) most_records: usize,
}

/// Microseconds since 1970 by this machine's clock.
pub fn now_micros() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}

impl Engine {
    /// Connects, and makes what does not change.
    pub async fn open(settings: Settings, shared: Arc<Shared>) -> Result<Self> {
        let config = &settings.config;
        let login = Login::of(&config.connection);
        let dialer = Dialer::new(&config.connection)?;
        let sql = super::tables::connect(config, &dialer, &login).await?;
        let version = catalog::server_version(&sql).await?;
        let mut types = TypeRegistry::default();
        catalog::load_types(&sql, &mut types).await?;
        let naming = Naming::new(&config.capture, &config.events);
        let schemas = SharedSchemas::new(&naming, config.types.binary);
        let builder = Builder::new(
            config.types.clone(),
            Filters::new(&config.capture),
            Masks::new(&settings.raw),
            naming.clone(),
            Arc::clone(&schemas.source),
            Arc::clone(&schemas.transaction),
        );
        let options = EmitterOptions {
            prefix: config.capture.topic_prefix.clone(),
            database: config.connection.dbname.clone(),
            task: settings.context.task(),
            run_id: settings.run_id.clone(),
            headers: config.events.extended_headers,
            tombstones: config.events.tombstones_on_delete,
            skipped: config.events.skipped.clone(),
            skip_unchanged: config.events.skip_unchanged,
            transactions: config.events.transaction_metadata,
            binary: config.types.binary,
            messages: Choice::new(config.events.message_include.as_ref(), config.events.message_exclude.as_ref()),
        };
        Ok(Self {
            shapes: Shapes::new(config, &naming, &schemas),
            emitter: Emitter::new(options, schemas, &naming),
            slot: Slot::new(&config.streaming),
            publication: Publication::new(&config.streaming),
            most_records: usize::try_from(config.streaming.max_batch).unwrap_or(1).max(1),
            position: Position::default(),
            batch: Batch::default(),
            reselect: Reselect::of(&settings.raw),
            wishes: Vec::new(),
            topics: HashMap::new(),
            settings,
            shared,
            dialer,
            login,
            sql,
            version,
            builder,
            types,
        })
    }

    /// Reads until the end: of a snapshot that is all that was asked for, or at a stop or failure.
    pub async fn run(&mut self, position: Option<Position>, shapes: &StoredShapes, again: bool) -> Result<()> {
        self.examine(again).await?;
        let mut replication = Replication::connect(&self.dialer, &self.login).await?;
        let mut server = self.identify(&mut replication, position.as_ref()).await?;
        let captured = self.captured().await?;
        self.topics.clear();
        for (_, id) in &captured {
            let topic = self.builder.topic(id);
            self.topics.entry(topic).or_default().push(id.clone());
        }
        let prefix = &self.settings.config.capture.topic_prefix;
        self.shapes.load(&*self.settings.context, prefix, &captured, shapes)?;
        self.settle_shapes(&mut replication, &server, position.as_ref()).await?;
        self.set_replica_identities(&captured).await?;
        if let Some(position) = &position
            && self.publication.is_new(&self.sql, position.publication).await?
        {
            server.republished = Some(self.publication.name().to_owned());
        }
        if let Some(before) = position.as_ref().and_then(|position| position.published.as_ref()) {
            let lost = self.published().await?.lost(&self.sql, before, &captured).await?;
            server.unpublished = lost.iter().map(TableId::quoted).collect();
        }
        let slot = self.slot.state(&self.sql, self.version).await?;
        if let Some(slot) = &slot {
            self.show_slot(slot);
        }
        let strategy = self.settings.config.streaming.mismatch;
        let verdict = position
            .as_ref()
            .map(|position| judge(self.slot.name(), position, slot.as_ref(), &server, strategy, now_micros()));
        let course = course(&self.settings.config.snapshot, position.as_ref(), slot.is_some(), verdict, again)?;
        // Behind the verdict: one that was made by a try that failed would look to the next as if it had always been there.
        let mut ids: Vec<_> = captured.iter().map(|(_, id)| id.clone()).collect();
        ids.extend(self.settings.config.snapshot.source_table().filter(|id| !ids.contains(id)));
        self.publication.ensure(&self.sql, self.version, &ids).await?;
        self.shared.set_published(self.published().await?);
        self.position = position.unwrap_or_default();
        (self.position.system, self.position.timeline) = (Some(server.system), Some(server.timeline));
        self.position.publication = self.publication.number();
        self.know(&captured, matches!(course, Course::Snapshot { .. }));
        match course {
            Course::Snapshot { remake, keep_progress, stream } => {
                if !keep_progress {
                    self.position.progress = None;
                    // Its keys may be of another server, and what changed since it was read may be missing.
                    if let Some(state) = &mut self.position.incremental {
                        state.restart();
                    }
                }
                self.delay(self.settings.config.snapshot.delay).await?;
                let slot_there = slot.is_some();
                let confirmed = slot.filter(|_| !remake && stream).and_then(|slot| slot.confirmed);
                if !stream {
                    self.tell_unused(slot_there);
                }
                if stream && !keep_progress && self.settings.config.snapshot.while_streaming {
                    self.snapshot_alongside(&mut replication, confirmed, &captured).await?;
                } else {
                    self.snapshot(&mut replication, (confirmed, stream), &captured).await?;
                }
                if !stream {
                    self.shared.telling.done();
                    self.shared.stop().await;
                    return Err(Error::Stopped);
                }
                self.delay(self.settings.config.streaming.streaming_delay).await?;
            }
            Course::Stream { begin: None } => {}
            Course::Stream { begin: Some((at, told)) } => {
                let of_no_use = at.is_none() && told.is_some();
                if let Some(told) = told {
                    self.settings.context.warn(&told);
                }
                let at = match at {
                    Some(at) => at,
                    None if of_no_use => {
                        self.slot.make_anew(&self.sql, &mut replication, self.version, false).await?.start
                    }
                    None => match slot.and_then(|slot| slot.confirmed) {
                        Some(confirmed) => confirmed,
                        None => self.slot.create(&mut replication, self.version, false).await?.start,
                    },
                };
                self.begin_at(at);
            }
            Course::Nothing => {
                self.tell_unused(slot.is_some());
                self.shared.telling.done();
                self.shared.stop().await;
                return Err(Error::Stopped);
            }
        }
        self.stream(replication, server.end).await
    }

    async fn published(&self) -> Result<Published> {
        Published::look(&self.sql, self.publication.name(), self.builder.filters()).await
    }

    /// Sets the position to `at`, with nothing under way.
    pub(super) fn begin_at(&mut self, at: Lsn) {
        self.position.lsn = at.0;
        (self.position.commit, self.position.processed, self.position.events) = (None, None, 0);
        self.position.transaction = None;
        self.position.micros = now_micros();
    }

    async fn delay(&self, time: Duration) -> Result<()> {
        tokio::select! {
            () = tokio::time::sleep(time) => Ok(()),
            () = self.shared.stop() => Err(Error::Stopped),
        }
    }

    async fn identify(&self, replication: &mut Replication, position: Option<&Position>) -> Result<ServerFacts> {
        let wrong = || Error::Protocol("no answer to IDENTIFY_SYSTEM".to_owned());
        let rows = replication.query("the server can't be identified", "IDENTIFY_SYSTEM").await?;
        let row = rows.first().ok_or_else(wrong)?;
        let field = |index: usize| row.get(index).and_then(|field| field.as_deref());
        let timeline: i64 = field(1).and_then(|text| text.parse().ok()).ok_or_else(wrong)?;
        let mut facts = ServerFacts {
            system: field(0).ok_or_else(wrong)?.to_owned(),
            timeline,
            end: field(2).and_then(|lsn| lsn.parse().ok()).ok_or_else(wrong)?,
            switched: None,
            republished: None,
            unpublished: Vec::new(),
        };
        if let Some(old) = position.and_then(|position| position.timeline).filter(|old| *old != timeline) {
            facts.switched = switch_of(&timeline_history(replication, timeline).await?, old);
        }
        Ok(facts)
    }

    /// What was told of shapes on another server, or on a timeline that this one left, is told anew.
    async fn settle_shapes(
        &mut self,
        replication: &mut Replication,
        server: &ServerFacts,
        position: Option<&Position>,
    ) -> Result<()> {
        let own = Origin { system: server.system.clone(), timeline: server.timeline };
        let before = position.and_then(|position| {
            position.system.clone().zip(position.timeline).map(|(system, timeline)| Origin { system, timeline })
        });
        let mut history = String::new();
        if self.shapes.belong(own, before.as_ref()) {
            history = timeline_history(replication, server.timeline).await?;
        }
        self.shapes.settle(server.end, |timeline| switch_of(&history, timeline));
        Ok(())
    }

    /// Hands the batch to the queue, with the offset when `offset` says that it is true behind it.
    pub(super) async fn flush(
        &mut self,
        offset: bool,
        every: Duration,
        alive: impl AsyncFnMut() -> Result<()>,
    ) -> Result<()> {
        match self.take_batch(offset) {
            Some(chunk) => self.shared.push(chunk, every, alive).await,
            None => Ok(()),
        }
    }

    /// The batch as the queue takes it, with the offset when `offset` says that it is true behind it.
    pub(super) fn take_batch(&mut self, offset: bool) -> Option<Chunk> {
        let batch = std::mem::take(&mut self.batch);
        let offset = offset.then(|| {
            self.position.published = self.shared.published_numbers();
            self.position.to_offset()
        });
        let shapes = self.shapes.take_fresh();
        let is_empty = batch.records.is_empty() && offset.is_none() && shapes.is_empty();
        (!is_empty).then_some(Chunk { records: batch.records, shapes, offset, bytes: batch.bytes })
    }

    /// A table of the snapshot is read up to here.
    pub(super) fn progressed(&mut self, to: &Current) {
        let Some(progress) = &mut self.position.progress else { return };
        match progress.current.iter_mut().find(|current| current.table == to.table) {
            Some(current) => current.clone_from(to),
            None => progress.current.push(to.clone()),
        }
    }

    /// A table of the snapshot is read whole.
    pub(super) fn table_read(&mut self, table: String) {
        if let Some(progress) = &mut self.position.progress {
            progress.current.retain(|current| current.table != table);
            progress.done.push(table);
        }
    }

    /// Whether the batch has enough.
    pub(super) fn is_full(&self) -> bool {
        self.batch.records.len() >= self.most_records || self.batch.bytes >= BATCH_BYTES
    }
}

/// The history file of a timeline; the first one has none.
async fn timeline_history(replication: &mut Replication, timeline: i64) -> Result<String> {
    if timeline <= 1 {
        return Ok(String::new());
    }
    let query = format!("TIMELINE_HISTORY {timeline}");
    let mut rows = replication.query("the server's history can't be read", &query).await?;
    Ok(rows.first_mut().and_then(|row| row.get_mut(1)).and_then(Option::take).unwrap_or_default())
}

/// Where a timeline ended, by the server's history file.
fn switch_of(history: &str, timeline: i64) -> Option<Lsn> {
    history.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let own = words.next()?.parse::<i64>().ok()?;
        (own == timeline).then(|| words.next()?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_timeline_is_found() {
        let history = "1\t0/5000000\tno recovery target specified\n\n2\t0/7000000\tno recovery target specified\n";
        assert_eq!(switch_of(history, 1), Some(Lsn(0x500_0000)));
        assert_eq!(switch_of(history, 2), Some(Lsn(0x700_0000)));
        assert_eq!(switch_of(history, 3), None);
    }
}

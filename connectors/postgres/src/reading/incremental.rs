//! Incremental snapshots: chunks of a table by its key, read while the stream stands between two transactions.
//!
//! A chunk is handed out once the stream has come to where the log ended when it was read: what it shows of the chunk's
//! rows until then takes their places, and all that the chunk shows has been streamed. What the stream had shown before
//! must be seen by the chunk's snapshot, else the chunk is read again. Nothing is written to the database for it.

use super::{
    engine::{Engine, now_micros},
    snapshot::estimate,
    stream::Streaming,
    telling::Anew,
    visible::{Seen, Snapshot},
};
use crate::{
    catalog::{self, TableInfo},
    error::{Error, Result},
    event::{Moment, SnapshotMark},
    filter::Patterns,
    lsn::Lsn,
    net::{Sql, identifier, literal},
    pgoutput::{Cell, Relation, Tuple},
    signal::{Asked, Incremental, Signal},
    table::{DecodedRow, Table, line_field},
};
use levada_connector_api::{Bytes, Done, ErrorKind, Value};
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// Bytes of a chunk's rows behind which it ends, whatever their number is.
const CHUNK_BYTES: usize = 16 << 20;
/// Time between two questions how far the server is, or between two tries of a chunk.
const PATIENCE: Duration = Duration::from_millis(50);
/// Time behind which it is told that a chunk can't be read.
const LONG: Duration = Duration::from_secs(10);
/// Longest silence towards the server while a chunk is read.
const ALIVE: Duration = Duration::from_secs(10);

/// Signals of the stream, and the chunk that waits.
#[derive(Debug)]
pub(super) struct Signals {
    /// Number of the signal table, and the places of id, type and data in its rows.
    table: Option<(u32, [usize; 3])>,
    window: Option<Window>,
    /// What a chunk may not see.
    pub(super) seen: Seen,
    /// When the next question or try is due.
    wake: Option<Instant>,
    /// When the other channels are looked at next.
    pub(super) look: Instant,
    /// Since when the next chunk can't be read, and whether that was told.
    put_off: Option<Instant>,
    told: bool,
    /// The table that is read, and its rows by the statistics.
    estimate: Option<(String, u64)>,
}

/// A chunk that waits for the stream.
#[derive(Debug)]
struct Window {
    /// Where the log ended behind its reading.
    end: u64,
    table: Table,
    /// Rows in order with the bytes that they came in, and the place of each key in them.
    rows: Vec<Option<(DecodedRow, usize)>>,
    keys: HashMap<String, usize>,
    last: Vec<String>,
}

fn name(key: &Value) -> String {
    format!("{key:?}")
}

impl Signals {
    /// Of a stream that begins.
    pub fn new(seen: Seen) -> Self {
        let look = Instant::now();
        Self { table: None, window: None, seen, wake: None, look, put_off: None, told: false, estimate: None }
    }

    /// When [`Engine::next_chunk`] or [`Engine::channels`] is due, whatever comes.
    pub fn wake(&self) -> Instant {
        self.wake.map_or(self.look, |wake| wake.min(self.look))
    }

    /// Notes the signal table when the server announces it.
    pub fn announced(&mut self, relation: &Relation, signal_table: Option<&str>) {
        if signal_table != Some(&format!("{}.{}", relation.schema, relation.name)) {
            return;
        }
        let place = |name: &str| relation.columns.iter().position(|column| column.name == name);
        self.table = match (place("id"), place("type"), place("data")) {
            (Some(id), Some(kind), Some(data)) => Some((relation.oid, [id, kind, data])),
            _ => None,
        };
    }

    /// The chunk that waits is read again later.
    pub fn put_back(&mut self) {
        (self.window, self.wake) = (None, None);
    }

    /// A row of a table changed: the chunk's is older.
    pub fn changed(&mut self, table: &Table, key: &Value) {
        if let Some(window) = self.window.as_mut().filter(|window| window.table.id == table.id)
            && let Some(place) = window.keys.get(&name(key))
            && let Some(row) = window.rows.get_mut(*place)
        {
            *row = None;
        }
    }

    /// All rows of a table went.
    pub fn emptied(&mut self, table: &Table) {
        if let Some(window) = self.window.as_mut().filter(|window| window.table.id == table.id) {
            window.rows.clear();
        }
    }

    /// Id, type and data of a new row, when it is the signal table's.
    fn row(&self, oid: u32, mut row: Tuple<'_>) -> Result<Option<[Option<String>; 3]>> {
        let Some((_, places)) = self.table.filter(|(signals, _)| *signals == oid) else { return Ok(None) };
        let mut cells = Vec::new();
        while let Some(cell) = row.next()? {
            cells.push(match cell {
                Cell::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
                _ => None,
            });
        }
        Ok(Some(places.map(|place| cells.get(place).cloned().flatten())))
    }
}

impl Engine {
    /// Follows a row of the signal table.
    pub(super) async fn signal(&mut self, streaming: &mut Streaming, oid: u32, row: Tuple<'_>) -> Result<()> {
        let Some([id, kind, data]) = streaming.signals.row(oid, row)? else { return Ok(()) };
        self.follow(streaming, &id.unwrap_or_default(), &kind.unwrap_or_default(), data.as_deref()).await
    }

    /// Follows a signal of whatever channel.
    pub(super) async fn follow(
        &mut self,
        streaming: &mut Streaming,
        id: &str,
        kind: &str,
        data: Option<&str>,
    ) -> Result<()> {
        let signal = match Signal::parse(kind, data) {
            Ok(Some(signal)) => signal,
            Ok(None) => return Ok(()),
            Err(reason) => {
                self.settings.context.warn(&format!("signal {id} ({kind}) is not followed: {reason}"));
                return Ok(());
            }
        };
        match signal {
            Signal::Execute(asked) => {
                let asked = self.asked(id, asked).await?;
                if !asked.is_empty() {
                    let waiting = &mut self.position.incremental.get_or_insert_default().tables;
                    // What waits to be read anyway is not read twice.
                    for asked in asked {
                        if !waiting.iter().skip(1).any(|other| *other == asked) {
                            waiting.push(asked);
                        }
                    }
                }
            }
            Signal::Block(asked) => {
                let asked = self.asked(id, asked).await?;
                self.ask_blocking(asked);
            }
            Signal::Stop(patterns) => {
                let patterns = (!patterns.is_empty()).then(|| Patterns::new(&patterns));
                let Some(state) = &mut self.position.incremental else { return Ok(()) };
                let first = state.tables.first().cloned();
                state.tables.retain(|asked| patterns.as_ref().is_some_and(|stopped| !stopped.matches(&asked.table)));
                if state.tables.first() != first.as_ref() {
                    (state.last, state.most, state.read) = (None, None, 0);
                    streaming.signals.window = None;
                }
            }
            Signal::Pause | Signal::Resume => {
                if let Some(state) = &mut self.position.incremental {
                    state.paused = signal == Signal::Pause;
                }
            }
            Signal::Log(text) => tracing::info!(connector = self.settings.context.connector(), "signal: {text}"),
        }
        Ok(())
    }

    /// The captured tables that a signal's patterns mean.
    async fn asked(&self, id: &str, patterns: Vec<Asked>) -> Result<Vec<Asked>> {
        let captured = self.captured().await?;
        let own = self.settings.config.snapshot.signal_table.as_deref();
        let mut tables = Vec::new();
        for asked in patterns {
            let pattern = Patterns::new(&[&asked.table]);
            let before = tables.len();
            let names = captured.iter().map(|(_, id)| id.to_string());
            let meant = names.filter(|name| pattern.matches(name) && Some(name.as_str()) != own);
            tables.extend(meant.map(|table| Asked { table, filter: asked.filter.clone() }));
            if tables.len() == before {
                self.settings.context.warn(&format!("signal {id}: no captured table is called {}", asked.table));
            }
        }
        Ok(tables)
    }

    /// Everything up to `end` was streamed: hands out the rows of a chunk that waited for it.
    pub(super) fn reached(&mut self, streaming: &mut Streaming, end: u64) {
        let Some(window) = streaming.signals.window.take_if(|window| window.end <= end) else { return };
        streaming.signals.wake = None;
        let moment = Moment {
            micros: now_micros(),
            tx_id: None,
            lsn: self.position.lsn,
            last_commit: None,
            xmin: None,
            origin: None,
            mark: SnapshotMark::Incremental,
        };
        let read = window.keys.len() as u64;
        for (row, bytes) in window.rows.into_iter().flatten() {
            let record = self.emitter.read(&window.table, row, &moment);
            self.batch.grow(bytes + 2048);
            self.batch.records.push(record);
        }
        if let Some(state) = &mut self.position.incremental {
            state.last = Some(window.last);
            state.read += read;
        }
    }

    /// What the snapshots of sessions see now, for a stream that begins.
    pub(super) async fn seen_now(&mut self) -> Result<Seen> {
        let visible = self.visible_now().await?;
        let row = self.sql.row("the server's clock can't be read", "SELECT clock_timestamp()").await?;
        let since = row.as_ref().and_then(|row| row.get(0)).unwrap_or("infinity");
        Ok(Seen::beginning(&visible, since))
    }

    /// Whether a snapshot that is taken now is not older than what the stream has shown; while `what` has to wait, the next
    /// try is put off.
    pub(super) async fn sees_all(&mut self, streaming: &mut Streaming, what: &str) -> Result<bool> {
        if streaming.signals.wake.is_some_and(|wake| wake > Instant::now()) {
            return Ok(false);
        }
        let visible = self.visible_now().await?;
        let signals = &mut streaming.signals;
        signals.seen.forget(&visible);
        if signals.seen.hidden().is_none() && !self.hides(&signals.seen).await? {
            signals.put_off = None;
            return Ok(true);
        }
        signals.wake = Some(Instant::now() + PATIENCE);
        self.tell_waiting(signals, what);
        Ok(false)
    }

    async fn visible_now(&mut self) -> Result<Snapshot> {
        match snapshot(&self.sql, self.version, "").await {
            // The session sleeps most of the time, and nobody keeps such sessions for ever.
            Err(Error::Broken(_)) => {
                self.reconnect().await?;
                snapshot(&self.sql, self.version, "").await
            }
            other => other,
        }
    }

    /// Reads the next chunk, when there is one to read and none is under way.
    pub(super) async fn next_chunk(&mut self, streaming: &mut Streaming) -> Result<()> {
        if streaming.signals.seen.is_full() {
            streaming.signals.seen.forget(&self.visible_now().await?);
        }
        self.tell_anew(&streaming.signals);
        if streaming.signals.wake.is_some_and(|wake| wake > Instant::now()) {
            return Ok(());
        }
        streaming.signals.wake = None;
        while streaming.signals.window.is_none() && streaming.idle_between() {
            let Some(state) = self.position.incremental.clone().filter(|state| !state.paused) else { return Ok(()) };
            let Some(asked) = state.tables.first() else {
                self.position.incremental = None;
                tracing::info!(connector = self.settings.context.connector(), "the incremental snapshot is complete");
                return Ok(());
            };
            let chunk = match self.chunk(streaming, asked, &state).await {
                // A filter that is no SQL, a table that may not be read: trying again helps nobody, and the stream goes on.
                Err(error @ Error::Server { .. }) if error.kind() != ErrorKind::Retriable => {
                    self.settings.context.warn(&format!(
                        "the incremental snapshot of table {} is given up: {error}. Ask for it again when that is mended",
                        asked.table
                    ));
                    self.sql.execute("a chunk can't be left", "ROLLBACK").await?;
                    Chunk::None
                }
                other => other?,
            };
            match chunk {
                Chunk::Window(window) => streaming.signals.window = Some(*window),
                Chunk::Early => {
                    streaming.signals.wake = Some(Instant::now() + PATIENCE);
                    return Ok(());
                }
                Chunk::None => {
                    if let Some(state) = &mut self.position.incremental {
                        state.next_table();
                    }
                }
            }
        }
        if streaming.signals.window.is_some() {
            // An idle server says by itself how far it is, but seldom.
            streaming.ask(self.stored()).await?;
            streaming.signals.wake = Some(Instant::now() + PATIENCE);
        }
        Ok(())
    }

    /// The next chunk of a table.
    async fn chunk(&mut self, streaming: &mut Streaming, asked: &Asked, state: &Incremental) -> Result<Chunk> {
        let captured = self.captured().await?;
        let Some((oid, _)) = captured.iter().find(|(_, id)| id.to_string() == asked.table) else {
            return Ok(Chunk::None);
        };
        let Some(info) = catalog::table_info(&self.sql, *oid).await? else { return Ok(Chunk::None) };
        if streaming.signals.estimate.as_ref().is_none_or(|(table, _)| *table != asked.table) {
            streaming.signals.estimate = Some((asked.table.clone(), estimate(&self.sql, &info).await?));
        }
        let (table, key) = self.plan_of(&info).await?;
        let nullable = |name: &String| info.columns.iter().any(|column| column.name == *name && !column.not_null);
        if key.is_empty() || key.iter().any(nullable) || table.key_schema().is_none() {
            self.settings.context.warn(&format!(
                "table {} has no key without nulls and is left out of the incremental snapshot; set message.key.columns",
                asked.table
            ));
            return Ok(Chunk::None);
        }
        let places: Vec<_> =
            key.iter().filter_map(|name| table.column_names().iter().position(|column| column == name)).collect();
        let most = match &state.most {
            Some(most) => most.clone(),
            None => match self.greatest(&info, &key, asked).await? {
                Some(most) => most,
                None => return Ok(Chunk::None),
            },
        };
        if let Some(state) = &mut self.position.incremental {
            state.most = Some(most.clone());
        }
        let sql = self.chunk_statement(&info, &table, &key, asked, (state.last.as_deref(), &most));
        let Some((lines, end)) = self.chunk_lines(streaming, asked, &sql).await? else { return Ok(Chunk::Early) };
        let mut window = Window { end, table, rows: Vec::new(), keys: HashMap::new(), last: Vec::new() };
        for line in lines {
            window.last = places.iter().map(|place| line_field(&line, *place).unwrap_or_default()).collect();
            match window.table.decode_line(&line) {
                Ok(row) => {
                    window.keys.insert(name(&window.table.key_of(&row)), window.rows.len());
                    window.rows.push(Some((row, line.len())));
                }
                Err(error) => self.undecoded(error.to_string())?,
            }
        }
        Ok(if window.last.is_empty() { Chunk::None } else { Chunk::Window(Box::new(window)) })
    }

    /// The rows of a chunk and where the log ended behind it; `None` when it can't be read yet, because its snapshot does
    /// not see what the stream has shown.
    async fn chunk_lines(
        &self,
        streaming: &mut Streaming,
        asked: &Asked,
        sql: &str,
    ) -> Result<Option<(Vec<Bytes>, u64)>> {
        let visible = snapshot(&self.sql, self.version, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ").await?;
        streaming.signals.seen.forget(&visible);
        let hidden = streaming.signals.seen.hidden().is_some();
        if hidden || self.hides(&streaming.signals.seen).await? {
            self.sql.execute("the chunk can't be put off", "ROLLBACK -- a chunk is put off").await?;
            self.tell_waiting(&mut streaming.signals, &format!("incremental snapshot of {}", asked.table));
            return Ok(None);
        }
        streaming.signals.put_off = None;
        let action = format!("a chunk of table {} can't be read", asked.table);
        let (mut lines, mut bytes) = (Vec::new(), 0);
        let reading = async {
            let take = async |line: Bytes| {
                if bytes < CHUNK_BYTES {
                    bytes += line.len();
                    lines.push(line);
                }
                Ok(())
            };
            self.sql.copy_out(&action, sql, take).await?;
            self.sql.execute("the chunk can't be ended", "COMMIT").await?;
            self.end_of_log().await
        };
        let end = self.beside(streaming, reading).await?;
        streaming.heard_at = Instant::now();
        Ok(Some((lines, end.0)))
    }

    /// Waits for what is read on the other session. Nobody reads the stream meanwhile: the server hears that somebody is
    /// here all the same.
    async fn beside<T>(&self, streaming: &mut Streaming, reading: impl Future<Output = Result<T>>) -> Result<T> {
        let mut reading = std::pin::pin!(reading);
        let every = self.settings.config.streaming.status_interval.clamp(Duration::from_millis(100), ALIVE);
        loop {
            tokio::select! {
                read = &mut reading => return read,
                () = tokio::time::sleep(every) => self.report(streaming, every).await?,
                () = self.shared.stop() => return Err(Error::Stopped),
            }
        }
    }

    /// Whether one of the transactions that had not ended when the stream began may have been streamed before that. One may
    /// not that stands idle even now, is in a statement that began later than the stream, or is prepared while nobody
    /// commits such ones; of others nobody knows, or they have ended since the snapshot.
    async fn hides(&self, seen: &Seen) -> Result<bool> {
        if seen.doubtful().is_empty() {
            return Ok(false);
        }
        let numbers: Vec<_> = seen.doubtful().iter().map(|xid| format!("'{xid}'")).collect();
        let (numbers, since) = (numbers.join(", "), literal(seen.since()));
        let query = format!(
            "SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_xid::text IN ({numbers}) \
             AND (state LIKE 'idle in transaction%' OR query_start >= {since})) + \
             (SELECT count(*) FROM pg_prepared_xacts WHERE transaction::text IN ({numbers}) AND NOT EXISTS \
             (SELECT FROM pg_stat_activity WHERE query ILIKE 'commit prepared%' OR query = '<insufficient privilege>'))"
        );
        let row = self.sql.row("the running transactions can't be read", &query).await?;
        let known = row.as_ref().and_then(|row| row.get(0)).and_then(|count| count.parse::<usize>().ok());
        Ok(known != Some(seen.doubtful().len()))
    }

    /// Tells how far it is.
    fn tell_anew(&self, signals: &Signals) {
        let anew = self.position.incremental.as_ref().and_then(|state| {
            let table = state.tables.first()?.table.clone();
            let estimate = signals.estimate.as_ref().filter(|(name, _)| *name == table).map_or(0, |(_, rows)| *rows);
            let total = Some(estimate.max(state.read));
            Some(Anew {
                table,
                rows: Done { done: state.read, total },
                tables: Done { done: state.done, total: Some(state.done + state.tables.len() as u64) },
                paused: state.paused,
            })
        });
        self.shared.telling.anew(anew);
    }

    /// Says once that a snapshot waits for other transactions, when that takes long.
    fn tell_waiting(&self, signals: &mut Signals, what: &str) {
        let since = *signals.put_off.get_or_insert_with(Instant::now);
        if !signals.told && since.elapsed() > LONG {
            signals.told = true;
            self.settings.context.warn(&format!(
                "the {what} waits for transactions that are in the log but that other sessions do not see, or that began \
                 before this task did (pg_stat_activity has them): is a synchronous standby away?"
            ));
        }
    }

    /// Where the log ends. What is behind is written out soon, so that the stream comes to there.
    async fn end_of_log(&self) -> Result<Lsn> {
        let query = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END, \
             CASE WHEN pg_is_in_recovery() THEN true ELSE pg_current_wal_insert_lsn() <= pg_current_wal_flush_lsn() END";
        let row = self.sql.row("the end of the log can't be read", query).await?;
        let field = |index| row.as_ref().and_then(|row| row.get(index));
        let end = field(0).and_then(|end| end.parse().ok());
        let end = end.ok_or_else(|| Error::Protocol("no answer where its log ends".to_owned()))?;
        if field(1) != Some("t") {
            // Asynchronous commits lie about; the end of a transaction that changed nothing is one more, and wakes the
            // log writer for all of them.
            self.sql.execute("the log can't be written out", "SELECT txid_current()").await?;
        }
        Ok(end)
    }

    async fn greatest(&self, info: &TableInfo, key: &[String], asked: &Asked) -> Result<Option<Vec<String>>> {
        let columns: Vec<_> = key.iter().map(|name| identifier(name)).collect();
        let descending: Vec<_> = columns.iter().map(|name| format!("{name} DESC")).collect();
        let query = format!(
            "SELECT {} FROM {}{} ORDER BY {} LIMIT 1",
            columns.join(", "),
            info.id.quoted(),
            asked.filter.as_ref().map(|filter| format!(" WHERE ({filter})")).unwrap_or_default(),
            descending.join(", ")
        );
        let row = self.sql.row("the greatest key can't be read", &query).await?;
        Ok(row.map(|row| (0..key.len()).map(|index| row.get(index).unwrap_or_default().to_owned()).collect()))
    }

    fn chunk_statement(
        &self,
        info: &TableInfo,
        table: &Table,
        key: &[String],
        asked: &Asked,
        (last, most): (Option<&[String]>, &[String]),
    ) -> String {
        let list = |names: &[String]| names.iter().map(|name| identifier(name)).collect::<Vec<_>>().join(", ");
        let values = |texts: &[String]| texts.iter().map(|text| literal(text)).collect::<Vec<_>>().join(", ");
        let key = list(key);
        let mut conditions = vec![format!("({key}) <= ({})", values(most))];
        conditions.extend(last.map(|last| format!("({key}) > ({})", values(last))));
        conditions.extend(asked.filter.as_ref().map(|filter| format!("({filter})")));
        format!(
            "COPY (SELECT {} FROM {} WHERE {} ORDER BY {key} LIMIT {}) TO STDOUT",
            list(table.column_names()),
            info.id.quoted(),
            conditions.join(" AND "),
            self.settings.config.snapshot.chunk_size
        )
    }
}

/// What came of the reading of a chunk.
enum Chunk {
    Window(Box<Window>),
    /// It can't be read yet.
    Early,
    /// There is nothing to read any more.
    None,
}

/// The snapshot of a query, or of the transaction that `begin` begins.
async fn snapshot(sql: &Sql, version: u32, begin: &str) -> Result<Snapshot> {
    let function = if version < 130_000 { "txid_current_snapshot" } else { "pg_current_snapshot" };
    let row = sql.row("the current snapshot can't be read", &format!("{begin}SELECT {function}()")).await?;
    let snapshot = row.as_ref().and_then(|row| row.get(0)).and_then(Snapshot::parse);
    snapshot.ok_or_else(|| Error::Protocol(format!("an answer to {function} that is no snapshot")))
}

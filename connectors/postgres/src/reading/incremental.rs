//! Incremental snapshots: chunks of a table by its key, read while the stream stands between two transactions.
//!
//! A chunk is handed out once the stream has come to where the log ended when it was read: what it shows of the chunk's
//! rows until then takes their places, and all that the chunk shows has been streamed. What the stream had shown before
//! must be seen by the chunk's snapshot, else the chunk is read again. Nothing is written to the database for it. A chunk
//! is one transaction, which waits for a lock no longer than `snapshot.lock.timeout.ms`; the stream goes on without it.

use super::{
    conditions::check_condition,
    engine::{Engine, now_micros},
    hidden::snapshot,
    snapshot::estimate,
    stream::Streaming,
    telling::Anew,
    visible::{Seen, Snapshot},
};
use crate::{
    catalog::{self, TableInfo},
    error::{Error, Result},
    event::{Moment, SnapshotMark},
    net::{identifier, literal},
    signal::{Asked, Incremental},
    table::{DecodedRow, Table, line_field},
};
use levada_connector_api::{Bytes, Done, ErrorKind, Value};
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// Bytes of a chunk's rows behind which it ends, whatever their number is.
const CHUNK_BYTES: usize = 16 << 20;
/// Time between two questions how far the server is, or between two tries of a chunk.
const PATIENCE: Duration = Duration::from_millis(50);
/// Time between two tries of a chunk of a table that somebody has locked.
const LOCKED: Duration = Duration::from_secs(1);
/// Longest wait for a lock that was waited for in vain before: the stream stands still meanwhile.
const LOCKED_PATIENCE: Duration = Duration::from_millis(100);

/// The chunk that waits for the stream, and when the next is read.
#[derive(Debug)]
pub(super) struct Chunks {
    window: Option<Window>,
    /// What a chunk may not see.
    pub(super) seen: Seen,
    /// When the next question or try is due.
    wake: Option<Instant>,
    /// Since when the next chunk can't be read because of what it does not see, and whether that was told.
    pub(super) hidden_since: Option<Instant>,
    pub(super) hidden_told: bool,
    /// Whether the last try waited for a lock in vain.
    locked: bool,
    /// What is read, its condition looked at, and its rows by the statistics.
    known: Option<(Asked, u64)>,
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

/// What a chunk's transaction has read.
struct Taken {
    table: Table,
    /// Places of the key's columns.
    key: Vec<usize>,
    lines: Vec<Bytes>,
}

/// What came of the reading of a chunk.
enum Chunk {
    Window(Box<Window>),
    /// It can't be read yet: its snapshot does not see what the stream has shown.
    Early,
    /// It can't be read yet: somebody has locked the table.
    Locked,
    /// There is nothing to read any more.
    None,
}

/// What tells a key from others: its values alone, since its schema may change while a chunk waits.
fn name(key: &Value) -> String {
    match key {
        Value::Struct(key) => format!("{:?}", key.values),
        key => format!("{key:?}"),
    }
}

impl Chunks {
    /// Of a stream that begins.
    pub fn new(seen: Seen) -> Self {
        Self { window: None, seen, wake: None, hidden_since: None, hidden_told: false, locked: false, known: None }
    }

    /// When [`Engine::next_chunk`] is due, whatever comes.
    pub fn wake(&self) -> Option<Instant> {
        self.wake
    }

    /// Whether it is not due yet.
    pub fn waits(&self) -> bool {
        self.wake.is_some_and(|wake| wake > Instant::now())
    }

    /// The next try is made later.
    pub fn put_off(&mut self) {
        self.wake = Some(Instant::now() + PATIENCE);
    }

    /// The chunk that waits is read again later.
    pub fn put_back(&mut self) {
        (self.window, self.wake) = (None, None);
    }

    /// The chunk that waits is of a table that is not to be read any more.
    pub fn stopped(&mut self) {
        (self.window, self.locked) = (None, false);
    }

    /// A row of a table changed: the chunk's is older.
    pub fn changed(&mut self, table: &Table, row: &DecodedRow) {
        if let Some(window) = self.window.as_mut().filter(|window| window.table.id == table.id)
            && let Some(place) = window.keys.get(&name(&table.key_of(row)))
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
}

impl Engine {
    /// Everything up to `end` was streamed: hands out the rows of a chunk that waited for it.
    pub(super) fn reached(&mut self, streaming: &mut Streaming, end: u64) {
        let Some(window) = streaming.chunks.window.take_if(|window| window.end <= end) else { return };
        streaming.chunks.wake = None;
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

    /// Reads the next chunk, when there is one to read and none is under way.
    pub(super) async fn next_chunk(&mut self, streaming: &mut Streaming) -> Result<()> {
        if streaming.chunks.seen.is_full() {
            let visible = streaming.beside(self.visible_now()).await?;
            streaming.chunks.seen.forget(&visible);
        }
        self.tell_anew(&streaming.chunks);
        if streaming.chunks.waits() {
            return Ok(());
        }
        streaming.chunks.wake = None;
        while streaming.chunks.window.is_none() && streaming.idle_between() {
            let Some(state) = self.position.incremental.clone().filter(|state| !state.paused) else { return Ok(()) };
            let Some(asked) = state.tables.first() else {
                self.position.incremental = None;
                tracing::info!(connector = self.settings.context.connector(), "the incremental snapshot is complete");
                return Ok(());
            };
            match self.chunk(streaming, asked, &state).await? {
                Chunk::Window(window) => streaming.chunks.window = Some(*window),
                Chunk::Early => {
                    streaming.chunks.put_off();
                    return Ok(());
                }
                Chunk::Locked => {
                    streaming.chunks.wake = Some(Instant::now() + LOCKED);
                    return Ok(());
                }
                Chunk::None => {
                    if let Some(state) = &mut self.position.incremental {
                        state.next_table();
                    }
                }
            }
        }
        if streaming.chunks.window.is_some() {
            // An idle server says by itself how far it is, but seldom.
            streaming.ask(self.stored()).await?;
            streaming.chunks.put_off();
        }
        Ok(())
    }

    /// The next chunk of a table.
    async fn chunk(&mut self, streaming: &mut Streaming, asked: &Asked, state: &Incremental) -> Result<Chunk> {
        let visible = streaming.beside(self.begin_chunk(streaming.chunks.locked)).await?;
        if !self.shows_all(streaming, &visible, &format!("incremental snapshot of {}", asked.table)).await? {
            self.leave_chunk(streaming).await?;
            return Ok(Chunk::Early);
        }
        let mut known = streaming.chunks.known.take();
        let read = streaming.beside(self.read_chunk(asked, state, &mut known)).await;
        streaming.chunks.known = known;
        let lines = match read {
            Ok((lines, end)) => lines.map(|lines| (lines, end)),
            Err(error) if error.code() == Some("55P03") => {
                self.leave_chunk(streaming).await?;
                if !std::mem::replace(&mut streaming.chunks.locked, true) {
                    self.settings.context.warn(&format!(
                        "the incremental snapshot of table {} waits, and the stream goes on: {error}. Another session holds a \
                         lock on the table (pg_locks has it); the chunk is tried again until that ends",
                        asked.table
                    ));
                }
                return Ok(Chunk::Locked);
            }
            // A filter that is no SQL, a table that may not be read: trying again helps nobody, and the stream goes on.
            Err(error @ Error::Server { .. }) if error.kind() != ErrorKind::Retriable => {
                self.settings.context.warn(&format!(
                    "the incremental snapshot of table {} is given up: {error}. Ask for it again when that is mended",
                    asked.table
                ));
                self.leave_chunk(streaming).await?;
                None
            }
            Err(error) => return Err(error),
        };
        streaming.chunks.locked = false;
        let Some((lines, end)) = lines else { return Ok(Chunk::None) };
        Ok(self.window(lines, end)?.map_or(Chunk::None, |window| Chunk::Window(Box::new(window))))
    }

    /// Begins a chunk's transaction; what it sees.
    async fn begin_chunk(&mut self, locked: bool) -> Result<Snapshot> {
        self.awake().await?;
        let mut patience = self.settings.config.snapshot.lock_timeout;
        if locked && !patience.is_zero() {
            patience = patience.min(LOCKED_PATIENCE);
        }
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL lock_timeout = {}; ",
            patience.as_millis()
        );
        snapshot(&self.sql, self.version, &begin).await
    }

    async fn leave_chunk(&self, streaming: &mut Streaming) -> Result<()> {
        streaming.beside(self.sql.execute("the chunk can't be put off", "ROLLBACK -- a chunk is put off")).await
    }

    /// Reads the rows of a chunk, `None` when there are none any more, and ends its transaction; then where the log ended.
    async fn read_chunk(
        &mut self,
        asked: &Asked,
        state: &Incremental,
        known: &mut Option<(Asked, u64)>,
    ) -> Result<(Option<Taken>, u64)> {
        let lines = self.chunk_lines(asked, state, known).await?;
        self.sql.execute("the chunk can't be ended", "COMMIT").await?;
        Ok((lines, self.end_of_log().await?.0))
    }

    async fn chunk_lines(
        &mut self,
        asked: &Asked,
        state: &Incremental,
        known: &mut Option<(Asked, u64)>,
    ) -> Result<Option<Taken>> {
        let captured = self.captured().await?;
        let Some((oid, _)) = captured.iter().find(|(_, id)| id.to_string() == asked.table) else { return Ok(None) };
        let Some(info) = catalog::table_infos(&self.sql, &[*oid]).await?.pop() else { return Ok(None) };
        if known.as_ref().is_none_or(|(known, _)| known != asked) {
            if let Some(filter) = &asked.filter {
                check_condition(&self.sql, &info.id, filter).await?;
            }
            *known = Some((asked.clone(), estimate(&self.sql, &info).await?));
        }
        let (table, key) = self.plan_of(&info).await?;
        if !info.is_ordered_by(&key) || table.key_schema().is_none() {
            self.settings.context.warn(&format!(
                "table {} is left out of the incremental snapshot: its events' key is no unique index without nulls that its \
                 replica identity brings, so its rows have no order to be read by; a snapshot of type blocking reads them",
                asked.table
            ));
            return Ok(None);
        }
        let most = match &state.most {
            Some(most) => most.clone(),
            None => match self.greatest(&info, &key, asked).await? {
                Some(most) => most,
                None => return Ok(None),
            },
        };
        if let Some(state) = &mut self.position.incremental {
            state.most = Some(most.clone());
        }
        let sql = self.chunk_statement(&info, &table, &key, asked, (state.last.as_deref(), &most));
        let (mut lines, mut bytes) = (Vec::new(), 0);
        let take = async |line: Bytes| {
            if bytes < CHUNK_BYTES {
                bytes += line.len();
                lines.push(line);
            }
            Ok(())
        };
        self.sql.copy_out(&format!("a chunk of table {} can't be read", asked.table), &sql, take).await?;
        let place = |name: &String| table.column_names().iter().position(|column| column == name);
        let key = key.iter().filter_map(place).collect();
        Ok(Some(Taken { table, key, lines }))
    }

    /// The chunk as it waits for the stream to come to `end`; `None` for one without rows.
    fn window(&self, read: Taken, end: u64) -> Result<Option<Window>> {
        let mut window = Window { end, table: read.table, rows: Vec::new(), keys: HashMap::new(), last: Vec::new() };
        for line in read.lines {
            window.last = read.key.iter().map(|place| line_field(&line, *place).unwrap_or_default()).collect();
            match window.table.decode_line(&line) {
                Ok(row) => {
                    window.keys.insert(name(&window.table.key_of(&row)), window.rows.len());
                    window.rows.push(Some((row, line.len())));
                }
                Err(error) => self.undecoded(error.to_string())?,
            }
        }
        Ok((!window.last.is_empty()).then_some(window))
    }

    /// Tells how far it is.
    fn tell_anew(&self, chunks: &Chunks) {
        let anew = self.position.incremental.as_ref().and_then(|state| {
            let table = state.tables.first()?.table.clone();
            let estimate = chunks.known.as_ref().filter(|(known, _)| known.table == table).map_or(0, |(_, rows)| *rows);
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

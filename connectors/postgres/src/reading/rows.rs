//! The rows of a snapshot: tables read by COPY, several at a time, in ranges of pages, so that an interrupted snapshot
//! goes on behind the last ranges.
//!
//! All sessions are of one thread. What they read comes into one batch; handing it over is done in turns, so that no
//! offset overtakes the rows that it speaks of.

use super::{
    engine::{Engine, now_micros},
    pump::Shared,
    snapshot::{LONG, moved_rows},
};
use crate::{
    catalog::TableInfo,
    error::{Error, Result},
    event::{Emitter, Moment, SnapshotMark},
    net::Sql,
    table::Table,
};
use levada_connector_api::{Bytes, SourceRecord};
use std::{
    cell::RefCell,
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::Mutex;

/// Pages of a range: 64 MiB.
const RANGE_PAGES: u64 = 8192;
/// Ranges of pages are fast since this version.
const TID_RANGE_VERSION: u32 = 140_000;

/// A table to be read.
pub(super) struct Planned {
    pub info: TableInfo,
    pub table: Table,
    /// Condition that its rows must meet, or a query in its place.
    pub filter: Option<String>,
    /// Rows, about.
    pub estimate: u64,
}

/// A row whose place in the snapshot is known when the next one comes, or none.
struct Last {
    record: SourceRecord,
    first_in_table: bool,
}

/// What all sessions write to.
struct State<'a> {
    engine: &'a mut Engine,
    /// Whether the next row is the first of all.
    first: bool,
    /// The table that ended last, and its last row, which may be the last of all.
    ended: Option<(String, Last)>,
}

/// A table that is being read.
struct Reading<'a> {
    table: &'a Table,
    moment: Moment,
    last: Option<Last>,
    /// Whether its next row is its first.
    first: bool,
    rows: Arc<AtomicU64>,
}

/// The tables of a snapshot.
pub(super) struct Rows<'a> {
    state: RefCell<State<'a>>,
    waiting: RefCell<VecDeque<Planned>>,
    shared: Arc<Shared>,
    turn: Mutex<()>,
    moment: Moment,
    xmin: u64,
}

impl<'a> Rows<'a> {
    /// Of these tables, as of `moment`; `xmin` is the oldest transaction whose end may not be seen.
    pub fn new(engine: &'a mut Engine, waiting: VecDeque<Planned>, moment: Moment, xmin: u64) -> Self {
        let shared = Arc::clone(&engine.shared);
        let state = RefCell::new(State { engine, first: true, ended: None });
        Self { state, waiting: RefCell::new(waiting), shared, turn: Mutex::new(()), moment, xmin }
    }

    /// Reads one table after the other, until there are none or the task stops.
    pub async fn read(&self, reader: &Sql) -> Result<()> {
        loop {
            if self.shared.stopping() {
                return Err(Error::Stopped);
            }
            let planned = self.waiting.borrow_mut().pop_front();
            let Some(planned) = planned else {
                // All is read: a session that is not needed any more may also have been ended.
                if let Err(error) = reader.execute("the snapshot can't be ended", "COMMIT").await {
                    tracing::debug!(%error, "a session of the snapshot ends without its commit");
                }
                return Ok(());
            };
            self.table(reader, &planned).await?;
        }
    }

    /// Marks the last row, when all is read.
    pub fn end(self) {
        let State { engine, ended, .. } = self.state.into_inner();
        if let Some((name, mut last)) = ended {
            Emitter::mark(&mut last.record, SnapshotMark::Last);
            engine.batch.records.push(last.record);
            engine.table_read(name);
        }
    }

    async fn table(&self, reader: &Sql, planned: &Planned) -> Result<()> {
        let Planned { info, table, estimate, .. } = planned;
        let name = info.id.to_string();
        let mut reading = Reading {
            table,
            moment: Moment { micros: now_micros(), ..self.moment.clone() },
            last: None,
            first: true,
            rows: self.shared.telling.begin_table(&name, *estimate),
        };
        let mut current = self.state.borrow().engine.resumed(planned, &name, self.xmin);
        if current.page > 0 {
            self.copy(reader, &mut reading, &moved_rows(planned, &current)).await?;
        }
        loop {
            let (sql, is_last) = self.range(planned, current.page);
            self.copy(reader, &mut reading, &sql).await?;
            if is_last {
                break;
            }
            current.page += RANGE_PAGES;
            {
                // What the offset says is read must be on its way.
                let state = &mut *self.state.borrow_mut();
                if let Some(last) = reading.last.take() {
                    state.push(last, false);
                }
                state.engine.progressed(&current);
            }
            self.hand_over(true).await?;
        }
        self.ended(name.clone(), reading.last).await?;
        self.shared.telling.end_table(&name);
        Ok(())
    }

    /// The statement for the range from a page on, and whether it is the last.
    fn range(&self, planned: &Planned, from: u64) -> (String, bool) {
        let engine = &*self.state.borrow().engine;
        let info = &planned.info;
        let whole = engine.version < TID_RANGE_VERSION || info.kind != b'r' || engine.select_of(planned).is_some();
        let is_last = whole || from + RANGE_PAGES >= info.pages;
        (engine.copy_statement(planned, from, (!is_last).then_some(from + RANGE_PAGES)), is_last)
    }

    async fn ended(&self, name: String, last: Option<Last>) -> Result<()> {
        let Some(last) = last else {
            self.state.borrow_mut().engine.table_read(name);
            return self.hand_over(true).await;
        };
        let state = &mut *self.state.borrow_mut();
        state.release();
        state.ended = Some((name, last));
        Ok(())
    }

    async fn copy(&self, reader: &Sql, reading: &mut Reading<'_>, sql: &str) -> Result<()> {
        let action = format!("table {} can't be read", reading.table.id);
        let each = async |line: Bytes| {
            if self.row(reading, &line)? { self.hand_over(false).await } else { Ok(()) }
        };
        reader.copy_out(&action, sql, each).await
    }

    /// Takes a row, and says whether the batch is full.
    fn row(&self, reading: &mut Reading<'_>, line: &Bytes) -> Result<bool> {
        reading.rows.fetch_add(1, Ordering::Relaxed);
        let state = &mut *self.state.borrow_mut();
        let row = match reading.table.decode_line(line) {
            Ok(row) => row,
            Err(error) => return state.engine.undecoded(error.to_string()).map(|()| false),
        };
        let record = state.engine.emitter.read(reading.table, row, &reading.moment);
        state.release();
        if let Some(last) = reading.last.replace(Last { record, first_in_table: reading.first }) {
            state.push(last, false);
        }
        reading.first = false;
        state.engine.batch.grow(line.len() + 1024);
        Ok(state.engine.is_full())
    }

    /// Hands the batch to the queue, with an offset when it is asked for.
    async fn hand_over(&self, offset: bool) -> Result<()> {
        let _turn = self.turn.lock().await;
        let chunk = self.state.borrow_mut().engine.take_batch(offset);
        let Some(chunk) = chunk else { return Ok(()) };
        self.shared.push(chunk, LONG, async || Ok(())).await
    }
}

impl State<'_> {
    /// Puts a row into the batch: another one has come, of its table or, behind its table's last, of another.
    fn push(&mut self, mut last: Last, last_in_table: bool) {
        if let Some(mark) = mark(self.first, last.first_in_table, last_in_table) {
            Emitter::mark(&mut last.record, mark);
        }
        self.first = false;
        self.engine.batch.records.push(last.record);
    }

    /// The row that ended a table was not the last of all.
    fn release(&mut self) {
        if let Some((name, last)) = self.ended.take() {
            self.push(last, true);
            self.engine.table_read(name);
        }
    }
}

/// The mark of a row, other than that of one in the middle.
fn mark(first: bool, first_in_table: bool, last_in_table: bool) -> Option<SnapshotMark> {
    match (first, last_in_table, first_in_table) {
        (true, ..) => Some(SnapshotMark::First),
        (_, true, _) => Some(SnapshotMark::LastInTable),
        (_, _, true) => Some(SnapshotMark::FirstInTable),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_one_mark() {
        assert_eq!(mark(true, true, true), Some(SnapshotMark::First));
        assert_eq!(mark(false, true, true), Some(SnapshotMark::LastInTable));
        assert_eq!(mark(false, true, false), Some(SnapshotMark::FirstInTable));
        assert_eq!(mark(false, false, false), None);
    }
}

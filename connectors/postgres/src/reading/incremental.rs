//! Incremental snapshots: chunks of a table by its key, read between two marks in the signal table. What the stream
//! shows of the table between the marks is newer than the chunk and takes its rows' places.

use super::{
    engine::{Engine, now_micros},
    stream::Streaming,
};
use crate::{
    catalog::{self, TableInfo},
    error::{Error, Result},
    event::{Moment, SnapshotMark},
    filter::Patterns,
    net::{identifier, literal},
    pgoutput::{Cell, Relation, Tuple},
    signal::{Asked, Incremental, Signal},
    table::{DecodedRow, Table, line_field},
};
use levada_connector_api::{Bytes, Value};
use std::collections::HashMap;

/// Signals of the stream, and the window that is open.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// Number of the signal table, and the places of id, type and data in its rows.
    table: Option<(u32, [usize; 3])>,
    window: Option<Window>,
}

/// A chunk between its marks.
#[derive(Debug)]
struct Window {
    id: String,
    open: bool,
    closed: bool,
    table: Table,
    /// Rows in order, and the place of each key in them.
    rows: Vec<Option<DecodedRow>>,
    keys: HashMap<String, usize>,
    last: Vec<String>,
}

fn name(key: &Value) -> String {
    format!("{key:?}")
}

impl Signals {
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

    /// A row of a table changed: the chunk's is older.
    pub fn changed(&mut self, table: &Table, key: &Value) {
        if let Some(window) = self.window.as_mut().filter(|window| window.open && window.table.id == table.id)
            && let Some(place) = window.keys.get(&name(key))
            && let Some(row) = window.rows.get_mut(*place)
        {
            *row = None;
        }
    }

    /// All rows of a table went.
    pub fn emptied(&mut self, table: &Table) {
        if let Some(window) = self.window.as_mut().filter(|window| window.open && window.table.id == table.id) {
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
        let (id, kind) = (id.unwrap_or_default(), kind.unwrap_or_default());
        let signal = match Signal::parse(&kind, data.as_deref()) {
            Ok(Some(signal)) => signal,
            Ok(None) => return Ok(()),
            Err(reason) => {
                self.settings.context.warn(&format!("signal {id} ({kind}) is not followed: {reason}"));
                return Ok(());
            }
        };
        match signal {
            Signal::Open | Signal::Close => {
                let own = |suffix: &str| {
                    streaming.signals.window.as_ref().is_some_and(|window| id == format!("{}-{suffix}", window.id))
                };
                let (opens, closes) = (own("open"), own("close"));
                if let Some(window) = &mut streaming.signals.window {
                    window.open = (window.open || opens) && !closes;
                    window.closed |= closes;
                }
            }
            Signal::Execute(asked) => {
                let asked = self.asked(&id, asked).await?;
                if !asked.is_empty() {
                    self.position.incremental.get_or_insert_default().tables.extend(asked);
                }
            }
            Signal::Stop(patterns) => {
                let patterns = (!patterns.is_empty()).then(|| Patterns::new(&patterns));
                let Some(state) = &mut self.position.incremental else { return Ok(()) };
                let first = state.tables.first().cloned();
                state.tables.retain(|asked| patterns.as_ref().is_some_and(|stopped| !stopped.matches(&asked.table)));
                if state.tables.first() != first.as_ref() {
                    (state.last, state.most) = (None, None);
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

    /// Hands out the rows of a window that has closed: behind the transaction that closed it.
    pub(super) fn window_closed(&mut self, streaming: &mut Streaming) {
        let Some(window) = streaming.signals.window.take_if(|window| window.closed) else { return };
        let moment = Moment {
            micros: now_micros(),
            tx_id: None,
            lsn: self.position.lsn,
            last_commit: None,
            xmin: None,
            origin: None,
            mark: SnapshotMark::Incremental,
        };
        for row in window.rows.into_iter().flatten() {
            let record = self.emitter.read(&window.table, row, &moment);
            self.batch.grow(2048);
            self.batch.records.push(record);
        }
        if let Some(state) = &mut self.position.incremental {
            state.last = Some(window.last);
        }
    }

    /// Reads the next chunk, when there is one to read and none is under way.
    pub(super) async fn next_chunk(&mut self, streaming: &mut Streaming) -> Result<()> {
        let Some(signals) = self.settings.config.snapshot.signal_table.clone() else { return Ok(()) };
        while streaming.signals.window.is_none() && streaming.idle_between() {
            let Some(state) = self.position.incremental.clone().filter(|state| !state.paused) else { return Ok(()) };
            let Some(asked) = state.tables.first() else {
                self.position.incremental = None;
                tracing::info!(connector = self.settings.context.connector(), "the incremental snapshot is complete");
                return Ok(());
            };
            match self.chunk(&signals, asked, &state).await? {
                Some(window) => streaming.signals.window = Some(window),
                None => {
                    if let Some(state) = &mut self.position.incremental {
                        state.next_table();
                    }
                }
            }
        }
        Ok(())
    }

    /// A chunk between its marks; `None` behind the last.
    async fn chunk(&mut self, signals: &str, asked: &Asked, state: &Incremental) -> Result<Option<Window>> {
        let captured = self.captured().await?;
        let Some((oid, _)) = captured.iter().find(|(_, id)| id.to_string() == asked.table) else { return Ok(None) };
        let Some(info) = catalog::table_info(&self.sql, *oid).await? else { return Ok(None) };
        let (table, key) = self.plan_of(&info).await?;
        let nullable = |name: &String| info.columns.iter().any(|column| column.name == *name && !column.not_null);
        if key.is_empty() || key.iter().any(nullable) || table.key_schema().is_none() {
            self.settings.context.warn(&format!(
                "table {} has no key without nulls and is left out of the incremental snapshot; set message.key.columns",
                asked.table
            ));
            return Ok(None);
        }
        let places: Vec<_> =
            key.iter().filter_map(|name| table.column_names().iter().position(|column| column == name)).collect();
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
        let id = uuid::Uuid::new_v4().to_string();
        self.mark(signals, &id, "open").await?;
        let sql = self.chunk_statement(&info, &table, &key, asked, (state.last.as_deref(), &most));
        let mut window =
            Window { id, open: false, closed: false, table, rows: Vec::new(), keys: HashMap::new(), last: Vec::new() };
        let action = format!("a chunk of table {} can't be read", asked.table);
        self.sql
            .copy_out(&action, &sql, async |line: Bytes| {
                window.last = places.iter().map(|place| line_field(&line, *place).unwrap_or_default()).collect();
                match window.table.decode_line(&line) {
                    Ok(row) => {
                        window.keys.insert(name(&window.table.key_of(&row)), window.rows.len());
                        window.rows.push(Some(row));
                        Ok(())
                    }
                    Err(error) => self.undecoded(error.to_string()),
                }
            })
            .await?;
        self.mark(signals, &window.id, "close").await?;
        Ok((!window.last.is_empty()).then_some(window))
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

    async fn mark(&self, signals: &str, id: &str, which: &str) -> Result<()> {
        let (schema, table) = signals
            .split_once('.')
            .ok_or_else(|| Error::Setup("signal.data.collection must be schema.table".to_owned()))?;
        let query = format!(
            "INSERT INTO {}.{} (id, type, data) VALUES ({}, {}, NULL)",
            identifier(schema),
            identifier(table),
            literal(&format!("{id}-{which}")),
            literal(&format!("snapshot-window-{which}"))
        );
        self.sql.execute("the signal table can't be written", &query).await
    }
}

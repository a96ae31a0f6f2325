//! Signals: rows of the signal table and what comes by other channels, followed as they ask.

use super::{engine::Engine, stream::Streaming};
use crate::{
    error::Result,
    filter::Patterns,
    pgoutput::{Cell, Relation, Tuple},
    signal::{Asked, Gathering, Signal},
};
use std::collections::HashSet;
use tokio::time::Instant;

/// Where the stream's signals come from.
#[derive(Debug)]
pub(super) struct Signals {
    /// Number of the signal table, and the places of id, type and data in its rows.
    table: Option<(u32, [usize; 3])>,
    /// When the other channels are looked at next.
    pub(super) look: Instant,
}

impl Signals {
    /// Of a stream that begins.
    pub fn new() -> Self {
        Self { table: None, look: Instant::now() }
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
                let waiting = self.position.incremental.as_ref().map_or(&[][..], |state| &state.tables);
                let room = Gathering::beside(waiting);
                let asked = streaming.beside(self.asked(id, asked, room)).await?;
                if !asked.is_empty() {
                    let waiting = &mut self.position.incremental.get_or_insert_default().tables;
                    // What waits to be read anyway is not read twice.
                    let mut known: HashSet<_> = waiting.iter().skip(1).cloned().collect();
                    waiting.extend(asked.into_iter().filter(|asked| known.insert(asked.clone())));
                }
            }
            Signal::Block(asked) => {
                let waiting = self.position.progress.as_ref().map_or(&[][..], |progress| &progress.asked);
                let room = Gathering::beside(waiting);
                let asked = streaming.beside(self.asked(id, asked, room)).await?;
                self.ask_blocking(asked);
            }
            Signal::Stop(patterns) => {
                let patterns = (!patterns.is_empty()).then(|| Patterns::new(&patterns));
                let Some(state) = &mut self.position.incremental else { return Ok(()) };
                let first = state.tables.first().cloned();
                state.tables.retain(|asked| patterns.as_ref().is_some_and(|stopped| !stopped.matches(&asked.table)));
                if state.tables.first() != first.as_ref() {
                    (state.last, state.most, state.read) = (None, None, 0);
                    streaming.chunks.stopped();
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

    /// The captured tables that a signal's patterns mean; none when there is no room for all of them.
    async fn asked(&self, id: &str, patterns: Vec<Asked>, mut room: Gathering) -> Result<Vec<Asked>> {
        let own = self.settings.config.snapshot.signal_table.as_deref();
        let mut captured: Vec<_> = self.captured().await?.iter().map(|(_, id)| id.to_string()).collect();
        captured.retain(|name| Some(name.as_str()) != own);
        for asked in patterns {
            let pattern = Patterns::new(&[&asked.table]);
            let mut any = false;
            for table in captured.iter().filter(|name| pattern.matches(name)) {
                any = true;
                if let Err(reason) = room.push(table, asked.filter.as_deref()) {
                    self.settings.context.warn(&format!("signal {id} is not followed: {reason}"));
                    return Ok(Vec::new());
                }
            }
            if !any {
                self.settings.context.warn(&format!("signal {id}: no captured table is called {}", asked.table));
            }
        }
        Ok(room.tables())
    }
}

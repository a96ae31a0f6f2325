//! Reads values from their tables that an event lacks: large ones that did not change, and nulls, as
//! `ReselectColumnsPostProcessor` has it. Rows of a batch are read together, just before the batch is handed out.
//!
//! A value is the table's of now, which may be newer than the event, as with Debezium.

use super::{engine::Engine, queue::Chunk, stream::Streaming, tables::connect};
use crate::{
    error::{Error, Result},
    event::UNSENT,
    net::{identifier, literal},
    pgoutput::{Cell, Tuple},
    table::{DecodedRow, RowError, Table},
};
use levada_connector_api::{Bytes, ErrorKind, Headers, SourceRecord, Value};
use std::{fmt::Write, pin::pin, sync::Arc};

/// Bytes of values that are read at once.
const READ_BYTES: usize = 4 << 20;

/// Rows that are read by one query.
const MOST_ROWS: usize = 256;

/// A row that lacks values.
#[derive(Debug)]
pub(super) struct Wish {
    /// Place of its record in the batch.
    record: usize,
    table: Arc<Table>,
    /// Fields of the row's value.
    fields: Vec<usize>,
    /// Texts of the key's columns.
    key: Vec<String>,
}

impl Engine {
    /// What the row lacks, asked before its event is made.
    pub(super) fn wish(&self, table: &Arc<Table>, mut cells: Tuple<'_>, row: &DecodedRow) -> Option<Wish> {
        let config = self.reselect.as_ref()?;
        let wanted = |field: &usize| {
            let null = config.nulls && row.values.get(*field).is_some_and(Value::is_null);
            let lacking = null || (config.unavailable && row.unavailable().contains(field));
            lacking && config.column(&table.id.schema, &table.id.name, table.field_column(*field))
        };
        let fields: Vec<_> = (0..row.values.len()).filter(wanted).collect();
        let places = table.row_key(config.event_key);
        if fields.is_empty() || places.is_empty() {
            return None;
        }
        let mut texts = Vec::with_capacity(cells.len());
        while let Ok(Some(cell)) = cells.next() {
            texts.push(cell);
        }
        let text = |(place, _): &(usize, String)| match texts.get(*place) {
            Some(Cell::Text(text)) => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        };
        let key = places.iter().map(text).collect::<Option<_>>()?;
        Some(Wish { record: 0, table: Arc::clone(table), fields, key })
    }

    /// Notes it for the record that was made last; `before` records were there before, so that none may have been made.
    pub(super) fn wished(&mut self, wish: Option<Wish>, before: usize) {
        if let Some(wish) = wish
            && self.batch.records.len() > before
        {
            self.wishes.push(Wish { record: self.batch.records.len() - 1, ..wish });
        }
    }

    /// Puts the values into the batch. What no longer fits into it goes ahead, without an offset.
    pub(super) async fn reselect(&mut self, streaming: &mut Streaming) -> Result<()> {
        let mut wishes = std::mem::take(&mut self.wishes);
        while !wishes.is_empty() {
            let later = wishes.split_off(wishes.len().min(MOST_ROWS));
            wishes = self.filled(streaming, wishes).await?;
            wishes.extend(later);
            self.report(streaming).await?;
            if self.shared.stopping() {
                return Err(Error::Stopped);
            }
            if let Some(first) = wishes.first().map(|wish| wish.record).filter(|_| self.batch.bytes >= READ_BYTES) {
                self.send_ahead(streaming, first).await?;
                for wish in &mut wishes {
                    wish.record -= first;
                }
            }
        }
        Ok(())
    }

    /// Reads rows; a table that is locked keeps the reader waiting, and the server hears that somebody is here.
    async fn filled(&mut self, streaming: &mut Streaming, wishes: Vec<Wish>) -> Result<Vec<Wish>> {
        let mut fill = pin!(self.fill(wishes));
        loop {
            tokio::select! {
                left = &mut fill => return left,
                () = tokio::time::sleep(streaming.alive) => streaming.tell_stored().await?,
            }
        }
    }

    async fn send_ahead(&mut self, streaming: &mut Streaming, count: usize) -> Result<()> {
        let rest = self.batch.records.split_off(count);
        let records = std::mem::replace(&mut self.batch.records, rest);
        let chunk = Chunk { records, shapes: Vec::new(), offset: None, bytes: std::mem::take(&mut self.batch.bytes) };
        self.shared.push(chunk, streaming.alive, async || streaming.tell_stored().await).await
    }

    /// Reads rows, table by table; gives back those that there was no room for.
    async fn fill(&mut self, wishes: Vec<Wish>) -> Result<Vec<Wish>> {
        let mut groups: Vec<Vec<Wish>> = Vec::new();
        for wish in wishes {
            match groups.iter_mut().find(|group| group.first().is_some_and(|one| Arc::ptr_eq(&one.table, &wish.table)))
            {
                Some(group) => group.push(wish),
                None => groups.push(vec![wish]),
            }
        }
        let mut left = Vec::new();
        for group in groups {
            let answer = match self.read_rows(&group).await {
                Err(error @ (Error::Broken(_) | Error::Server { .. })) if error.kind() == ErrorKind::Retriable => {
                    self.sql = connect(&self.settings.config, &self.dialer, &self.login).await?;
                    self.read_rows(&group).await
                }
                other => other,
            };
            match answer {
                Ok(unread) => {
                    let keep = group.into_iter().enumerate().filter(|(place, _)| unread.contains(place));
                    left.extend(keep.map(|(_, wish)| wish));
                }
                // Another try may find the server, so no value is given up for that.
                Err(error)
                    if error.kind() == ErrorKind::Retriable || self.reselect.as_ref().is_some_and(|c| c.fail) =>
                {
                    return Err(error);
                }
                Err(error) => self.settings.context.warn(&error.to_string()),
            }
        }
        left.sort_by_key(|wish| wish.record);
        Ok(left)
    }

    /// Reads the rows of one table; the places of those that were not taken, since there was no room left.
    async fn read_rows(&mut self, group: &[Wish]) -> Result<Vec<usize>> {
        let Some(table) = group.first().map(|wish| Arc::clone(&wish.table)) else { return Ok(Vec::new()) };
        let mut fields: Vec<_> = group.iter().flat_map(|wish| wish.fields.iter().copied()).collect();
        fields.sort_unstable();
        fields.dedup();
        let by_event_key = self.reselect.as_ref().is_some_and(|config| config.event_key);
        let sql = statement(&table, &fields, table.row_key(by_event_key), group);
        let action = format!("values of table {} can't be read anew", table.id);
        let (mut taken, mut unread) = (0, Vec::new());
        let batch = &mut self.batch;
        let copied = self.sql.copy_out(&action, &sql, async |line: Bytes| {
            let misfit = || Error::Protocol("a row that was not asked for".to_owned());
            let (place, values) =
                table.decode_fields(&line, &fields).map_err(|error: RowError| Error::Data(error.to_string()))?;
            let wish = group.get(place).ok_or_else(misfit)?;
            if taken > READ_BYTES {
                unread.push(place);
                return Ok(());
            }
            taken += line.len();
            batch.grow(line.len());
            let record = batch.records.get_mut(wish.record).ok_or_else(misfit)?;
            for (field, value) in fields.iter().zip(values).filter(|(field, _)| wish.fields.contains(field)) {
                set_after(record, *field, value);
            }
            Ok(())
        });
        copied.await?;
        Ok(unread)
    }
}

/// `after` is the second field of an envelope.
fn set_after(record: &mut SourceRecord, field: usize, value: Value) {
    if let Value::Struct(envelope) = &mut record.value
        && let Some(Value::Struct(row)) = Arc::make_mut(envelope).values.get_mut(1)
        && let Some(old) = Arc::make_mut(row).values.get_mut(field)
    {
        *old = value;
        let name = row.schema.fields.get(field).map_or("", |field| &field.name);
        is_here_now(&mut record.headers, name);
    }
}

/// The field of that name has its value, whatever the header said of it.
fn is_here_now(headers: &mut Headers, name: &str) {
    if !headers.iter().any(|header| header.key == *UNSENT) {
        return;
    }
    headers.to_mut().retain_mut(|header| match &mut header.value {
        Value::Array(names) if header.key == *UNSENT => {
            names.retain(|other| !matches!(other, Value::String(other) if *other == *name));
            !names.is_empty()
        }
        _ => true,
    });
}

/// One query for all rows: each has its place in the group as its first column.
fn statement(table: &Table, fields: &[usize], key: &[(usize, String)], group: &[Wish]) -> String {
    let mut sql = "COPY (SELECT k.n".to_owned();
    for field in fields {
        let _ = write!(sql, ", t.{}", identifier(table.field_column(*field)));
    }
    sql.push_str(" FROM (VALUES ");
    for (place, wish) in group.iter().enumerate() {
        let _ = write!(sql, "{}({place}", if place == 0 { "" } else { ", " });
        for (text, (_, type_text)) in wish.key.iter().zip(key) {
            let _ = write!(sql, ", {}::{type_text}", literal(text));
        }
        sql.push(')');
    }
    sql.push_str(") AS k (n");
    for part in 0..key.len() {
        let _ = write!(sql, ", k{part}");
    }
    let _ = write!(sql, ") JOIN {} t ON true", table.id.quoted());
    for (part, (place, _)) in key.iter().enumerate() {
        let name = table.column_names().get(*place).map_or("", String::as_str);
        let _ = write!(sql, " AND t.{} = k.k{part}", identifier(name));
    }
    sql.push_str(") TO STDOUT");
    sql
}

//! Rows into SQL: UNNEST of arrays for few, COPY for many.
//!
//! UNNEST takes a column's values as the text of one array, so that one prepared statement serves any count of rows.
//! COPY goes straight into the table for plain inserts; otherwise into a staging table of the session, from which one
//! statement inserts, updates or deletes.

use super::{
    config::InsertMode,
    encode::quote,
    rows::{CellText, Fate, Rows},
    session::Session,
};
use crate::{error::Result, net::identifier};
use bytes::{BufMut, BytesMut};
use std::collections::{HashMap, HashSet};

/// Rows from which COPY into the table is the faster way, and COPY into a staging table (`examples/sink.rs` measures them).
const COPY_ROWS: usize = 200;
const STAGE_ROWS: usize = 1000;
/// Bytes of rows from which COPY is the better way: it needs them in no more than one piece at a time.
const COPY_BYTES: usize = 4 << 20;
/// Rows of which it is worth a look whether one statement writes them all.
const FEW_ROWS: usize = 50;
/// Rows of one statement where there is no COPY.
const UNNEST_ROWS: usize = 2000;
/// Bytes of a piece of COPY.
const PIECE: usize = 128 << 10;
/// Staging tables kept; beyond it all are dropped (invariant 9).
const MAX_STAGES: usize = 128;

/// What is done with rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Insert,
    Upsert,
    Update,
    Delete,
    /// What [`Verb::Upsert`] does, for rows that lack a column that a new row needs: the server asks for it before it
    /// looks whether the row is there.
    UpdateThenInsert,
}

/// Staging tables of a session.
#[derive(Debug, Default)]
pub struct Stages {
    known: HashMap<(u32, Vec<usize>, Vec<bool>), String>,
    /// Those that the transaction has made.
    fresh: HashSet<String>,
    /// Those that have rows of the transaction.
    used: HashSet<String>,
    count: usize,
}

impl Stages {
    /// A transaction ended; the server has emptied them. Those that it made went with it when it was rolled back.
    pub fn ended(&mut self, committed: bool) {
        self.used.clear();
        if !committed {
            self.known.retain(|_, name| !self.fresh.contains(name));
        }
        self.fresh.clear();
    }

    /// Makes all of them anew: the types of their columns may have changed, or a pooler has dropped them.
    pub fn forget(&mut self) {
        self.used.clear();
        self.fresh.clear();
        self.known.clear();
    }
}

/// Writes rows in the session's transaction.
pub struct Writer<'a> {
    /// Session.
    pub session: &'a Session,
    /// Its staging tables.
    pub stages: &'a mut Stages,
    /// How rows are written.
    pub mode: InsertMode,
    /// Whether COPY may be used: not while a bad row is looked for, where a staging table would be rolled back.
    pub copy: bool,
}

/// Columns of a table as a statement has them.
struct Shape<'a> {
    rows: &'a Rows,
    columns: &'a [usize],
}

impl Shape<'_> {
    fn name(&self, column: usize) -> String {
        identifier(self.rows.table.columns.get(column).map_or("", |column| &column.name))
    }

    fn instant(&self, column: usize) -> bool {
        self.rows.instants.get(column).copied().unwrap_or(false)
    }

    /// Type of the values on their way.
    fn kind(&self, column: usize) -> &str {
        if self.instant(column) {
            return "timestamptz";
        }
        self.rows.table.columns.get(column).map_or("text", |column| &column.kind.sql)
    }

    /// Whether unnesting would take the values apart too.
    fn is_apart(&self, column: usize) -> bool {
        let apart = |kind: &super::encode::ColumnType| kind.element.is_some() || kind.composite;
        self.rows.table.columns.get(column).is_some_and(|column| apart(&column.kind))
    }

    fn place(&self, column: usize) -> usize {
        self.columns.iter().position(|other| *other == column).unwrap_or(0)
    }

    fn names(&self) -> String {
        self.columns.iter().map(|column| self.name(*column)).collect::<Vec<_>>().join(", ")
    }

    /// The value of a column in the source `s` of a statement.
    fn value(&self, column: usize, staged: bool) -> String {
        let place = self.place(column);
        if self.is_apart(column) && !staged {
            format!("s.c{place}::{}", self.kind(column))
        } else {
            format!("s.c{place}")
        }
    }

    /// Arrays as the source of a statement. Arrays of arrays and of rows would be taken apart, so they come as texts.
    fn unnest(&self) -> String {
        let array = |(at, column): (usize, &usize)| {
            let kind = if self.is_apart(*column) { "text" } else { self.kind(*column) };
            format!("${}::text::{kind}[]", at + 1)
        };
        let arrays: Vec<_> = self.columns.iter().enumerate().map(array).collect();
        let names: Vec<_> = (0..self.columns.len()).map(|at| format!("c{at}")).collect();
        format!("unnest({}) AS s({})", arrays.join(", "), names.join(", "))
    }

    fn matches(&self, staged: bool) -> String {
        let keys = self.rows.keys.iter();
        keys.map(|key| format!("t.{} = {}", self.name(*key), self.value(*key, staged)))
            .collect::<Vec<_>>()
            .join(" AND ")
    }

    fn others(&self) -> impl Iterator<Item = usize> {
        self.columns.iter().copied().filter(|column| !self.rows.keys.contains(column))
    }

    /// The statements of a verb over a source.
    fn statements(&self, verb: Verb, source: &str, staged: bool) -> Vec<String> {
        let table = &self.rows.table;
        let matches = self.matches(staged);
        let update = || {
            let set: Vec<_> =
                self.others().map(|column| format!("{} = {}", self.name(column), self.value(column, staged))).collect();
            (!set.is_empty())
                .then(|| format!("UPDATE {} AS t SET {} FROM {source} WHERE {matches}", table.sql, set.join(", ")))
        };
        match verb {
            Verb::Delete => vec![format!("DELETE FROM {} AS t USING {source} WHERE {matches}", table.sql)],
            Verb::Update => update().into_iter().collect(),
            Verb::Insert => vec![self.insert(source, staged)],
            Verb::Upsert => {
                let keys: Vec<_> = self.rows.keys.iter().map(|key| self.name(*key)).collect();
                let set: Vec<_> = self.others().map(|column| self.name(column)).collect();
                let set: Vec<_> = set.iter().map(|name| format!("{name} = EXCLUDED.{name}")).collect();
                let action =
                    if set.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {}", set.join(", ")) };
                vec![format!("{} ON CONFLICT ({}) DO {action}", self.insert(source, staged), keys.join(", "))]
            }
            Verb::UpdateThenInsert => {
                let absent = format!(" WHERE NOT EXISTS (SELECT FROM {} AS t WHERE {matches})", table.sql);
                update().into_iter().chain([self.insert(source, staged) + &absent]).collect()
            }
        }
    }

    fn insert(&self, source: &str, staged: bool) -> String {
        let table = &self.rows.table;
        let identity =
            self.columns.iter().any(|column| table.columns.get(*column).is_some_and(|column| column.identity));
        let over = if identity { " OVERRIDING SYSTEM VALUE" } else { "" };
        let values: Vec<_> = self.columns.iter().map(|column| self.value(*column, staged)).collect();
        format!("INSERT INTO {} ({}){over} SELECT {} FROM {source}", table.sql, self.names(), values.join(", "))
    }

    /// The texts of a column as the text of one array.
    fn array(&self, column: usize, rows: &[usize]) -> Vec<u8> {
        let mut out = vec![b'{'];
        for (index, row) in rows.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            match self.rows.cell(*row, column) {
                CellText::Text(text) if is_bare(text) => out.extend_from_slice(text),
                CellText::Text(text) => quote(text, &mut out),
                _ => out.extend_from_slice(b"NULL"),
            }
        }
        out.push(b'}');
        out
    }

    fn weight(&self, row: usize) -> usize {
        let text = |column: &usize| match self.rows.cell(row, *column) {
            CellText::Text(text) => text.len() + 2,
            _ => 4,
        };
        self.columns.iter().map(text).sum()
    }
}

/// Texts of numbers and times need no quotes in an array.
fn is_bare(text: &[u8]) -> bool {
    text.first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'-')
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b':' | b'+' | b'_'))
}

fn verb(rows: &Rows, mode: InsertMode, columns: &[usize]) -> Verb {
    let mut needed = rows.table.columns.iter().enumerate().filter(|(_, column)| column.needed);
    match mode {
        InsertMode::Insert => Verb::Insert,
        InsertMode::Update => Verb::Update,
        InsertMode::Upsert if needed.any(|(at, _)| !columns.contains(&at)) => Verb::UpdateThenInsert,
        InsertMode::Upsert => Verb::Upsert,
    }
}

impl Writer<'_> {
    /// Writes rows: first what is deleted, then the others.
    pub async fn rows(&mut self, rows: &Rows) -> Result<()> {
        let deleted = rows.sorted(|fate| fate != Fate::Write);
        if !deleted.is_empty() {
            self.group(rows, &rows.keys, &deleted, Verb::Delete).await?;
        }
        let written = rows.sorted(|fate| fate != Fate::Delete);
        for (columns, group) in rows.groups(&written) {
            let verb = verb(rows, self.mode, &columns);
            self.group(rows, &columns, &group, verb).await?;
        }
        Ok(())
    }

    /// Whether rows are written by a single statement, which is a transaction by itself.
    pub fn is_one_statement(rows: &Rows, mode: InsertMode) -> bool {
        if rows.len() > FEW_ROWS || rows.bytes() >= COPY_BYTES {
            return false;
        }
        let deleted = rows.sorted(|fate| fate == Fate::Delete).len();
        let written = rows.sorted(|fate| fate == Fate::Write);
        match (deleted, written.len()) {
            (deleted, 0) => deleted == rows.len(),
            (0, written_rows) if written_rows == rows.len() => match rows.groups(&written).as_slice() {
                [(columns, _)] => verb(rows, mode, columns) != Verb::UpdateThenInsert,
                _ => false,
            },
            _ => false,
        }
    }

    async fn group(&mut self, rows: &Rows, columns: &[usize], group: &[usize], verb: Verb) -> Result<()> {
        let shape = Shape { rows, columns };
        let bytes: usize = group.iter().map(|row| shape.weight(*row)).sum();
        let direct = verb == Verb::Insert && rows.table.copies && !columns.iter().any(|column| shape.instant(*column));
        let least = if direct { COPY_ROWS } else { STAGE_ROWS };
        // COPY is a prepared statement, which a pooler between transactions does not keep, and neither staging tables.
        if !self.copy || !self.session.keeps_state() || (group.len() < least && bytes < COPY_BYTES) {
            return self.unnest(&shape, group, verb, bytes).await;
        }
        if direct {
            let sql = format!("COPY {} ({}) FROM STDIN", rows.table.sql, shape.names());
            return self.copy(&shape, group, &sql).await;
        }
        let stage = self.stage(&shape).await?;
        if !self.stages.used.insert(stage.clone()) {
            self.session.run("a staging table can't be emptied", &format!("TRUNCATE {stage}")).await?;
        }
        self.copy(&shape, group, &format!("COPY {stage} FROM STDIN")).await?;
        for sql in shape.statements(verb, &format!("{stage} AS s"), true) {
            self.session.execute(&action(rows), &sql, &[]).await?;
        }
        Ok(())
    }

    async fn unnest(&mut self, shape: &Shape<'_>, group: &[usize], verb: Verb, bytes: usize) -> Result<()> {
        let statements = shape.statements(verb, &shape.unnest(), false);
        let per_piece = bytes.div_ceil(COPY_BYTES).max(1);
        let most = (group.len().div_ceil(per_piece)).clamp(1, UNNEST_ROWS);
        for piece in group.chunks(most) {
            let arrays: Vec<_> = shape.columns.iter().map(|column| shape.array(*column, piece)).collect();
            for sql in &statements {
                self.session.execute(&action(shape.rows), sql, &arrays).await?;
            }
        }
        Ok(())
    }

    /// The staging table for these columns.
    async fn stage(&mut self, shape: &Shape<'_>) -> Result<String> {
        let key = (shape.rows.table.oid, shape.columns.to_vec(), shape.rows.instants.clone());
        if let Some(known) = self.stages.known.get(&key) {
            return Ok(known.clone());
        }
        if self.stages.known.len() >= MAX_STAGES {
            self.session.run("staging tables can't be dropped", "DISCARD TEMP").await?;
            self.stages.known.clear();
            self.stages.fresh.clear();
        }
        self.stages.count += 1;
        let name = format!("pg_temp.levada_stage_{}", self.stages.count);
        let columns = shape.columns.iter().enumerate().map(|(at, column)| format!("c{at} {}", shape.kind(*column)));
        let columns = columns.collect::<Vec<_>>().join(", ");
        let sql = format!("CREATE TEMP TABLE levada_stage_{} ({columns}) ON COMMIT DELETE ROWS", self.stages.count);
        self.session.run("a staging table can't be made", &sql).await?;
        self.stages.fresh.insert(name.clone());
        self.stages.known.insert(key, name.clone());
        Ok(name)
    }

    async fn copy(&mut self, shape: &Shape<'_>, group: &[usize], sql: &str) -> Result<()> {
        let mut rows = group.iter();
        let next = || {
            let mut piece = BytesMut::with_capacity(PIECE + PIECE / 4);
            while piece.len() < PIECE {
                let Some(row) = rows.next() else { break };
                line(shape, *row, &mut piece);
            }
            Ok(if piece.is_empty() { None } else { Some(piece.freeze()) })
        };
        self.session.copy_in(&action(shape.rows), sql, next).await.map(drop)
    }
}

fn action(rows: &Rows) -> String {
    format!("table {} refuses rows", rows.table.name)
}

/// A row as COPY's text format has it.
fn line(shape: &Shape<'_>, row: usize, out: &mut BytesMut) {
    for (index, column) in shape.columns.iter().enumerate() {
        if index > 0 {
            out.put_u8(b'\t');
        }
        match shape.rows.cell(row, *column) {
            CellText::Text(text) => escaped(text, out),
            _ => out.put_slice(b"\\N"),
        }
    }
    out.put_u8(b'\n');
}

fn escaped(text: &[u8], out: &mut BytesMut) {
    let special = |byte: &u8| matches!(byte, b'\\' | b'\t' | b'\n' | b'\r');
    let mut rest = text;
    while let Some(at) = rest.iter().position(special) {
        let (before, after) = rest.split_at(at);
        out.put_slice(before);
        let letter = match after.first() {
            Some(b'\t') => b't',
            Some(b'\n') => b'n',
            Some(b'\r') => b'r',
            _ => b'\\',
        };
        out.put_slice(&[b'\\', letter]);
        rest = after.get(1..).unwrap_or_default();
    }
    out.put_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_escapes_what_ends_fields_and_rows() {
        let mut out = BytesMut::new();
        escaped(b"a\tb\nc\rd\\e", &mut out);
        assert_eq!(&out[..], b"a\\tb\\nc\\rd\\\\e");
    }

    #[test]
    fn only_plain_texts_go_without_quotes() {
        for bare in ["1", "-1.5", "2024-02-29", "10:00:00+00", "1e300"] {
            assert!(is_bare(bare.as_bytes()), "{bare}");
        }
        for quoted in ["", "NULL", "null", "2024-02-29 10:00:00", "a", "{1}", "1,2", "\\x00"] {
            assert!(!is_bare(quoted.as_bytes()), "{quoted}");
        }
    }
}

//! Reads tables whole: by COPY, in ranges of pages, so that an interrupted snapshot goes on behind the last range.
//!
//! Going on means another snapshot than the first: what changed since is streamed from the slot's beginning all the
//! same, so every row's last event is its last state. A row that moved into pages that were read already is read again.

use super::{
    engine::{Engine, now_micros},
    tables,
};
use crate::{
    catalog::{self, TableId, TableInfo},
    config::LockingMode,
    error::{Error, Result},
    event::{Emitter, Moment, SnapshotMark},
    filter::Patterns,
    lsn::Lsn,
    net::{Replication, Sql, identifier, literal},
    offset::{Current, Progress},
    table::{Builder, Table},
};
use levada_connector_api::{Bytes, SourceRecord};
use std::time::Duration;

/// Pages of a range: 64 MiB.
const RANGE_PAGES: u64 = 8192;
/// Ranges of pages are fast since this version.
const TID_RANGE_VERSION: u32 = 140_000;

/// A snapshot under way.
struct Reading {
    reader: Sql,
    moment: Moment,
    /// Oldest transaction whose end it may not see.
    xmin: u64,
    /// The last row: its mark is known when the next one comes, or none.
    pending: Option<SourceRecord>,
    /// Whether the last row is the first of all, and the first of its table.
    first: bool,
    first_in_table: bool,
    /// Tables that are read but for the last row.
    ended: Vec<String>,
}

impl Engine {
    /// Reads the captured tables. Without a slot (`confirmed` is none) one is made, and its moment is what is read.
    pub(super) async fn snapshot(
        &mut self,
        replication: &mut Replication,
        confirmed: Option<Lsn>,
        captured: &[(u32, TableId)],
    ) -> Result<()> {
        let reader = tables::connect(&self.settings.config, &self.dialer, &self.login).await?;
        let tx_id = current_transaction(&reader).await?;
        let (start, exported) = match confirmed {
            // What is behind the slot's own position may be in the snapshot too; nothing is missing between.
            Some(confirmed) => (confirmed, None),
            None => {
                self.slot.drop(&self.sql).await?;
                let made = self.slot.create(replication, self.version, true).await?;
                (made.start, made.snapshot)
            }
        };
        begin(&reader, exported.as_deref()).await?;
        if self.position.progress.is_none() {
            self.begin_at(start);
            self.position.progress = Some(Progress::default());
        }
        (self.position.tx_id, self.position.snapshot) = (tx_id, Some(false));
        let xmin =
            reader.row("the snapshot can't be looked at", "SELECT txid_snapshot_xmin(txid_current_snapshot())").await?;
        let xmin = xmin.as_ref().and_then(|row| row.get(0)).and_then(|text| text.parse().ok()).unwrap_or(0);
        let moment = Moment {
            micros: now_micros(),
            tx_id,
            lsn: self.position.lsn,
            last_commit: None,
            xmin: None,
            origin: None,
            mark: SnapshotMark::Snapshot,
        };
        let mut reading =
            Reading { reader, moment, xmin, pending: None, first: true, first_in_table: true, ended: Vec::new() };
        self.checkpoint().await?;
        let order = self.snapshot_tables(&reading.reader, captured).await?;
        self.lock(&reading.reader, &order).await?;
        let mut estimates = Vec::new();
        for info in &order {
            estimates.push(estimate(&reading.reader, info).await?);
        }
        let done = self.position.progress.as_ref().map_or(0, |progress| progress.done.len());
        self.shared.telling.begin_snapshot(done, &estimates);
        for (info, estimate) in order.iter().zip(estimates) {
            if self.shared.stopping() {
                return Err(Error::Stopped);
            }
            self.shared.telling.begin_table(&info.id.to_string(), estimate);
            self.read_table(&mut reading, info).await?;
            self.shared.telling.end_table();
        }
        if let Some(mut last) = reading.pending.take() {
            Emitter::mark(&mut last, SnapshotMark::Last);
            self.batch.records.push(last);
        }
        reading.reader.execute("the snapshot can't be ended", "COMMIT").await?;
        (self.position.snapshot, self.position.progress) = (Some(true), None);
        self.position.micros = now_micros();
        self.checkpoint().await?;
        self.shared.telling.end_snapshot();
        Ok(())
    }

    /// The tables still to be read, in order.
    async fn snapshot_tables(&self, reader: &Sql, captured: &[(u32, TableId)]) -> Result<Vec<TableInfo>> {
        let config = &self.settings.config.snapshot;
        let include = config.include.as_ref().filter(|list| !list.is_empty()).map(|list| Patterns::new(list));
        let done = self.position.progress.as_ref().map(|progress| progress.done.clone()).unwrap_or_default();
        let mut infos = Vec::new();
        for (oid, id) in captured {
            let name = id.to_string();
            if done.contains(&name) || include.as_ref().is_some_and(|include| !include.matches(&name)) {
                continue;
            }
            // One that was dropped meanwhile has no rows.
            infos.extend(catalog::table_info(reader, *oid).await?);
        }
        match config.order_by_rows.as_str() {
            "ascending" => infos.sort_by(|a, b| a.rows.total_cmp(&b.rows)),
            "descending" => infos.sort_by(|a, b| b.rows.total_cmp(&a.rows)),
            _ => {}
        }
        Ok(infos)
    }

    async fn lock(&self, reader: &Sql, tables: &[TableInfo]) -> Result<()> {
        let config = &self.settings.config.snapshot;
        if config.locking != LockingMode::Shared || tables.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = tables.iter().map(|info| info.id.quoted()).collect();
        let query = format!(
            "SET lock_timeout = {}; LOCK TABLE {} IN ACCESS SHARE MODE",
            config.lock_timeout.as_millis(),
            names.join(", ")
        );
        reader.execute("the tables can't be locked", &query).await
    }

    /// The plan of a table's rows as they are read, and the columns of its key.
    pub(super) async fn plan_of(&mut self, info: &TableInfo) -> Result<(Table, Vec<String>)> {
        let mut relation = Builder::announce(info, self.publication.shows_stored());
        let filters = self.builder.filters();
        let key =
            filters.key_columns(&info.id.schema, &info.id.name).map_or_else(|| info.key().to_vec(), <[_]>::to_vec);
        // What nobody gets is not read either.
        relation.columns.retain(|column| {
            key.contains(&column.name) || filters.column(&info.id.schema, &info.id.name, &column.name)
        });
        let unknown = |oid: u32| !self.types.contains(oid);
        if relation.columns.iter().any(|column| unknown(column.type_oid)) {
            catalog::load_types(&self.sql, &mut self.types).await?;
        }
        Ok((self.builder.table(&relation, Some(info), &self.types), key))
    }

    async fn read_table(&mut self, reading: &mut Reading, info: &TableInfo) -> Result<()> {
        let (table, _) = self.plan_of(info).await?;
        (reading.first_in_table, reading.moment.micros) = (true, now_micros());
        let name = info.id.to_string();
        let mut current = self.resumed(reading, info, &name);
        if current.page > 0 {
            let moved = moved_rows(info, &table, &current);
            self.copy(reading, &table, &moved).await?;
        }
        loop {
            let whole =
                self.version < TID_RANGE_VERSION || info.kind != b'r' || self.select_override(&info.id).is_some();
            let last = whole || current.page + RANGE_PAGES >= info.pages;
            let sql = self.copy_statement(info, &table, current.page, (!last).then(|| current.page + RANGE_PAGES));
            self.copy(reading, &table, &sql).await?;
            if last {
                break;
            }
            // What the offset says is read must be on its way.
            self.settle_pending(reading, None);
            current.page += RANGE_PAGES;
            if let Some(progress) = &mut self.position.progress {
                progress.current = Some(current.clone());
            }
            self.checkpoint().await?;
        }
        reading.ended.push(name);
        if reading.pending.is_none() {
            self.table_ended(reading);
            self.checkpoint().await?;
        }
        Ok(())
    }

    /// Where a table goes on: behind the pages that an earlier try has read, when they still mean the same.
    fn resumed(&self, reading: &Reading, info: &TableInfo, name: &str) -> Current {
        let stored = self.position.progress.as_ref().and_then(|progress| progress.current.as_ref());
        match stored.filter(|current| current.table == name && current.file == info.file) {
            Some(current) => current.clone(),
            None => Current { table: name.to_owned(), file: info.file, page: 0, xmin: reading.xmin },
        }
    }

    fn select_override(&self, id: &TableId) -> Option<&String> {
        let named = self.settings.config.snapshot.overrides.as_ref()?.iter().any(|name| *name == id.to_string());
        named.then(|| self.settings.raw.get(&format!("snapshot.select.statement.overrides.{id}")))?
    }

    fn copy_statement(&self, info: &TableInfo, table: &Table, from: u64, to: Option<u64>) -> String {
        let columns: Vec<_> = table.column_names().iter().map(|name| identifier(name)).collect();
        let columns = columns.join(", ");
        if let Some(select) = self.select_override(&info.id) {
            return format!(
                "COPY (SELECT {columns} FROM ({}) levada_override) TO STDOUT",
                select.trim_end_matches([';', ' '])
            );
        }
        let (whole, quoted) = (from == 0 && to.is_none(), info.id.quoted());
        let computed = |name: &String| info.columns.iter().any(|column| column.generated && column.name == *name);
        // COPY of a table itself refuses columns that are computed.
        if whole && info.kind == b'r' && !table.column_names().iter().any(|name| computed(name)) {
            // Without columns this is `COPY t ()`, which is no SQL; such a table has nothing but its count of rows.
            if table.column_names().is_empty() {
                return format!("COPY (SELECT FROM {quoted}) TO STDOUT");
            }
            return format!("COPY {quoted} ({columns}) TO STDOUT");
        }
        let end = to.map(|to| format!(" AND ctid < '({to},0)'")).unwrap_or_default();
        let range = if whole { String::new() } else { format!(" WHERE ctid >= '({from},0)'{end}") };
        format!("COPY (SELECT {columns} FROM {quoted}{range}) TO STDOUT")
    }

    async fn copy(&mut self, reading: &mut Reading, table: &Table, sql: &str) -> Result<()> {
        let action = format!("table {} can't be read", table.id);
        let Reading { reader, moment, pending, first, first_in_table, ended, .. } = reading;
        let shared = std::sync::Arc::clone(&self.shared);
        let copied = reader.copy_out(&action, sql, async |line: Bytes| {
            shared.telling.row();
            let row = match table.decode_line(&line) {
                Ok(row) => row,
                Err(error) => return self.undecoded(error.to_string()),
            };
            let record = self.emitter.read(table, row, moment);
            if let Some(mut last) = pending.replace(record) {
                let of_this_table = ended.is_empty();
                if let Some(mark) = mark(*first, *first_in_table, !of_this_table) {
                    Emitter::mark(&mut last, mark);
                }
                (*first, *first_in_table) = (false, !of_this_table);
                self.batch.records.push(last);
                if !of_this_table && let Some(progress) = &mut self.position.progress {
                    progress.done.append(ended);
                    progress.current = None;
                }
            }
            self.batch.grow(line.len() + 1024);
            if self.is_full() { self.flush(false, Duration::from_secs(3600), async || Ok(())).await } else { Ok(()) }
        });
        copied.await
    }

    /// Sends the last row without waiting for the next.
    fn settle_pending(&mut self, reading: &mut Reading, mark_as: Option<SnapshotMark>) {
        if let Some(mut last) = reading.pending.take() {
            if let Some(mark) = mark_as.or_else(|| mark(reading.first, reading.first_in_table, false)) {
                Emitter::mark(&mut last, mark);
            }
            (reading.first, reading.first_in_table) = (false, false);
            self.batch.records.push(last);
        }
    }

    fn table_ended(&mut self, reading: &mut Reading) {
        if let Some(progress) = &mut self.position.progress {
            progress.done.append(&mut reading.ended);
            progress.current = None;
        }
    }

    async fn checkpoint(&mut self) -> Result<()> {
        self.flush(true, Duration::from_secs(3600), async || Ok(())).await
    }

    /// What becomes of a row that can't be represented.
    pub(super) fn undecoded(&self, reason: String) -> Result<()> {
        use crate::config::FailureMode;
        match self.settings.config.events.failure {
            FailureMode::Fail => Err(Error::Data(format!(
                "{reason}. Leave the column out by column.exclude.list, or such rows by \
                 event.processing.failure.handling.mode=warn"
            ))),
            FailureMode::Warn => {
                self.settings.context.warn(&format!("a row is left out: {reason}"));
                Ok(())
            }
            FailureMode::Skip | FailureMode::Ignore => Ok(()),
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

async fn begin(reader: &Sql, exported: Option<&str>) -> Result<()> {
    let import = exported.map(|name| format!("; SET TRANSACTION SNAPSHOT {}", literal(name))).unwrap_or_default();
    let query = format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY{import}");
    reader.execute("the snapshot can't be opened", &query).await
}

/// Rows of a table, as the statistics have them or, for one that was never looked through, as the planner guesses.
async fn estimate(reader: &Sql, info: &TableInfo) -> Result<u64> {
    if info.rows > 0.0 || info.pages == 0 {
        return Ok(info.rows as u64);
    }
    let query = format!("EXPLAIN (FORMAT JSON) SELECT FROM ONLY {}", info.id.quoted());
    let row = reader.row("a table's rows can't be estimated", &query).await?;
    let plan = row.as_ref().and_then(|row| row.get(0)).and_then(|plan| serde_json::from_str(plan).ok());
    let rows = plan.and_then(|plan: serde_json::Value| plan.pointer("/0/Plan/Plan Rows")?.as_f64());
    Ok(rows.unwrap_or(0.0) as u64)
}

async fn current_transaction(reader: &Sql) -> Result<Option<i64>> {
    let query = "SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE txid_current() END";
    let row = reader.row("the transaction's number can't be read", query).await?;
    Ok(row.as_ref().and_then(|row| row.get(0)).and_then(|text| text.parse().ok()))
}

/// The rows that were written into pages behind which the reading stood, since it stood there.
fn moved_rows(info: &TableInfo, table: &Table, current: &Current) -> String {
    let columns: Vec<_> = table.column_names().iter().map(|name| identifier(name)).collect();
    format!(
        "COPY (SELECT {} FROM {} WHERE ctid < '({},0)' AND age(xmin) <= age('{}'::xid)) TO STDOUT",
        columns.join(", "),
        info.id.quoted(),
        current.page,
        current.xmin & 0xffff_ffff
    )
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

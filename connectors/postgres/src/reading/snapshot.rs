//! A snapshot: what is read of which tables, in which order, and what an interrupted one still has to read. The reading
//! itself is in [`super::rows`].
//!
//! Going on means another snapshot than the first: what changed since is streamed from the slot's beginning all the
//! same, so every row's last event is its last state. A row that moved into pages that were read already is read again.

use super::{
    conditions::bare,
    engine::{Engine, now_micros},
    rows::{Planned, Rows},
    tables,
};
use crate::{
    catalog::{self, TableId, TableInfo},
    config::LockingMode,
    error::{Error, Result},
    event::{Moment, SnapshotMark},
    lsn::Lsn,
    net::{Replication, Sql, identifier, literal},
    offset::{Current, Progress},
    table::{Builder, Table},
};
use futures_util::future::try_join_all;
use std::{collections::VecDeque, time::Duration};

/// A wait for room in the queue that only a stop ends: no server waits for an answer meanwhile.
pub(super) const LONG: Duration = Duration::from_secs(3600);

impl Engine {
    /// Reads the captured tables. Without a slot (`confirmed` is none) one is made, and its moment is what is read; where
    /// nothing is to `stream` afterwards none is, since nobody would ever advance it.
    pub(super) async fn snapshot(
        &mut self,
        replication: &mut Replication,
        (confirmed, stream): (Option<Lsn>, bool),
        captured: &[(u32, TableId)],
    ) -> Result<()> {
        let reader = tables::connect(&self.settings.config, &self.dialer, &self.login).await?;
        let tx_id = current_transaction(&reader).await?;
        let (start, exported) = match confirmed {
            // What is behind the slot's own position may be in the snapshot too; nothing is missing between.
            Some(confirmed) => (confirmed, None),
            None if !stream => (Lsn(seen_upto(&reader).await?), None),
            None => {
                let made = self.slot.make_anew(&self.sql, replication, self.version, true).await?;
                (made.start, made.snapshot)
            }
        };
        // Asked before the snapshot is taken: what commits between is told as a change, not missed.
        let upto = if exported.is_some() { start.0 } else { seen_upto(&reader).await? };
        begin(&reader, exported.as_deref()).await?;
        if self.position.progress.is_none() {
            self.begin_at(start);
            self.position.progress = Some(Progress::default());
        }
        (self.position.tx_id, self.position.snapshot) = (tx_id, Some(false));
        let moment = Moment {
            micros: now_micros(),
            tx_id,
            lsn: self.position.lsn,
            last_commit: None,
            xmin: None,
            origin: None,
            mark: SnapshotMark::Snapshot,
        };
        self.checkpoint().await?;
        let order = self.snapshot_tables(&reader, captured).await?;
        self.read_tables(reader, order, moment, Some(upto)).await?;
        (self.position.snapshot, self.position.progress) = (Some(true), None);
        self.position.micros = now_micros();
        self.checkpoint().await?;
        self.shared.telling.end_snapshot();
        Ok(())
    }

    /// Reads tables on a session whose snapshot has begun, and on more of them, with the conditions of their rows. Their
    /// shapes are told when it is said up to where the snapshot has everything.
    pub(super) async fn read_tables(
        &mut self,
        reader: Sql,
        order: Vec<(TableInfo, Option<String>)>,
        moment: Moment,
        upto: Option<u64>,
    ) -> Result<()> {
        let xmin =
            reader.row("the snapshot can't be looked at", "SELECT txid_snapshot_xmin(txid_current_snapshot())").await?;
        let xmin = xmin.as_ref().and_then(|row| row.get(0)).and_then(|text| text.parse().ok()).unwrap_or(0);
        self.lock(&reader, &order).await?;
        let mut waiting = VecDeque::with_capacity(order.len());
        for (info, filter) in order {
            let (table, _) = self.plan_of(&info).await?;
            if let Some(upto) = upto {
                self.snapshot_shape(&info, &moment, upto);
            }
            if self.is_full() {
                self.checkpoint().await?;
            }
            let planned = Planned { estimate: estimate(&reader, &info).await?, info, table, filter };
            self.check_planned(&reader, &planned).await?;
            waiting.push_back(planned);
        }
        let done = self.position.progress.as_ref().map_or(0, |progress| progress.done.len());
        let estimates: Vec<_> = waiting.iter().map(|planned| planned.estimate).collect();
        self.shared.telling.begin_snapshot(done, &estimates);
        let readers = self.readers(reader, waiting.len()).await?;
        let rows = Rows::new(self, waiting, moment, xmin);
        try_join_all(readers.iter().map(|reader| rows.read(reader))).await?;
        rows.end();
        Ok(())
    }

    /// The sessions that read: as many as `snapshot.max.threads` says, all of what the first one sees.
    async fn readers(&self, first: Sql, tables: usize) -> Result<Vec<Sql>> {
        let most = usize::try_from(self.settings.config.snapshot.max_threads).unwrap_or(1).min(tables);
        let mut readers = vec![first];
        let mut exported = None;
        while readers.len() < most {
            if exported.is_none()
                && let Some(first) = readers.first()
            {
                let row = first.row("the snapshot can't be shared", "SELECT pg_export_snapshot()").await?;
                exported = row.as_ref().and_then(|row| row.get(0)).map(str::to_owned);
            }
            let reader = tables::connect(&self.settings.config, &self.dialer, &self.login).await?;
            begin(&reader, exported.as_deref()).await?;
            readers.push(reader);
        }
        Ok(readers)
    }

    /// The tables still to be read, in order.
    pub(super) async fn snapshot_tables(
        &self,
        reader: &Sql,
        captured: &[(u32, TableId)],
    ) -> Result<Vec<(TableInfo, Option<String>)>> {
        let config = &self.settings.config.snapshot;
        let included = config.includes();
        let progress = self.position.progress.clone().unwrap_or_default();
        // A signal names its tables itself.
        let asked = |id: &TableId| progress.asked.iter().find(|asked| asked.table == id.to_string());
        let wanted = |id: &TableId| {
            let name = id.to_string();
            let meant = if progress.asked.is_empty() { included(&name) } else { asked(id).is_some() };
            meant && !progress.done.contains(&name)
        };
        let oids: Vec<_> = captured.iter().filter(|(_, id)| wanted(id)).map(|(oid, _)| *oid).collect();
        // One that was dropped meanwhile has no rows.
        let infos = catalog::table_infos(reader, &oids).await?;
        let filtered = |info: TableInfo| {
            let filter = asked(&info.id).and_then(|asked| asked.filter.clone());
            (info, filter)
        };
        let mut infos: Vec<_> = infos.into_iter().map(filtered).collect();
        config.put_in_order(&mut infos, |(info, _)| info.rows);
        Ok(infos)
    }

    async fn lock(&self, reader: &Sql, tables: &[(TableInfo, Option<String>)]) -> Result<()> {
        let config = &self.settings.config.snapshot;
        if config.locking != LockingMode::Shared || tables.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = tables.iter().map(|(info, _)| info.id.quoted()).collect();
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

    /// Where a table goes on: behind the pages that an earlier try has read, when they still mean the same. `xmin` is the
    /// oldest transaction whose end this try may not see.
    pub(super) fn resumed(&self, planned: &Planned, name: &str, xmin: u64) -> Current {
        let info = &planned.info;
        // What the user chose to read is not known by its pages.
        let pages = self.position.progress.iter().filter(|_| self.select_of(planned).is_none());
        let stored = pages.flat_map(|progress| &progress.current);
        let mut stored = stored.filter(|current| current.table == name && current.file == info.file);
        stored.next().cloned().unwrap_or_else(|| Current { table: name.to_owned(), file: info.file, page: 0, xmin })
    }

    /// The query that is read in the place of a table: a signal's, or that of the configuration.
    pub(super) fn select_of<'a>(&'a self, planned: &'a Planned) -> Option<&'a str> {
        if let Some(filter) = planned.filter.as_deref().filter(|filter| is_query(filter)) {
            return Some(filter);
        }
        let id = &planned.info.id;
        let named = self.settings.config.snapshot.overrides.as_ref()?.iter().any(|name| *name == id.to_string());
        let select = named.then(|| self.settings.raw.get(&format!("snapshot.select.statement.overrides.{id}")))?;
        select.map(String::as_str)
    }

    /// Reads a table's pages from `from`, before `to` when that is given.
    pub(super) fn copy_statement(&self, planned: &Planned, from: u64, to: Option<u64>) -> String {
        let Planned { info, table, .. } = planned;
        let columns: Vec<_> = table.column_names().iter().map(|name| identifier(name)).collect();
        let columns = columns.join(", ");
        let condition = planned.condition();
        if let Some(select) = self.select_of(planned) {
            let select = bare(select);
            return format!("COPY (SELECT {columns} FROM ({select}) levada_override WHERE {condition}) TO STDOUT");
        }
        let (whole, quoted) = (from == 0 && to.is_none(), info.id.quoted());
        let computed = |name: &String| info.columns.iter().any(|column| column.generated && column.name == *name);
        // COPY of a table itself refuses columns that are computed.
        if whole && planned.filter.is_none() && info.kind == b'r' && !table.column_names().iter().any(computed) {
            // Without columns this is `COPY t ()`, which is no SQL; such a table has nothing but its count of rows.
            if table.column_names().is_empty() {
                return format!("COPY (SELECT FROM {quoted}) TO STDOUT");
            }
            return format!("COPY {quoted} ({columns}) TO STDOUT");
        }
        let end = to.map(|to| format!(" AND ctid < '({to},0)'")).unwrap_or_default();
        let range = if whole { String::new() } else { format!(" AND ctid >= '({from},0)'{end}") };
        format!("COPY (SELECT {columns} FROM {quoted} WHERE {condition}{range}) TO STDOUT")
    }

    pub(super) async fn checkpoint(&mut self) -> Result<()> {
        self.flush(true, LONG, async || Ok(())).await
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

pub(super) async fn begin(reader: &Sql, exported: Option<&str>) -> Result<()> {
    let import = exported.map(|name| format!("; SET TRANSACTION SNAPSHOT {}", literal(name))).unwrap_or_default();
    let query = format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY{import}");
    reader.execute("the snapshot can't be opened", &query).await
}

/// Whether a signal's filter is a query of its own, as Debezium has it for blocking snapshots.
fn is_query(filter: &str) -> bool {
    let word = filter.split_whitespace().next().unwrap_or_default();
    word.eq_ignore_ascii_case("select") || word.eq_ignore_ascii_case("with")
}

impl Planned {
    /// The condition of its rows.
    fn condition(&self) -> String {
        let filter = self.filter.as_deref().filter(|filter| !is_query(filter));
        filter.map_or_else(|| "true".to_owned(), |filter| format!("({filter})"))
    }
}

/// Rows of a table, as the statistics have them or, for one that was never looked through, as the planner guesses.
pub(super) async fn estimate(reader: &Sql, info: &TableInfo) -> Result<u64> {
    if info.rows > 0.0 || info.pages == 0 {
        return Ok(info.rows as u64);
    }
    let query = format!("EXPLAIN (FORMAT JSON) SELECT FROM ONLY {}", info.id.quoted());
    let row = reader.row("a table's rows can't be estimated", &query).await?;
    let plan = row.as_ref().and_then(|row| row.get(0)).and_then(|plan| serde_json::from_str(plan).ok());
    let rows = plan.and_then(|plan: serde_json::Value| plan.pointer("/0/Plan/Plan Rows")?.as_f64());
    Ok(rows.unwrap_or(0.0) as u64)
}

/// Position up to which a snapshot that is taken now sees everything.
async fn seen_upto(reader: &Sql) -> Result<u64> {
    let query = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END";
    let row = reader.row("the snapshot's position can't be read", query).await?;
    let lsn = row.as_ref().and_then(|row| row.get(0)).and_then(|text| text.parse::<Lsn>().ok());
    Ok(lsn.map_or(0, |lsn| lsn.0))
}

pub(super) async fn current_transaction(reader: &Sql) -> Result<Option<i64>> {
    let query = "SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE txid_current() END";
    let row = reader.row("the transaction's number can't be read", query).await?;
    Ok(row.as_ref().and_then(|row| row.get(0)).and_then(|text| text.parse().ok()))
}

/// The rows that were written into pages behind which the reading stood, since it stood there.
pub(super) fn moved_rows(planned: &Planned, current: &Current) -> String {
    let columns: Vec<_> = planned.table.column_names().iter().map(|name| identifier(name)).collect();
    format!(
        "COPY (SELECT {} FROM {} WHERE {} AND ctid < '({},0)' AND age(xmin) <= age('{}'::xid)) TO STDOUT",
        columns.join(", "),
        planned.info.id.quoted(),
        planned.condition(),
        current.page,
        current.xmin & 0xffff_ffff
    )
}

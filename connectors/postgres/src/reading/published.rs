//! Which captured tables the publication shows: looked at beside the reading, and compared with the look before. PostgreSQL
//! 18 passes over a publication that is gone, and every version says nothing of a table that was taken out of one.
//!
//! The numbers of those tables are in the offset, so that one that is taken out while the task is stopped is missed too.

use crate::{
    catalog::{TableId, number, shown, text},
    error::{Error, Result},
    filter::Filters,
    net::{Sql, identifier, literal},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What the publication had when it was looked at last.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// Number of the publication; none as long as it was never there.
    number: Option<u32>,
    /// Captured tables by number; none of a publication of all tables, which can't lose one.
    tables: Option<BTreeMap<u32, TableId>>,
    /// Partitions among them that are shown by the table above them alone.
    by_root: BTreeSet<u32>,
    /// Their numbers, as the offset has them.
    numbers: Option<Arc<BTreeSet<u32>>>,
}

/// What became of a captured table that the publication has no more.
#[derive(Debug)]
pub enum Change {
    /// It was dropped: there is nothing more to capture.
    Dropped(String),
    /// It was renamed, and the lists do not choose its new name.
    Renamed(String, String),
    /// Changes are missing.
    Gap(Error),
}

impl Published {
    /// Looks at the publication of that name.
    pub async fn look(sql: &Sql, name: &str, filters: &Filters) -> Result<Self> {
        let action = "the publication can't be looked at";
        let query = format!(
            "SELECT oid, puballtables, current_setting('server_version_num') FROM pg_publication WHERE pubname = {}",
            literal(name)
        );
        let Some(row) = sql.row(action, &query).await? else { return Ok(Self::default()) };
        let own = number(&row, 0)?;
        if text(&row, 1)? == "t" {
            return Ok(Self { number: Some(own), ..Self::default() });
        }
        let query = format!(
            "SELECT shown.oid, schemaname, tablename, relispartition AND NOT EXISTS \
             (SELECT FROM pg_publication_rel r WHERE r.prrelid = shown.oid AND r.prpubid = {own}) FROM ({}) shown \
             JOIN pg_class c ON c.oid = shown.oid",
            shown(name, number(&row, 2)?)
        );
        let (mut tables, mut by_root) = (BTreeMap::new(), BTreeSet::new());
        for row in sql.rows(action, &query).await? {
            let id = TableId { schema: text(&row, 1)?.to_owned(), name: text(&row, 2)?.to_owned() };
            if filters.table(&id.schema, &id.name) {
                let oid = number(&row, 0)?;
                by_root.extend((text(&row, 3)? == "t").then_some(oid));
                tables.insert(oid, id);
            }
        }
        let numbers = Some(Arc::new(tables.keys().copied().collect()));
        Ok(Self { number: Some(own), tables: Some(tables), by_root, numbers })
    }

    /// Numbers of the captured tables that it has, where it can lose one.
    pub fn numbers(&self) -> Option<&Arc<BTreeSet<u32>>> {
        self.numbers.as_ref()
    }

    /// Its captured tables, unless it is one of all tables, or is not there.
    pub fn tables(&self) -> Option<&BTreeMap<u32, TableId>> {
        self.tables.as_ref()
    }

    /// Whether it shows a partition by the table above it alone: once detached it is shown no more.
    pub fn is_by_root(&self, oid: u32) -> bool {
        self.by_root.contains(&oid)
    }

    /// What has changed since the look `before`.
    pub async fn compare(&self, before: &Self, sql: &Sql, name: &str, filters: &Filters) -> Result<Vec<Change>> {
        if self.number != before.number {
            let gone = before.number.map(|_| Change::Gap(Error::publication_gone(name)));
            return Ok(gone.into_iter().collect());
        }
        let (Some(now), Some(then)) = (&self.tables, &before.tables) else { return Ok(Vec::new()) };
        let mut changes = Vec::new();
        for (oid, table) in then.iter().filter(|(oid, _)| !now.contains_key(*oid)) {
            if !comes_by_root(sql, *oid, now).await? {
                changes.push(became(sql, *oid, table, name, filters).await?);
            }
        }
        Ok(changes)
    }

    /// The captured tables among those of the numbers `before` that it shows no more: their changes are missing. One that
    /// was dropped is none of them.
    pub async fn lost(&self, sql: &Sql, before: &BTreeSet<u32>, captured: &[(u32, TableId)]) -> Result<Vec<TableId>> {
        let Some(now) = &self.tables else { return Ok(Vec::new()) };
        let mut lost = Vec::new();
        for (oid, id) in captured.iter().filter(|(oid, _)| before.contains(oid) && !now.contains_key(oid)) {
            if !comes_by_root(sql, *oid, now).await? {
                lost.push(id.clone());
            }
        }
        Ok(lost)
    }
}

/// What became of `table`, which was captured and is not among the publication's captured tables any more.
async fn became(sql: &Sql, oid: u32, table: &TableId, publication: &str, filters: &Filters) -> Result<Change> {
    let table = table.quoted();
    let query = format!(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = {oid}"
    );
    let Some(row) = sql.row("a table can't be looked at", &query).await? else {
        return Ok(Change::Dropped(table));
    };
    let id = TableId { schema: text(&row, 0)?.to_owned(), name: text(&row, 1)?.to_owned() };
    if !filters.table(&id.schema, &id.name) {
        return Ok(Change::Renamed(table, id.quoted()));
    }
    Ok(Change::Gap(Error::Gap(format!(
        "table {table} is captured and not in publication {publication} any more: its changes are missing from then on. Run \
         ALTER PUBLICATION {} ADD TABLE {table} and reset the connector's offsets for a new snapshot, or leave it out by \
         table.exclude.list",
        identifier(publication)
    ))))
}

/// Whether a table has become a partition of one that is published, and its rows come as that one's.
async fn comes_by_root(sql: &Sql, oid: u32, now: &BTreeMap<u32, TableId>) -> Result<bool> {
    let query = format!(
        "WITH RECURSIVE up(oid) AS (SELECT inhparent FROM pg_inherits WHERE inhrelid = {oid} \
         UNION SELECT i.inhparent FROM pg_inherits i JOIN up ON i.inhrelid = up.oid) SELECT oid FROM up"
    );
    for row in sql.rows("a table's place among partitions can't be read", &query).await? {
        if now.contains_key(&number(&row, 0)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

//! Looks whether the publication still shows what is captured, beside the reading: PostgreSQL 18 passes over a publication
//! that is gone, and every version says nothing of a table that was taken out of one.

use crate::{
    error::{Error, Result},
    filter::Filters,
    net::{Sql, identifier, literal},
};
use std::collections::BTreeMap;

/// What the publication had when it was looked at last.
#[derive(Debug, Default)]
pub struct Published {
    /// Number of the publication; none as long as it was never there.
    number: Option<String>,
    /// Captured tables by number. Empty for a publication of all tables, which can't lose one.
    tables: BTreeMap<String, String>,
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
    /// Whether the table of that number was published at the last look.
    pub fn had(&self, oid: u32) -> bool {
        self.tables.contains_key(&oid.to_string())
    }

    /// Compares with the last look.
    pub async fn look(&mut self, sql: &Sql, name: &str, filters: &Filters) -> Result<Vec<Change>> {
        let action = "the publication can't be looked at";
        let query = format!("SELECT oid, puballtables FROM pg_publication WHERE pubname = {}", literal(name));
        let row = sql.row(action, &query).await?;
        let number = row.as_ref().and_then(|row| row.get(0)).map(str::to_owned);
        if number != self.number {
            if self.number.is_some() {
                return Ok(vec![Change::Gap(Error::publication_gone(name))]);
            }
            self.number = number;
        }
        if row.is_none_or(|row| row.get(1) == Some("t")) {
            return Ok(Vec::new());
        }
        let query = format!(
            "SELECT c.oid, p.schemaname, p.tablename FROM pg_publication_tables p \
             JOIN pg_namespace n ON n.nspname = p.schemaname \
             JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename WHERE p.pubname = {}",
            literal(name)
        );
        let mut now = BTreeMap::new();
        for row in sql.rows(action, &query).await? {
            if let (Some(oid), Some(schema), Some(table)) = (row.get(0), row.get(1), row.get(2))
                && filters.table(schema, table)
            {
                now.insert(oid.to_owned(), format!("{}.{}", identifier(schema), identifier(table)));
            }
        }
        let lost: Vec<_> = self.tables.iter().filter(|(oid, _)| !now.contains_key(*oid)).collect();
        let mut changes = Vec::new();
        for (oid, table) in lost {
            if comes_by_root(sql, oid, &now).await? {
                continue;
            }
            changes.push(became(sql, oid, table, name, filters).await?);
        }
        self.tables = now;
        Ok(changes)
    }
}

/// What became of `table`, which was captured and is not among the publication's captured tables any more.
async fn became(sql: &Sql, oid: &str, table: &str, publication: &str, filters: &Filters) -> Result<Change> {
    let query = format!(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = {oid}"
    );
    let Some(row) = sql.row("a table can't be looked at", &query).await? else {
        return Ok(Change::Dropped(table.to_owned()));
    };
    if let (Some(schema), Some(name)) = (row.get(0), row.get(1))
        && !filters.table(schema, name)
    {
        return Ok(Change::Renamed(table.to_owned(), format!("{}.{}", identifier(schema), identifier(name))));
    }
    Ok(Change::Gap(Error::Gap(format!(
        "table {table} is captured and not in publication {publication} any more: its changes are missing from then on. Run \
         ALTER PUBLICATION {} ADD TABLE {table} and reset the connector's offsets for a new snapshot, or leave it out by \
         table.exclude.list",
        identifier(publication)
    ))))
}

/// Whether a table has become a partition of one that is published, and its rows come as that one's.
async fn comes_by_root(sql: &Sql, oid: &str, now: &BTreeMap<String, String>) -> Result<bool> {
    let query = format!(
        "WITH RECURSIVE up(oid) AS (SELECT inhparent FROM pg_inherits WHERE inhrelid = {oid} \
         UNION SELECT i.inhparent FROM pg_inherits i JOIN up ON i.inhrelid = up.oid) SELECT oid FROM up"
    );
    let above = sql.rows("a table's place among partitions can't be read", &query).await?;
    Ok(above.iter().any(|row| row.get(0).is_some_and(|oid| now.contains_key(oid))))
}

//! The publication: what of the database the stream shows.

use super::{TableId, number, text};
use crate::{
    config::{PublicationMode, StreamingConfig},
    error::{Error, Result},
    net::{Sql, identifier, literal},
};
use std::collections::{BTreeMap, BTreeSet};
use tokio_postgres::SimpleQueryRow;

/// The publication of a configuration.
#[derive(Clone, Debug)]
pub struct Publication {
    name: String,
    mode: PublicationMode,
    via_root: bool,
    stored: bool,
    number: Option<u32>,
}

impl Publication {
    /// Of the configuration.
    pub fn new(config: &StreamingConfig) -> Self {
        Self {
            name: config.publication_name.clone(),
            mode: config.publication_mode,
            via_root: config.via_partition_root,
            stored: false,
            number: None,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number, once it was ensured; another one when it is made anew.
    pub fn number(&self) -> Option<u32> {
        self.number
    }

    /// Whether it is still to be made, or is another one than that of the number `before`, which is gone.
    pub async fn is_new(&self, sql: &Sql, before: Option<u32>) -> Result<bool> {
        // One that is there still was not dropped: the configuration names another.
        let query = format!(
            "SELECT oid = {0}, EXISTS (SELECT FROM pg_publication WHERE oid = {0}) FROM pg_publication WHERE pubname = {1}",
            before.unwrap_or(0),
            literal(&self.name)
        );
        let Some(row) = sql.row("publications can't be listed", &query).await? else { return Ok(true) };
        Ok(before.is_some() && text(&row, 0)? != "t" && text(&row, 1)? != "t")
    }

    /// Whether stored generated columns are in its stream.
    pub fn shows_stored(&self) -> bool {
        self.stored
    }

    /// Makes or alters it as the mode says; `captured` are the tables that the filters choose. Notes what it shows.
    pub async fn ensure(&mut self, sql: &Sql, version: u32, captured: &[TableId]) -> Result<()> {
        self.make(sql, version, captured).await?;
        let stored = if version >= 180_000 { "pubgencols = 's'" } else { "false" };
        let query = format!("SELECT oid, {stored} FROM pg_publication WHERE pubname = {}", literal(&self.name));
        let row = sql.row("the publication can't be looked at", &query).await?;
        self.number = row.as_ref().map(|row| number(row, 0)).transpose()?;
        self.stored = row.as_ref().map(|row| text(row, 1)).transpose()? == Some("t");
        Ok(())
    }

    async fn make(&self, sql: &Sql, version: u32, captured: &[TableId]) -> Result<()> {
        let name = identifier(&self.name);
        let with = if self.via_root && version >= 130_000 { " WITH (publish_via_partition_root = true)" } else { "" };
        let exists = self.exists(sql).await?;
        let action = format!("publication {} can't be made", self.name);
        match (self.mode, exists) {
            (PublicationMode::Disabled, None) => Err(Error::Setup(format!(
                "publication {} does not exist and publication.autocreate.mode is disabled; run: CREATE PUBLICATION \
                 {name} FOR TABLE ...",
                self.name
            ))),
            (PublicationMode::AllTables, None) => {
                let made = sql.execute(&action, &format!("CREATE PUBLICATION {name} FOR ALL TABLES{with}")).await;
                made.map_err(|error| match error.code() {
                    Some("42501") => Error::Setup(format!(
                        "{error}; only a superuser may publish all tables: set publication.autocreate.mode to \
                         filtered, or run as one: CREATE PUBLICATION {name} FOR ALL TABLES"
                    )),
                    _ => error,
                })
            }
            (PublicationMode::NoTables, None) => {
                sql.execute(&action, &format!("CREATE PUBLICATION {name}{with}")).await
            }
            (PublicationMode::Filtered, _) if captured.is_empty() => Err(Error::Setup(
                "no table is chosen by the include and exclude lists, so there is nothing to publish; check \
                 table.include.list"
                    .to_owned(),
            )),
            // FOR ALL TABLES can't be narrowed, and shows what is asked for.
            (PublicationMode::Filtered, Some(true)) => Ok(()),
            (PublicationMode::Filtered, _) => {
                let roots = self.roots(sql, version, captured).await?;
                if exists.is_some() && self.shows(sql, version, captured).await? {
                    return self.add_roots(sql, &roots).await;
                }
                let tables: Vec<_> = captured.iter().chain(&roots).map(TableId::quoted).collect();
                let tables = tables.join(", ");
                let (action, query) = match exists {
                    None => (action, format!("CREATE PUBLICATION {name} FOR TABLE {tables}{with}")),
                    Some(_) => (
                        format!("publication {} can't be altered", self.name),
                        format!("ALTER PUBLICATION {name} SET TABLE {tables}"),
                    ),
                };
                sql.execute(&action, &query).await
            }
            _ => Ok(()),
        }
    }

    /// The partitioned tables above captured ones: with them partitions that are attached later are published from their
    /// first row on, while those that are detached stay published by themselves. Not those with partitions that are not
    /// captured, since who writes to one that is published needs a key, and not somebody else's.
    async fn roots(&self, sql: &Sql, version: u32, captured: &[TableId]) -> Result<Vec<TableId>> {
        // Older servers publish no partitioned tables.
        if self.via_root || version < 130_000 {
            return Ok(Vec::new());
        }
        let query = "SELECT rn.nspname, rc.relname, n.nspname, c.relname FROM pg_class c \
             JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_class rc ON rc.oid = pg_partition_root(c.oid) \
             JOIN pg_namespace rn ON rn.oid = rc.relnamespace \
             WHERE c.relispartition AND c.relkind IN ('r', 'f') AND pg_has_role(rc.relowner, 'USAGE')";
        let mut roots: BTreeMap<TableId, Vec<TableId>> = BTreeMap::new();
        for row in sql.rows("partitions can't be listed", query).await? {
            roots.entry(id(&row, 0)?).or_default().push(id(&row, 2)?);
        }
        let all: BTreeSet<_> = captured.iter().collect();
        roots.retain(|_, partitions| partitions.iter().all(|partition| all.contains(partition)));
        Ok(roots.into_keys().collect())
    }

    /// Whether it shows these tables and no others. It is left alone then: whoever made it may have chosen rows and columns.
    async fn shows(&self, sql: &Sql, version: u32, captured: &[TableId]) -> Result<bool> {
        let published: BTreeSet<_> = self.tables(sql, version).await?.into_iter().collect();
        Ok(captured.iter().cloned().collect::<BTreeSet<_>>() == published)
    }

    /// Adds what its tables are partitions of, where the role may.
    async fn add_roots(&self, sql: &Sql, roots: &[TableId]) -> Result<()> {
        let query = format!(
            "SELECT n.nspname, c.relname FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid \
             JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE p.pubname = {}",
            literal(&self.name)
        );
        let listed = names(&sql.rows("the publication's tables can't be listed", &query).await?)?;
        for root in roots.iter().filter(|root| !listed.contains(root)) {
            match self.add(sql, root).await {
                Err(error @ Error::Server { .. }) => {
                    tracing::info!(%error, "new partitions are published once they are seen");
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// The statement that adds a table.
    pub fn adding(&self, table: &TableId) -> String {
        format!("ALTER PUBLICATION {} ADD TABLE {}", identifier(&self.name), table.quoted())
    }

    /// Adds a table, without waiting long for one that is locked.
    pub async fn add(&self, sql: &Sql, table: &TableId) -> Result<()> {
        let statements = format!("SET LOCAL lock_timeout = 1000; {}", self.adding(table));
        sql.execute(&format!("publication {} can't be altered", self.name), &statements).await
    }

    /// Whether it is there, and then whether it is of all tables.
    pub async fn exists(&self, sql: &Sql) -> Result<Option<bool>> {
        let query = format!("SELECT puballtables FROM pg_publication WHERE pubname = {}", literal(&self.name));
        let row = sql.row("publications can't be listed", &query).await?;
        row.as_ref().map(|row| Ok(text(row, 0)? == "t")).transpose()
    }

    /// The tables whose changes it shows.
    pub async fn tables(&self, sql: &Sql, version: u32) -> Result<Vec<TableId>> {
        let shown = shown(&self.name, version);
        let query = format!("SELECT schemaname, tablename FROM ({shown}) shown ORDER BY 1, 2");
        names(&sql.rows("the publication's tables can't be listed", &query).await?)
    }
}

/// A query for the tables that publication `name` shows: `oid`, `schemaname`, `tablename`. The view that has them,
/// `pg_publication_tables`, waits from PostgreSQL 16 on for each table that somebody has locked; so they are found here as its
/// function finds them (`src/backend/catalog/pg_publication.c`).
pub fn shown(name: &str, version: u32) -> String {
    let name = literal(name);
    if version < 150_000 {
        return format!(
            "SELECT c.oid, p.schemaname, p.tablename FROM pg_publication_tables p \
             JOIN pg_namespace n ON n.nspname = p.schemaname \
             JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename WHERE p.pubname = {name}"
        );
    }
    format!(
        "WITH RECURSIVE own AS (SELECT oid, puballtables, pubviaroot FROM pg_publication WHERE pubname = {name}), \
         listed AS (SELECT r.prrelid AS oid FROM own JOIN pg_publication_rel r ON r.prpubid = own.oid \
         UNION SELECT c.oid FROM own JOIN pg_publication_namespace s ON s.pnpubid = own.oid \
         JOIN pg_class c ON c.relnamespace = s.pnnspid WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' \
         UNION SELECT c.oid FROM own JOIN pg_class c ON own.puballtables AND c.relkind IN ('r', 'p') \
         AND c.relpersistence = 'p' AND c.oid >= 16384), \
         below (root, oid) AS (SELECT oid, oid FROM listed UNION SELECT b.root, i.inhrelid FROM below b \
         JOIN pg_class c ON c.oid = b.oid AND c.relkind = 'p' JOIN pg_inherits i ON i.inhparent = b.oid) \
         SELECT DISTINCT c.oid, n.nspname AS schemaname, c.relname AS tablename FROM own CROSS JOIN below b \
         JOIN pg_class c ON c.oid = b.oid JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE CASE WHEN own.pubviaroot THEN NOT EXISTS (SELECT FROM below a WHERE a.oid = b.oid AND a.root <> b.oid) \
         AND b.root = b.oid WHEN own.puballtables THEN c.relkind = 'r' ELSE c.relkind <> 'p' END"
    )
}

/// Tables of rows of schema and name.
fn names(rows: &[SimpleQueryRow]) -> Result<Vec<TableId>> {
    rows.iter().map(|row| id(row, 0)).collect()
}

/// A table whose schema and name stand in a row from `at` on.
fn id(row: &SimpleQueryRow, at: usize) -> Result<TableId> {
    Ok(TableId { schema: text(row, at)?.to_owned(), name: text(row, at + 1)?.to_owned() })
}

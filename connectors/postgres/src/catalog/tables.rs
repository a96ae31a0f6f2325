//! Tables, their columns and keys.

use super::{number, optional, text, texts};
use crate::{
    error::Result,
    net::{Sql, identifier},
};
use std::{collections::HashMap, fmt};

/// A table's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId {
    /// Schema.
    pub schema: String,
    /// Table.
    pub name: String,
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

impl TableId {
    /// The name for SQL.
    pub fn quoted(&self) -> String {
        format!("{}.{}", identifier(&self.schema), identifier(&self.name))
    }
}

/// A column as the catalog has it now.
#[derive(Clone, Debug)]
pub struct CatalogColumn {
    /// Name.
    pub name: String,
    /// Its number, which stays when it is renamed.
    pub number: i16,
    /// Number of its type.
    pub type_oid: u32,
    /// Modifier of its type.
    pub modifier: i32,
    /// Its type for SQL.
    pub type_text: String,
    /// Whether it is NOT NULL.
    pub not_null: bool,
    /// Expression of its default.
    pub default: Option<String>,
    /// Whether it is an identity column.
    pub counts: bool,
    /// Whether it is computed from others.
    pub generated: bool,
    /// Whether it is computed and stored, which a publication can have from PostgreSQL 18 on.
    pub stored: bool,
}

/// A table as the catalog has it now.
#[derive(Clone, Debug)]
pub struct TableInfo {
    /// Number.
    pub oid: u32,
    /// Name.
    pub id: TableId,
    /// `r` table, `p` partitioned.
    pub kind: u8,
    /// Replica identity: `d`, `n`, `f` or `i`.
    pub replica: u8,
    /// Pages that the statistics know of.
    pub pages: u64,
    /// Rows that the statistics know of.
    pub rows: f64,
    /// File of its rows; another one after a rewrite.
    pub file: u32,
    /// Columns in order.
    pub columns: Vec<CatalogColumn>,
    /// Columns of the primary key.
    pub primary: Vec<String>,
    /// Columns of the replica identity's index.
    pub identity: Vec<String>,
    /// Columns of the first unique index.
    pub unique: Vec<String>,
}

impl TableInfo {
    /// The columns that make the key of events, without `message.key.columns`: those of the primary key, unless the replica
    /// identity is another index. Deletions then bring that index's columns alone.
    pub fn key(&self) -> &[String] {
        let keys = match self.replica {
            b'i' => [&self.identity, &self.primary, &self.unique],
            _ => [&self.primary, &self.identity, &self.unique],
        };
        keys.into_iter().find(|key| !key.is_empty()).map_or(&[], |key| key)
    }

    /// Whether the rows have an order by these columns that tells each from the others, and every change of a row brings
    /// them.
    pub fn is_ordered_by(&self, key: &[String]) -> bool {
        let has = |columns: &[String], name: &String| columns.contains(name);
        let nullable = |name: &String| self.columns.iter().any(|column| column.name == *name && !column.not_null);
        let covers = |unique: &&Vec<String>| !unique.is_empty() && unique.iter().all(|name| has(key, name));
        let brought = match self.replica {
            b'd' => self.primary.is_empty() || key.iter().all(|name| has(&self.primary, name)),
            b'i' => key.iter().all(|name| has(&self.identity, name)),
            // Old rows are whole, or none come.
            _ => true,
        };
        let unique = [&self.primary, &self.identity, &self.unique];
        !key.is_empty() && !key.iter().any(nullable) && unique.iter().any(covers) && brought
    }
}

/// Number and name of every table that could be captured; partitions of a partitioned table or that table itself, as
/// the publication shows their changes.
pub async fn list_tables(sql: &Sql, via_root: bool) -> Result<Vec<(u32, TableId)>> {
    let kinds = if via_root {
        "((c.relkind = 'r' AND NOT c.relispartition) OR (c.relkind = 'p' AND NOT c.relispartition))"
    } else {
        "c.relkind = 'r'"
    };
    let query = format!(
        "SELECT c.oid, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE {kinds} AND c.relpersistence = 'p' AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' \
         ORDER BY n.nspname, c.relname"
    );
    let rows = sql.rows("the tables can't be listed", &query).await?;
    let table = |row: &tokio_postgres::SimpleQueryRow| {
        let id = TableId { schema: text(row, 1)?.to_owned(), name: text(row, 2)?.to_owned() };
        Ok((number(row, 0)?, id))
    };
    rows.iter().map(table).collect()
}

/// Numbers of the roles that own tables.
pub async fn owners(sql: &Sql, oids: &[u32]) -> Result<HashMap<u32, u32>> {
    if oids.is_empty() {
        return Ok(HashMap::new());
    }
    let array = oids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let query = format!("SELECT oid, relowner FROM pg_class WHERE oid = ANY ('{{{array}}}'::oid[])");
    let rows = sql.rows("the tables' owners can't be read", &query).await?;
    rows.iter().map(|row| Ok((number(row, 0)?, number(row, 1)?))).collect()
}

/// Tables that are asked for at once: three queries each time, and their rows are held in memory.
const TABLES_AT_ONCE: usize = 100;

/// All of one table but its size, which takes a lock on it; `None` when there is no table of that number any more.
pub async fn table_info(sql: &Sql, oid: u32) -> Result<Option<TableInfo>> {
    Ok(infos(sql, &[oid], "greatest(c.relpages, 0)").await?.pop())
}

/// All of these tables in their order, without those that are no more. Waits for tables that somebody has locked.
pub async fn table_infos(sql: &Sql, oids: &[u32]) -> Result<Vec<TableInfo>> {
    let size = "pg_relation_size(c.oid) / current_setting('block_size')::int";
    infos(sql, oids, size).await
}

async fn infos(sql: &Sql, oids: &[u32], size: &str) -> Result<Vec<TableInfo>> {
    let mut all = Vec::with_capacity(oids.len());
    for oids in oids.chunks(TABLES_AT_ONCE) {
        let array = oids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let array = format!("'{{{array}}}'::oid[]");
        let mut infos = heads(sql, &array, size).await?;
        columns(sql, &array, &mut infos).await?;
        keys(sql, &array, &mut infos).await?;
        all.extend(oids.iter().filter_map(|oid| infos.remove(oid)));
    }
    Ok(all)
}

async fn heads(sql: &Sql, oids: &str, size: &str) -> Result<HashMap<u32, TableInfo>> {
    let query = format!(
        "SELECT n.nspname, c.relname, c.relkind, greatest(c.relpages, 0), greatest(c.reltuples, 0), \
         coalesce(pg_relation_filenode(c.oid), 0), \
         CASE WHEN c.relkind = 'p' THEN 0 ELSE {size} END, \
         c.relreplident, c.oid \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ({oids})"
    );
    let mut infos = HashMap::new();
    for row in sql.rows("tables can't be looked at", &query).await? {
        // A table that was dropped since the snapshot began is in the catalog still, and has no size.
        if optional(&row, 6).is_none() {
            continue;
        }
        let info = TableInfo {
            oid: number(&row, 8)?,
            id: TableId { schema: text(&row, 0)?.to_owned(), name: text(&row, 1)?.to_owned() },
            kind: text(&row, 2)?.bytes().next().unwrap_or(b'r'),
            replica: text(&row, 7)?.bytes().next().unwrap_or(b'd'),
            pages: number(&row, 6)?,
            rows: number(&row, 4)?,
            file: number(&row, 5)?,
            columns: Vec::new(),
            primary: Vec::new(),
            identity: Vec::new(),
            unique: Vec::new(),
        };
        infos.insert(info.oid, info);
    }
    Ok(infos)
}

async fn columns(sql: &Sql, oids: &str, infos: &mut HashMap<u32, TableInfo>) -> Result<()> {
    let query = format!(
        "SELECT a.attname, a.atttypid, a.atttypmod, a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attgenerated <> '', \
         a.attgenerated = 's', a.attnum, a.attidentity <> '', format_type(a.atttypid, a.atttypmod), a.attrelid \
         FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
         WHERE a.attrelid = ANY ({oids}) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum"
    );
    for row in sql.rows("columns can't be read", &query).await? {
        let Some(info) = infos.get_mut(&number(&row, 10)?) else { continue };
        let generated = text(&row, 5)? == "t";
        info.columns.push(CatalogColumn {
            name: text(&row, 0)?.to_owned(),
            number: number(&row, 7)?,
            type_oid: number(&row, 1)?,
            modifier: number(&row, 2)?,
            type_text: text(&row, 9)?.to_owned(),
            not_null: text(&row, 3)? == "t",
            default: optional(&row, 4).filter(|_| !generated).map(str::to_owned),
            counts: text(&row, 8)? == "t",
            generated,
            stored: text(&row, 6)? == "t",
        });
    }
    Ok(())
}

async fn keys(sql: &Sql, oids: &str, infos: &mut HashMap<u32, TableInfo>) -> Result<()> {
    let query = format!(
        "SELECT i.indisprimary, i.indisreplident, \
         (SELECT json_agg(a.attname ORDER BY k.n) FROM unnest(i.indkey) WITH ORDINALITY k(attnum, n) \
          JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum WHERE k.n <= i.indnkeyatts), i.indrelid \
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
         WHERE i.indrelid = ANY ({oids}) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL \
         ORDER BY i.indrelid, c.relname"
    );
    for row in sql.rows("keys can't be read", &query).await? {
        let Some(info) = infos.get_mut(&number(&row, 3)?) else { continue };
        let columns = texts(optional(&row, 2));
        if text(&row, 0)? == "t" {
            info.primary.clone_from(&columns);
        }
        if text(&row, 1)? == "t" {
            info.identity.clone_from(&columns);
        }
        if info.unique.is_empty() {
            info.unique = columns;
        }
    }
    Ok(())
}

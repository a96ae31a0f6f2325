//! What the server says of itself, its settings, the role's rights and the captured tables.

use crate::{
    catalog::{self, Publication, Slot, SlotState, TableId},
    config::SourceConfig,
    error::{Error, Result},
    filter::Filters,
    net::{Sql, literal},
};
use std::collections::{HashMap, HashSet};
use tokio_postgres::SimpleQueryRow;

/// A captured table.
#[derive(Clone, Debug)]
pub struct TableFacts {
    /// Name.
    pub id: TableId,
    /// Whether its rows may be read, its schema included.
    pub readable: bool,
    /// Whether the role owns it.
    pub owned: bool,
    /// `d`, `n`, `f` or `i`.
    pub identity: u8,
    /// Whether it has a primary key.
    pub keyed: bool,
}

/// Slots and senders: how many are in use, of how many.
#[derive(Clone, Copy, Debug, Default)]
pub struct SlotFacts {
    /// Slots in use.
    pub slots: u64,
    /// `max_replication_slots`.
    pub most_slots: u64,
    /// Senders in use.
    pub senders: u64,
    /// `max_wal_senders`.
    pub most_senders: u64,
}

/// Everything that is looked at.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Version: 150004.
    pub version: u32,
    /// `wal_level`.
    pub wal_level: String,
    /// Whether it is a standby.
    pub standby: bool,
    /// The role that is logged in.
    pub role: String,
    /// Whether it is a superuser.
    pub superuser: bool,
    /// Whether it may replicate.
    pub replication: bool,
    /// Whether it may make publications in the database.
    pub may_create: bool,
    /// Slots and senders.
    pub room: SlotFacts,
    /// The slot.
    pub slot: Option<SlotState>,
    /// The publication: whether it is of all tables; `None` when there is none.
    pub publication: Option<bool>,
    /// Whether the role may alter the publication.
    pub owns_publication: bool,
    /// The publication's tables.
    pub published: Vec<TableId>,
    /// The table of signals, where it is not there.
    pub missing_signals: Option<TableId>,
    /// Inactive slots, which might be left over.
    pub idle_slots: Vec<String>,
    /// `max_slot_wal_keep_size` where it is without end.
    pub endless_log: bool,
    /// Captured tables.
    pub tables: Vec<TableFacts>,
    /// Columns that `message.key.columns` names for captured tables, which do not have them.
    pub missing_keys: Vec<(TableId, String)>,
}

impl Facts {
    /// Asks for all of it.
    pub async fn ask(sql: &Sql, config: &SourceConfig, filters: &Filters) -> Result<Self> {
        let version = catalog::server_version(sql).await?;
        // Hosted databases lend the right by a role of their own.
        let query = "SELECT current_user, rolsuper, rolreplication OR EXISTS (SELECT FROM pg_roles lent WHERE lent.rolname IN \
             ('rds_replication', 'cloudsqlsuperuser') AND pg_has_role(current_user, lent.oid, 'MEMBER')), \
             has_database_privilege(current_database(), 'CREATE'), pg_is_in_recovery(), current_setting('wal_level'), \
             (SELECT count(*) FROM pg_replication_slots), current_setting('max_replication_slots'), \
             (SELECT count(*) FROM pg_stat_replication), current_setting('max_wal_senders'), \
             current_setting('max_slot_wal_keep_size', true) \
             FROM pg_roles WHERE rolname = current_user";
        let row = sql.row("the role can't be looked at", query).await?;
        let row = row.ok_or_else(|| Error::Protocol("no answer about the role".to_owned()))?;
        let field = |index| text(&row, index);
        let number = |index| field(index).parse().unwrap_or(0);
        let publication = Publication::new(&config.streaming);
        let listed = catalog::list_tables(sql, config.streaming.via_partition_root).await?;
        let missing_signals = config.snapshot.source_table().filter(|table| !listed.iter().any(|(_, id)| id == table));
        let tables = tables(sql, listed, filters).await?;
        Ok(Self {
            version,
            wal_level: field(5).to_owned(),
            standby: field(4) == "t",
            role: field(0).to_owned(),
            superuser: field(1) == "t",
            replication: field(2) == "t" || field(1) == "t",
            may_create: field(3) == "t",
            room: SlotFacts { slots: number(6), most_slots: number(7), senders: number(8), most_senders: number(9) },
            slot: Slot::new(&config.streaming).state(sql, version).await?,
            publication: publication.exists(sql).await?,
            owns_publication: owns(sql, publication.name()).await?,
            published: publication.tables(sql, version).await?,
            missing_signals,
            idle_slots: idle_slots(sql).await?,
            endless_log: field(10) == "-1",
            missing_keys: missing_keys(sql, filters, &tables).await?,
            tables,
        })
    }
}

fn text(row: &SimpleQueryRow, index: usize) -> &str {
    row.try_get(index).ok().flatten().unwrap_or_default()
}

async fn owns(sql: &Sql, name: &str) -> Result<bool> {
    let query = format!(
        "SELECT pg_has_role(pubowner, 'USAGE') FROM pg_publication WHERE pubname = {}",
        crate::net::literal(name)
    );
    Ok(sql.row("the publication's owner can't be read", &query).await?.is_some_and(|row| text(&row, 0) == "t"))
}

async fn idle_slots(sql: &Sql) -> Result<Vec<String>> {
    let query = "SELECT slot_name FROM pg_replication_slots WHERE NOT active ORDER BY 1 LIMIT 20";
    let rows = sql.rows("slots can't be listed", query).await?;
    Ok(rows.iter().map(|row| text(row, 0).to_owned()).collect())
}

async fn tables(sql: &Sql, mut listed: Vec<(u32, TableId)>, filters: &Filters) -> Result<Vec<TableFacts>> {
    listed.retain(|(_, id)| filters.table(&id.schema, &id.name));
    let mut names: HashMap<_, _> = listed.into_iter().map(|(oid, id)| (oid.to_string(), id)).collect();
    let query = "SELECT c.oid, has_schema_privilege(n.oid, 'USAGE') AND (has_table_privilege(c.oid, 'SELECT') OR \
         has_any_column_privilege(c.oid, 'SELECT')), pg_has_role(c.relowner, 'USAGE'), c.relreplident, \
         EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary) \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p') ORDER BY n.nspname, c.relname";
    let rows = sql.rows("the tables' privileges can't be read", query).await?;
    let table = |row: &SimpleQueryRow| {
        Some(TableFacts {
            id: names.remove(text(row, 0))?,
            readable: text(row, 1) == "t",
            owned: text(row, 2) == "t",
            identity: text(row, 3).bytes().next().unwrap_or(b'd'),
            keyed: text(row, 4) == "t",
        })
    };
    Ok(rows.iter().filter_map(table).collect())
}

async fn missing_keys(sql: &Sql, filters: &Filters, tables: &[TableFacts]) -> Result<Vec<(TableId, String)>> {
    let keys = |id: &TableId| filters.key_columns(&id.schema, &id.name);
    let wanted: Vec<_> = tables.iter().filter_map(|table| Some((&table.id, keys(&table.id)?))).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let name = |(id, _): &(&TableId, _)| format!("({}, {})", literal(&id.schema), literal(&id.name));
    let query = format!(
        "SELECT n.nspname, c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
         JOIN pg_namespace n ON n.oid = c.relnamespace WHERE (n.nspname, c.relname) IN ({}) AND a.attnum > 0 \
         AND NOT a.attisdropped",
        wanted.iter().map(name).collect::<Vec<_>>().join(", ")
    );
    let rows = sql.rows("the tables' columns can't be read", &query).await?;
    let there: HashSet<_> = rows.iter().map(|row| (text(row, 0), text(row, 1), text(row, 2))).collect();
    let lacks = |id: &TableId, key: &str| !there.contains(&(id.schema.as_str(), id.name.as_str(), key));
    let of = |(id, keys): (&TableId, &[String])| {
        let lacking = keys.iter().filter(|key| lacks(id, key)).map(|key| (id.clone(), key.clone()));
        lacking.collect::<Vec<_>>()
    };
    Ok(wanted.into_iter().flat_map(of).collect())
}

//! The replication slot.

use super::{number, optional};
use crate::{
    config::StreamingConfig,
    error::{Error, Result},
    lsn::Lsn,
    net::{Replication, Sql, literal},
};
use std::time::Duration;

/// What the server says of a slot.
#[derive(Clone, Debug)]
pub struct SlotState {
    /// Plug-in.
    pub plugin: String,
    /// Database.
    pub database: String,
    /// Process that streams it.
    pub active_pid: Option<i64>,
    /// Up to where changes were acknowledged; `None` for a slot that lost its log.
    pub confirmed: Option<Lsn>,
    /// `reserved`, `extended`, `unreserved`, `lost`.
    pub wal_status: String,
    /// Why it can't be used any more (PostgreSQL 16).
    pub invalid: Option<String>,
    /// Bytes of log that it keeps.
    pub retained: i64,
    /// Bytes of log that were not acknowledged.
    pub behind: i64,
    /// Bytes that can be written before it is lost (`max_slot_wal_keep_size`, PostgreSQL 13).
    pub safe: Option<i64>,
}

/// The slot of a configuration.
#[derive(Clone, Debug)]
pub struct Slot {
    name: String,
    failover: bool,
    timeout: Duration,
}

/// A slot that was just made, and the snapshot of its moment.
#[derive(Clone, Debug)]
pub struct NewSlot {
    /// Where its stream begins.
    pub start: Lsn,
    /// Name of the exported snapshot; good while the session that made it does nothing else.
    pub snapshot: Option<String>,
}

impl Slot {
    /// Of the configuration.
    pub fn new(config: &StreamingConfig) -> Self {
        let seconds = u64::try_from(config.create_slot_timeout_seconds).unwrap_or(90);
        Self { name: config.slot_name.clone(), failover: config.slot_failover, timeout: Duration::from_secs(seconds) }
    }

    /// Looks at it; `None` when there is none.
    pub async fn state(&self, sql: &Sql, version: u32) -> Result<Option<SlotState>> {
        let status = if version >= 130_000 { "wal_status" } else { "NULL" };
        let invalid = match version {
            170_000.. => "invalidation_reason",
            160_000.. => "CASE WHEN conflicting THEN 'conflicting' END",
            _ => "NULL",
        };
        let safe = if version >= 130_000 { "safe_wal_size" } else { "NULL" };
        let end = "(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END)";
        let query = format!(
            "SELECT plugin, database, active_pid, confirmed_flush_lsn, {status}, {invalid}, \
             ({end} - restart_lsn)::bigint, ({end} - confirmed_flush_lsn)::bigint, {safe} \
             FROM pg_replication_slots WHERE slot_name = {}",
            literal(&self.name)
        );
        let Some(row) = sql.row("the replication slot can't be looked at", &query).await? else { return Ok(None) };
        Ok(Some(SlotState {
            plugin: optional(&row, 0).unwrap_or_default().to_owned(),
            database: optional(&row, 1).unwrap_or_default().to_owned(),
            active_pid: optional(&row, 2).and_then(|pid| pid.parse().ok()),
            confirmed: optional(&row, 3).and_then(|lsn| lsn.parse().ok()),
            wal_status: optional(&row, 4).unwrap_or("reserved").to_owned(),
            invalid: optional(&row, 5).map(str::to_owned),
            retained: optional(&row, 6).and_then(|bytes| bytes.parse().ok()).unwrap_or(0),
            behind: optional(&row, 7).and_then(|bytes| bytes.parse().ok()).unwrap_or(0),
            safe: optional(&row, 8).and_then(|bytes| bytes.parse().ok()),
        }))
    }

    /// Makes it, with a snapshot of its moment when that is asked for.
    pub async fn create(&self, session: &mut Replication, version: u32, export: bool) -> Result<NewSlot> {
        let action = format!("the replication slot {} can't be made", self.name);
        let snapshot = if export { "export" } else { "nothing" };
        let failover = if self.failover && version >= 170_000 { ", FAILOVER true" } else { "" };
        let sql = if version >= 150_000 {
            format!("CREATE_REPLICATION_SLOT \"{}\" LOGICAL pgoutput (SNAPSHOT '{snapshot}'{failover})", self.name)
        } else {
            let old = if export { "EXPORT_SNAPSHOT" } else { "NOEXPORT_SNAPSHOT" };
            format!("CREATE_REPLICATION_SLOT \"{}\" LOGICAL pgoutput {old}", self.name)
        };
        let Ok(rows) = tokio::time::timeout(self.timeout, session.query(&action, &sql)).await else {
            return Err(Error::server(
                action,
                "57014",
                "transactions that were open before it did not end in time; see pg_stat_activity for the oldest \
                 xact_start, or raise create.slot.command.timeout",
            ));
        };
        let rows = rows?;
        let row = rows.first().ok_or_else(|| Error::Protocol("no answer to CREATE_REPLICATION_SLOT".to_owned()))?;
        let field = |index: usize| row.get(index).and_then(|field| field.as_deref());
        let start = field(1).and_then(|lsn| lsn.parse().ok());
        let start = start.ok_or_else(|| Error::Protocol("a slot without a position".to_owned()))?;
        Ok(NewSlot { start, snapshot: field(2).filter(|name| export && !name.is_empty()).map(str::to_owned) })
    }

    /// Makes it in the place of the one that is there, if there is one.
    pub async fn make_anew(&self, sql: &Sql, session: &mut Replication, version: u32, export: bool) -> Result<NewSlot> {
        self.drop(sql).await?;
        self.create(session, version, export).await
    }

    /// Drops it; one that is not there is fine.
    pub async fn drop(&self, sql: &Sql) -> Result<()> {
        let query = format!(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = {}",
            literal(&self.name)
        );
        sql.execute("the replication slot can't be dropped", &query).await
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The version of the server, as a number: 150004.
pub async fn server_version(sql: &Sql) -> Result<u32> {
    let row = sql.row("the server's version can't be read", "SHOW server_version_num").await?;
    row.as_ref().map_or(Ok(0), |row| number(row, 0))
}

//! Up to where a table can be read without missing a row that is committed later.
//!
//! A row gets its number or time when it is written and is seen when it is committed, so rows appear behind others that
//! have been read already. A fence is a value that new transactions only write beyond, taken together with the
//! transactions in progress; once these have ended, everything up to the value is to be seen. What is left: a
//! transaction that takes its time or number long before it first writes (which is when it gets a number of its own), and
//! numbers that are not given in order.

use super::{config::Settings, instant::Instant, statement, tables::Target};
use crate::{
    error::{Error, Result},
    net::Sql,
};
use std::time::Duration;

/// Up to where is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upper {
    /// Everything.
    Open,
    /// Before this time.
    Time(Instant),
    /// Up to and with this number.
    Id(i64),
    /// Nothing: there are no rows yet.
    Nothing,
}

/// How long the reading that makes a fence waits for transactions in progress; later ones only look.
const PATIENCE: Duration = Duration::from_secs(1);
/// Time between looks meanwhile.
const NAP: Duration = Duration::from_millis(25);
/// Time after which it is told that nothing comes.
const TELL_AFTER: Duration = Duration::from_secs(60);

/// The fence of one table.
#[derive(Debug, Default)]
pub struct Fence {
    safe: Option<Upper>,
    /// What becomes safe when all transactions before this number have ended, since when.
    pending: Option<(Upper, u64, tokio::time::Instant)>,
    told: bool,
}

impl Fence {
    /// Up to where `target` can be read now; `None` when nothing is safe yet.
    pub async fn upper(
        &mut self,
        sql: &Sql,
        settings: &Settings,
        keys: &statement::Keys,
        target: &Target,
    ) -> Result<Option<Upper>> {
        if !settings.mode.uses_timestamp() && !settings.mode.uses_incrementing() {
            return Ok(Some(Upper::Open));
        }
        if !settings.wait {
            let open = !settings.mode.uses_timestamp();
            return Ok(Some(if open { Upper::Open } else { self.now(sql, settings).await? }));
        }
        let began = tokio::time::Instant::now();
        let new = self.pending.is_none();
        if new {
            let value = if settings.mode.uses_timestamp() {
                self.now(sql, settings).await?
            } else {
                last_id(sql, keys, target).await?
            };
            // Behind the value, so that whoever wrote up to it is among those in progress or has ended.
            let (_, next) = in_progress(sql).await?;
            self.pending = Some((value, next, began));
        }
        while let Some((value, next, _)) = self.pending {
            let (oldest, _) = in_progress(sql).await?;
            if oldest >= next {
                (self.safe, self.pending, self.told) = (Some(value), None, false);
            } else if !new || began.elapsed() >= PATIENCE {
                break;
            } else {
                tokio::time::sleep(NAP).await;
            }
        }
        Ok(self.safe)
    }

    /// How long it has been held back, once it is worth telling.
    pub fn held_back(&mut self) -> Option<Duration> {
        let since = self.pending.as_ref()?.2.elapsed();
        (since >= TELL_AFTER && !std::mem::replace(&mut self.told, true)).then_some(since)
    }

    async fn now(&self, sql: &Sql, settings: &Settings) -> Result<Upper> {
        Ok(Upper::Time(clock(sql).await?.minus(settings.delay)))
    }
}

/// The server's clock. On a standby it stands at the last commit that has arrived: rows of before now are still to come.
pub async fn clock(sql: &Sql) -> Result<Instant> {
    let query = "SELECT (CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_xact_replay_timestamp(), '-infinity') \
                 ELSE clock_timestamp() END) AT TIME ZONE 'UTC'";
    let row = sql.row("the server's clock can't be read", query).await?;
    let text = row.as_ref().and_then(|row| row.get(0)).unwrap_or_default();
    Instant::parse(text.as_bytes()).map_err(|error| Error::Protocol(error.to_string()))
}

/// The greatest number that is to be seen.
async fn last_id(sql: &Sql, keys: &statement::Keys, target: &Target) -> Result<Upper> {
    let column = statement::column(keys.incrementing.as_deref().unwrap_or_default());
    let row = sql.row(&target.action(), &format!("SELECT max({column}) FROM {} AS _q", target.from)).await?;
    match row.as_ref().and_then(|row| row.get(0)) {
        None => Ok(Upper::Nothing),
        Some(text) => text.parse().map(Upper::Id).map_err(|_| super::rows::no_number()),
    }
}

/// The oldest transaction in progress, and the number of the next one.
async fn in_progress(sql: &Sql) -> Result<(u64, u64)> {
    let query = "SELECT txid_snapshot_xmin(s), txid_snapshot_xmax(s) FROM txid_current_snapshot() s";
    let row = sql.row("the transactions in progress can't be read", query).await?;
    let number = |index| row.as_ref().and_then(|row| row.get(index)).and_then(|text| text.parse().ok());
    let numbers = number(0).zip(number(1));
    numbers.ok_or_else(|| Error::Protocol("something else than numbers of transactions".to_owned()))
}

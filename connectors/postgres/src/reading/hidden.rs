//! Whether what a session sees is not older than what the stream has shown: chunks and blocking snapshots wait until it is.
//! And where the log ends behind what was read.

use super::{
    engine::Engine,
    stream::Streaming,
    visible::{Seen, Snapshot},
};
use crate::{
    error::{Error, Result},
    lsn::Lsn,
    net::{Sql, literal},
};
use std::time::Duration;
use tokio::time::Instant;

/// Time behind which it is told that something can't be read.
const LONG: Duration = Duration::from_secs(10);

impl Engine {
    /// What the snapshots of sessions see now, for a stream that begins.
    pub(super) async fn seen_now(&mut self) -> Result<Seen> {
        let visible = self.visible_now().await?;
        let row = self.sql.row("the server's clock can't be read", "SELECT clock_timestamp()").await?;
        let since = row.as_ref().and_then(|row| row.get(0)).unwrap_or("infinity");
        Ok(Seen::beginning(&visible, since))
    }

    /// Whether a snapshot that is taken now is not older than what the stream has shown; while `what` has to wait, the next
    /// try is put off.
    pub(super) async fn sees_all(&mut self, streaming: &mut Streaming, what: &str) -> Result<bool> {
        if streaming.chunks.waits() {
            return Ok(false);
        }
        let visible = streaming.beside(self.visible_now()).await?;
        let all = self.shows_all(streaming, &visible, what).await?;
        if !all {
            streaming.chunks.put_off();
        }
        Ok(all)
    }

    /// The same of a snapshot that was taken, for `what`.
    pub(super) async fn shows_all(&self, streaming: &mut Streaming, visible: &Snapshot, what: &str) -> Result<bool> {
        streaming.chunks.seen.forget(visible);
        let seen = streaming.chunks.seen.clone();
        if seen.hidden().is_none() && !streaming.beside(self.hides(&seen)).await? {
            streaming.chunks.hidden_since = None;
            return Ok(true);
        }
        let since = *streaming.chunks.hidden_since.get_or_insert_with(Instant::now);
        if !streaming.chunks.hidden_told && since.elapsed() > LONG {
            streaming.chunks.hidden_told = true;
            self.settings.context.warn(&format!(
                "the {what} waits for transactions that are in the log but that other sessions do not see, or that began \
                 before this task did (pg_stat_activity has them): is a synchronous standby away?"
            ));
        }
        Ok(false)
    }

    pub(super) async fn visible_now(&mut self) -> Result<Snapshot> {
        match snapshot(&self.sql, self.version, "").await {
            // The session sleeps most of the time, and nobody keeps such sessions for ever.
            Err(Error::Broken(_)) => {
                self.reconnect().await?;
                snapshot(&self.sql, self.version, "").await
            }
            other => other,
        }
    }

    /// Where the log ends. What is behind is written out soon, so that the stream comes to there.
    pub(super) async fn end_of_log(&self) -> Result<Lsn> {
        let query = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END, \
             CASE WHEN pg_is_in_recovery() THEN true ELSE pg_current_wal_insert_lsn() <= pg_current_wal_flush_lsn() END";
        let row = self.sql.row("the end of the log can't be read", query).await?;
        let field = |index| row.as_ref().and_then(|row| row.get(index));
        let end = field(0).and_then(|end| end.parse().ok());
        let end = end.ok_or_else(|| Error::Protocol("no answer where its log ends".to_owned()))?;
        if field(1) != Some("t") {
            // Asynchronous commits lie about; the end of a transaction that changed nothing is one more, and wakes the
            // log writer for all of them.
            self.sql.execute("the log can't be written out", "SELECT txid_current()").await?;
        }
        Ok(end)
    }

    /// Whether one of the transactions that had not ended when the stream began may have been streamed before that. One may
    /// not that stands idle even now, is in a statement that began later than the stream, or is prepared while nobody
    /// commits such ones; of others nobody knows, or they have ended since the snapshot.
    async fn hides(&self, seen: &Seen) -> Result<bool> {
        if seen.doubtful().is_empty() {
            return Ok(false);
        }
        let numbers: Vec<_> = seen.doubtful().iter().map(|xid| format!("'{xid}'")).collect();
        let (numbers, since) = (numbers.join(", "), literal(seen.since()));
        let query = format!(
            "SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_xid::text IN ({numbers}) \
             AND (state LIKE 'idle in transaction%' OR query_start >= {since})) + \
             (SELECT count(*) FROM pg_prepared_xacts WHERE transaction::text IN ({numbers}) AND NOT EXISTS \
             (SELECT FROM pg_stat_activity WHERE query ILIKE 'commit prepared%' OR query = '<insufficient privilege>'))"
        );
        let row = self.sql.row("the running transactions can't be read", &query).await?;
        let known = row.as_ref().and_then(|row| row.get(0)).and_then(|count| count.parse::<usize>().ok());
        Ok(known != Some(seen.doubtful().len()))
    }
}

/// The snapshot of a query, or of the transaction that `begin` begins.
pub(super) async fn snapshot(sql: &Sql, version: u32, begin: &str) -> Result<Snapshot> {
    let function = if version < 130_000 { "txid_current_snapshot" } else { "pg_current_snapshot" };
    let row = sql.row("the current snapshot can't be read", &format!("{begin}SELECT {function}()")).await?;
    let snapshot = row.as_ref().and_then(|row| row.get(0)).and_then(Snapshot::parse);
    snapshot.ok_or_else(|| Error::Protocol(format!("an answer to {function} that is no snapshot")))
}

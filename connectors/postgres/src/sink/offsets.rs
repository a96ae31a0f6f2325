//! Offsets in a table of the database, written in the transaction of the rows.
//!
//! A row of the table belongs to one owner: whoever gets a partition raises its epoch ([`Ledger::claim`]), and every
//! transaction moves the offsets of its own epoch only ([`Ledger::advance`]), so that one whose partition was taken
//! changes nothing (invariant 8), nor does a session that its own task has given up ([`Ledger::claim_again`]). The
//! committed offsets of the consumer group follow and are never ahead.

use super::{
    config::Settings,
    failure::fatal,
    naming::{self, TableName},
    schema::quoted,
    session::Session,
};
use crate::{
    error::{Error, Result},
    net::{Dialer, literal},
};
use levada_connector_api::{Committed, ConnectorError, OffsetChange, TopicPartition};
use std::{collections::BTreeMap, sync::Arc};

/// What a task adds to its epoch for another session: more than there are takeovers by others, who add 1, so that none
/// of them comes to the same number.
const SESSION_STEP: i64 = 1 << 20;

/// What is known of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Claim {
    /// The first offset that is not written.
    next: i64,
    epoch: i64,
}

/// The offsets of a task's partitions.
#[derive(Debug)]
pub struct Ledger {
    table: TableName,
    connector: String,
    claims: BTreeMap<TopicPartition, Claim>,
    /// Partitions that came and are not claimed yet, each with what the consumer group has committed.
    unclaimed: Vec<Committed>,
    /// Whether the claims are to be read again: the session that made them ended, maybe within a commit.
    stale: bool,
    made: bool,
}

fn array<T: ToString>(items: impl Iterator<Item = T>) -> Vec<u8> {
    format!("{{{}}}", items.map(|item| item.to_string()).collect::<Vec<_>>().join(",")).into_bytes()
}

/// Topics have letters, digits, `.`, `_` and `-` only, so quotes around them are enough.
fn topics<'a>(partitions: impl Iterator<Item = &'a TopicPartition>) -> Vec<u8> {
    array(partitions.map(|partition| format!("\"{}\"", partition.topic.replace(['"', '\\'], ""))))
}

impl Ledger {
    /// In the table that the settings name; `None` without exactly-once.
    pub fn new(settings: &Settings, connector: &str) -> std::result::Result<Option<Self>, ConnectorError> {
        let Some(name) = &settings.offsets_table else { return Ok(None) };
        let table = naming::parse(name, false, &settings.login.database, "exactly.once.table");
        let table = table.map_err(ConnectorError::config)?;
        Ok(Some(Self {
            table,
            connector: connector.to_owned(),
            claims: BTreeMap::new(),
            unclaimed: Vec::new(),
            stale: false,
            made: false,
        }))
    }

    /// Partitions that now belong to the task.
    pub fn opened(&mut self, added: &[Committed]) {
        for committed in added {
            self.claims.remove(&committed.partition);
            self.unclaimed.retain(|known| known.partition != committed.partition);
            self.unclaimed.push(committed.clone());
        }
    }

    /// Partitions that went.
    pub fn closed(&mut self, partitions: &[TopicPartition]) {
        self.claims.retain(|partition, _| !partitions.contains(partition));
        self.unclaimed.retain(|known| !partitions.contains(&known.partition));
    }

    /// The session ended: what of its last transaction was committed is not known.
    pub fn session_ended(&mut self) {
        self.stale = true;
    }

    /// Whether a record is written already.
    pub fn has(&self, topic: &Arc<str>, partition: i32, offset: i64) -> bool {
        // No clone of the topic's text, only of its pointer.
        let partition = TopicPartition { topic: Arc::clone(topic), partition };
        self.claims.get(&partition).is_some_and(|claim| offset < claim.next)
    }

    async fn make(&mut self, session: &Session) -> Result<()> {
        if self.made {
            return Ok(());
        }
        let sql = format!(
            "CREATE TABLE IF NOT EXISTS {} (connector text NOT NULL, topic text NOT NULL, partition integer NOT NULL, \
             next_offset bigint NOT NULL, epoch bigint NOT NULL, PRIMARY KEY (connector, topic, partition))",
            quoted(&self.table)
        );
        let there = format!("SELECT 1 FROM {} LIMIT 0", quoted(&self.table));
        if session.run("", &there).await.is_err() {
            match session.run(&format!("the table of offsets {} can't be made", self.table), &sql).await {
                // Another task was faster.
                Err(error) if matches!(error.code(), Some("42P07" | "42710" | "23505")) => {}
                other => other?,
            }
        }
        self.made = true;
        Ok(())
    }

    /// Claims what came and checks what is held, before anything is written. Partitions that have a stored
    /// offset are given back, each with the offset to read from, whatever the consumer group has.
    pub async fn claim(&mut self, session: &Session) -> Result<Vec<(TopicPartition, i64)>> {
        self.make(session).await?;
        if self.stale {
            self.claim_again(session).await?;
            self.stale = false;
        }
        let mut seeks = Vec::new();
        while let Some(committed) = self.unclaimed.last() {
            let at = committed.offset.unwrap_or(0);
            let partition = &committed.partition;
            let sql = format!(
                "INSERT INTO {} AS o (connector, topic, partition, next_offset, epoch) VALUES ({}, {}, {}, {at}, 1) \
                 ON CONFLICT (connector, topic, partition) DO UPDATE SET epoch = o.epoch + 1 \
                 RETURNING next_offset, epoch",
                quoted(&self.table),
                literal(&self.connector),
                literal(&partition.topic),
                partition.partition
            );
            let rows = session
                .rows(&format!("partition {}-{} can't be claimed", partition.topic, partition.partition), &sql)
                .await?;
            let claim = claim_of(rows.first(), 0)?;
            let partition = partition.clone();
            // Also where the group is where the table is: only of an offset that it was told does the runtime know that it
            // must be there. A row that stands at 0 says that nothing was written, and not where to begin.
            if claim.next > 0 || committed.offset.is_some_and(|offset| offset != claim.next) {
                seeks.push((partition.clone(), claim.next));
            }
            self.claims.insert(partition, claim);
            self.unclaimed.pop();
        }
        Ok(seeks)
    }

    /// Claims again what is held: the session before this one may still be at its commit. The statement waits for that
    /// transaction, reads what came of it, and lets nothing more of that session's through. An answer that was lost is no
    /// other's claim: the epoch asked for is the same until one comes.
    async fn claim_again(&mut self, session: &Session) -> Result<()> {
        for (partition, claim) in &mut self.claims {
            let mine = claim.epoch + SESSION_STEP;
            let row = format!(
                "connector = {} AND topic = {} AND partition = {}",
                literal(&self.connector),
                literal(&partition.topic),
                partition.partition
            );
            let sql = format!(
                "UPDATE {} SET epoch = {mine} WHERE {row} AND epoch IN ({}, {mine}) RETURNING next_offset, epoch",
                quoted(&self.table),
                claim.epoch
            );
            let rows = session.rows("offsets can't be claimed again", &sql).await?;
            if rows.is_empty() {
                let sql = format!("SELECT next_offset, epoch FROM {} WHERE {row}", quoted(&self.table));
                claim_of(session.rows("offsets can't be read", &sql).await?.first(), 0)?;
                return Err(fenced(&self.table, 1));
            }
            *claim = claim_of(rows.first(), 0)?;
        }
        Ok(())
    }

    /// Moves offsets, in the running transaction. Fails when one of the partitions is another's.
    pub async fn advance(&self, session: &Session, offsets: &[(TopicPartition, i64)]) -> Result<()> {
        if offsets.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "UPDATE {} AS o SET next_offset = greatest(o.next_offset, s.n) \
             FROM unnest($2::text::text[], $3::text::int[], $4::text::bigint[], $5::text::bigint[]) AS s(t, p, n, e) \
             WHERE o.connector = $1::text AND o.topic = s.t AND o.partition = s.p AND o.epoch = s.e",
            quoted(&self.table)
        );
        let epoch = |partition| self.claims.get(partition).map_or(-1, |claim| claim.epoch);
        let parameters = [
            self.connector.clone().into_bytes(),
            topics(offsets.iter().map(|(partition, _)| partition)),
            array(offsets.iter().map(|(partition, _)| partition.partition)),
            array(offsets.iter().map(|(_, next)| next)),
            array(offsets.iter().map(|(partition, _)| epoch(partition))),
        ];
        let moved = session.execute("offsets can't be stored", &sql, &parameters).await?;
        if moved as usize != offsets.len() {
            return Err(fenced(&self.table, offsets.len() - moved as usize));
        }
        Ok(())
    }

    /// The transaction of these is committed.
    pub fn advanced(&mut self, offsets: &[(TopicPartition, i64)]) {
        for (partition, next) in offsets {
            if let Some(claim) = self.claims.get_mut(partition) {
                claim.next = claim.next.max(*next);
            }
        }
    }

    /// Of offsets that were consumed those that the table does not have: records that ended elsewhere, or were none.
    pub fn behind(&self, consumed: &[(TopicPartition, i64)]) -> Vec<(TopicPartition, i64)> {
        let behind = |(partition, next): &&(TopicPartition, i64)| {
            self.claims.get(partition).is_some_and(|claim| claim.next < *next)
        };
        consumed.iter().filter(behind).cloned().collect()
    }
}

fn claim_of(row: Option<&tokio_postgres::SimpleQueryRow>, at: usize) -> Result<Claim> {
    let number = |at| row.and_then(|row| row.get(at)).and_then(|text| text.parse().ok());
    match (number(at), number(at + 1)) {
        (Some(next), Some(epoch)) => Ok(Claim { next, epoch }),
        _ => Err(Error::Gap(
            "the table of offsets has lost the row of a partition of this task; restart the task".to_owned(),
        )),
    }
}

fn fenced(table: &TableName, count: usize) -> Error {
    Error::Gap(format!(
        "{count} of this task's partitions were claimed by another task of the same name in table {table}: nothing of \
         the batch was written. It is a connector of the same name elsewhere, which needs a name or exactly.once.table \
         of its own, or a task that took over; restart this one"
    ))
}

/// Changes stored offsets as a request asks; `None` removes one, and no change at all removes all. Called while no task runs.
pub fn alter(settings: Settings, connector: &str, changes: &[OffsetChange]) -> std::result::Result<(), ConnectorError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ConnectorError::retriable("no runtime can be started").caused_by(error))?;
    let Some(mut ledger) = Ledger::new(&settings, connector)? else { return Ok(()) };
    let changed = runtime.block_on(async {
        let dialer = Dialer::new(&settings.connection)?;
        let session = Session::connect(&settings, &dialer).await?;
        ledger.make(&session).await?;
        let mut statements = vec!["BEGIN".to_owned()];
        if changes.is_empty() {
            let table = quoted(&ledger.table);
            statements.push(format!("DELETE FROM {table} WHERE connector = {}", literal(connector)));
        }
        for (partition, offset) in changes {
            let topic = partition.get("kafka_topic").and_then(|topic| topic.as_str()).unwrap_or_default();
            let whole = |value: &serde_json::Value| value.as_i64().or_else(|| value.as_str()?.trim().parse().ok());
            let number = partition.get("kafka_partition").and_then(whole).unwrap_or(-1);
            let (table, connector) = (quoted(&ledger.table), literal(connector));
            statements.push(match offset.as_ref().and_then(|offset| offset.get("kafka_offset")).and_then(whole) {
                Some(next) => format!(
                    "INSERT INTO {table} AS o (connector, topic, partition, next_offset, epoch) \
                     VALUES ({connector}, {}, {number}, {next}, 1) ON CONFLICT (connector, topic, partition) \
                     DO UPDATE SET next_offset = EXCLUDED.next_offset, epoch = o.epoch + 1",
                    literal(topic)
                ),
                None => format!(
                    "DELETE FROM {table} WHERE connector = {connector} AND topic = {} AND partition = {number}",
                    literal(topic)
                ),
            });
        }
        statements.push("COMMIT".to_owned());
        session.run("the table of offsets can't be changed", &statements.join(";")).await
    });
    changed.map_err(fatal)
}

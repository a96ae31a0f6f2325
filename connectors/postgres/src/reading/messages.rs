//! What the messages of the stream mean: transactions, tables, rows, and texts of `pg_logical_emit_message`.

use super::{
    engine::{Engine, now_micros},
    stream::{Streaming, Transaction},
};
use crate::{
    error::{Error, Result},
    event::{Moment, SnapshotMark},
    offset::Sent,
    pgoutput::{Message, OldRow, Tuple},
    table::{DecodedRow, RowError, Table},
};
use levada_connector_api::Bytes;
use std::sync::Arc;
use tokio::time::Instant;

impl Engine {
    pub(super) async fn message(
        &mut self,
        streaming: &mut Streaming,
        lsn: u64,
        owner: &Bytes,
        message: Message<'_>,
    ) -> Result<()> {
        match message {
            Message::Begin { commit, commit_micros, xid } => {
                let begun = Transaction { xid, commit, micros: commit_micros, origin: None };
                self.begin(streaming, lsn, begun).await?;
            }
            Message::Commit { end } => self.commit(streaming, end),
            Message::Origin { lsn, name } => {
                if let Some(transaction) = &mut streaming.transaction {
                    transaction.origin = Some((name.into(), lsn as i64));
                }
            }
            Message::Relation(relation) => {
                streaming.signals.announced(&relation, self.settings.config.snapshot.source_channel());
                let announced = streaming.beside(self.announced(&relation)).await?;
                let oid = relation.oid;
                let table = announced.map(|(table, info)| {
                    self.tell_shared_topic(&table);
                    self.note_shape(streaming, relation, info);
                    Arc::new(table)
                });
                streaming.relations.insert(oid, table);
            }
            Message::Logical { transactional, lsn, prefix, content } => {
                self.logical(streaming, transactional, lsn, &prefix, owner.slice_ref(content));
            }
            Message::Insert(oid, row) => self.insert(streaming, lsn, owner, oid, row).await?,
            Message::Update(oid, old, new) => self.update(streaming, lsn, owner, oid, old, new).await?,
            Message::Delete(oid, old) => self.delete(streaming, lsn, owner, oid, old).await?,
            Message::Truncate(oids) => {
                for oid in oids {
                    let Some((table, moment)) = self.event(streaming, oid, lsn, "TRUNCATE").await? else { continue };
                    streaming.chunks.emptied(&table);
                    self.emitter.truncate(&table, &moment, &mut self.batch);
                }
            }
            Message::Other => {}
        }
        Ok(())
    }

    async fn begin(&mut self, streaming: &mut Streaming, lsn: u64, begun: Transaction) -> Result<()> {
        let (xid, micros) = (begun.xid, begun.micros);
        streaming.transaction = Some(begun);
        streaming.pace.came_to(micros);
        (self.position.tx_id, self.position.micros) = (Some(i64::from(xid)), micros);
        self.refresh_xmin(streaming).await?;
        let moment = self.moment(streaming, lsn);
        self.emitter.begin(xid, &moment, &mut self.batch);
        Ok(())
    }

    fn commit(&mut self, streaming: &mut Streaming, end: u64) {
        let moment = self.moment(streaming, end);
        self.emitter.end(&moment, &mut self.batch);
        (self.position.lsn, self.position.events) = (end, 0);
        (self.position.commit, self.position.processed) = (Some(end), Some(end));
        self.position.message_type = Some("COMMIT".to_owned());
        let transaction = streaming.transaction.take();
        if let Some(ended) = &transaction {
            streaming.chunks.seen.committed(ended.xid);
        }
        let was_sent = |sent: &mut Sent| transaction.is_some_and(|transaction| sent.is_of(transaction.xid));
        streaming.sent.take_if(was_sent);
        streaming.last_commit = Some(end);
        self.came_to(streaming, end);
    }

    async fn insert(
        &mut self,
        streaming: &mut Streaming,
        lsn: u64,
        owner: &Bytes,
        oid: u32,
        row: Tuple<'_>,
    ) -> Result<()> {
        let event = self.event(streaming, oid, lsn, "INSERT").await?;
        if !streaming.skipped {
            self.signal(streaming, oid, row).await?;
        }
        let Some((table, moment)) = event else { return Ok(()) };
        match table.decode(row, owner, None) {
            Ok(decoded) => {
                streaming.chunks.changed(&table, &decoded);
                let (wish, before) = (self.wish(&table, row, &decoded), self.batch.records.len());
                self.emitter.insert(&table, decoded, &moment, &mut self.batch);
                self.wished(wish, before);
            }
            Err(error) => self.undecoded(error.to_string())?,
        }
        self.batch.grow(owner.len());
        Ok(())
    }

    async fn update(
        &mut self,
        streaming: &mut Streaming,
        lsn: u64,
        owner: &Bytes,
        oid: u32,
        old: Option<OldRow<'_>>,
        new: Tuple<'_>,
    ) -> Result<()> {
        let Some((table, moment)) = self.event(streaming, oid, lsn, "UPDATE").await? else { return Ok(()) };
        match both(&table, old, new, owner) {
            Ok((old, decoded)) => {
                for row in old.iter().chain([&decoded]) {
                    streaming.chunks.changed(&table, row);
                }
                let (wish, before) = (self.wish(&table, new, &decoded), self.batch.records.len());
                self.emitter.update(&table, old, decoded, &moment, &mut self.batch);
                self.wished(wish, before);
            }
            Err(error) => self.undecoded(error.to_string())?,
        }
        self.batch.grow(owner.len());
        Ok(())
    }

    async fn delete(
        &mut self,
        streaming: &mut Streaming,
        lsn: u64,
        owner: &Bytes,
        oid: u32,
        old: OldRow<'_>,
    ) -> Result<()> {
        let Some((table, moment)) = self.event(streaming, oid, lsn, "DELETE").await? else { return Ok(()) };
        match table.decode(old.row, owner, None) {
            Ok(row) => {
                streaming.chunks.changed(&table, &row);
                self.emitter.delete(&table, row, &moment, &mut self.batch);
            }
            Err(error) => self.undecoded(error.to_string())?,
        }
        self.batch.grow(owner.len());
        Ok(())
    }

    /// Moves the position to an event; its table and moment, unless it was sent before or is not captured.
    async fn event(
        &mut self,
        streaming: &mut Streaming,
        oid: u32,
        lsn: u64,
        kind: &'static str,
    ) -> Result<Option<(Arc<Table>, Moment)>> {
        let known = streaming.relations.get(&oid);
        let table =
            known.ok_or_else(|| Error::Protocol("a row of a table that it did not announce".to_owned()))?.clone();
        streaming.skipped = streaming.was_sent(lsn);
        if streaming.skipped {
            return Ok(None);
        }
        if !streaming.unshaped.is_empty() {
            self.first_row(streaming, oid, lsn).await?;
        }
        self.position.events = if self.position.processed == Some(lsn) { self.position.events + 1 } else { 1 };
        (self.position.lsn, self.position.processed) = (lsn, Some(lsn));
        if self.position.message_type.as_deref() != Some(kind) {
            self.position.message_type = Some(kind.to_owned());
        }
        let Some(table) = table else { return Ok(None) };
        let moment = self.moment(streaming, lsn);
        Ok(Some((table, moment)))
    }

    pub(super) fn moment(&self, streaming: &Streaming, lsn: u64) -> Moment {
        let transaction = streaming.transaction.as_ref();
        Moment {
            micros: transaction.map_or(self.position.micros, |transaction| transaction.micros),
            tx_id: transaction.map(|transaction| i64::from(transaction.xid)),
            lsn,
            last_commit: streaming.last_commit,
            xmin: streaming.xmin,
            origin: transaction.and_then(|transaction| transaction.origin.clone()),
            mark: SnapshotMark::Streaming,
        }
    }

    fn logical(&mut self, streaming: &mut Streaming, transactional: bool, lsn: u64, prefix: &str, content: Bytes) {
        let bytes = content.len();
        if transactional {
            if streaming.was_sent(lsn) {
                return;
            }
            (self.position.lsn, self.position.processed, self.position.events) = (lsn, Some(lsn), 0);
            let moment = self.moment(streaming, lsn);
            self.emitter.message(prefix, content, &moment, &mut self.batch);
        } else {
            // It comes by itself, in the order of the log: everything that commits before it has been sent.
            (self.position.lsn, self.position.events) = (lsn, 0);
            if streaming.transaction.is_none() {
                (self.position.processed, self.position.commit) = (Some(lsn), Some(lsn));
                streaming.last_commit = Some(lsn);
            }
            let moment = Moment { tx_id: None, micros: now_micros(), ..self.moment(streaming, lsn) };
            self.emitter.message(prefix, content, &moment, &mut self.batch);
        }
        self.position.message_type = Some("MESSAGE".to_owned());
        self.batch.grow(bytes);
    }

    async fn refresh_xmin(&mut self, streaming: &mut Streaming) -> Result<()> {
        let interval = self.settings.config.streaming.xmin_interval;
        if interval.is_zero() || streaming.xmin_at.is_some_and(|at| at.elapsed() < interval) {
            return Ok(());
        }
        streaming.xmin_at = Some(Instant::now());
        let query = format!(
            "SELECT coalesce(catalog_xmin, xmin) FROM pg_replication_slots WHERE slot_name = {}",
            crate::net::literal(self.slot.name())
        );
        let row = streaming.beside(self.sql.row("the slot's xmin can't be read", &query)).await?;
        streaming.xmin = row.as_ref().and_then(|row| row.get(0)).and_then(|text| text.parse().ok());
        Ok(())
    }
}

fn both(
    table: &Table,
    old: Option<OldRow<'_>>,
    new: Tuple<'_>,
    owner: &Bytes,
) -> Result<(Option<DecodedRow>, DecodedRow), RowError> {
    let full = old.is_some_and(|old| old.full);
    let old = old.map(|old| table.decode(old.row, owner, None)).transpose()?;
    let new = table.decode(new, owner, old.as_ref().filter(|_| full))?;
    Ok((old, new))
}

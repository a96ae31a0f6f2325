//! The first snapshot beside the stream (`snapshot.while.streaming`): the slot is made, the stream begins at once, and the
//! tables are read in chunks between its transactions, as an incremental snapshot reads them. The slot keeps no log for the
//! length of the snapshot, and changes do not wait for it.
//!
//! A chunk needs an order of the rows: tables without a key, and those that are read by a query of the configuration, are
//! read before the stream begins, as of one moment.

use super::engine::Engine;
use crate::{
    catalog::{self, TableId},
    error::Result,
    lsn::Lsn,
    net::Replication,
    offset::Progress,
    signal::{Asked, Incremental},
};

/// Tables that may wait for their chunks: each of them is in every offset, which is a record of a topic.
const MOST_TABLES: usize = 1000;

impl Engine {
    /// Begins the snapshot: reads what is no table of chunks, and has the others wait for the stream. Without a slot
    /// (`confirmed` is none) one is made.
    pub(super) async fn snapshot_alongside(
        &mut self,
        replication: &mut Replication,
        confirmed: Option<Lsn>,
        captured: &[(u32, TableId)],
    ) -> Result<()> {
        let start = match confirmed {
            Some(confirmed) => confirmed,
            None => self.slot.make_anew(&self.sql, replication, self.version, false).await?.start,
        };
        if captured.len() > MOST_TABLES {
            self.settings.context.warn(&format!(
                "snapshot.while.streaming has no effect on more than {MOST_TABLES} tables, and {} are captured: the stream \
                 begins behind the snapshot",
                captured.len()
            ));
            return self.snapshot(replication, (Some(start), true), captured).await;
        }
        self.begin_at(start);
        let (chunked, whole) = self.by_chunks(captured).await?;
        self.position.incremental =
            (!chunked.is_empty()).then(|| Incremental { tables: chunked, ..Incremental::default() });
        self.position.snapshot = None;
        if whole.is_empty() {
            return self.checkpoint().await;
        }
        self.position.progress = Some(Progress { asked: whole, ..Progress::default() });
        self.snapshot(replication, (Some(start), true), captured).await
    }

    /// The tables of the snapshot: those that are read in chunks, and the others.
    async fn by_chunks(&mut self, captured: &[(u32, TableId)]) -> Result<(Vec<Asked>, Vec<Asked>)> {
        let config = &self.settings.config.snapshot;
        let included = config.includes();
        let selects = config.overrides.clone().unwrap_or_default();
        let signals = self.settings.config.snapshot.source_table();
        let meant = |id: &TableId| signals.as_ref() != Some(id) && included(&id.to_string());
        let oids: Vec<_> = captured.iter().filter(|(_, id)| meant(id)).map(|(oid, _)| *oid).collect();
        let mut infos = catalog::table_infos(&self.sql, &oids).await?;
        config.put_in_order(&mut infos, |info| info.rows);
        let (mut chunked, mut whole) = (Vec::new(), Vec::new());
        for info in infos {
            let (table, key) = self.plan_of(&info).await?;
            let name = info.id.to_string();
            let in_order = info.is_ordered_by(&key) && table.key_schema().is_some();
            let tables = if in_order && !selects.contains(&name) { &mut chunked } else { &mut whole };
            tables.push(Asked { table: name, filter: None });
        }
        Ok((chunked, whole))
    }
}

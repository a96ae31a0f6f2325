//! Blocking snapshots: the stream stands still between two transactions while the tables that a signal has named are read
//! as the first snapshot reads them.
//!
//! The stream's session stays open, and the server hears of it all the while. The position stays where it is, in the
//! offsets too: what commits meanwhile is streamed behind the snapshot, so every row's last event is its last state. How
//! far the reading has come is in the offset beside the position; a restart goes on with both.

use super::{
    engine::{Engine, now_micros},
    snapshot::{begin, current_transaction},
    stream::Streaming,
    tables,
};
use crate::{
    error::{Error, Result},
    event::{Moment, SnapshotMark},
    signal::Asked,
};
use levada_connector_api::ErrorKind;

impl Engine {
    /// Notes tables that are to be read at the transaction's end.
    pub(super) fn ask_blocking(&mut self, asked: Vec<Asked>) {
        if asked.is_empty() {
            return;
        }
        let progress = self.position.progress.get_or_insert_default();
        for asked in asked {
            // One that was read before this signal came is read again.
            progress.done.retain(|done| *done != asked.table);
            progress.current.retain(|current| current.table != asked.table);
            match progress.asked.iter_mut().find(|other| other.table == asked.table) {
                // All of its rows are those of either condition, and more.
                Some(other) if other.filter != asked.filter => other.filter = None,
                Some(_) => {}
                None => progress.asked.push(asked),
            }
        }
    }

    /// Reads the tables that were asked for, when the stream is between two transactions.
    pub(super) async fn blocking(&mut self, streaming: &mut Streaming) -> Result<()> {
        if self.position.blocking().is_none()
            || !streaming.idle_between()
            || !self.sees_all(streaming, "blocking snapshot").await?
        {
            return Ok(());
        }
        self.deliver(streaming).await?;
        self.position.transaction = None;
        // A chunk that waits would come behind newer rows.
        streaming.chunks.put_back();
        let moment = self.moment(streaming, self.position.lsn);
        let read = streaming.beside(self.read_asked(moment)).await;
        self.shared.telling.end_snapshot();
        match read {
            Err(error @ (Error::Server { .. } | Error::Setup(_))) if error.kind() != ErrorKind::Retriable => {
                self.settings.context.warn(&format!("the blocking snapshot is given up, the stream goes on: {error}"));
            }
            other => other?,
        }
        self.position.progress = None;
        self.remember(streaming).await
    }

    async fn read_asked(&mut self, moment: Moment) -> Result<()> {
        let captured = self.captured().await?;
        let reader = tables::connect(&self.settings.config, &self.dialer, &self.login).await?;
        let tx_id = current_transaction(&reader).await?;
        begin(&reader, None).await?;
        self.checkpoint().await?;
        let order = self.snapshot_tables(&reader, &captured).await?;
        let moment = Moment { micros: now_micros(), tx_id, origin: None, mark: SnapshotMark::Snapshot, ..moment };
        // The stream tells of shapes when it comes to them.
        self.read_tables(reader, order, moment, None).await
    }
}

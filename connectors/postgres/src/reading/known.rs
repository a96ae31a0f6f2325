//! Which tables were captured before: those that are new since are read by an incremental snapshot, where
//! `snapshot.new.tables` says so, and no other.

use super::engine::Engine;
use crate::{catalog::TableId, signal::Asked};

impl Engine {
    /// Remembers the captured tables. Of those that are new the rows are asked for, unless all tables are `read` now; without
    /// a memory none is new.
    pub(super) fn know(&mut self, captured: &[(u32, TableId)], read: bool) {
        let config = &self.settings.config.snapshot;
        if config.new_tables == "off" {
            self.position.tables = None;
            return;
        }
        let before = self.position.tables.replace(captured.iter().map(|(oid, _)| *oid).collect());
        let Some(before) = before.filter(|_| !read) else { return };
        let included = config.includes();
        let own = config.signal_table.as_deref();
        let new = captured.iter().filter(|(oid, _)| !before.contains(oid)).map(|(_, id)| id.to_string());
        let new: Vec<_> = new.filter(|name| own != Some(name) && included(name)).collect();
        if new.is_empty() {
            return;
        }
        tracing::info!(connector = self.settings.context.connector(), tables = new.join(", "), "new tables are read");
        let waiting = &mut self.position.incremental.get_or_insert_default().tables;
        for table in new {
            if !waiting.iter().any(|asked| asked.table == table && asked.filter.is_none()) {
                waiting.push(Asked { table, filter: None });
            }
        }
    }
}

//! Tells of tables that are locked while they are to be read: what waits for a lock looks like what hangs.

use crate::{error::Result, filter::Filters, net::Sql};
use levada_connector_api::SourceTaskContext;
use std::{collections::HashSet, time::Duration};

/// Longest wait without a word where the configuration has none.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits that were told.
#[derive(Debug, Default)]
pub(super) struct Locks {
    told: HashSet<String>,
}

impl Locks {
    /// Looks which sessions of ours have waited for a captured table's lock for longer than `patience`, and tells each wait
    /// once.
    pub async fn look(
        &mut self,
        context: &dyn SourceTaskContext,
        sql: &Sql,
        filters: &Filters,
        patience: Duration,
    ) -> Result<()> {
        let patience = if patience.is_zero() { PATIENCE } else { patience };
        let query = format!(
            "SELECT n.nspname, c.relname, array_to_string(pg_blocking_pids(l.pid), ', ') FROM pg_locks l \
             JOIN pg_stat_activity a ON a.pid = l.pid JOIN pg_class c ON c.oid = l.relation \
             JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE NOT l.granted AND a.datname = current_database() AND a.usename = current_user \
             AND a.application_name = 'levada' AND clock_timestamp() - a.query_start > interval '{} ms'",
            patience.as_millis()
        );
        let mut now = HashSet::new();
        for row in sql.rows("locks can't be looked at", &query).await? {
            let (Some(schema), Some(table), Some(holders)) = (row.get(0), row.get(1), row.get(2)) else { continue };
            if !filters.table(schema, table) {
                continue;
            }
            let text = format!(
                "table {schema}.{table} is locked by another session (process {holders}), and what is to be read of it waits \
                 for more than {} ms already: it goes on once that session ends its transaction; pg_stat_activity tells what \
                 that is",
                patience.as_millis()
            );
            if !self.told.contains(&text) && now.insert(text.clone()) {
                context.warn(&text);
            }
            now.insert(text);
        }
        self.told = now;
        Ok(())
    }
}

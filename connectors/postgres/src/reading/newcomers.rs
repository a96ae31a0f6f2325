//! Tables that are made, or partitions that are attached, while the task runs: under a `filtered` publication they are
//! added to it, where the role may; else what to run is told. Their rows come from then on.

use super::{published::Published, pump::Settings};
use crate::{
    catalog::{self, Publication, TableId},
    config::PublicationMode,
    error::{Error, Result},
    filter::Filters,
    net::Sql,
};
use levada_connector_api::ErrorKind;
use std::collections::HashSet;

/// What is known of the publication's tables.
#[derive(Debug)]
pub(super) struct Newcomers {
    publication: Publication,
    filters: Filters,
    /// Whether there is anything to follow.
    filtered: bool,
    /// Tables that could not be added, and were told.
    refused: HashSet<TableId>,
}

impl Newcomers {
    /// As the configuration says.
    pub fn new(settings: &Settings) -> Self {
        let config = &settings.config;
        Self {
            publication: Publication::new(&config.streaming),
            filters: Filters::new(&config.capture),
            filtered: config.streaming.publication_mode == PublicationMode::Filtered,
            refused: HashSet::new(),
        }
    }

    /// Adds captured tables that are not published, and were not before: those that were are missing changes.
    pub async fn follow(&mut self, settings: &Settings, sql: &Sql, before: &Published) -> Result<()> {
        // The publication of all tables has them, and one that is not there yet is made with them.
        if !self.filtered || self.publication.exists(sql).await? != Some(false) {
            return Ok(());
        }
        let published: HashSet<_> = self.publication.tables(sql).await?.into_iter().collect();
        let mut captured = catalog::list_tables(sql, settings.config.streaming.via_partition_root).await?;
        captured.retain(|(oid, id)| self.filters.table(&id.schema, &id.name) && !before.had(*oid));
        let most = usize::try_from(settings.config.capture.max_tables).unwrap_or(0);
        let room = if most == 0 { usize::MAX } else { most.saturating_sub(published.len()) };
        let missing = captured.into_iter().map(|(_, id)| id);
        let missing: Vec<_> = missing.filter(|id| !published.contains(id) && !self.refused.contains(id)).collect();
        for (place, id) in missing.into_iter().enumerate() {
            if place >= room {
                settings
                    .context
                    .warn(&format!("table {id} is not added: guardrail.collections.max={most} are captured"));
                self.refused.insert(id);
                continue;
            }
            match self.publication.add(sql, &id).await {
                Ok(()) => settings.context.warn(&format!(
                    "table {id} is new and was added to publication {}: its rows come from now on. Those before are read \
                     by a signal: execute-snapshot with data-collections [\"{id}\"]",
                    self.publication.name()
                )),
                Err(error @ Error::Server { .. }) if error.kind() != ErrorKind::Retriable => {
                    settings.context.warn(&format!(
                        "table {id} is new and its rows do not come: {error}. Run as its owner: {};",
                        self.publication.adding(&id)
                    ));
                    self.refused.insert(id);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

//! Tables that are made, or partitions that are attached, while the task runs: under a `filtered` publication they are
//! added to it, where the role may; else what to run is told. Their rows come from then on.

use super::{published::Published, pump::Settings};
use crate::{
    catalog::{self, Publication, TableId},
    config::PublicationMode,
    error::{Error, Result},
    net::Sql,
};
use levada_connector_api::ErrorKind;
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// Time behind which a table that was refused is tried again, whoever owns it.
const AGAIN: Duration = Duration::from_secs(300);

/// What is known of the tables that are not published.
#[derive(Debug)]
pub(super) struct Newcomers {
    publication: Publication,
    /// Whether there is anything to follow.
    filtered: bool,
    /// Tables that could not be added, by number.
    refused: HashMap<u32, Refused>,
}

/// A table that could not be added.
#[derive(Debug)]
struct Refused {
    /// What was told of it.
    text: String,
    /// Who owned it then.
    owner: Option<u32>,
    at: Instant,
}

impl Newcomers {
    /// As the configuration says.
    pub fn new(settings: &Settings) -> Self {
        let config = &settings.config;
        Self {
            publication: Publication::new(&config.streaming),
            filtered: config.streaming.publication_mode == PublicationMode::Filtered,
            refused: HashMap::new(),
        }
    }

    /// Whether anything is to be followed: a publication of all tables has them, and one that is not there yet is made with
    /// them.
    pub fn follows(&self, now: &Published) -> bool {
        self.filtered && now.tables().is_some()
    }

    /// Adds the captured tables that are not published, by what was seen `now`.
    pub async fn follow(
        &mut self,
        settings: &Settings,
        sql: &Sql,
        now: &Published,
        captured: &[(u32, TableId)],
    ) -> Result<()> {
        let Some(published) = now.tables() else { return Ok(()) };
        let missing: Vec<_> =
            captured.iter().filter(|(oid, _)| !published.contains_key(oid) || now.is_by_root(*oid)).collect();
        self.refused.retain(|oid, _| missing.iter().any(|(missing, _)| missing == oid));
        let owners = catalog::owners(sql, &missing.iter().map(|(oid, _)| *oid).collect::<Vec<_>>()).await?;
        let most = usize::try_from(settings.config.capture.max_tables).unwrap_or(0);
        let mut room = if most == 0 { usize::MAX } else { most.saturating_sub(published.len()) };
        for (oid, id) in missing {
            let owner = owners.get(oid).copied();
            if self.refused.get(oid).is_some_and(|refused| !refused.is_due(owner)) {
                continue;
            }
            if now.is_by_root(*oid) {
                // Its rows come already; so they do when it is detached.
                if let Err(error) = self.publication.add(sql, id).await {
                    let (text, at) = (error.to_string(), Instant::now());
                    self.refused.insert(*oid, Refused { text, owner, at });
                }
                continue;
            }
            if room == 0 {
                let text = format!("table {id} is not added: guardrail.collections.max={most} are captured");
                self.refuse(settings, *oid, text, owner);
                continue;
            }
            match self.publication.add(sql, id).await {
                Ok(()) => {
                    room -= 1;
                    self.refused.remove(oid);
                    settings.context.warn(&format!(
                        "table {id} is new and was added to publication {}: its rows come from now on. Those before are read \
                         by a signal: execute-snapshot with data-collections [\"{id}\"]",
                        self.publication.name()
                    ));
                }
                Err(error @ Error::Server { .. }) if error.kind() != ErrorKind::Retriable => {
                    let adding = self.publication.adding(id);
                    let text =
                        format!("table {id} is new and its rows do not come: {error}. Run as its owner: {adding};");
                    self.refuse(settings, *oid, text, owner);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Tells what is new about a table, which is tried again later.
    fn refuse(&mut self, settings: &Settings, oid: u32, text: String, owner: Option<u32>) {
        if self.refused.get(&oid).is_none_or(|refused| refused.text != text) {
            settings.context.warn(&text);
        }
        self.refused.insert(oid, Refused { text, owner, at: Instant::now() });
    }
}

impl Refused {
    /// Whether another try may end differently.
    fn is_due(&self, owner: Option<u32>) -> bool {
        self.owner != owner || self.at.elapsed() >= AGAIN
    }
}

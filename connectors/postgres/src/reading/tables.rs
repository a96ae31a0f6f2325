//! Which tables are captured, and what of them is set up at the start.

use super::engine::Engine;
use crate::{
    catalog::{self, TableId, TableInfo},
    config::{SourceConfig, identity},
    doctor::shared_topic,
    error::{Error, Result},
    filter::Patterns,
    net::{Dialer, Login, Sql},
    pgoutput::Relation,
    table::Table,
};
use std::sync::Arc;

/// Opens an SQL session, with the configured statements run.
pub async fn connect(config: &SourceConfig, dialer: &Dialer, login: &Login) -> Result<Sql> {
    let timeout = Some(config.connection.query_timeout).filter(|timeout| !timeout.is_zero());
    let sql = Sql::connect(dialer, login, timeout).await?;
    if let Some(statements) = config.connection.initial_statements.as_deref().filter(|text| !text.trim().is_empty()) {
        // `;;` is a semicolon within a statement.
        let mark = "\u{0}";
        let statements = statements.replace(";;", mark);
        for statement in statements.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
            sql.execute("a statement of database.initial.statements failed", &statement.replace(mark, ";")).await?;
        }
    }
    Ok(sql)
}

impl Engine {
    /// Opens the SQL session again.
    pub(super) async fn reconnect(&mut self) -> Result<()> {
        self.sql = connect(&self.settings.config, &self.dialer, &self.login).await?;
        Ok(())
    }

    /// Opens the SQL session again when it has ended: it sleeps most of the time, and nobody keeps such sessions for ever.
    pub(super) async fn awake(&mut self) -> Result<()> {
        if self.sql.is_closed() { self.reconnect().await } else { Ok(()) }
    }

    /// Number and name of every captured table.
    pub(super) async fn captured(&self) -> Result<Vec<(u32, TableId)>> {
        let mut tables = catalog::list_tables(&self.sql, self.settings.config.streaming.via_partition_root).await?;
        tables.retain(|(_, id)| self.builder.filters().table(&id.schema, &id.name));
        let most = usize::try_from(self.settings.config.capture.max_tables).unwrap_or(0);
        if most > 0 && tables.len() > most {
            return Err(Error::Setup(format!(
                "{} tables are captured, more than guardrail.collections.max={most}; narrow table.include.list or raise it",
                tables.len()
            )));
        }
        Ok(tables)
    }

    /// `replica.identity.autoset.values`.
    pub(super) async fn set_replica_identities(&self, captured: &[(u32, TableId)]) -> Result<()> {
        for entry in self.settings.config.streaming.replica_identity.iter().flatten() {
            let (table, identity) =
                identity(entry).map_err(|reason| Error::Setup(format!("replica.identity.autoset.values: {reason}")))?;
            let pattern = Patterns::new(&[table]);
            for (_, id) in captured.iter().filter(|(_, id)| pattern.matches(&id.to_string())) {
                let action = format!("the replica identity of {id} can't be set");
                let query = format!("ALTER TABLE {} REPLICA IDENTITY {identity}", id.quoted());
                self.sql.execute(&action, &query).await?;
            }
        }
        Ok(())
    }

    /// The plan of a table that the server announced, and the catalog's view of it; `None` for one that is not captured. The SQL session is opened
    /// again when it is gone: it sleeps most of the time, and nobody keeps such sessions for ever.
    pub(super) async fn announced(&mut self, relation: &Relation) -> Result<Option<(Table, Option<TableInfo>)>> {
        if !self.builder.filters().table(&relation.schema, &relation.name) {
            return Ok(None);
        }
        match self.planned(relation).await {
            Err(error @ (Error::Broken(_) | Error::Server { .. }))
                if error.kind() == levada_connector_api::ErrorKind::Retriable =>
            {
                self.reconnect().await?;
                self.planned(relation).await.map(Some)
            }
            other => other.map(Some),
        }
    }

    /// Tells of a table that came while the task runs and shares its topic with another; the start has told of the others.
    pub(super) fn tell_shared_topic(&mut self, table: &Table) {
        let sharing = self.topics.entry(Arc::clone(&table.topic)).or_default();
        if sharing.contains(&table.id) {
            return;
        }
        sharing.push(table.id.clone());
        if sharing.len() > 1 {
            let text = shared_topic(&table.topic, &sharing.iter().collect::<Vec<_>>());
            self.settings.context.warn(&format!("topic.prefix: {text}"));
        }
    }

    async fn planned(&mut self, relation: &Relation) -> Result<(Table, Option<TableInfo>)> {
        let info = catalog::table_info(&self.sql, relation.oid).await?;
        // A new type, or new labels of one that is known.
        let unknown =
            |oid: u32| self.types.get(oid).is_none_or(|info| matches!(info.kind, crate::datatype::Kind::Enum(_)));
        if relation.columns.iter().any(|column| unknown(column.type_oid)) {
            catalog::load_types(&self.sql, &mut self.types).await?;
        }
        Ok((self.builder.table(relation, info.as_ref(), &self.types), info))
    }
}

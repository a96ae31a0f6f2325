//! The query source's connector: one for each dialect; divides the tables over tasks.

use super::{
    check,
    config::{Dialect, Settings},
    monitor::{self, Known, Monitor},
    offset::{self, Position},
    tables,
    task::QuerySourceTask,
};
use crate::{
    catalog::TableId,
    error::{Error, Result as PgResult},
};
use levada_connector_api::{
    Config, ConnectorContext, ConnectorError, ConnectorInfo, ConnectorKind, OffsetChange, Result, SourceConnector,
    SourceTask, config::Rule,
};
use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

/// Key of a task's configuration with its tables, as JSON pairs of schema and name.
const TABLES: &str = "tables";
/// Longest time that the server is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A source with the keys of one of the JDBC source connectors.
#[derive(Debug)]
pub struct QuerySource {
    dialect: Dialect,
    config: Config,
    settings: Option<Settings>,
    /// The tables of the last division.
    known: Known,
    monitor: Option<Monitor>,
}

impl QuerySource {
    /// Not started yet.
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { dialect, config: Config::new(), settings: None, known: Known::default(), monitor: None }
    }
}

/// Runs something that asks the server, within bounded time.
pub fn ask<T>(question: impl Future<Output = PgResult<T>>) -> PgResult<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, question).await });
    runtime.shutdown_timeout(Duration::from_millis(100));
    let late = || format!("the server did not answer within {} seconds", PATIENCE.as_secs());
    answer.unwrap_or_else(|_| Err(std::io::Error::new(std::io::ErrorKind::TimedOut, late()).into()))
}

impl SourceConnector for QuerySource {
    fn info(&self) -> ConnectorInfo {
        let (class, aliases): (_, &[&str]) = match self.dialect {
            Dialect::Confluent => (
                "io.confluent.connect.jdbc.JdbcSourceConnector",
                &["PostgresQuerySource", "postgres-query-source", "levada.PostgresQuerySource"],
            ),
            Dialect::Aiven => ("io.aiven.connect.jdbc.JdbcSourceConnector", &["levada.AivenJdbcSource"]),
        };
        // Only validation asks the server: the definition that tasks parse by does not have this rule.
        let mut config_def = self.dialect.config_def();
        let dialect = self.dialect;
        config_def.rules.push(Rule::new(move |config| check::check(dialect, config)));
        ConnectorInfo {
            class: class.to_owned(),
            aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            kind: ConnectorKind::Source,
            version: crate::VERSION.to_owned(),
            config_def,
        }
    }

    fn start(&mut self, context: ConnectorContext, config: Config) -> Result<()> {
        let settings = Settings::read(self.dialect, &config)?;
        if settings.query.is_none() && context.can_request_task_reconfiguration() {
            let monitor = Monitor::start(context, settings.clone(), Arc::clone(&self.known));
            let failed = |error| ConnectorError::retriable(format!("no thread to watch the tables: {error}"));
            self.monitor = Some(monitor.map_err(failed)?);
        }
        (self.config, self.settings) = (config, Some(settings));
        Ok(())
    }

    fn task_configs(&self, max_tasks: usize) -> Result<Vec<Config>> {
        let settings = self.settings.as_ref().ok_or_else(|| ConnectorError::fatal("task_configs before start"))?;
        if settings.query.is_some() {
            return Ok(vec![self.config.clone()]);
        }
        let tables = ask(monitor::now(settings))?;
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(tables.clone());
        tables::refuse_twins(settings, &tables)?;
        tables::refuse_names(settings, &self.config, &tables)?;
        if tables.is_empty() {
            tracing::warn!(class = self.info().class, "no table is chosen; new ones are looked for");
            return Ok(Vec::new());
        }
        let config = |tables: &[TableId]| {
            let pairs: Vec<_> = tables.iter().map(|table| [table.schema.as_str(), table.name.as_str()]).collect();
            let mut config = self.config.clone();
            config.insert(TABLES.to_owned(), serde_json::json!(pairs).to_string());
            config
        };
        Ok(tables::divided(&tables, max_tasks).into_iter().map(config).collect())
    }

    fn task(&self) -> Box<dyn SourceTask> {
        Box::new(QuerySourceTask::new(self.dialect))
    }

    fn alter_offsets(&self, _config: &Config, changes: &[OffsetChange]) -> Result<bool> {
        for (partition, offset) in changes {
            let Some(offset) = offset else { continue };
            let refused = |reason: &str| {
                let shown = serde_json::Value::Object(partition.clone());
                ConnectorError::config(format!("the offset of partition {shown} can't be used: {reason}"))
            };
            if !offset::is_known(partition) {
                return Err(refused("its partition has neither `table` nor `query`"));
            }
            Position::from_offset(offset).map_err(|reason| refused(&reason))?;
        }
        Ok(true)
    }

    fn stop(&mut self) {
        self.monitor = None;
    }
}

/// The tables of a task's configuration.
pub fn tables_of(config: &Config) -> Result<Vec<TableId>> {
    let pairs = config.get(TABLES).map(|text| serde_json::from_str::<Vec<(String, String)>>(text));
    match pairs {
        Some(Ok(pairs)) => Ok(pairs.into_iter().map(|(schema, name)| TableId { schema, name }).collect()),
        _ => Err(Error::Setup(format!("{TABLES}: the task has no list of tables; restart the connector")).into()),
    }
}

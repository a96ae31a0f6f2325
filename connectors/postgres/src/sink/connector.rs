//! The sink connector: one for each dialect, and what each says of itself.

use super::{
    check,
    config::{Dialect, Settings},
    offsets,
    task::PostgresSinkTask,
};
use levada_connector_api::{
    Config, ConnectorContext, ConnectorInfo, ConnectorKind, OffsetChange, Result, SinkConnector, SinkTask, config::Rule,
};

/// A sink with the keys of one of the JDBC sink connectors.
#[derive(Debug)]
pub struct PostgresSink {
    dialect: Dialect,
    config: Config,
}

impl PostgresSink {
    /// Not started yet.
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { dialect, config: Config::new() }
    }
}

impl SinkConnector for PostgresSink {
    fn info(&self) -> ConnectorInfo {
        let (class, aliases): (_, &[&str]) = match self.dialect {
            Dialect::Debezium => (
                "io.debezium.connector.jdbc.JdbcSinkConnector",
                &["PostgresSink", "postgres-sink", "levada.PostgresSink"],
            ),
            Dialect::Confluent => ("io.confluent.connect.jdbc.JdbcSinkConnector", &["levada.ConfluentJdbcSink"]),
            Dialect::Aiven => ("io.aiven.connect.jdbc.JdbcSinkConnector", &["levada.AivenJdbcSink"]),
        };
        // Only validation asks the server: the definition that tasks parse by does not have these rules.
        let dialect = self.dialect;
        let mut config_def = dialect.config_def();
        config_def.rules.push(Rule::new(move |config| check::check(dialect, config)));
        config_def.advice.push(Rule::new(move |config| check::advice(dialect, config)));
        ConnectorInfo {
            class: class.to_owned(),
            aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            kind: ConnectorKind::Sink,
            version: crate::VERSION.to_owned(),
            config_def,
        }
    }

    fn start(&mut self, _context: ConnectorContext, config: Config) -> Result<()> {
        Settings::read(self.dialect, &config)?;
        self.config = config;
        Ok(())
    }

    /// Tasks share the topics' partitions: a key's records stay in order, since they are of one partition.
    fn task_configs(&self, max_tasks: usize) -> Result<Vec<Config>> {
        Ok(vec![self.config.clone(); max_tasks.max(1)])
    }

    fn task(&self) -> Box<dyn SinkTask> {
        Box::new(PostgresSinkTask::new(self.dialect))
    }

    fn alter_offsets(&self, config: &Config, changes: &[OffsetChange]) -> Result<bool> {
        let settings = Settings::read(self.dialect, config)?;
        if settings.offsets_table.is_some() {
            let name = config.get("name").map_or("", |name| name.trim());
            offsets::alter(settings, name, changes)?;
        }
        Ok(true)
    }
}

//! The source connector: what it says of itself, and its one task.

use crate::{config::SourceConfig, doctor, offset::Position, shape::Told, task::PostgresSourceTask};
use levada_connector_api::{
    Config, ConnectorConfig, ConnectorContext, ConnectorError, ConnectorInfo, ConnectorKind, ExactlyOnceSupport,
    OffsetChange, Result, SourceConnector, SourceTask, config::Rule,
};

/// Debezium's PostgreSQL connector.
#[derive(Debug, Default)]
pub struct PostgresSource {
    config: Config,
}

impl SourceConnector for PostgresSource {
    fn info(&self) -> ConnectorInfo {
        // Only validation asks the server: the definition that tasks parse by does not have this rule.
        let mut config_def = SourceConfig::config_def();
        config_def.rules.push(Rule::new(doctor::check));
        config_def.advice.push(Rule::new(doctor::advice));
        ConnectorInfo {
            class: "io.debezium.connector.postgresql.PostgresConnector".to_owned(),
            aliases: vec![
                "PostgresSource".to_owned(),
                "postgres-source".to_owned(),
                "PostgreSqlSource".to_owned(),
                "levada.PostgresSource".to_owned(),
            ],
            kind: ConnectorKind::Source,
            version: crate::VERSION.to_owned(),
            config_def,
        }
    }

    fn start(&mut self, _context: ConnectorContext, config: Config) -> Result<()> {
        SourceConfig::parse(&config)?;
        self.config = config;
        Ok(())
    }

    /// One slot has one reader.
    fn task_configs(&self, _max_tasks: usize) -> Result<Vec<Config>> {
        Ok(vec![self.config.clone()])
    }

    fn task(&self) -> Box<dyn SourceTask> {
        Box::new(PostgresSourceTask::default())
    }

    fn exactly_once_support(&self, _config: &Config) -> ExactlyOnceSupport {
        ExactlyOnceSupport::Supported
    }

    fn alter_offsets(&self, config: &Config, changes: &[OffsetChange]) -> Result<bool> {
        for (partition, offset) in changes {
            let Some(offset) = offset else { continue };
            let refused = |reason: &str| {
                let shown = serde_json::Value::Object(partition.clone());
                ConnectorError::config(format!("the offset of partition {shown} can't be used: {reason}"))
            };
            match (partition.get("server").and_then(|server| server.as_str()), config.get("topic.prefix")) {
                (Some(server), Some(prefix)) if server == prefix.trim() => {}
                _ => return Err(refused("its partition has no `server` that is topic.prefix")),
            }
            let checked = match partition.get("relation") {
                Some(_) => Told::from_offset(offset).map(drop),
                None => Position::from_offset(offset).map(drop),
            };
            checked.map_err(|reason| refused(&reason))?;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn altered_offsets_are_checked() {
        let source = PostgresSource::default();
        let config = Config::from_iter([("topic.prefix".to_owned(), "p".to_owned())]);
        let alter = |partition: serde_json::Value, offset: serde_json::Value| {
            source.alter_offsets(&config, &[(partition.as_object().unwrap().clone(), offset.as_object().cloned())])
        };
        assert!(alter(json!({"server": "p"}), json!({"lsn": 5})).is_ok());
        assert!(alter(json!({"anything": 1}), json!(null)).is_ok(), "a reset clears anything");
        assert!(alter(json!({"server": "q"}), json!({"lsn": 5})).is_err());
        assert!(alter(json!({"server": "p"}), json!({"position": 5})).is_err());
    }
}

//! The sink connectors: what they say of themselves.
//!
//! A sink has one task whatever `tasks.max` allows: one file has one writer, whose length and offsets
//! are committed together. Several files are several connectors.

use super::{
    config::{FileSinkConfig, FileStreamSinkConfig, TaskSettings},
    task::FileSinkTask,
};
use levada_connector_api::{
    Config, ConnectorConfig, ConnectorContext, ConnectorInfo, ConnectorKind, Result, SinkConnector, SinkTask,
};

/// Apache's `FileStreamSink`: appends to a file, or writes to the standard output.
#[derive(Debug, Default)]
pub struct FileStreamSink {
    config: Config,
}

impl SinkConnector for FileStreamSink {
    fn info(&self) -> ConnectorInfo {
        ConnectorInfo {
            class: "org.apache.kafka.connect.file.FileStreamSinkConnector".to_owned(),
            aliases: vec!["FileStreamSinkConnector".to_owned(), "FileStreamSink".to_owned()],
            kind: ConnectorKind::Sink,
            version: crate::VERSION.to_owned(),
            config_def: FileStreamSinkConfig::config_def(),
        }
    }

    fn start(&mut self, _context: ConnectorContext, config: Config) -> Result<()> {
        FileStreamSinkConfig::parse(&config)?;
        self.config = config;
        Ok(())
    }

    fn task_configs(&self, _max_tasks: usize) -> Result<Vec<Config>> {
        Ok(vec![self.config.clone()])
    }

    fn task(&self) -> Box<dyn SinkTask> {
        Box::new(FileSinkTask::new(TaskSettings::of_file_stream))
    }
}

/// Levada's `FileSink`: appends to a file, exactly once.
#[derive(Debug, Default)]
pub struct FileSink {
    config: Config,
}

impl SinkConnector for FileSink {
    fn info(&self) -> ConnectorInfo {
        ConnectorInfo {
            class: "FileSink".to_owned(),
            aliases: vec!["file-sink".to_owned(), "levada.FileSink".to_owned()],
            kind: ConnectorKind::Sink,
            version: crate::VERSION.to_owned(),
            config_def: FileSinkConfig::config_def(),
        }
    }

    fn start(&mut self, _context: ConnectorContext, config: Config) -> Result<()> {
        FileSinkConfig::parse(&config)?;
        self.config = config;
        Ok(())
    }

    fn task_configs(&self, _max_tasks: usize) -> Result<Vec<Config>> {
        Ok(vec![self.config.clone()])
    }

    fn task(&self) -> Box<dyn SinkTask> {
        Box::new(FileSinkTask::new(TaskSettings::of_file))
    }
}

//! The source connectors: what they say of themselves, and how they divide their work.

use super::{
    config::{FileSourceConfig, FileStreamSourceConfig, TASK_COUNT, TASK_INDEX, TaskSettings},
    task::FileSourceTask,
};
use crate::tail::is_pattern;
use levada_connector_api::{
    Config, ConnectorConfig, ConnectorContext, ConnectorError, ConnectorInfo, ConnectorKind, ExactlyOnceSupport,
    OffsetChange, OffsetMap, Result, SourceConnector, SourceTask,
};

/// Apache's `FileStreamSource`: one file, or the standard input.
#[derive(Debug, Default)]
pub struct FileStreamSource {
    config: Config,
}

impl SourceConnector for FileStreamSource {
    fn info(&self) -> ConnectorInfo {
        ConnectorInfo {
            class: "org.apache.kafka.connect.file.FileStreamSourceConnector".to_owned(),
            aliases: vec!["FileStreamSourceConnector".to_owned(), "FileStreamSource".to_owned()],
            kind: ConnectorKind::Source,
            version: crate::VERSION.to_owned(),
            config_def: FileStreamSourceConfig::config_def(),
        }
    }

    fn start(&mut self, _context: ConnectorContext, config: Config) -> Result<()> {
        FileStreamSourceConfig::parse(&config)?;
        self.config = config;
        Ok(())
    }

    fn task_configs(&self, _max_tasks: usize) -> Result<Vec<Config>> {
        Ok(vec![self.config.clone()])
    }

    fn task(&self) -> Box<dyn SourceTask> {
        Box::new(FileSourceTask::new(TaskSettings::of_file_stream))
    }

    fn exactly_once_support(&self, config: &Config) -> ExactlyOnceSupport {
        match config.get("file") {
            Some(file) if !file.trim().is_empty() => ExactlyOnceSupport::Supported,
            _ => ExactlyOnceSupport::Unsupported,
        }
    }

    fn alter_offsets(&self, config: &Config, changes: &[OffsetChange]) -> Result<bool> {
        if config.get("file").is_none_or(|file| file.trim().is_empty()) {
            return Err(ConnectorError::config(
                "offsets can't be changed while `file` is not set: the standard input has none",
            ));
        }
        check_changes(changes)
    }
}

/// Levada's `FileSource`: a file, or all files of a pattern.
#[derive(Debug, Default)]
pub struct FileSource {
    config: Config,
}

impl SourceConnector for FileSource {
    fn info(&self) -> ConnectorInfo {
        ConnectorInfo {
            class: "FileSource".to_owned(),
            aliases: vec!["file-source".to_owned(), "levada.FileSource".to_owned()],
            kind: ConnectorKind::Source,
            version: crate::VERSION.to_owned(),
            config_def: FileSourceConfig::config_def(),
        }
    }

    fn start(&mut self, _context: ConnectorContext, config: Config) -> Result<()> {
        FileSourceConfig::parse(&config)?;
        self.config = config;
        Ok(())
    }

    /// A single path is one task's; the files of a pattern are divided by their names.
    fn task_configs(&self, max_tasks: usize) -> Result<Vec<Config>> {
        let pattern = self.config.get("path").is_some_and(|path| is_pattern(path));
        let tasks = if pattern { max_tasks.max(1) } else { 1 };
        let config = |task: usize| {
            let mut config = self.config.clone();
            config.insert(TASK_INDEX.to_owned(), task.to_string());
            config.insert(TASK_COUNT.to_owned(), tasks.to_string());
            config
        };
        Ok((0..tasks).map(config).collect())
    }

    fn task(&self) -> Box<dyn SourceTask> {
        Box::new(FileSourceTask::new(TaskSettings::of_file))
    }

    fn exactly_once_support(&self, _config: &Config) -> ExactlyOnceSupport {
        ExactlyOnceSupport::Supported
    }

    fn alter_offsets(&self, _config: &Config, changes: &[OffsetChange]) -> Result<bool> {
        check_changes(changes)
    }
}

/// A reset is always fine: it also clears away what never should have been there.
fn check_changes(changes: &[OffsetChange]) -> Result<bool> {
    for (partition, offset) in changes {
        if let Some(offset) = offset {
            check_change(partition, offset).map_err(|reason| {
                let shown = serde_json::Value::Object(partition.clone());
                ConnectorError::config(format!("the offset of partition {shown} can't be used: {reason}"))
            })?;
        }
    }
    Ok(true)
}

fn check_change(partition: &OffsetMap, offset: &OffsetMap) -> std::result::Result<(), &'static str> {
    if !partition.get("filename").is_some_and(serde_json::Value::is_string) {
        return Err("its partition has no text `filename`");
    }
    match offset.get("position").map(serde_json::Value::as_i64) {
        None => Err("it is neither null nor has a `position`"),
        Some(None) => Err("its `position` is no whole number"),
        Some(Some(position)) if position < 0 => Err("its `position` is below 0"),
        Some(Some(_)) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(pairs: &[(&str, &str)]) -> Config {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn change(partition: serde_json::Value, offset: serde_json::Value) -> Vec<OffsetChange> {
        vec![(partition.as_object().unwrap().clone(), offset.as_object().cloned())]
    }

    #[test]
    fn altered_offsets_are_checked_as_apaches_are() {
        let source = FileStreamSource::default();
        let with_file = config(&[("file", "/f"), ("topic", "t")]);
        let alter = |partition, offset| source.alter_offsets(&with_file, &change(partition, offset));
        let file = || json!({"filename": "/f"});
        assert!(alter(file(), json!({"position": 0})).unwrap());
        assert!(alter(file(), json!({"position": 5, "inode": 7})).unwrap(), "as GET gave it");
        assert!(alter(json!({"garbage": 1}), json!(null)).unwrap(), "a reset clears anything");
        for (partition, offset) in [
            (json!({"name": "/f"}), json!({"position": 1})),
            (file(), json!({"position": -1})),
            (file(), json!({"position": "1"})),
            (file(), json!({"position": 1.5})),
            (file(), json!({"offset": 1})),
        ] {
            assert!(alter(partition.clone(), offset.clone()).is_err(), "{partition} {offset}");
        }
        let stdin = config(&[("topic", "t")]);
        assert!(source.alter_offsets(&stdin, &change(file(), json!(null))).is_err());
        assert_eq!(source.exactly_once_support(&stdin), ExactlyOnceSupport::Unsupported);
        assert_eq!(source.exactly_once_support(&with_file), ExactlyOnceSupport::Supported);
    }

    #[test]
    fn only_a_pattern_is_divided() {
        let mut source = FileSource::default();
        let context = || ConnectorContext::new("c");
        source.start(context(), config(&[("path", "/a"), ("topic", "t")])).unwrap();
        assert_eq!(source.task_configs(4).unwrap().len(), 1);
        source.start(context(), config(&[("path", "/a/*"), ("topic", "t")])).unwrap();
        let configs = source.task_configs(4).unwrap();
        assert_eq!(configs.iter().map(|config| config[TASK_INDEX].as_str()).collect::<Vec<_>>(), ["0", "1", "2", "3"]);
    }
}

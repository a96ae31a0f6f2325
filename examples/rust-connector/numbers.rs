//! A source that writes 1, 2, 3 ... into a topic and goes on where it stopped.

use levada_connector_api::{
    Checkpoint, Config, ConnectorConfig, ConnectorContext, ConnectorInfo, ConnectorKind, OffsetMap, Result,
    SourceBatch, SourceConnector, SourceRecord, SourceTask, SourceTaskContext, Value, export_connectors,
};
use std::{sync::Arc, time::Duration};

#[derive(ConnectorConfig)]
struct Keys {
    /// Topic to write to.
    #[config(importance = "high", non_empty, required)]
    topic: String,
}

#[derive(Default)]
struct Numbers(Config);

impl SourceConnector for Numbers {
    fn info(&self) -> ConnectorInfo {
        ConnectorInfo::new("example.Numbers", ConnectorKind::Source, "1.0", Keys::config_def())
    }
    fn start(&mut self, _context: ConnectorContext, config: Config) -> Result<()> {
        self.0 = config;
        Keys::parse(&self.0).map(drop).map_err(Into::into)
    }
    fn task_configs(&self, _max_tasks: usize) -> Result<Vec<Config>> {
        Ok(vec![self.0.clone()])
    }
    fn task(&self) -> Box<dyn SourceTask> {
        Box::new(Task::default())
    }
}

#[derive(Default)]
struct Task {
    topic: String,
    last: i64,
}

impl SourceTask for Task {
    fn start(&mut self, context: Arc<dyn SourceTaskContext>, config: Config) -> Result<()> {
        self.topic = Keys::parse(&config)?.topic;
        let stored = context.offsets(&[OffsetMap::new()])?;
        self.last = stored.into_iter().flatten().find_map(|offset| offset.get("last")?.as_i64()).unwrap_or(0);
        Ok(())
    }
    fn poll(&mut self, _max_wait: Duration) -> Result<SourceBatch> {
        self.last += 1;
        let record = SourceRecord::new(self.topic.as_str(), Value::string(self.last.to_string()));
        let offset = OffsetMap::from_iter([("last".to_owned(), self.last.into())]);
        let checkpoint = Checkpoint::new(1, Arc::new(OffsetMap::new()), offset);
        Ok(SourceBatch { records: vec![record], checkpoints: vec![checkpoint] })
    }
}

export_connectors!(Numbers);

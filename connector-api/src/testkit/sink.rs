//! Drives a sink task.

use super::SinkContext;
use crate::{
    Committed, Config, ConnectorContext, Headers, Result, SinkConnector, SinkRecord, SinkTask, TimestampType,
    TopicPartition, Value,
};
use std::{collections::BTreeMap, sync::Arc};

/// What a consumer group has committed: offset and metadata of each partition.
pub type GroupOffsets = BTreeMap<TopicPartition, (i64, String)>;

/// A started sink task that owns some partitions.
pub struct SinkRun {
    /// The runtime's side.
    pub context: Arc<SinkContext>,
    /// The task.
    pub task: Box<dyn SinkTask>,
    /// Next offset after the last put, of each partition.
    pub consumed: BTreeMap<TopicPartition, i64>,
    /// What the partitions had committed when they were given.
    given: BTreeMap<TopicPartition, i64>,
}

impl SinkRun {
    /// Starts the connector and its first task, and gives it `partitions` with what `group` holds.
    pub fn start(
        connector: &mut dyn SinkConnector,
        config: Config,
        partitions: &[TopicPartition],
        group: &GroupOffsets,
    ) -> Result<Self> {
        connector.info().config_def.check(&config)?;
        connector.start(ConnectorContext::new("test"), config)?;
        let mut configs = connector.task_configs(1)?;
        assert_eq!(configs.len(), 1, "one task where one is allowed");
        let mut task = connector.task();
        let context = Arc::new(SinkContext::default());
        task.start(Arc::clone(&context) as _, configs.swap_remove(0))?;
        let mut run = Self { context, task, consumed: BTreeMap::new(), given: BTreeMap::new() };
        run.open(partitions, partitions, group)?;
        Ok(run)
    }

    /// Gives the task more partitions.
    pub fn open(&mut self, added: &[TopicPartition], owned: &[TopicPartition], group: &GroupOffsets) -> Result<()> {
        for partition in added {
            self.given.remove(partition);
            if let Some((offset, _)) = group.get(partition) {
                self.given.insert(partition.clone(), *offset);
            }
        }
        let committed: Vec<_> = added
            .iter()
            .map(|partition| {
                let (offset, metadata) = group.get(partition).cloned().unzip();
                Committed { partition: partition.clone(), offset, metadata: metadata.unwrap_or_default() }
            })
            .collect();
        self.task.open(&committed, owned)
    }

    /// Puts records and counts them as consumed once the task took them.
    pub fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        self.task.put(records)?;
        for record in records {
            let partition = TopicPartition { topic: Arc::clone(&record.topic), partition: record.partition };
            self.consumed.insert(partition, record.offset + 1);
        }
        Ok(())
    }

    /// Asks what to commit and checks that it may be.
    pub fn pre_commit(&mut self) -> Result<Vec<(TopicPartition, i64, String)>> {
        let consumed: Vec<_> = self.consumed.iter().map(|(partition, offset)| (partition.clone(), *offset)).collect();
        let answer = self.task.pre_commit(&consumed)?;
        for (partition, offset, metadata) in &answer {
            let put = self.consumed.get(partition).or(self.given.get(partition)).copied().unwrap_or(-1);
            assert!(*offset <= put, "{partition:?}: {offset} is past what was put or committed before ({put})");
            assert!(metadata.len() <= 4096, "metadata has at most 4096 bytes");
        }
        Ok(answer)
    }

    /// Commits what the task says is durable.
    pub fn commit(&mut self, group: &mut GroupOffsets) -> Result<()> {
        for (partition, offset, metadata) in self.pre_commit()? {
            group.insert(partition, (offset, metadata));
        }
        self.task.committed()
    }

    /// Stops in order, without a last commit.
    pub fn stop(mut self) {
        self.context.cancel();
        self.task.stop();
    }
}

/// A record without key, headers or schema.
pub fn record(topic: &str, partition: i32, offset: i64, value: Value) -> SinkRecord {
    SinkRecord {
        topic: Arc::from(topic),
        partition,
        offset,
        key_schema: None,
        key: Value::Null,
        value_schema: None,
        value,
        timestamp: 0,
        timestamp_type: TimestampType::CreateTime,
        headers: Headers::new(),
        original_topic: None,
    }
}

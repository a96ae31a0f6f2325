//! The config topic: the only truth about connectors.
//!
//! Owned by the herder. Every change is appended first and takes effect when it is read back, so that what runs is
//! always what a restart would find.

use super::{
    config_state::{ConfigChange, ConfigState},
    record::{self, ConfigKey, TargetState},
    topic::InternalTopic,
};
use crate::connect::bus::{self, TopicReader, TopicRecord, WriteRecord};
use bytes::Bytes;
use levada_connector_api::Config;
use parking_lot::RwLock;
use std::sync::Arc;

/// The config topic with its replay.
pub struct ConfigStore {
    topic: InternalTopic,
    reader: Option<Box<dyn TopicReader>>,
    state: Arc<RwLock<ConfigState>>,
    /// Changes that took effect in `state` but that no answer has told yet, since the call failed.
    untold: Vec<ConfigChange>,
}

impl ConfigStore {
    /// Over `topic`, replaying into `state`, which others only read.
    pub fn new(topic: InternalTopic, state: Arc<RwLock<ConfigState>>) -> Self {
        Self { topic, reader: None, state, untold: Vec::new() }
    }

    /// Reads what the topic holds that has not been read yet. What a failed call has read is told by the next one, or
    /// by [`ConfigStore::take_untold`].
    pub async fn refresh(&mut self) -> bus::Result<Vec<ConfigChange>> {
        if self.reader.is_none() {
            self.reader = self.topic.reader().await?;
        }
        let Some(reader) = &mut self.reader else { return Ok(Vec::new()) };
        let mut records: Vec<TopicRecord> = Vec::new();
        let outcome = reader.read_to_end(&mut |record| records.push(record)).await;
        // What was read counts even when the reading ended early: the reader will not give it again.
        let mut state = self.state.write();
        let changes = records
            .iter()
            .filter_map(|record| state.apply(record.key.as_deref().unwrap_or_default(), record.value.as_deref()));
        self.untold.extend(changes);
        drop(state);
        outcome.map(|()| self.take_untold())
    }

    /// What failed calls have read: it is true already and has to be acted on.
    pub fn take_untold(&mut self) -> Vec<ConfigChange> {
        std::mem::take(&mut self.untold)
    }

    /// Writes a connector's configuration, its target state before it where one is given.
    pub async fn put_connector(
        &mut self,
        name: &str,
        config: &Config,
        target: Option<TargetState>,
    ) -> bus::Result<Vec<ConfigChange>> {
        let target = target.map(|target| (ConfigKey::TargetState(name.to_owned()), Some(record::target_state(target))));
        let config = (ConfigKey::Connector(name.to_owned()), Some(record::properties(config)));
        self.append(target.into_iter().chain([config])).await
    }

    /// Writes tombstones for a connector and its tasks. What task numbers it had before it had fewer stays in the topic,
    /// as with Connect: without the connector's own record nobody looks at it.
    pub async fn remove_connector(&mut self, name: &str) -> bus::Result<Vec<ConfigChange>> {
        let tasks = self.state.read().connector(name).map_or(0, |entry| entry.tasks.len());
        let mut keys = vec![ConfigKey::Connector(name.to_owned()), ConfigKey::TargetState(name.to_owned())];
        if tasks > 0 {
            keys.extend((0..tasks).map(|number| ConfigKey::Task(name.to_owned(), number)));
            keys.push(ConfigKey::Commit(name.to_owned()));
        }
        self.append(keys.into_iter().map(|key| (key, None))).await
    }

    /// Writes task configurations and then the commit that makes them effective.
    pub async fn put_tasks(&mut self, name: &str, tasks: &[Config]) -> bus::Result<Vec<ConfigChange>> {
        let configs = tasks
            .iter()
            .enumerate()
            .map(|(number, config)| (ConfigKey::Task(name.to_owned(), number), Some(record::properties(config))));
        let commit = (ConfigKey::Commit(name.to_owned()), Some(record::commit(tasks.len())));
        self.append(configs.chain([commit])).await
    }

    /// Writes a target state.
    pub async fn put_target(&mut self, name: &str, target: TargetState) -> bus::Result<Vec<ConfigChange>> {
        self.append([(ConfigKey::TargetState(name.to_owned()), Some(record::target_state(target)))]).await
    }

    /// Writes a restart request.
    pub async fn put_restart(
        &mut self,
        name: &str,
        include_tasks: bool,
        only_failed: bool,
    ) -> bus::Result<Vec<ConfigChange>> {
        let value = record::restart(include_tasks, only_failed);
        self.append([(ConfigKey::Restart(name.to_owned()), Some(value))]).await
    }

    /// Appends and reads back. The reader is made before the first append, so that a topic which is made by it is
    /// read from its start.
    async fn append(
        &mut self,
        records: impl IntoIterator<Item = (ConfigKey, Option<Bytes>)> + Send,
    ) -> bus::Result<Vec<ConfigChange>> {
        let records = records
            .into_iter()
            .map(|(key, value)| WriteRecord { partition: Some(0), key: key.encode(), value })
            .collect();
        let written = self.topic.write(records).await;
        let changes = self.refresh().await;
        if let Err(error) = written {
            // It may have been appended all the same; then it is in effect, and the caller learns of both.
            self.untold.extend(changes.unwrap_or_default());
            return Err(error);
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::{store::TopicSpec, testing::MemoryBus};

    fn store(bus: &Arc<MemoryBus>) -> ConfigStore {
        let name = "connect-configs".to_owned();
        let spec = TopicSpec { name, partitions: 1, replication_factor: 1, exact_partitions: true };
        ConfigStore::new(InternalTopic::new(bus.clone(), spec), Arc::default())
    }

    async fn with_connector(bus: &Arc<MemoryBus>) -> ConfigStore {
        let mut store = store(bus);
        store.put_connector("c", &Config::new(), None).await.unwrap();
        store
    }

    #[tokio::test]
    async fn a_write_that_failed_after_its_append_takes_effect() {
        let bus = MemoryBus::new();
        let mut store = with_connector(&bus).await;
        bus.lose_answers(true);
        store.put_target("c", TargetState::Paused).await.unwrap_err();
        assert_eq!(store.state.read().connector("c").unwrap().target, TargetState::Paused);
        assert_eq!(store.take_untold(), [ConfigChange::Target("c".into())]);
    }

    #[tokio::test]
    async fn changes_of_a_read_that_failed_are_told_by_the_next() {
        let bus = MemoryBus::new();
        let mut store = with_connector(&bus).await;
        bus.cut_reads(true);
        store.put_target("c", TargetState::Paused).await.unwrap_err();
        bus.cut_reads(false);
        assert_eq!(store.refresh().await.unwrap(), [ConfigChange::Target("c".into())]);
        assert!(store.take_untold().is_empty());
    }
}

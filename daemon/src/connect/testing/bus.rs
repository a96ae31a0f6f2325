//! Topics in memory.

use crate::connect::bus::{
    self, BoxFuture, Bus, BusAdmin, BusConsumer, BusError, BusProducer, ConsumerOptions, GroupDescription, NewTopic,
    OwnerToken, ProducerOptions, TopicDescription, TopicReader, TopicRecord, WriteRecord,
};
use levada_connector_api::{Committed, TopicPartition};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Keeps topics and group offsets. Producers and consumers are not for it.
#[derive(Default)]
pub struct MemoryBus {
    topics: Arc<Mutex<BTreeMap<String, Topic>>>,
    groups: Mutex<BTreeMap<String, BTreeMap<TopicPartition, i64>>>,
    refuse_writes: Mutex<bool>,
    lose_answers: Mutex<bool>,
    cut_reads: Arc<Mutex<bool>>,
    answers: tokio::sync::RwLock<()>,
}

#[derive(Clone, Default)]
struct Topic {
    partitions: i32,
    configs: Vec<(String, String)>,
    records: Vec<TopicRecord>,
}

impl MemoryBus {
    /// With no topics.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Keys and values of a topic, in order of append.
    pub fn records(&self, topic: &str) -> Vec<(String, Option<String>)> {
        let text = |bytes: &bytes::Bytes| String::from_utf8_lossy(bytes).into_owned();
        let topics = self.topics.lock();
        let records = topics.get(topic).map(|topic| topic.records.clone()).unwrap_or_default();
        records.iter().map(|r| (r.key.as_ref().map(text).unwrap_or_default(), r.value.as_ref().map(text))).collect()
    }

    /// Names of all topics.
    pub fn topics(&self) -> Vec<String> {
        self.topics.lock().keys().cloned().collect()
    }

    /// Refuses appends from now on, or takes them again.
    pub fn refuse_writes(&self, refuse: bool) {
        *self.refuse_writes.lock() = refuse;
    }

    /// From now on appends are done but end in an error, or end well again.
    pub fn lose_answers(&self, lose: bool) {
        *self.lose_answers.lock() = lose;
    }

    /// From now on readers give what they have and end in an error, or end well again.
    pub fn cut_reads(&self, cut: bool) {
        *self.cut_reads.lock() = cut;
    }

    /// Appends are done but not answered as long as the guard lives.
    pub async fn hold_answers(&self) -> tokio::sync::RwLockWriteGuard<'_, ()> {
        self.answers.write().await
    }

    fn append(&self, topic: String, records: Vec<WriteRecord>) -> bus::Result<()> {
        let mut topics = self.topics.lock();
        let Some(to) = topics.get_mut(&topic) else { return Err(BusError::UnknownTopic { topic }) };
        for record in records {
            let offset = to.records.len() as i64;
            let (key, value) = (Some(record.key), record.value);
            to.records.push(TopicRecord { partition: 0, offset, timestamp: 0, key, value });
        }
        Ok(())
    }

    /// Commits an offset as a group would.
    pub fn commit(&self, group: &str, topic: &str, partition: i32, offset: i64) {
        let partition = TopicPartition { topic: topic.into(), partition };
        self.groups.lock().entry(group.to_owned()).or_default().insert(partition, offset);
    }
}

impl Bus for MemoryBus {
    fn producer(&self, _: ProducerOptions, _: OwnerToken) -> BoxFuture<'_, bus::Result<Box<dyn BusProducer>>> {
        Box::pin(async { Err(BusError::Closed) })
    }

    fn consumer(&self, _: ConsumerOptions, _: OwnerToken) -> BoxFuture<'_, bus::Result<Box<dyn BusConsumer>>> {
        Box::pin(async { Err(BusError::Closed) })
    }

    fn reader(&self, topic: &str) -> BoxFuture<'_, bus::Result<Box<dyn TopicReader>>> {
        let reader = Reader {
            topics: Arc::clone(&self.topics),
            cut: Arc::clone(&self.cut_reads),
            topic: topic.to_owned(),
            next: 0,
        };
        Box::pin(async move { Ok(Box::new(reader) as Box<dyn TopicReader>) })
    }

    fn write_as(
        &self,
        topic: &str,
        records: Vec<WriteRecord>,
        owner: Option<&OwnerToken>,
    ) -> BoxFuture<'_, bus::Result<()>> {
        let (topic, owner) = (topic.to_owned(), owner.cloned());
        Box::pin(async move {
            drop(owner.as_ref().map(OwnerToken::hold).transpose()?);
            if *self.refuse_writes.lock() {
                return Err(BusError::Retriable { action: "write".into(), cause: "disk full".into() });
            }
            self.append(topic, records)?;
            drop(self.answers.read().await);
            if *self.lose_answers.lock() {
                return Err(BusError::Retriable { action: "write".into(), cause: "answer lost".into() });
            }
            Ok(())
        })
    }
}

impl BusAdmin for MemoryBus {
    fn create_topic(&self, topic: NewTopic) -> BoxFuture<'_, bus::Result<bool>> {
        Box::pin(async move {
            let mut topics = self.topics.lock();
            if topics.contains_key(&topic.name) {
                return Ok(false);
            }
            let partitions = topic.partitions.unwrap_or(1);
            topics.insert(topic.name, Topic { partitions, configs: topic.configs, records: Vec::new() });
            Ok(true)
        })
    }

    fn describe_topic(&self, topic: &str, _: &[&str]) -> BoxFuture<'_, bus::Result<Option<TopicDescription>>> {
        let found = self.topics.lock().get(topic).map(|found| TopicDescription {
            name: topic.to_owned(),
            partitions: found.partitions,
            configs: found.configs.clone(),
        });
        Box::pin(async move { Ok(found) })
    }

    fn list_topics(&self) -> BoxFuture<'_, bus::Result<Vec<String>>> {
        let names = self.topics();
        Box::pin(async move { Ok(names) })
    }

    fn end_offsets(&self, _: &[TopicPartition]) -> BoxFuture<'_, bus::Result<Vec<i64>>> {
        Box::pin(async { Err(BusError::Closed) })
    }

    fn group_offsets(&self, group: &str) -> BoxFuture<'_, bus::Result<Vec<Committed>>> {
        let offsets = self.groups.lock().get(group).cloned().unwrap_or_default();
        let committed = offsets
            .into_iter()
            .map(|(partition, offset)| Committed { partition, offset: Some(offset), metadata: String::new() })
            .collect();
        Box::pin(async move { Ok(committed) })
    }

    fn describe_group(&self, group: &str) -> BoxFuture<'_, bus::Result<Option<GroupDescription>>> {
        let known = self.groups.lock().contains_key(group);
        Box::pin(async move { Ok(known.then(|| GroupDescription { state: "Empty".to_owned(), members: 0 })) })
    }

    fn alter_group_offsets(
        &self,
        group: &str,
        offsets: Vec<(TopicPartition, Option<i64>)>,
    ) -> BoxFuture<'_, bus::Result<()>> {
        let mut groups = self.groups.lock();
        let of_group = groups.entry(group.to_owned()).or_default();
        for (partition, offset) in offsets {
            match offset {
                Some(offset) => drop(of_group.insert(partition, offset)),
                None => drop(of_group.remove(&partition)),
            }
        }
        Box::pin(async { Ok(()) })
    }

    fn delete_group(&self, group: &str) -> BoxFuture<'_, bus::Result<()>> {
        self.groups.lock().remove(group);
        Box::pin(async { Ok(()) })
    }
}

struct Reader {
    topics: Arc<Mutex<BTreeMap<String, Topic>>>,
    cut: Arc<Mutex<bool>>,
    topic: String,
    next: usize,
}

impl Reader {
    fn take(&mut self) -> Vec<TopicRecord> {
        let topics = self.topics.lock();
        let records: Vec<TopicRecord> = topics
            .get(&self.topic)
            .map(|topic| topic.records.iter().skip(self.next).cloned().collect())
            .unwrap_or_default();
        self.next += records.len();
        records
    }
}

impl TopicReader for Reader {
    fn next(&mut self, _: Duration) -> BoxFuture<'_, bus::Result<Vec<TopicRecord>>> {
        let records = self.take();
        Box::pin(async move { Ok(records) })
    }

    fn positions(&self) -> Vec<(i32, i64)> {
        vec![(0, self.next as i64)]
    }

    fn read_to_end<'a>(&'a mut self, each: &'a mut (dyn FnMut(TopicRecord) + Send)) -> BoxFuture<'a, bus::Result<()>> {
        self.take().into_iter().for_each(each);
        let cut = *self.cut.lock();
        Box::pin(async move {
            if cut { Err(BusError::Retriable { action: "read".into(), cause: "cut".into() }) } else { Ok(()) }
        })
    }
}

//! The offsets topic: where source connectors are in what they read.
//!
//! Keys are compared as parsed objects (readers do, whatever the order of their fields) but kept in the bytes they
//! were written with, since compaction compares bytes.

use super::{record, topic::InternalTopic};
use crate::connect::bus::{self, OwnerToken, WriteRecord};
use bytes::Bytes;
use levada_connector_api::{OffsetMap, SourceOffset, SourcePartition};
use parking_lot::Mutex;
use serde_json::Value;
use std::{collections::HashMap, sync::Arc};

/// The offsets topic with its replay, read on first use.
pub struct OffsetStore {
    topic: Arc<InternalTopic>,
    loaded: tokio::sync::OnceCell<()>,
    state: Arc<Mutex<State>>,
    /// One writer or reader per connector at a time: a former incarnation's write is either done before the next
    /// incarnation reads, or refused (invariant 8).
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

#[derive(Debug, Default)]
struct State {
    connectors: HashMap<String, HashMap<String, Entry>>,
    next: u64,
}

#[derive(Debug)]
struct Entry {
    key: Bytes,
    partition: SourcePartition,
    offset: SourceOffset,
    /// Order of first appearance, so that answers are stable.
    since: u64,
}

impl OffsetStore {
    /// Over `topic`.
    pub fn new(topic: InternalTopic) -> Self {
        Self {
            topic: Arc::new(topic),
            loaded: tokio::sync::OnceCell::new(),
            state: Arc::default(),
            turns: Mutex::default(),
        }
    }

    /// All offsets of a connector.
    pub async fn all(&self, connector: &str) -> bus::Result<Vec<(SourcePartition, SourceOffset)>> {
        self.load().await?;
        let turn = self.turn(connector);
        let _turn = turn.lock().await;
        let state = self.state.lock();
        let mut entries: Vec<&Entry> = state.connectors.get(connector).into_iter().flat_map(HashMap::values).collect();
        entries.sort_by_key(|entry| entry.since);
        Ok(entries.into_iter().map(|entry| (entry.partition.clone(), entry.offset.clone())).collect())
    }

    /// The offsets of some partitions, in order.
    pub async fn get(&self, connector: &str, partitions: &[SourcePartition]) -> bus::Result<Vec<Option<SourceOffset>>> {
        self.load().await?;
        let turn = self.turn(connector);
        let _turn = turn.lock().await;
        let state = self.state.lock();
        let entries = state.connectors.get(connector);
        let find = |partition| entries?.get(&canonical(partition)).map(|entry| entry.offset.clone());
        Ok(partitions.iter().map(find).collect())
    }

    /// Sets (`Some`) or removes (`None`) offsets; done when the log has acknowledged them. With an owner that is
    /// revoked nothing is written. A caller that stops waiting (invariant 7: a commit has a deadline) takes nothing
    /// back: once begun, the write keeps the connector's turn until it is answered and applied, so that what is
    /// answered from memory is what the log holds.
    pub async fn put(
        &self,
        connector: &str,
        offsets: &[(SourcePartition, Option<SourceOffset>)],
        owner: Option<&OwnerToken>,
    ) -> bus::Result<()> {
        self.load().await?;
        let turn = self.turn(connector).lock_owned().await;
        let records = self.records(connector, offsets);
        let (topic, state, owner) = (Arc::clone(&self.topic), Arc::clone(&self.state), owner.cloned());
        let write = tokio::spawn(async move {
            let _turn = turn;
            topic.write_as(records.clone(), owner.as_ref()).await?;
            let mut state = state.lock();
            for record in records {
                state.apply(&record.key, record.value.as_deref());
            }
            Ok(())
        });
        // It only fails to be joined when the runtime ends.
        write.await.unwrap_or(Err(bus::BusError::Closed))
    }

    fn records(&self, connector: &str, offsets: &[(SourcePartition, Option<SourceOffset>)]) -> Vec<WriteRecord> {
        let state = self.state.lock();
        let mut records = Vec::with_capacity(offsets.len());
        for (partition, offset) in offsets {
            let key = record::offset_key(connector, partition);
            let known = state.connectors.get(connector).and_then(|entries| entries.get(&canonical(partition)));
            // The same partition under other bytes would survive compaction beside this one and could win a replay.
            if let Some(known) = known.filter(|known| known.key != key) {
                records.push(WriteRecord { partition: None, key: known.key.clone(), value: None });
            }
            let value = offset.as_ref().map(|offset| record::to_bytes(&Value::Object(offset.clone())));
            records.push(WriteRecord { partition: None, key, value });
        }
        records
    }

    async fn load(&self) -> bus::Result<()> {
        let read = || async {
            let mut state = State::default();
            self.topic
                .load(|record| state.apply(record.key.as_deref().unwrap_or_default(), record.value.as_deref()))
                .await?;
            *self.state.lock() = state;
            Ok(())
        };
        self.loaded.get_or_try_init(read).await.map(drop)
    }

    fn turn(&self, connector: &str) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(self.turns.lock().entry(connector.to_owned()).or_default())
    }
}

impl State {
    fn apply(&mut self, key: &[u8], value: Option<&[u8]>) {
        let Some((connector, partition)) = record::parse_offset_key(key) else { return };
        let name = canonical(&partition);
        let entries = self.connectors.entry(connector).or_default();
        match value.map(record::parse_object) {
            Some(Some(offset)) => {
                self.next += 1;
                let since = entries.get(&name).map_or(self.next, |entry| entry.since);
                entries.insert(name, Entry { key: Bytes::copy_from_slice(key), partition, offset, since });
            }
            Some(None) => {}
            // A tombstone of other bytes than the ones in use is the clean-up of an older form.
            None if entries.get(&name).is_some_and(|entry| entry.key == key) => {
                entries.remove(&name);
            }
            None => {}
        }
    }
}

/// A partition with its fields sorted at every level: equal objects give equal texts.
fn canonical(partition: &OffsetMap) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let mut fields: Vec<(&String, &Value)> = map.iter().collect();
                fields.sort_by_key(|(name, _)| *name);
                Value::Object(fields.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect())
            }
            Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
            other => other.clone(),
        }
    }
    let mut fields: Vec<(&String, &Value)> = partition.iter().collect();
    fields.sort_by_key(|(name, _)| *name);
    Value::Object(fields.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::{store::TopicSpec, testing::MemoryBus};

    fn object(key: &str, value: i64) -> OffsetMap {
        OffsetMap::from_iter([(key.to_owned(), Value::from(value))])
    }

    #[tokio::test]
    async fn a_write_that_nobody_waits_for_any_more_still_counts() {
        let bus = MemoryBus::new();
        let name = "connect-offsets".to_owned();
        let spec = TopicSpec { name: name.clone(), partitions: 1, replication_factor: 1, exact_partitions: false };
        let store = OffsetStore::new(InternalTopic::new(bus.clone(), spec));
        let offsets = [(object("file", 1), Some(object("position", 5)))];
        let held = bus.hold_answers().await;
        let appended = async {
            while bus.records(&name).is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            result = store.put("c", &offsets, None) => panic!("answered although answers are held: {result:?}"),
            () = appended => {}
        }
        drop(held);
        assert_eq!(store.all("c").await.unwrap(), [(object("file", 1), object("position", 5))]);
    }
}

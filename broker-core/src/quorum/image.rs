//! The read model: what the metadata log says when replayed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use uuid::Uuid;

use super::record::MetadataRecord;
use super::topic_name::metric_name;
use crate::config::listeners::Endpoint;

/// What a dynamic configuration belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigResource {
    /// A topic.
    Topic(Arc<str>),
    /// One broker, or all of them.
    Broker(Option<i32>),
}

impl ConfigResource {
    /// Type and name as in the configuration APIs.
    pub fn wire(&self) -> (i8, String) {
        match self {
            Self::Topic(name) => (2, name.to_string()),
            Self::Broker(id) => (4, id.map(|id| id.to_string()).unwrap_or_default()),
        }
    }

    /// The reverse of [`Self::wire`].
    pub fn from_wire(kind: i8, name: &str) -> Option<Self> {
        match (kind, name) {
            (2, name) => Some(Self::Topic(name.into())),
            (4, "") => Some(Self::Broker(None)),
            (4, id) => id.parse().ok().map(|id| Self::Broker(Some(id))),
            _ => None,
        }
    }
}

/// A registered broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerImage {
    /// Its id.
    pub id: i32,
    /// Offset of its registration.
    pub epoch: i64,
    /// New at every start.
    pub incarnation: Uuid,
    /// Rack.
    pub rack: Option<String>,
    /// What it tells clients, per listener.
    pub endpoints: Vec<Endpoint>,
}

impl BrokerImage {
    /// The endpoint of a listener; the first one if the broker has no listener of that name.
    pub fn endpoint(&self, listener: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| &*endpoint.name == listener).or_else(|| self.endpoints.first())
    }
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionImage {
    /// Brokers that hold it.
    pub replicas: Vec<i32>,
    /// Those in sync.
    pub isr: Vec<i32>,
    /// The leader.
    pub leader: i32,
    /// Its epoch.
    pub leader_epoch: i32,
}

/// A topic with its partitions, index = partition number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicImage {
    /// Its name.
    pub name: Arc<str>,
    /// Its id.
    pub id: Uuid,
    /// Partitions in order.
    pub partitions: Vec<PartitionImage>,
}

impl TopicImage {
    /// One partition.
    pub fn partition(&self, index: i32) -> Option<&PartitionImage> {
        usize::try_from(index).ok().and_then(|index| self.partitions.get(index))
    }

    /// Whether the broker itself keeps its state in it.
    pub fn is_internal(&self) -> bool {
        is_internal_topic(&self.name)
    }
}

/// Whether the broker itself keeps its state in the topic of that name.
pub fn is_internal_topic(name: &str) -> bool {
    matches!(name, "__consumer_offsets" | "__transaction_state")
}

/// The metadata at one point of its log. Immutable; a change makes a new one that shares what did not change.
#[derive(Debug, Clone, Default)]
pub struct MetadataImage {
    /// One past the last record it has.
    pub offset: i64,
    /// The cluster's id; empty before the first start.
    pub cluster_id: Arc<str>,
    /// Finalized feature levels.
    pub features: BTreeMap<String, i16>,
    /// Registered brokers.
    pub brokers: BTreeMap<i32, BrokerImage>,
    /// First producer id not handed out.
    pub next_producer_id: i64,
    topics: BTreeMap<Arc<str>, Arc<TopicImage>>,
    names: HashMap<Uuid, Arc<str>>,
    /// Topics that have a `.` or `_`, by what their names are in metrics.
    metric_names: HashMap<String, Arc<str>>,
    partition_count: usize,
    configs: BTreeMap<ConfigResource, Arc<BTreeMap<String, String>>>,
}

impl MetadataImage {
    /// A topic by name.
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.topics.get(name)
    }

    /// A topic by id.
    pub fn topic_by_id(&self, id: Uuid) -> Option<&Arc<TopicImage>> {
        self.names.get(&id).and_then(|name| self.topics.get(name))
    }

    /// A topic that differs from `name` in `.` and `_` only: in metric names they would be one.
    pub fn colliding_topic(&self, name: &str) -> Option<&Arc<str>> {
        self.metric_names.get(&metric_name(name)?).filter(|existing| &***existing != name)
    }

    /// Partitions of all topics.
    pub fn partition_count(&self) -> usize {
        self.partition_count
    }

    /// All topics in the order of their names.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.topics.values()
    }

    /// Topics whose names come at or after `first`.
    pub fn topics_from(&self, first: &str) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.topics.range::<str, _>((std::ops::Bound::Included(first), std::ops::Bound::Unbounded)).map(|(_, t)| t)
    }

    /// Dynamic configuration of a resource, if it has any.
    pub fn config(&self, resource: &ConfigResource) -> Option<&Arc<BTreeMap<String, String>>> {
        self.configs.get(resource)
    }

    /// Resources that have dynamic configuration.
    pub fn config_resources(&self) -> impl Iterator<Item = &ConfigResource> {
        self.configs.keys()
    }

    /// The controller as clients see it: with one node, that node.
    pub fn controller_id(&self) -> i32 {
        self.brokers.keys().next().copied().unwrap_or(-1)
    }

    /// Lay records over this image; the first of them is at `offset`. What refers to something that is not there is
    /// skipped: the log was written by a decision on an image that had it, so only a bug could make that happen, and a
    /// broker that starts without a stale partition is better than one that does not start.
    #[must_use]
    pub fn apply(&self, records: &[MetadataRecord]) -> Self {
        let mut next = self.clone();
        next.apply_all(records);
        next
    }

    /// The same in place, for images that nobody else has yet.
    pub fn apply_all(&mut self, records: &[MetadataRecord]) {
        for record in records {
            self.apply_one(record);
            self.offset += 1;
        }
    }

    /// Lay one record over this image in place.
    pub(super) fn apply_one(&mut self, record: &MetadataRecord) {
        match record {
            MetadataRecord::FeatureLevel { name, level } => {
                self.features.insert(name.clone(), *level);
            }
            MetadataRecord::ClusterId { id } => self.cluster_id = id.as_str().into(),
            MetadataRecord::RegisterBroker { broker_id, incarnation, rack, endpoints } => {
                let broker = BrokerImage {
                    id: *broker_id,
                    epoch: self.offset,
                    incarnation: *incarnation,
                    rack: rack.clone(),
                    endpoints: endpoints.clone(),
                };
                self.brokers.insert(*broker_id, broker);
                self.bump_leader_epochs(*broker_id);
            }
            MetadataRecord::Topic { name, id } => {
                let name: Arc<str> = name.as_str().into();
                let topic = TopicImage { name: name.clone(), id: *id, partitions: Vec::new() };
                self.names.insert(*id, name.clone());
                if let Some(metric_name) = metric_name(&name) {
                    self.metric_names.insert(metric_name, name.clone());
                }
                self.topics.insert(name, Arc::new(topic));
            }
            MetadataRecord::Partition { topic_id, index, replicas, isr, leader, leader_epoch } => {
                let partition = PartitionImage {
                    replicas: replicas.clone(),
                    isr: isr.clone(),
                    leader: *leader,
                    leader_epoch: *leader_epoch,
                };
                self.set_partition(*topic_id, *index, partition);
            }
            MetadataRecord::RemoveTopic { id } => {
                if let Some(name) = self.names.remove(id) {
                    let removed = self.topics.remove(&name);
                    self.partition_count -= removed.map_or(0, |topic| topic.partitions.len());
                    if let Some(metric_name) = metric_name(&name) {
                        self.metric_names.remove(&metric_name);
                    }
                    self.configs.remove(&ConfigResource::Topic(name));
                }
            }
            MetadataRecord::Config { resource, key, value } => self.set_config(resource, key, value.as_ref()),
            MetadataRecord::ProducerIds { next, .. } => self.next_producer_id = *next,
        }
    }

    /// A restart is an election: all partitions the broker leads get the next epoch (design section 5).
    fn bump_leader_epochs(&mut self, broker_id: i32) {
        for topic in self.topics.values_mut() {
            if topic.partitions.iter().any(|partition| partition.leader == broker_id) {
                let led = Arc::make_mut(topic).partitions.iter_mut().filter(|partition| partition.leader == broker_id);
                led.for_each(|partition| partition.leader_epoch += 1);
            }
        }
    }

    fn set_partition(&mut self, topic_id: Uuid, index: i32, partition: PartitionImage) {
        let Some(topic) = self.names.get(&topic_id).and_then(|name| self.topics.get_mut(name)) else { return };
        let Ok(index) = usize::try_from(index) else { return };
        let partitions = &mut Arc::make_mut(topic).partitions;
        if let Some(slot) = partitions.get_mut(index) {
            *slot = partition;
        } else if index == partitions.len() {
            // Partition records of a topic come in order.
            partitions.push(partition);
            self.partition_count += 1;
        }
    }

    fn set_config(&mut self, resource: &ConfigResource, key: &str, value: Option<&String>) {
        let values = Arc::make_mut(self.configs.entry(resource.clone()).or_default());
        match value {
            Some(value) => values.insert(key.to_owned(), value.clone()),
            None => values.remove(key),
        };
        if values.is_empty() {
            self.configs.remove(resource);
        }
    }

    /// Topics of this image that `new` does not have any more (by id).
    pub fn removed_topics<'a>(&'a self, new: &'a Self) -> impl Iterator<Item = &'a Arc<TopicImage>> {
        self.topics.values().filter(|topic| !new.names.contains_key(&topic.id))
    }

    /// Resources whose dynamic configuration differs between this image and `new`.
    pub fn changed_configs(&self, new: &Self) -> BTreeSet<ConfigResource> {
        let differs = |resource: &&ConfigResource| match (self.configs.get(*resource), new.configs.get(*resource)) {
            (Some(a), Some(b)) => !Arc::ptr_eq(a, b) && a != b,
            (None, None) => false,
            _ => true,
        };
        self.configs.keys().chain(new.configs.keys()).filter(differs).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str, id: u128, partitions: i32, leader: i32) -> Vec<MetadataRecord> {
        let id = Uuid::from_u128(id);
        let mut records = vec![MetadataRecord::Topic { name: name.to_owned(), id }];
        records.extend((0..partitions).map(|index| MetadataRecord::Partition {
            topic_id: id,
            index,
            replicas: vec![leader],
            isr: vec![leader],
            leader,
            leader_epoch: 0,
        }));
        records
    }

    fn register(broker_id: i32) -> MetadataRecord {
        MetadataRecord::RegisterBroker { broker_id, incarnation: Uuid::nil(), rack: None, endpoints: Vec::new() }
    }

    #[test]
    fn a_registration_bumps_the_leader_epochs_of_that_broker_only() {
        let mut records = topic("a", 1, 2, 1);
        records.extend(topic("b", 2, 1, 2));
        records.push(register(1));
        records.push(register(1));
        let image = MetadataImage::default().apply(&records);
        assert_eq!(image.topic("a").unwrap().partition(1).unwrap().leader_epoch, 2);
        assert_eq!(image.topic("b").unwrap().partition(0).unwrap().leader_epoch, 0);
        assert_eq!(image.brokers[&1].epoch, 6);
        assert_eq!(image.offset, 7);
    }

    #[test]
    fn removing_a_topic_takes_its_configs_along_and_an_older_image_keeps_it() {
        let resource = ConfigResource::Topic("a".into());
        let mut records = topic("a", 1, 1, 1);
        records.push(MetadataRecord::Config { resource: resource.clone(), key: "k".into(), value: Some("v".into()) });
        let with = MetadataImage::default().apply(&records);
        let without = with.apply(&[MetadataRecord::RemoveTopic { id: Uuid::from_u128(1) }]);
        assert!(with.topic("a").is_some() && with.config(&resource).is_some());
        assert!(without.topic("a").is_none() && without.topic_by_id(Uuid::from_u128(1)).is_none());
        assert!(without.config(&resource).is_none());
        assert_eq!((with.partition_count(), without.partition_count()), (1, 0));
        assert_eq!(with.removed_topics(&without).count(), 1);
        assert_eq!(with.changed_configs(&without), BTreeSet::from([resource]));
    }
}

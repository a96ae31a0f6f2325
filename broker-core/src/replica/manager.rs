//! All partitions of this broker, by topic name and by topic id.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};
use uuid::Uuid;

use super::{Partition, ReplicaError};
use crate::config::{BrokerConfig, TopicConfig};
use crate::log::{LogConfig, LogError, LogManager, PartitionLog, TopicPartition};
use crate::quorum::{
    ConfigResource, ImageListener, METADATA_TOPIC, MetadataImage, MetadataQuorum, TopicImage, is_internal_topic,
};

/// How a request names a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicRef<'a> {
    /// By name.
    Name(&'a str),
    /// By id.
    Id(Uuid),
}

/// A topic's loaded partitions and its effective configuration.
struct Topic {
    name: Arc<str>,
    id: Uuid,
    config: ArcSwap<TopicConfig>,
    partitions: RwLock<Vec<Option<Arc<Partition>>>>,
}

struct Tables {
    /// Of the image they were made of; -1 before the first.
    offset: i64,
    by_name: HashMap<Arc<str>, Arc<Topic>>,
    by_id: HashMap<Uuid, Arc<Topic>>,
}

impl Tables {
    fn new(offset: i64) -> Self {
        Self { offset, by_name: HashMap::new(), by_id: HashMap::new() }
    }
}

/// Finds partitions, and makes their logs on first use: a topic costs one metadata append however many partitions it
/// has (`__consumer_offsets` has 50).
pub struct ReplicaManager {
    logs: Arc<LogManager>,
    quorum: Arc<dyn MetadataQuorum>,
    config: Arc<BrokerConfig>,
    tables: ArcSwap<Tables>,
    /// Held while new tables are made of the old ones.
    changing: Mutex<()>,
    loading: tokio::sync::Mutex<()>,
    /// Topics removed since the start whose logs are not all gone yet.
    deleting: Mutex<HashSet<Uuid>>,
    closed: AtomicBool,
}

impl ReplicaManager {
    /// A manager of the topics in the quorum's image, told of every later one.
    pub fn new(logs: Arc<LogManager>, quorum: Arc<dyn MetadataQuorum>, config: Arc<BrokerConfig>) -> Arc<Self> {
        let manager = Arc::new(Self {
            logs,
            quorum: quorum.clone(),
            config,
            tables: ArcSwap::from_pointee(Tables::new(-1)),
            changing: Mutex::default(),
            loading: tokio::sync::Mutex::default(),
            deleting: Mutex::default(),
            closed: false.into(),
        });
        // In this order: no change falls between the image that is read and those that are told.
        quorum.subscribe(Arc::new(Listener(Arc::downgrade(&manager))));
        manager.take_in(&quorum.image());
        manager
    }

    /// A partition that is loaded; no waiting. `None` if it has to be loaded first ([`Self::partition`]) or does not
    /// exist.
    pub fn loaded(&self, topic: TopicRef<'_>, index: i32) -> Option<Arc<Partition>> {
        let tables = self.tables.load();
        let topic = match topic {
            TopicRef::Name(name) => tables.by_name.get(name),
            TopicRef::Id(id) => tables.by_id.get(&id),
        }?;
        let partitions = topic.partitions.read();
        partitions.get(usize::try_from(index).ok()?)?.clone()
    }

    /// A partition, its log opened or made if need be.
    pub async fn partition(self: &Arc<Self>, topic: TopicRef<'_>, index: i32) -> Result<Arc<Partition>, ReplicaError> {
        if let Some(partition) = self.loaded(topic, index) {
            return Ok(partition);
        }
        let id = match topic {
            TopicRef::Id(id) => id,
            TopicRef::Name(name) => self.quorum.image().topic(name).ok_or(ReplicaError::UnknownPartition)?.id,
        };
        // On a task of its own: loading takes turns, and a caller that is not polled for a while (a request behind which
        // the next one of its connection is begun) must not keep the turn.
        let manager = self.clone();
        let loaded = tokio::spawn(async move { manager.load(id, index).await }).await;
        loaded.unwrap_or(Err(ReplicaError::NotLeader))
    }

    /// Whether there is something on disk or in memory for the partition. Coordinators skip partitions never written.
    pub fn has_log(&self, topic: &TopicImage, index: i32) -> bool {
        self.loaded(TopicRef::Id(topic.id), index).is_some()
            || self.logs.get(&TopicPartition::new(topic.name.clone(), index)).is_some()
    }

    /// Effective configuration of a topic.
    pub fn topic_config(&self, topic: TopicRef<'_>) -> Option<Arc<TopicConfig>> {
        let tables = self.tables.load();
        let topic = match topic {
            TopicRef::Name(name) => tables.by_name.get(name),
            TopicRef::Id(id) => tables.by_id.get(&id),
        }?;
        Some(topic.config.load_full())
    }

    /// Every loaded partition.
    pub fn all_loaded(&self) -> Vec<Arc<Partition>> {
        let tables = self.tables.load();
        let mut all: Vec<Arc<Partition>> = tables
            .by_id
            .values()
            .flat_map(|topic| topic.partitions.read().iter().flatten().cloned().collect::<Vec<_>>())
            .collect();
        all.sort_by(|a, b| (a.topic(), a.index()).cmp(&(b.topic(), b.index())));
        all
    }

    /// Load every partition that has files, so that the first requests after a start need not. Directories of topics that
    /// were deleted go, those of topics the metadata does not know are set aside.
    pub async fn load_existing(self: &Arc<Self>) {
        let image = self.quorum.image();
        for log in self.logs.partitions() {
            let name = log.topic_partition();
            if **name.topic() == *METADATA_TOPIC {
                continue;
            }
            let topic = image.topic(name.topic()).filter(|topic| topic.partition(name.partition()).is_some());
            let settled = match topic {
                Some(topic) if log.topic_id().is_none_or(|found| found == topic.id) => {
                    self.partition(TopicRef::Name(&topic.name), name.partition()).await.map(|_| ())
                }
                // A topic of the same name gets a log of its own when it is first used.
                _ => self.clear_away(&log).await.map_err(ReplicaError::from),
            };
            if let Err(error) = settled {
                tracing::warn!(topic = %name.topic(), partition = name.partition(), %error, "log on disk is not loaded");
            }
        }
    }

    /// Takes a log away that is no known topic's: for good only where its topic is known to have been deleted.
    async fn clear_away(&self, log: &PartitionLog) -> Result<(), LogError> {
        let name = log.topic_partition();
        let deleted =
            log.topic_id().is_some_and(|id| self.quorum.was_removed(id) || self.deleting.lock().contains(&id));
        if deleted {
            tracing::info!(topic = %name.topic(), partition = name.partition(), "removing the log of a deleted topic");
            self.logs.delete(name).await
        } else {
            self.logs.set_aside(name).await
        }
    }

    /// No partition is loaded any more, and those who wait are told.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.all_loaded().iter().for_each(|partition| partition.close());
    }

    async fn load(&self, topic: Uuid, index: i32) -> Result<Arc<Partition>, ReplicaError> {
        let _one_at_a_time = self.loading.lock().await;
        if let Some(partition) = self.loaded(TopicRef::Id(topic), index) {
            return Ok(partition);
        }
        let image = self.quorum.image();
        let topic_image = image.topic_by_id(topic).ok_or(ReplicaError::UnknownTopicId)?;
        let partition_image = topic_image.partition(index).ok_or(ReplicaError::UnknownPartition)?;
        if partition_image.leader != self.config.node_id || self.closed.load(Ordering::Acquire) {
            return Err(ReplicaError::NotLeader);
        }
        let tables = self.tables.load_full();
        let slot = tables.by_id.get(&topic_image.id).ok_or(ReplicaError::UnknownPartition)?;
        let name = TopicPartition::new(topic_image.name.clone(), index);
        let log = match self.logs.get(&name) {
            // Without a readable `partition.metadata` nothing says that the records are another topic's: they stay.
            Some(log) if log.topic_id().is_none_or(|found| found == topic_image.id) => {
                log.adopt_topic_id(topic_image.id).await?;
                log
            }
            Some(other) => {
                // What is there belongs to another topic of the same name.
                self.clear_away(&other).await?;
                self.logs.create(name, Some(topic_image.id), self.log_config(slot)).await?
            }
            None => self.logs.create(name, Some(topic_image.id), self.log_config(slot)).await?,
        };
        log.update_config(self.log_config(slot));
        let epoch = partition_image.leader_epoch;
        let partition = Partition::lead(topic_image.name.clone(), topic_image.id, index, log, epoch).await?;
        if let Some(place) = slot.partitions.write().get_mut(index as usize) {
            *place = Some(partition.clone());
        }
        Ok(partition)
    }

    fn log_config(&self, topic: &Topic) -> LogConfig {
        LogConfig {
            producer_expiration_ms: self.config.producer_id_expiration.as_millis() as i64,
            internal: is_internal_topic(&topic.name) || self.config.worker_topics.contains(&*topic.name),
            ..LogConfig::from_topic(&topic.config.load())
        }
    }

    fn tables_of(&self, image: &MetadataImage, old: &Tables) -> Tables {
        let mut tables = Tables::new(image.offset);
        for topic_image in image.topics() {
            let topic = match old.by_id.get(&topic_image.id) {
                Some(topic) => topic.clone(),
                None => Arc::new(Topic {
                    name: topic_image.name.clone(),
                    id: topic_image.id,
                    config: ArcSwap::from_pointee(self.resolve(image, topic_image)),
                    partitions: RwLock::default(),
                }),
            };
            topic.partitions.write().resize(topic_image.partitions.len(), None);
            tables.by_name.insert(topic.name.clone(), topic.clone());
            tables.by_id.insert(topic.id, topic);
        }
        tables
    }

    fn resolve(&self, image: &MetadataImage, topic: &TopicImage) -> TopicConfig {
        let overrides = image.config(&ConfigResource::Topic(topic.name.clone())).cloned().unwrap_or_default();
        crate::quorum::topic_config(&self.config, image, &overrides)
    }

    fn reconfigure(&self, image: &MetadataImage, topic: &Topic) {
        let Some(topic_image) = image.topic_by_id(topic.id) else { return };
        topic.config.store(Arc::new(self.resolve(image, topic_image)));
        let config = self.log_config(topic);
        for partition in topic.partitions.read().iter().flatten() {
            partition.log().update_config(config.clone());
        }
    }

    fn remove(self: &Arc<Self>, topic: &Arc<TopicImage>) {
        let partitions = match self.tables.load().by_id.get(&topic.id) {
            Some(topic) => std::mem::take(&mut *topic.partitions.write()),
            None => Vec::new(),
        };
        partitions.iter().flatten().for_each(|partition| partition.close());
        self.deleting.lock().insert(topic.id);
        let (manager, topic) = (self.clone(), topic.clone());
        tokio::spawn(async move {
            manager.delete_logs(&topic).await;
            manager.deleting.lock().remove(&topic.id);
        });
    }

    async fn delete_logs(&self, topic: &TopicImage) {
        for index in 0..topic.partitions.len() as i32 {
            // Not while a topic of the same name gets its logs.
            let _one_at_a_time = self.loading.lock().await;
            let name = TopicPartition::new(topic.name.clone(), index);
            // One without a known id is this topic's too: a newer topic of the name would have given it its own.
            if self.logs.get(&name).is_some_and(|log| log.topic_id().is_none_or(|found| found == topic.id))
                && let Err(error) = self.logs.delete(&name).await
            {
                tracing::warn!(topic = %name.topic(), partition = name.partition(), %error, "cannot delete log");
            }
        }
    }

    /// Has the tables show `image`, unless they show a later one.
    fn take_in(&self, image: &MetadataImage) {
        let _changing = self.changing.lock();
        let old = self.tables.load();
        if image.offset > old.offset {
            self.tables.store(Arc::new(self.tables_of(image, &old)));
        }
    }

    fn follow(self: &Arc<Self>, old: &MetadataImage, new: &MetadataImage) {
        for topic in old.removed_topics(new) {
            self.remove(topic);
        }
        self.take_in(new);
        let changed = old.changed_configs(new);
        let all = changed.iter().any(|resource| matches!(resource, ConfigResource::Broker(_)));
        for topic in self.tables.load_full().by_name.values() {
            if all || changed.contains(&ConfigResource::Topic(topic.name.clone())) {
                self.reconfigure(new, topic);
            }
        }
    }
}

/// Passes images on. Weak, because the manager holds the quorum.
struct Listener(Weak<ReplicaManager>);

impl ImageListener for Listener {
    fn on_image(&self, old: &MetadataImage, new: &Arc<MetadataImage>) {
        if let Some(manager) = self.0.upgrade() {
            manager.follow(old, new);
        }
    }
}

//! Topics that come into being because someone uses them: by Metadata, and those the broker keeps its own state in.

use std::collections::BTreeMap;
use std::sync::Arc;

use levada_env::Env;
use uuid::Uuid;

use crate::config::{BrokerConfig, ConfigLayers};
use crate::coordinator::group::OFFSETS_TOPIC;
use crate::quorum::topics::{self, NewTopic, TopicChangeError};
use crate::quorum::{ConfigResource, MetadataQuorum, TopicImage, change};

/// Makes topics with the broker's defaults.
#[derive(Clone)]
pub struct TopicCreator {
    env: Env,
    config: Arc<BrokerConfig>,
    quorum: Arc<dyn MetadataQuorum>,
}

impl TopicCreator {
    /// A creator over `quorum`.
    pub fn new(env: Env, config: Arc<BrokerConfig>, quorum: Arc<dyn MetadataQuorum>) -> Self {
        Self { env, config, quorum }
    }

    /// A random topic id, never one of the two that Kafka reserves.
    pub fn new_id(&self) -> Uuid {
        loop {
            let id = Uuid::from_bytes(self.env.rng.uuid_bytes());
            if id.as_u128() > 1 {
                return id;
            }
        }
    }

    /// `num.partitions`, which can change while the broker runs.
    pub fn default_partitions(&self) -> i32 {
        let image = self.quorum.image();
        let dynamic = |resource| image.config(&resource).cloned().unwrap_or_default();
        let (one, all) =
            (dynamic(ConfigResource::Broker(Some(self.config.node_id))), dynamic(ConfigResource::Broker(None)));
        let layers = ConfigLayers { broker: &self.config, dynamic_broker: &one, dynamic_default: &all };
        layers.broker_value("num.partitions").and_then(|value| value.trim().parse().ok()).unwrap_or(1)
    }

    /// The topic called `name`, made with defaults if it does not exist; internal topics with what they need.
    pub async fn ensure(&self, name: &str) -> Result<Arc<TopicImage>, TopicChangeError> {
        if let Some(topic) = self.quorum.image().topic(name) {
            return Ok(topic.clone());
        }
        let new = self.new_topic(name);
        let ((), image) = change(&*self.quorum, |image| match topics::create(image, &new) {
            Ok(records) => Ok((records, ())),
            // Somebody else was faster.
            Err(TopicChangeError::Exists(_)) => Ok((Vec::new(), ())),
            Err(error) => Err(error),
        })
        .await?;
        image.topic(name).cloned().ok_or(TopicChangeError::Unknown)
    }

    fn new_topic(&self, name: &str) -> NewTopic {
        let config = &self.config;
        let mut new = NewTopic {
            name: name.to_owned(),
            id: self.new_id(),
            partitions: self.default_partitions(),
            replication_factor: config.default_replication_factor,
            ..NewTopic::default()
        };
        if name == OFFSETS_TOPIC {
            new.partitions = config.offsets_topic_partitions;
            let brokers = self.quorum.image().brokers.len().max(1) as i16;
            new.replication_factor = config.offsets_topic_replication_factor.min(brokers);
            let segment_bytes = config.offsets_topic_segment_bytes.to_string();
            let configs =
                [("cleanup.policy", "compact"), ("compression.type", "producer"), ("segment.bytes", &segment_bytes)];
            new.configs = configs.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect::<BTreeMap<_, _>>();
        }
        new
    }
}

//! Cluster metadata: topics, partitions with leader epochs, configs, broker registration, producer-id blocks.
//!
//! Changes are versioned records in the metadata log, handed over through [`MetadataQuorum::submit`]; everyone reads the
//! [`MetadataImage`], which is nothing but a replay of that log. One node is a quorum of one ([`SingleNodeQuorum`]); a
//! replicated quorum takes its place behind the same trait (`docs/adr/0001-metadata-quorum.md`).

mod codec;
mod image;
mod producer_ids;
mod record;
mod single_node;
mod topic_name;
pub mod topics;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use uuid::Uuid;

use crate::config::{BrokerConfig, ConfigLayers, TopicConfig};

pub use image::{BrokerImage, ConfigResource, MetadataImage, PartitionImage, TopicImage, is_internal_topic};
pub use producer_ids::ProducerIdAllocator;
pub use record::{MetadataRecord, RecordError};
pub use single_node::{QuorumOpenError, QuorumOptions, SingleNodeQuorum};
pub use topic_name::{TopicNameError, check_topic_name};

/// The metadata log's topic, as Apache's tools know it.
pub const METADATA_TOPIC: &str = "__cluster_metadata";

/// The id Kafka reserves for the metadata topic.
pub const METADATA_TOPIC_ID: Uuid = Uuid::from_u128(1);

/// A future without a name.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why a change did not become part of the metadata.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuorumError {
    /// The image the change was decided on is out of date: decide again.
    #[error("metadata has moved on")]
    Conflict,
    /// The metadata log cannot be written.
    #[error("metadata log: {0}")]
    Log(String),
    /// The quorum is shutting down.
    #[error("metadata quorum is shutting down")]
    Closed,
}

/// Where cluster metadata is decided.
pub trait MetadataQuorum: Send + Sync {
    /// The newest image.
    fn image(&self) -> Arc<MetadataImage>;

    /// Commit `records`, all or none, if the newest image is still the one at `based_on` ([`MetadataImage::offset`]).
    /// Resolves with the image that has them, once every listener has seen it. A submitted change completes whatever
    /// happens to its caller.
    fn submit(
        &self,
        based_on: i64,
        records: Vec<MetadataRecord>,
    ) -> BoxFuture<'static, Result<Arc<MetadataImage>, QuorumError>>;

    /// Call `listener` with every later image, in order.
    fn subscribe(&self, listener: Arc<dyn ImageListener>);

    /// Whether a topic that was found on disk at the start is known to have been deleted. False for one never heard of.
    fn was_removed(&self, topic: Uuid) -> bool;
}

/// Told of every new image before the change that made it is answered; must not block.
pub trait ImageListener: Send + Sync {
    /// `new` follows `old`.
    fn on_image(&self, old: &MetadataImage, new: &Arc<MetadataImage>);
}

/// Decide on the newest image and commit, again and again until nobody else came between.
pub async fn change<T, E>(
    quorum: &dyn MetadataQuorum,
    mut decide: impl FnMut(&MetadataImage) -> Result<(Vec<MetadataRecord>, T), E>,
) -> Result<(T, Arc<MetadataImage>), E>
where
    E: From<QuorumError>,
{
    loop {
        let image = quorum.image();
        let (records, value) = decide(&image)?;
        if records.is_empty() {
            return Ok((value, image));
        }
        match quorum.submit(image.offset, records).await {
            Ok(image) => return Ok((value, image)),
            Err(QuorumError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A topic's effective configuration at one image.
pub fn topic_config(config: &BrokerConfig, image: &MetadataImage, overrides: &BTreeMap<String, String>) -> TopicConfig {
    let nothing = BTreeMap::new();
    let dynamic = |resource| image.config(&resource).map_or(&nothing, |values| &**values);
    let layers = ConfigLayers {
        broker: config,
        dynamic_broker: dynamic(ConfigResource::Broker(Some(config.node_id))),
        dynamic_default: dynamic(ConfigResource::Broker(None)),
    };
    TopicConfig::resolve(layers, overrides)
}

//! What handlers work with. One per broker; handed by reference to every handler.

use std::sync::Arc;

use levada_env::Env;

use super::answer_memory::AnswerMemory;
use super::fetch::FetchSessionCache;
use super::metrics::Metrics;
use super::topic_creation::TopicCreator;
use crate::config::BrokerConfig;
use crate::coordinator::group::GroupCoordinator;
use crate::log::LogManager;
use crate::quorum::{MetadataQuorum, ProducerIdAllocator};
use crate::replica::ReplicaManager;
use crate::security::{Authorizer, QuotaManager};

/// Everything below the APIs.
pub struct Services {
    /// Clock and randomness.
    pub env: Env,
    /// What the broker was started with.
    pub config: Arc<BrokerConfig>,
    /// Cluster metadata.
    pub quorum: Arc<dyn MetadataQuorum>,
    /// Makes topics with the broker's defaults.
    pub topics: TopicCreator,
    /// Partitions.
    pub replicas: Arc<ReplicaManager>,
    /// Logs, for what concerns them all.
    pub logs: Arc<LogManager>,
    /// Groups and their offsets.
    pub groups: GroupCoordinator,
    /// Asked per resource.
    pub authorizer: Arc<dyn Authorizer>,
    /// Told of use.
    pub quotas: Arc<dyn QuotaManager>,
    /// Incremental fetch sessions.
    pub sessions: FetchSessionCache,
    /// Memory that answers hold on their way out.
    pub answer_memory: AnswerMemory,
    /// Ids for idempotent producers.
    pub producer_ids: ProducerIdAllocator,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

//! The broker as a whole: what the daemon starts, stops, and calls.

use std::sync::Arc;

use levada_client::Transport;
use levada_env::Env;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::api::{AnswerMemory, FetchSessionCache, Metrics, ReplicatedOffsets, Services, TopicCreator};
use crate::config::BrokerConfig;
use crate::config::listeners::Endpoint;
use crate::coordinator::group::{GroupCoordinator, GroupCoordinatorOptions, ProtectedGroups};
use crate::log::{LogConfig, LogError, LogManager, LogManagerOptions, OpenError, PartitionLog, TopicPartition};
use crate::metrics::BrokerMetrics;
use crate::quorum::{
    METADATA_TOPIC, METADATA_TOPIC_ID, MetadataImage, MetadataQuorum, ProducerIdAllocator, QuorumOpenError,
    QuorumOptions, SingleNodeQuorum,
};
use crate::replica::ReplicaManager;
use crate::security::{AllowAll, Unlimited};
use crate::server::{BindError, Server, bind};
use crate::transport::InProcessTransport;

/// Why the broker does not start. The text is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log directory is locked, of another node, or cannot be read or written.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// The metadata log cannot be opened.
    #[error("metadata log: {0}")]
    MetadataLog(#[from] LogError),
    /// The metadata cannot be read.
    #[error(transparent)]
    Metadata(#[from] QuorumOpenError),
    /// A listener cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
}

struct Inner {
    services: Arc<Services>,
    server: Mutex<Option<Server>>,
    listeners: Vec<Endpoint>,
    /// Told true once the broker stops: requests are refused, waits end.
    stopping: watch::Sender<bool>,
}

/// A running broker. Cheap to clone; stop it with [`Broker::shutdown`].
#[derive(Clone)]
pub struct Broker {
    inner: Arc<Inner>,
}

impl Broker {
    /// Open the log, take over leadership, and serve the configured listeners.
    pub async fn start(env: Env, config: BrokerConfig) -> Result<Self, StartError> {
        // Bound first: a taken port is told before anything is written. Clients that connect meanwhile wait.
        let bound = bind(&config).await?;
        let advertised: Vec<Endpoint> = bound.iter().map(|listener| listener.advertised.clone()).collect();
        let listeners = bound
            .iter()
            .map(|listener| Endpoint {
                name: listener.name.clone(),
                host: listener.address.ip().to_string(),
                port: listener.address.port(),
            })
            .collect();
        let services = open(env, config, advertised).await?;
        let (stopping, stop) = watch::channel(false);
        let server = Server::start(&services, bound, &stop);
        Ok(Self::new(services, Some(server), listeners, stopping))
    }

    /// Like [`Broker::start`] without listeners: only callers inside the process reach it.
    pub async fn start_in_process(env: Env, config: BrokerConfig) -> Result<Self, StartError> {
        let advertised = config.listeners.clone();
        Ok(Self::new(open(env, config, advertised).await?, None, Vec::new(), watch::Sender::new(false)))
    }

    fn new(
        services: Arc<Services>,
        server: Option<Server>,
        listeners: Vec<Endpoint>,
        stopping: watch::Sender<bool>,
    ) -> Self {
        let inner = Inner { services, server: Mutex::new(server), listeners, stopping };
        Self { inner: Arc::new(inner) }
    }

    /// A way for callers inside this process to make requests, as `User:levada`. Requests of one transport that append
    /// are acted upon in the order in which they are made.
    pub fn transport(&self, client_id: &str) -> Arc<dyn Transport> {
        Arc::new(InProcessTransport::new(self.inner.services.clone(), self.inner.stopping.subscribe(), client_id))
    }

    /// Where the broker listens, with the ports the system chose.
    pub fn listeners(&self) -> &[Endpoint] {
        &self.inner.listeners
    }

    /// The newest cluster metadata.
    pub fn image(&self) -> Arc<MetadataImage> {
        self.inner.services.quorum.image()
    }

    /// The cluster's id.
    pub fn cluster_id(&self) -> Arc<str> {
        self.image().cluster_id.clone()
    }

    /// Set which groups keep their offsets however long they are empty: those of existing connectors.
    pub fn protect_groups(&self, protected: ProtectedGroups) {
        self.inner.services.groups.protect_groups(protected);
    }

    /// Counters and offsets at this moment.
    pub fn metrics(&self) -> BrokerMetrics {
        let request_memory_free = self.inner.server.lock().as_ref().map_or(0, Server::free_memory);
        BrokerMetrics { request_memory_free, ..BrokerMetrics::of(&self.inner.services) }
    }

    /// Accept no more requests, answer those in flight, sync the log and mark it clean.
    pub async fn shutdown(&self) {
        if self.inner.stopping.send_replace(true) {
            return;
        }
        let server = self.inner.server.lock().take();
        if let Some(server) = server {
            server.stopped().await;
        }
        let services = &self.inner.services;
        services.groups.stop();
        services.replicas.close();
        services.logs.shutdown().await;
    }
}

/// Everything a broker is without its listeners.
pub(crate) async fn open(
    env: Env,
    config: BrokerConfig,
    advertised: Vec<Endpoint>,
) -> Result<Arc<Services>, StartError> {
    let config = Arc::new(config);
    let logs = LogManager::open(env.clone(), log_options(&config)).await?;
    let quorum = open_quorum(&env, &config, &logs, advertised).await?;
    let replicas = ReplicaManager::new(logs.clone(), quorum.clone(), config.clone());
    replicas.load_existing().await;
    let topics = TopicCreator::new(env.clone(), config.clone(), quorum.clone());
    let groups = open_groups(&env, &config, &quorum, &replicas, &topics);
    let services = Services {
        topics,
        groups,
        answer_memory: AnswerMemory::new(config.fetch_memory_bytes),
        sessions: FetchSessionCache::new(env.clone(), config.fetch_session_slots),
        producer_ids: ProducerIdAllocator::new(quorum.clone(), config.node_id),
        authorizer: Arc::new(AllowAll),
        quotas: Arc::new(Unlimited),
        metrics: Arc::new(Metrics::default()),
        env,
        config,
        quorum,
        replicas,
        logs: logs.clone(),
    };
    logs.start_background();
    Ok(Arc::new(services))
}

fn open_groups(
    env: &Env,
    config: &BrokerConfig,
    quorum: &Arc<dyn MetadataQuorum>,
    replicas: &Arc<ReplicaManager>,
    topics: &TopicCreator,
) -> GroupCoordinator {
    let offsets = Arc::new(ReplicatedOffsets {
        env: env.clone(),
        quorum: quorum.clone(),
        replicas: replicas.clone(),
        topics: topics.clone(),
    });
    let options = GroupCoordinatorOptions::from_config(config);
    let groups = GroupCoordinator::new(env.clone(), options, offsets.clone(), offsets);
    groups.start();
    groups
}

fn log_options(config: &BrokerConfig) -> LogManagerOptions {
    LogManagerOptions {
        node_id: config.node_id,
        tail_cache_bytes: config.tail_cache_bytes,
        append_queue_bytes: config.append_queue_bytes,
        retention_check: config.retention_check_interval,
        syncfs_min_files: config.syncfs_min_files,
        ..LogManagerOptions::new(config.log_dir.clone())
    }
}

async fn open_quorum(
    env: &Env,
    config: &BrokerConfig,
    logs: &Arc<LogManager>,
    advertised: Vec<Endpoint>,
) -> Result<Arc<dyn MetadataQuorum>, StartError> {
    let name = TopicPartition::new(METADATA_TOPIC, 0);
    let log = match logs.get(&name) {
        Some(log) => log,
        None => logs.create(name, Some(METADATA_TOPIC_ID), metadata_log_config()).await?,
    };
    log.update_config(metadata_log_config());
    let options = QuorumOptions {
        node_id: config.node_id,
        cluster_id: logs.cluster_id().to_string(),
        rack: config.rack.clone(),
        endpoints: advertised,
        on_disk: logs.partitions().iter().filter_map(PartitionLog::topic_id).collect(),
    };
    Ok(SingleNodeQuorum::open(env, log, options).await?)
}

/// The metadata log keeps everything: it is the truth, and grows by one record per start and per change.
fn metadata_log_config() -> LogConfig {
    LogConfig {
        retention_ms: -1,
        retention_bytes: -1,
        segment_ms: i64::MAX,
        max_message_bytes: 64 << 20,
        timestamp_after_max_ms: i64::MAX,
        internal: true,
        ..LogConfig::default()
    }
}

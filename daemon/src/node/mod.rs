//! The wiring of one node: log, Connect worker, REST, metrics; started in that order and stopped in the reverse.
//!
//! Called by `levada serve` and by tests that run a node in their own process. The only module that knows both the
//! broker and the worker.

mod address;
mod doctor;
mod metrics;
mod plugins;
mod worker;

use crate::{
    config::{Settings, Table},
    connect::{
        bus::{Bus, embedded::EmbeddedBus},
        herder::{Herder, HerderHandle},
        task::{AbandonedThreads, TaskRuntime},
        worker::ConnectWorker,
    },
    rest::{self, RestServer, RestState, ServerOptions, ServerStop},
    telemetry::LogControl,
};
use address::RestAddress;
pub use doctor::Doctor;
use levada_broker::{Broker, BrokerConfig, StartError};
use levada_env::Env;
use std::{path::PathBuf, sync::Arc};

/// The version of Kafka Connect whose interface this is; tools read it from `GET /`.
const CONNECT_VERSION: &str = "4.3.1";

/// Why a node does not start, in one line for each cause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// A value of the configuration can't work.
    #[error("{0}")]
    Config(String),
    /// Something outside of the process is in the way.
    #[error("{0}")]
    Environment(String),
}

/// A running node.
pub struct Node {
    broker: Broker,
    herder: HerderHandle,
    rest: ServerStop,
}

impl Node {
    /// Starts everything. The log is open and REST answers when this returns.
    pub async fn start(env: Env, settings: Settings, logs: LogControl) -> Result<Self, NodeError> {
        let address = RestAddress::from_settings(&settings)?;
        let registry = Arc::new(plugins::registry(&env, &settings).await?);
        // Bound before the log is opened, so that a taken port is told at once; connections wait until it serves.
        let server = RestServer::bind(address.socket, server_options(&settings))
            .map_err(|cause| environment(&format!("the REST address {} can't be used", address.socket), &cause))?;
        let bound = server.local_addr().map_err(|cause| environment("the REST address is unknown", &cause))?;
        let advertised = address.advertised(bound, &settings);

        let broker = start_broker(&env, &settings).await?;
        let providers = worker::providers(&env, &settings)?;
        let options = worker::options(&settings, advertised.clone(), providers);
        let runtime = tokio::runtime::Handle::current();
        let transports = broker.clone();
        let bus: Arc<dyn Bus> = Arc::new(EmbeddedBus::new(
            Arc::new(move |client_id: &str| transports.transport(client_id)),
            runtime.clone(),
            env.clock.clone(),
        ));
        let converters = Arc::new(worker::ConverterCatalog);
        let herder = Herder::prepare(options.clone(), bus.clone(), registry, converters.clone(), env.clock.clone());
        let abandoned = Arc::new(AbandonedThreads::new(
            usize::try_from(settings.integer(Table::Worker, "plugin.abandoned.threads.max")).unwrap_or_default(),
        ));
        let tasks = TaskRuntime {
            bus,
            tokio: runtime,
            clock: env.clock.clone(),
            abandoned: abandoned.clone(),
            listener: herder.reports(),
        };
        let offsets = herder.offsets();
        let herder = herder.start(Arc::new(ConnectWorker::new(options, tasks, offsets)));

        // Offsets of a sink that exists must not expire while it is stopped or paused.
        let view = herder.clone();
        broker.protect_groups(Arc::new(move |group: &str| view.view().owns_group(group)));

        let page = metrics::page(broker.clone(), herder.clone(), abandoned);
        let state = RestState {
            herder: herder.clone(),
            converters,
            logs,
            metrics: page,
            version: CONNECT_VERSION.to_owned(),
            commit: format!("levada-{}", env!("CARGO_PKG_VERSION")),
            cluster_id: broker.cluster_id().to_string(),
            advertised_url: format!("http://{advertised}"),
            topic_tracking: settings.boolean(Table::Worker, "topic.tracking.enable"),
            topic_reset: settings.boolean(Table::Worker, "topic.tracking.allow.reset"),
            timeout: settings.millis(Table::Worker, "rest.request.timeout.ms"),
            max_body_bytes: usize::try_from(settings.integer(Table::Worker, "rest.max.request.bytes"))
                .unwrap_or_default(),
            headers: Arc::new(worker::headers(&settings)?),
        };
        let rest = server.serve(rest::router(state));
        let kafka: Vec<String> = broker.listeners().iter().map(ToString::to_string).collect();
        tracing::info!(
            data_dir = settings.text(Table::Node, "data.dir"),
            "ready: Kafka on {}, REST on http://{advertised}",
            kafka.join(", ")
        );
        Ok(Self { broker, herder, rest })
    }

    /// Stops in order: no more requests, tasks flushed with their offsets committed, log synced.
    pub async fn stop(self) {
        self.rest.stop().await;
        self.herder.shutdown().await;
        self.broker.shutdown().await;
    }
}

async fn start_broker(env: &Env, settings: &Settings) -> Result<Broker, NodeError> {
    let data_dir = PathBuf::from(settings.text(Table::Node, "data.dir"));
    let log_dir = data_dir.join("log");
    env.disk
        .create_dir_all(&log_dir)
        .map_err(|cause| environment(&format!("the data directory {} can't be made", data_dir.display()), &cause))?;
    let mut config = BrokerConfig::from_map(&log_dir, &settings.given(Table::Broker)).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(|error| format!("[broker] {error}")).collect();
        NodeError::Config(lines.join("\n"))
    })?;
    config.worker_topics = worker::topics(settings);
    Broker::start(env.clone(), config).await.map_err(|error| match error {
        StartError::Bind(_) | StartError::Log(_) | StartError::MetadataLog(_) | StartError::Metadata(_) => {
            NodeError::Environment(one_line(&error.to_string()))
        }
    })
}

fn environment(what: &str, cause: &std::io::Error) -> NodeError {
    NodeError::Environment(one_line(&format!("{what}: {cause}")))
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}

fn server_options(settings: &Settings) -> ServerOptions {
    let size = |key: &str| usize::try_from(settings.integer(Table::Worker, key)).unwrap_or(1).max(1);
    ServerOptions {
        max_connections: size("rest.max.connections"),
        max_body_bytes: size("rest.max.request.bytes"),
        ..ServerOptions::default()
    }
}

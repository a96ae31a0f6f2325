//! What the worker's own configuration says about connectors and tasks.

use crate::connect::{config_provider::Providers, store::TopicSpec, task::TaskTimes, validate::Policy};
use levada_connector_api::Config;
use levada_env::time::Duration;

/// A converter of the worker's, for connectors that name none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConverterDefaults {
    /// Class.
    pub class: String,
    /// Its settings, without prefix.
    pub config: Config,
}

/// When tasks and connectors that failed are started again by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Never, as Connect.
    Never,
    /// When the cause may pass, with doubling waits.
    Retry {
        /// First wait.
        initial: Duration,
        /// Longest wait.
        max: Duration,
    },
}

/// The worker's own configuration.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// `host:port` of the advertised REST address.
    pub worker_id: String,
    /// Key, value and header converter.
    pub key_converter: ConverterDefaults,
    /// Value converter.
    pub value_converter: ConverterDefaults,
    /// Header converter.
    pub header_converter: ConverterDefaults,
    /// Times that tasks obey.
    pub times: TaskTimes,
    /// Longest call into a connector.
    pub call_timeout: Duration,
    /// `task.shutdown.graceful.timeout.ms`.
    pub graceful_timeout: Duration,
    /// Config topic.
    pub config_topic: TopicSpec,
    /// Offsets topic.
    pub offset_topic: TopicSpec,
    /// Status topic.
    pub status_topic: TopicSpec,
    /// What connectors may do.
    pub policy: Policy,
    /// `config.providers`.
    pub providers: Providers,
    /// Restarts.
    pub restart: RestartPolicy,
    /// `topic.tracking.enable`.
    pub topic_tracking: bool,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        let converter = |class: &str| ConverterDefaults { class: class.to_owned(), config: Config::new() };
        let topic = |name: &str, partitions, exact_partitions| TopicSpec {
            name: name.to_owned(),
            partitions,
            replication_factor: 1,
            exact_partitions,
        };
        Self {
            worker_id: "127.0.0.1:8083".to_owned(),
            key_converter: converter("org.apache.kafka.connect.json.JsonConverter"),
            value_converter: converter("org.apache.kafka.connect.json.JsonConverter"),
            header_converter: converter("org.apache.kafka.connect.storage.SimpleHeaderConverter"),
            times: TaskTimes::default(),
            call_timeout: Duration::from_secs(30),
            graceful_timeout: Duration::from_secs(5),
            config_topic: topic("connect-configs", 1, true),
            offset_topic: topic("connect-offsets", 25, false),
            status_topic: topic("connect-status", 5, false),
            policy: Policy {
                client_override: "All".to_owned(),
                topic_creation: true,
                worker_group: "levada-connect".to_owned(),
            },
            providers: Providers::none(),
            restart: RestartPolicy::Retry { initial: Duration::from_secs(5), max: Duration::from_secs(300) },
            topic_tracking: true,
        }
    }
}

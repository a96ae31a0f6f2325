//! Every path with its methods: shared by the router and by what describes the interface.

/// `GET`.
pub const ROOT: &str = "/";
/// The worker's health (KIP-1017).
pub const HEALTH: &str = "/health";
/// Whether the process is alive.
pub const HEALTH_LIVE: &str = "/health/live";
/// Whether the worker takes requests.
pub const HEALTH_READY: &str = "/health/ready";
/// Metrics in Prometheus' text format.
pub const METRICS: &str = "/metrics";
/// All connectors.
pub const CONNECTORS: &str = "/connectors";
/// One connector.
pub const CONNECTOR: &str = "/connectors/{connector}";
/// Its configuration.
pub const CONFIG: &str = "/connectors/{connector}/config";
/// Its status.
pub const STATUS: &str = "/connectors/{connector}/status";
/// Its tasks.
pub const TASKS: &str = "/connectors/{connector}/tasks";
/// One task's status.
pub const TASK_STATUS: &str = "/connectors/{connector}/tasks/{task}/status";
/// Restarts one task.
pub const TASK_RESTART: &str = "/connectors/{connector}/tasks/{task}/restart";
/// Topics it has used (KIP-558).
pub const TOPICS: &str = "/connectors/{connector}/topics";
/// Forgets them.
pub const TOPICS_RESET: &str = "/connectors/{connector}/topics/reset";
/// Restarts it (KIP-745).
pub const RESTART: &str = "/connectors/{connector}/restart";
/// Pauses it.
pub const PAUSE: &str = "/connectors/{connector}/pause";
/// Resumes it.
pub const RESUME: &str = "/connectors/{connector}/resume";
/// Stops it (KIP-875).
pub const STOP: &str = "/connectors/{connector}/stop";
/// Its offsets (KIP-875).
pub const OFFSETS: &str = "/connectors/{connector}/offsets";
/// All plugins (KIP-769).
pub const PLUGINS: &str = "/connector-plugins";
/// A plugin's keys.
pub const PLUGIN_CONFIG: &str = "/connector-plugins/{plugin}/config";
/// Checks a configuration (KIP-26).
pub const PLUGIN_VALIDATE: &str = "/connector-plugins/{plugin}/config/validate";
/// All loggers (KIP-495).
pub const LOGGERS: &str = "/admin/loggers";
/// One logger.
pub const LOGGER: &str = "/admin/loggers/{logger}";
/// This list.
pub const V1_ROUTES: &str = "/v1/routes";
/// Plugins with their origin, and files that gave none.
pub const V1_PLUGINS: &str = "/v1/plugins";
/// Checks a configuration, with what is no error.
pub const V1_VALIDATE: &str = "/v1/connector-plugins/{plugin}/config/validate";
/// All connectors with their derived health.
pub const V1_CONNECTORS: &str = "/v1/connectors";
/// A connector's derived health.
pub const V1_HEALTH: &str = "/v1/connectors/{connector}/health";
/// What a check of a connector's configuration finds now.
pub const V1_FINDINGS: &str = "/v1/connectors/{connector}/findings";
/// How far a connector's tasks have come.
pub const V1_PROGRESS: &str = "/v1/connectors/{connector}/progress";
/// What happened to a connector.
pub const V1_EVENTS: &str = "/v1/connectors/{connector}/events";
/// Has a running source read tables anew.
pub const V1_SNAPSHOT: &str = "/v1/connectors/{connector}/snapshot";
/// Pauses, resumes or stops that.
pub const V1_SNAPSHOT_ACTION: &str = "/v1/connectors/{connector}/snapshot/{action}";

/// All paths with the methods they answer.
pub const ROUTES: &[(&str, &[&str])] = &[
    (ROOT, &["GET"]),
    (HEALTH, &["GET"]),
    (HEALTH_LIVE, &["GET"]),
    (HEALTH_READY, &["GET"]),
    (METRICS, &["GET"]),
    (CONNECTORS, &["GET", "POST"]),
    (CONNECTOR, &["GET", "DELETE"]),
    (CONFIG, &["GET", "PUT", "PATCH"]),
    (STATUS, &["GET"]),
    (TASKS, &["GET"]),
    (TASK_STATUS, &["GET"]),
    (TASK_RESTART, &["POST"]),
    (TOPICS, &["GET"]),
    (TOPICS_RESET, &["PUT"]),
    (RESTART, &["POST"]),
    (PAUSE, &["PUT"]),
    (RESUME, &["PUT"]),
    (STOP, &["PUT"]),
    (OFFSETS, &["GET", "PATCH", "DELETE"]),
    (PLUGINS, &["GET"]),
    (PLUGIN_CONFIG, &["GET"]),
    (PLUGIN_VALIDATE, &["PUT"]),
    (LOGGERS, &["GET"]),
    (LOGGER, &["GET", "PUT"]),
    (V1_ROUTES, &["GET"]),
    (V1_PLUGINS, &["GET"]),
    (V1_VALIDATE, &["PUT"]),
    (V1_CONNECTORS, &["GET"]),
    (V1_HEALTH, &["GET"]),
    (V1_FINDINGS, &["GET"]),
    (V1_PROGRESS, &["GET"]),
    (V1_EVENTS, &["GET"]),
    (V1_SNAPSHOT, &["POST"]),
    (V1_SNAPSHOT_ACTION, &["POST"]),
];

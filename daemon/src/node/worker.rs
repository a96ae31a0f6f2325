//! From `[worker]` to the worker's options.

use super::NodeError;
use crate::{
    config::{Settings, Table},
    connect::{
        config_provider::{Providers, SystemReader},
        converter,
        store::TopicSpec,
        task::TaskTimes,
        validate::{Converters, Policy},
        worker::{ConverterDefaults, RestartPolicy, WorkerOptions},
    },
};
use levada_connector_api::{
    Config, ConfigDef,
    config::{Check, Importance, Key, Type},
};
use std::collections::BTreeSet;

use levada_env::Env;
use std::sync::Arc;

const WORKER: Table = Table::Worker;

/// The worker's options; `worker_id` is the advertised REST address.
pub(super) fn options(settings: &Settings, worker_id: String, providers: Providers) -> WorkerOptions {
    WorkerOptions {
        worker_id,
        providers,
        key_converter: converter_defaults(settings, "key.converter"),
        value_converter: converter_defaults(settings, "value.converter"),
        header_converter: converter_defaults(settings, "header.converter"),
        times: TaskTimes {
            offset_flush_interval: settings.millis(WORKER, "offset.flush.interval.ms"),
            offset_flush_timeout: settings.millis(WORKER, "offset.flush.timeout.ms"),
            call_timeout: settings.millis(WORKER, "task.call.timeout.ms"),
            ..TaskTimes::default()
        },
        call_timeout: settings.millis(WORKER, "plugin.call.timeout.ms"),
        graceful_timeout: settings.millis(WORKER, "task.shutdown.graceful.timeout.ms"),
        config_topic: topic(settings, "config", 1, true),
        offset_topic: topic(settings, "offset", partitions(settings, "offset"), false),
        status_topic: topic(settings, "status", partitions(settings, "status"), false),
        policy: Policy {
            client_override: settings.text(WORKER, "connector.client.config.override.policy").to_owned(),
            topic_creation: settings.boolean(WORKER, "topic.creation.enable"),
            worker_group: settings.text(WORKER, "group.id").to_owned(),
        },
        restart: restart_policy(settings),
        topic_tracking: settings.boolean(WORKER, "topic.tracking.enable"),
    }
}

/// The worker's config providers, over this node's environment and disk.
pub(super) fn providers(env: &Env, settings: &Settings) -> Result<Providers, NodeError> {
    let below = settings.below(WORKER, "config.providers.").into_iter();
    let mut config: Config = below.map(|(key, value)| (format!("config.providers.{key}"), value)).collect();
    config.insert("config.providers".to_owned(), settings.list(WORKER, "config.providers").join(","));
    let reader = Arc::new(SystemReader(env.disk.clone()));
    Providers::from_worker(&config, reader).map_err(|error| NodeError::Config(format!("worker.{error}")))
}

fn converter_defaults(settings: &Settings, key: &str) -> ConverterDefaults {
    let config = settings.below(WORKER, &format!("{key}.")).into_iter().collect();
    ConverterDefaults { class: settings.text(WORKER, key).to_owned(), config }
}

fn partitions(settings: &Settings, store: &str) -> i32 {
    let partitions = settings.integer(WORKER, &format!("{store}.storage.partitions"));
    i32::try_from(partitions).unwrap_or(1).max(1)
}

/// The topics in which the worker keeps its state.
pub(super) fn topics(settings: &Settings) -> BTreeSet<String> {
    ["config", "offset", "status"].map(|store| topic_name(settings, store)).into()
}

fn topic_name(settings: &Settings, store: &str) -> String {
    settings.text(WORKER, &format!("{store}.storage.topic")).to_owned()
}

fn topic(settings: &Settings, store: &str, partitions: i32, exact_partitions: bool) -> TopicSpec {
    let factor = settings.integer(WORKER, &format!("{store}.storage.replication.factor"));
    TopicSpec {
        name: topic_name(settings, store),
        partitions,
        replication_factor: i16::try_from(factor).unwrap_or(1),
        exact_partitions,
    }
}

fn restart_policy(settings: &Settings) -> RestartPolicy {
    if settings.text(WORKER, "restart.policy") == "none" {
        return RestartPolicy::Never;
    }
    let initial = settings.millis(WORKER, "restart.backoff.initial.ms");
    RestartPolicy::Retry { initial, max: settings.millis(WORKER, "restart.backoff.max.ms").max(initial) }
}

/// Headers for every REST answer, from `response.http.headers.config` and `access.control.*`.
pub(super) fn headers(settings: &Settings) -> Result<Vec<(String, String)>, NodeError> {
    let mut headers = Vec::new();
    for rule in settings.list(WORKER, "response.http.headers.config") {
        let parsed = rule.split_once(' ').and_then(|(action, header)| {
            let (name, value) = header.split_once(':')?;
            let known = ["add", "set"].iter().any(|known| action.eq_ignore_ascii_case(known));
            known.then(|| (name.trim().to_owned(), value.trim().to_owned()))
        });
        headers.push(parsed.ok_or_else(|| {
            NodeError::Config(format!(
                "worker.response.http.headers.config = `{rule}` must be a list of `add NAME: VALUE` or `set NAME: VALUE`"
            ))
        })?);
    }
    for (key, name) in [
        ("access.control.allow.origin", "access-control-allow-origin"),
        ("access.control.allow.methods", "access-control-allow-methods"),
    ] {
        headers.extend(settings.get(WORKER, key).map(|value| (name.to_owned(), value.to_owned())));
    }
    Ok(headers)
}

/// The converters that are compiled in.
pub(super) struct ConverterCatalog;

impl Converters for ConverterCatalog {
    fn converter(&self, class: &str) -> Option<ConfigDef> {
        let known = converter::converters().into_iter().filter(|info| info.converter);
        known.map(|info| info.class).find(|known| names(class, known)).map(definition)
    }

    fn header_converter(&self, class: &str) -> Option<ConfigDef> {
        let known = converter::converters().into_iter().filter(|info| info.header_converter);
        known.map(|info| info.class).find(|known| names(class, known)).map(definition)
    }

    fn list(&self) -> Vec<(String, &'static str)> {
        let all = converter::converters();
        let of = |class: &str, kind| (class.to_owned(), kind);
        let converters = all.iter().filter(|info| info.converter).map(|info| of(info.class, "converter"));
        let headers = all.iter().filter(|info| info.header_converter).map(|info| of(info.class, "header_converter"));
        converters.chain(headers).collect()
    }
}

fn names(name: &str, class: &str) -> bool {
    let simple = class.rsplit('.').next().unwrap_or(class);
    name == class || name == simple
}

/// The keys of a converter.
fn definition(class: &str) -> ConfigDef {
    let key = |name: &str, kind, default: &str, check, doc: &str| Key {
        default: Some(default.to_owned()),
        check,
        ..Key::new(name, kind, Importance::Low, doc)
    };
    let keys = if class.ends_with(".JsonConverter") {
        let formats = Check::OneOf(vec!["BASE64".to_owned(), "NUMERIC".to_owned()]);
        vec![
            key("schemas.enable", Type::Boolean, "true", Check::Any, "Whether values travel with their schema."),
            key("schemas.cache.size", Type::Int, "1000", Check::Any, "Schemas kept in memory."),
            key("decimal.format", Type::String, "BASE64", formats, "How decimals are written."),
            key("replace.null.with.default", Type::Boolean, "true", Check::Any, "Whether null becomes the default."),
        ]
    } else if class.ends_with(".StringConverter") {
        let check = Check::Custom(known_encoding);
        vec![key("converter.encoding", Type::String, "UTF-8", check, "Character encoding of the bytes.")]
    } else {
        Vec::new()
    };
    ConfigDef { keys, ..ConfigDef::default() }
}

fn known_encoding(encoding: &str) -> Result<(), String> {
    let config: Config = [("converter.encoding".to_owned(), encoding.to_owned())].into();
    let class = "org.apache.kafka.connect.storage.StringConverter";
    converter::create(class, false, &config).map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converters_are_known_by_full_and_simple_name_with_their_keys() {
        let keys = |class: &str| {
            let def = ConverterCatalog.converter(class);
            def.map(|def| def.keys.into_iter().map(|key| key.name).collect::<Vec<_>>())
        };
        assert!(keys("org.apache.kafka.connect.json.JsonConverter").unwrap().contains(&"schemas.enable".to_owned()));
        assert_eq!(keys("StringConverter").unwrap(), ["converter.encoding"]);
        assert_eq!(keys("io.confluent.connect.avro.AvroConverter"), None);
        assert_eq!(keys("SimpleHeaderConverter"), None);
        assert!(ConverterCatalog.header_converter("SimpleHeaderConverter").is_some());
        assert!(known_encoding("ISO-8859-1").is_ok() && known_encoding("KLINGON").is_err());
    }

    #[test]
    fn the_state_topics_are_those_of_the_configuration() {
        let mut settings = Settings::default();
        for (key, name) in [("config", "a"), ("offset", "b"), ("status", "c")] {
            settings = settings.with(WORKER, &format!("{key}.storage.topic"), name);
        }
        assert_eq!(topics(&settings).into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn response_headers_are_read() {
        let mut settings = Settings::default();
        assert_eq!(headers(&settings), Ok(Vec::new()));
        settings = settings.with(WORKER, "response.http.headers.config", "add X-A: b, set C: d");
        let pairs = headers(&settings).unwrap();
        assert_eq!(pairs, [("X-A".to_owned(), "b".to_owned()), ("C".to_owned(), "d".to_owned())]);
        settings = settings.with(WORKER, "response.http.headers.config", "nonsense");
        assert!(matches!(headers(&settings), Err(NodeError::Config(_))));
    }
}

//! Rules over several keys, and the keys that are known but have no effect yet.

use levada_connector_api::{Config, config::KeyError};

/// A key that is set to something that has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// Key.
    pub key: &'static str,
    /// What follows from that.
    pub reason: &'static str,
    /// Whether ignoring it would change data, so that the configuration is refused.
    pub refused: bool,
}

/// Keys, the values that are fine (the default is among them), whether others are refused, and why.
const LIMITS: &[(&str, &[&str], bool, &str)] = &[
    ("converters", &[""], true, "custom converters are Java classes and are not run"),
    (
        "snapshot.mode",
        &["initial", "initial_only", "no_data", "never", "always", "when_needed", "configuration_based"],
        true,
        "a custom snapshotter is a Java class and is not run",
    ),
    ("snapshot.locking.mode", &["none", "shared"], true, "a custom lock is a Java class and is not run"),
    (
        "topic.naming.strategy",
        &["io.debezium.schema.SchemaTopicNamingStrategy", "io.debezium.schema.DefaultTopicNamingStrategy"],
        true,
        "only io.debezium.schema.SchemaTopicNamingStrategy is known; the RegexRouter transform renames topics",
    ),
    ("database.sslpassword", &[""], true, "encrypted client keys are not read yet; decrypt the key file"),
    ("signal.kafka.bootstrap.servers", &[""], false, "the signal topic is read from the worker's own broker"),
    ("notification.enabled.channels", &[""], false, "notifications do not exist yet"),
    ("custom.metric.tags", &[""], false, "it has no effect"),
    ("database.sslfactory", &[""], false, "it is a Java class; database.sslmode and database.sslrootcert decide"),
    (
        "retriable.restart.connector.wait.ms",
        &["10000"],
        false,
        "the worker tries again after 300 ms, then after twice as long each time, up to errors.retry.delay.max.ms or else 10 s",
    ),
    ("plugin.name", &["pgoutput"], false, "pgoutput is used, which every server has"),
];

/// What of `config` has no effect.
pub fn unsupported(config: &Config) -> Vec<Unsupported> {
    let found = |(key, fine, refused, reason): &(&'static str, &[&str], bool, &'static str)| {
        let value = config.get(*key)?.trim();
        let wrong = !fine.iter().any(|fine| fine.eq_ignore_ascii_case(value));
        wrong.then_some(Unsupported { key, reason, refused: *refused })
    };
    LIMITS.iter().filter_map(found).collect()
}

/// Rules over several keys; told beside the errors of single keys.
pub fn check(config: &Config) -> Vec<KeyError> {
    let mut errors = Vec::new();
    for found in unsupported(config).into_iter().filter(|found| found.refused) {
        let value = config.get(found.key).map_or("", String::as_str);
        let shown = if found.key.ends_with("password") { "[hidden]" } else { value };
        errors.push(KeyError::invalid(found.key, shown, found.reason));
    }
    for what in ["schema", "table", "column", "message.prefix"] {
        let (include, exclude) = (format!("{what}.include.list"), format!("{what}.exclude.list"));
        let given = |key: &str| config.get(key).filter(|value| !value.trim().is_empty());
        if let (Some(_), Some(value)) = (given(&include), given(&exclude)) {
            errors.push(KeyError::invalid(&exclude, value, &format!("{include} is given too; use one of the two")));
        }
    }
    verify_needs_roots(config, &mut errors);
    errors.extend(super::reselect::check(config));
    if let Err(reason) = crate::filter::KeyColumns::parse(config.get("message.key.columns").map_or("", |text| text)) {
        let value = config.get("message.key.columns").map_or("", String::as_str);
        errors.push(KeyError::invalid("message.key.columns", value, &reason));
    }
    overrides_have_statements(config, &mut errors);
    errors.extend(crate::mask::check(config));
    errors
}

/// Without its statement a table of the list would be read whole.
fn overrides_have_statements(config: &Config, errors: &mut Vec<KeyError>) {
    const LIST: &str = "snapshot.select.statement.overrides";
    let list = config.get(LIST).map_or("", String::as_str);
    for table in list.split(',').map(str::trim).filter(|table| !table.is_empty()) {
        let key = format!("{LIST}.{table}");
        if config.get(&key).is_none_or(|statement| statement.trim().is_empty()) {
            errors.push(KeyError::invalid(LIST, list, &format!("{key}, the SELECT for this table, is not set")));
        }
    }
}

fn verify_needs_roots(config: &Config, errors: &mut Vec<KeyError>) {
    let Some(mode) = config.get("database.sslmode").map(|mode| mode.trim()) else { return };
    let roots = config.get("database.sslrootcert").is_some_and(|file| !file.trim().is_empty());
    if mode.starts_with("verify-") && !roots {
        let reason = "it needs database.sslrootcert, the file of the certificates to trust";
        errors.push(KeyError::invalid("database.sslmode", mode, reason));
    }
}

//! Rules over several keys, and keys that are known but have no effect.

use crate::jdbc::JdbcUrl;
use levada_connector_api::{Config, config::KeyError};

fn value<'a>(config: &'a Config, key: &str) -> &'a str {
    config.get(key).map_or("", |value| value.trim())
}

const KINDS: [&str; 5] = ["TABLE", "PARTITIONED TABLE", "VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE"];

fn common(config: &Config, query: &[&str], lists: &[&str]) -> Vec<KeyError> {
    let mut errors = Vec::new();
    let mode = value(config, "mode");
    let given = |key: &&&str| !value(config, key).is_empty();
    if let (Some(query), Some(list)) = (query.iter().find(given), lists.iter().find(given)) {
        let reason = format!("{query} is given too; a connector reads tables or a query");
        errors.push(KeyError::invalid(list, value(config, list), &reason));
    }
    if given(&&"table.whitelist") && given(&&"table.blacklist") {
        let reason = "table.whitelist is given too; use one of the two";
        errors.push(KeyError::invalid("table.blacklist", value(config, "table.blacklist"), reason));
    }
    if mode.starts_with("timestamp") && !given(&&"timestamp.column.name") && !given(&&"timestamp.columns.mapping") {
        let message = format!("timestamp.column.name is not set; mode={mode} needs it");
        errors.push(KeyError { key: "timestamp.column.name".to_owned(), message });
    }
    let kinds = value(config, "table.types");
    for kind in kinds.split(',').map(str::trim).filter(|kind| !kind.is_empty()) {
        if !KINDS.contains(&kind.to_ascii_uppercase().as_str()) {
            let reason = format!("{kind} is not one of: {}", KINDS.join(", "));
            errors.push(KeyError::invalid("table.types", kinds, &reason));
        }
    }
    let url = JdbcUrl::parse(value(config, "connection.url"));
    if !given(&&"connection.user") && url.is_ok_and(|url| url.get("user").is_none_or(str::is_empty)) {
        let message = "connection.user is not set, and connection.url has no user".to_owned();
        errors.push(KeyError { key: "connection.user".to_owned(), message });
    }
    errors
}

/// Of Confluent's keys.
pub fn confluent(config: &Config) -> Vec<KeyError> {
    let lists = ["table.whitelist", "table.blacklist", "table.include.list", "table.exclude.list"];
    let mut errors = common(config, &["query", "query.masked"], &lists);
    let given = |key: &str| !value(config, key).is_empty();
    let refuse = |key: &str, reason: &str| KeyError::invalid(key, value(config, key), reason);
    if given("query") && given("query.masked") {
        errors.push(KeyError {
            key: "query".to_owned(),
            message: "query and query.masked are both set; keep one of them".to_owned(),
        });
    }
    for old in ["table.whitelist", "table.blacklist"].into_iter().filter(|old| given(old)) {
        if given("table.include.list") || given("table.exclude.list") {
            errors.push(refuse(old, "table.include.list or table.exclude.list is given too; use names or patterns"));
        }
    }
    let suffix = value(config, "query.suffix").to_ascii_uppercase();
    let cuts = suffix.split_whitespace().any(|word| word == "LIMIT" || word == "FETCH");
    if cuts && value(config, "mode") == "timestamp" {
        let reason = "it may cut rows of one timestamp apart, and the rest would be missed; batch.max.rows bounds \
                      batches, or use mode=timestamp+incrementing";
        errors.push(refuse("query.suffix", reason));
    }
    if given("table.exclude.list") && !given("table.include.list") {
        errors.push(refuse("table.exclude.list", "it only takes away from table.include.list; set that to .* for all"));
    }
    for (names, mapping) in [
        ("timestamp.column.name", "timestamp.columns.mapping"),
        ("incrementing.column.name", "incrementing.column.mapping"),
    ] {
        if given(names) && given(mapping) {
            errors.push(refuse(mapping, &format!("{names} is given too; use one of the two")));
        }
        if given(mapping) && (given("query") || given("query.masked")) {
            errors.push(refuse(mapping, &format!("a query is no table; use {names}")));
        }
    }
    errors
}

/// Of Aiven's keys.
pub fn aiven(config: &Config) -> Vec<KeyError> {
    common(config, &["query"], &["table.whitelist", "table.blacklist"])
}

/// Keys, the values that are fine, and what follows from others.
const LIMITS: &[(&str, &[&str], &str)] = &[
    ("catalog.pattern", &[""], "a connection sees one database, that of connection.url"),
    ("query.retry.attempts", &["-1"], "what passes is tried again, what does not fails the task"),
    ("max.buffer.size", &["0"], "at most two batches wait"),
    ("jdbc.credentials.provider.class", &[""], "it is a Java class and is not run"),
];

/// What of `config` has no effect, told at the start of a task: keys and reasons.
pub fn without_effect(config: &Config) -> Vec<(String, &'static str)> {
    let limited = LIMITS.iter().filter(|(key, fine, _)| !fine.contains(&value(config, key)));
    let mut found: Vec<_> = limited
        .filter(|(key, ..)| config.contains_key(*key))
        .map(|(key, _, reason)| ((*key).to_owned(), *reason))
        .collect();
    if let Ok(url) = JdbcUrl::parse(value(config, "connection.url")) {
        let reason = "this parameter of the URL is the Java driver's and has no effect";
        found.extend(url.without_effect().into_iter().map(|name| (format!("connection.url: {name}"), reason)));
    }
    found
}

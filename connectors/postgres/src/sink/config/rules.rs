//! Rules over several keys, and keys that are known but have no effect.

use super::{AivenConfig, ConfluentConfig, DebeziumConfig, Dialect, JdbcUrl};
use crate::sink::naming::unknown_variable;
use levada_connector_api::{Config, ConnectorConfig, config::KeyError};

/// A key that is set to something without effect, and what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// Key.
    pub key: String,
    /// What follows from that.
    pub reason: &'static str,
}

/// Keys, the values that are fine, whether others are refused, and why.
type Limit = (&'static str, &'static [&'static str], bool, &'static str);

const VARIABLES: &str =
    "${topic}, ${source.db}, ${source.schema}, ${source.table} and other texts of the record's source block";

const ONE_CONNECTION: &str = "a task has one connection";
const WHOLE: &str = "a batch is written as it comes, whole, by the fastest way";
const NAMING: &str = "it is a Java class and is not run; the RegexRouter and ReplaceField transforms rename";
const LIMITS: &[Limit] = &[
    ("connection.pool.min_size", &["5"], false, ONE_CONNECTION),
    ("connection.pool.max_size", &["32"], false, ONE_CONNECTION),
    ("connection.pool.acquire_increment", &["32"], false, ONE_CONNECTION),
    ("connection.pool.timeout", &["1800"], false, ONE_CONNECTION),
    ("batch.size", &["500", "3000"], false, WHOLE),
    ("dialect.postgres.postgis.schema", &["public"], false, "PostGIS' types are found wherever they are"),
    ("column.naming.strategy", &["", "io.debezium.connector.jdbc.naming.DefaultColumnNamingStrategy"], true, NAMING),
    (
        "collection.naming.strategy",
        &[
            "",
            "io.debezium.connector.jdbc.naming.DefaultCollectionNamingStrategy",
            "io.debezium.sink.naming.DefaultCollectionNamingStrategy",
        ],
        true,
        NAMING,
    ),
    ("table.naming.strategy", &["", "io.debezium.connector.jdbc.naming.DefaultTableNamingStrategy"], true, NAMING),
    ("date.calendar.system", &["PROLEPTIC_GREGORIAN", "LEGACY"], false, "dates are those of the proleptic calendar"),
];

fn limited(dialect: Dialect, config: &Config, refused: bool) -> impl Iterator<Item = (&'static str, &'static str)> {
    let known = dialect.config_def();
    let config = config.clone();
    LIMITS.iter().filter(move |limit| limit.2 == refused).filter_map(move |(key, fine, _, reason)| {
        let value = config.get(*key)?.trim();
        let wrong = !fine.iter().any(|fine| fine.eq_ignore_ascii_case(value));
        (wrong && (refused || known.key(key).is_some())).then_some((*key, *reason))
    })
}

/// What of `config` has no effect, told at the start of a task.
pub fn ignored(dialect: Dialect, config: &Config) -> Vec<Ignored> {
    let mut found: Vec<_> =
        limited(dialect, config, false).map(|(key, reason)| Ignored { key: key.to_owned(), reason }).collect();
    if let Some(Ok(url)) = config.get("connection.url").map(|url| JdbcUrl::parse(url)) {
        let reason = "this parameter of the URL is the Java driver's and has no effect";
        let ignored = url.without_effect().into_iter();
        found.extend(ignored.map(|name| Ignored { key: format!("connection.url: {name}"), reason }));
    }
    let zone = config.get("db.timezone").map_or("UTC", |zone| zone.trim());
    let dates = config.get("date.timezone").map_or("DB_TIMEZONE", |zone| zone.trim());
    if dialect == Dialect::Confluent && !zone.eq_ignore_ascii_case("UTC") && dates == "DB_TIMEZONE" {
        let reason = "dates and times of day are never shifted by db.timezone, as with UTC";
        found.push(Ignored { key: "date.timezone".to_owned(), reason });
    }
    found
}

fn shown<'a>(config: &'a Config, key: &str, default: &'a str) -> &'a str {
    config.get(key).map_or(default, |value| value.trim())
}

fn common(config: &Config, dialect: Dialect) -> Vec<KeyError> {
    let names = dialect.key_names();
    let mut errors: Vec<_> = limited(dialect, config, true)
        .map(|(key, reason)| KeyError::invalid(key, shown(config, key, ""), reason))
        .collect();
    for key in ["collection.name.format", "table.name.format"] {
        let format = shown(config, key, "");
        if dialect.config_def().key(key).is_some()
            && let Some(unknown) = unknown_variable(format)
        {
            let reason = format!("{unknown} stands for nothing; known are {VARIABLES}");
            errors.push(KeyError::invalid(key, format, &reason));
        }
    }
    let pk_mode = shown(config, names.pk_mode, "none");
    let insert_mode = shown(config, "insert.mode", "insert").to_ascii_lowercase();
    let fields: Vec<_> =
        shown(config, names.pk_fields, "").split(',').filter(|field| !field.trim().is_empty()).collect();
    if pk_mode == "none" && matches!(insert_mode.as_str(), "upsert" | "update") {
        let reason = format!("it needs key columns; set {} to record_key, record_value or kafka", names.pk_mode);
        errors.push(KeyError::invalid("insert.mode", &insert_mode, &reason));
    }
    if shown(config, "delete.enabled", "false").eq_ignore_ascii_case("true") && pk_mode != "record_key" {
        let reason = format!("rows are deleted by the record's key; set {} to record_key", names.pk_mode);
        errors.push(KeyError::invalid("delete.enabled", "true", &reason));
    }
    if pk_mode == "kafka" && !fields.is_empty() && fields.len() != 3 {
        let reason = "with kafka it names three columns, of topic, partition and offset, or none";
        errors.push(KeyError::invalid(names.pk_fields, &fields.join(","), reason));
    }
    errors
}

/// Of Confluent's keys.
pub fn confluent(config: &Config) -> Vec<KeyError> {
    common(config, Dialect::Confluent)
}

/// Of Aiven's keys.
pub fn aiven(config: &Config) -> Vec<KeyError> {
    let mut errors = common(config, Dialect::Aiven);
    let mapping = shown(config, "topics.to.tables.mapping", "");
    let pairs = mapping.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    for pair in pairs {
        if pair.split_once(':').is_none_or(|(topic, table)| topic.is_empty() || table.is_empty()) {
            let reason = format!("{pair:?} is not topic:table");
            errors.push(KeyError::invalid("topics.to.tables.mapping", mapping, &reason));
        }
    }
    errors
}

/// Of Debezium's keys.
pub fn debezium(config: &Config) -> Vec<KeyError> {
    let mut errors = common(config, Dialect::Debezium);
    if !shown(config, "field.include.list", "").is_empty() && !shown(config, "field.exclude.list", "").is_empty() {
        let value = shown(config, "field.exclude.list", "");
        errors.push(KeyError::invalid(
            "field.exclude.list",
            value,
            "field.include.list is given too; use one of the two",
        ));
    }
    errors
}

impl Dialect {
    /// The keys.
    pub fn config_def(self) -> levada_connector_api::ConfigDef {
        match self {
            Self::Debezium => DebeziumConfig::config_def(),
            Self::Confluent => ConfluentConfig::config_def(),
            Self::Aiven => AivenConfig::config_def(),
        }
    }
}

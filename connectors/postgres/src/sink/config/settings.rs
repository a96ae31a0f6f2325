//! What a task works by, whatever dialect its keys are in.

use super::{
    AivenConfig, ConfluentConfig, DebeziumConfig, JdbcUrl, NestedValues, OwnConfig,
    jdbc::{JdbcConnection, JdbcRows},
    own::ExactlyOnceMode,
};
use crate::{config::ConnectionConfig, jdbc, net::Login, sink::naming::Naming};
use levada_connector_api::{Config, ConnectorConfig, ConnectorError, Result, config::Secret};
use std::time::Duration;

/// Whose keys a configuration has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Debezium's JDBC sink.
    Debezium,
    /// Confluent's.
    Confluent,
    /// Aiven's.
    Aiven,
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertMode {
    /// As new rows.
    Insert,
    /// As new rows, or over those of the same key.
    Upsert,
    /// Over rows of the same key only.
    Update,
}

/// Where key columns come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PkMode {
    /// There are none.
    None,
    /// Topic, partition, offset.
    Kafka,
    /// The record's key.
    RecordKey,
    /// The record's value.
    RecordValue,
    /// The record's headers.
    RecordHeader,
}

/// Names of keys, for error texts.
#[derive(Clone, Copy, Debug)]
pub struct KeyNames {
    /// Where key columns come from.
    pub pk_mode: &'static str,
    /// Which they are.
    pub pk_fields: &'static str,
    /// What makes tables.
    pub create: &'static str,
    /// What adds columns.
    pub evolve: &'static str,
    /// What names tables.
    pub table: &'static str,
    /// How often is tried again.
    pub max_retries: &'static str,
}

/// Which fields of a value are written.
#[derive(Clone, Debug, Default)]
pub struct FieldFilter {
    include: Vec<String>,
    exclude: Vec<String>,
}

impl FieldFilter {
    /// Of two lists of `field` or `topic:field`.
    pub fn new(include: Vec<String>, exclude: Vec<String>) -> Self {
        Self { include, exclude }
    }

    /// Whether a field of a topic is written.
    pub fn takes(&self, topic: &str, field: &str) -> bool {
        let named = |entry: &String| {
            entry == field || entry.strip_prefix(topic).and_then(|rest| rest.strip_prefix(':')) == Some(field)
        };
        (self.include.is_empty() || self.include.iter().any(named)) && !self.exclude.iter().any(named)
    }
}

/// What a task works by.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whose keys.
    pub dialect: Dialect,
    /// Names of keys, for error texts.
    pub keys: KeyNames,
    /// Where the server is.
    pub connection: ConnectionConfig,
    /// The URL, for its parameters.
    pub url: JdbcUrl,
    /// Who connects.
    pub login: Login,
    /// How often a connection is tried, and the time between.
    pub attempts: (u32, Duration),
    /// How rows are written.
    pub insert_mode: InsertMode,
    /// Where key columns come from.
    pub pk_mode: PkMode,
    /// Which they are; empty is all.
    pub pk_fields: Vec<String>,
    /// Whether deletions delete.
    pub delete: bool,
    /// Whether truncations truncate.
    pub truncate: bool,
    /// Make tables.
    pub create: bool,
    /// Add columns.
    pub evolve: bool,
    /// Names of tables.
    pub naming: Naming,
    /// Names in lower case.
    pub fold: bool,
    /// Which fields are written.
    pub fields: FieldFilter,
    /// Zone of the session.
    pub zone: String,
    /// Whether the zone is UTC, so that nothing is shifted.
    pub utc: bool,
    /// Column of values that are texts.
    pub text_column: Option<String>,
    /// Fields that are timestamps whatever their schema says.
    pub timestamps: Vec<String>,
    /// Whether these are counted in nanoseconds instead of microseconds.
    pub timestamp_nanos: bool,
    /// Nulls become defaults.
    pub replace_null: bool,
    /// Most failures in a row.
    pub max_retries: u32,
    /// Time between tries.
    pub retry_backoff: Duration,
    /// The table of offsets, with `exactly.once.mode=transaction`.
    pub offsets_table: Option<String>,
    /// What stands for a value that was not sent.
    pub placeholder: String,
    /// Maps and structs become `jsonb`.
    pub nested: bool,
    /// Deferrable constraints are checked at the end.
    pub defer: bool,
}

/// Settings of all dialects that come from keys of other names.
struct Given {
    url: String,
    user: Option<String>,
    password: Option<Secret>,
    insert_mode: String,
    pk_mode: String,
    pk_fields: Vec<String>,
    zone: String,
    max_retries: i32,
    retry_backoff: Duration,
    own: OwnConfig,
}

const JDBC: KeyNames = KeyNames {
    pk_mode: "pk.mode",
    pk_fields: "pk.fields",
    create: "auto.create",
    evolve: "auto.evolve",
    table: "table.name.format",
    max_retries: "max.retries",
};
const DEBEZIUM: KeyNames = KeyNames {
    pk_mode: "primary.key.mode",
    pk_fields: "primary.key.fields",
    create: "schema.evolution",
    evolve: "schema.evolution",
    table: "collection.name.format",
    max_retries: "flush.max.retries",
};

impl Dialect {
    /// How its keys are called.
    pub fn key_names(self) -> KeyNames {
        match self {
            Self::Debezium => DEBEZIUM,
            Self::Confluent | Self::Aiven => JDBC,
        }
    }
}

/// Longest time for a batch: a server that says nothing for so long is taken for gone.
const MAX_BATCH_TIME: Duration = Duration::from_secs(240);

impl Settings {
    /// Longest time for a batch.
    pub fn batch_limit(&self) -> Duration {
        let seconds = self.url.get("socketTimeout").and_then(|text| text.parse().ok()).filter(|time| *time > 0);
        seconds.map_or(MAX_BATCH_TIME, Duration::from_secs)
    }

    /// Of a configuration in `dialect`.
    pub fn read(dialect: Dialect, config: &Config) -> Result<Self> {
        match dialect {
            Dialect::Debezium => Self::debezium(DebeziumConfig::parse(config)?),
            Dialect::Confluent => Self::confluent(ConfluentConfig::parse(config)?),
            Dialect::Aiven => Self::aiven(AivenConfig::parse(config)?),
        }
    }

    fn debezium(config: DebeziumConfig) -> Result<Self> {
        let given = Given {
            url: config.url,
            user: config.user,
            password: config.password,
            insert_mode: config.insert_mode,
            pk_mode: config.pk_mode,
            pk_fields: config.pk_fields.unwrap_or_default(),
            zone: config.zone,
            max_retries: config.max_retries,
            retry_backoff: config.retry_backoff,
            own: config.own,
        };
        let mut settings = Self::common(Dialect::Debezium, given)?;
        let format = config.table_format_before.filter(|_| config.table_format == "${topic}");
        settings.naming = Naming::debezium(format.unwrap_or(config.table_format));
        settings.delete = config.delete;
        settings.truncate = config.truncate;
        (settings.create, settings.evolve) = (config.schema_evolution == "basic", config.schema_evolution == "basic");
        settings.fold = !config.quote;
        settings.fields =
            FieldFilter::new(config.fields_include.unwrap_or_default(), config.fields_exclude.unwrap_or_default());
        Ok(settings)
    }

    fn confluent(config: ConfluentConfig) -> Result<Self> {
        let mut settings =
            Self::jdbc(Dialect::Confluent, config.connection, config.insert_mode, &config.rows, config.own)?;
        settings.attempts = (config.attempts.max(1).unsigned_abs(), config.attempts_backoff);
        settings.naming = Naming::jdbc(config.rows.table_format, Vec::new(), false);
        settings.fold = config.quote.eq_ignore_ascii_case("never");
        settings.text_column = Some(config.text_column).filter(|name| !name.is_empty());
        settings.replace_null = config.replace_null;
        settings.timestamps = config.timestamp_fields;
        settings.timestamp_nanos = config.timestamp_precision == "nanoseconds";
        Ok(settings)
    }

    fn aiven(config: AivenConfig) -> Result<Self> {
        let mut settings = Self::jdbc(Dialect::Aiven, config.connection, config.insert_mode, &config.rows, config.own)?;
        let pair = |pair: &String| pair.split_once(':').map(|(topic, table)| (topic.to_owned(), table.to_owned()));
        let mapping = config.mapping.unwrap_or_default().iter().filter_map(pair).collect();
        settings.naming = Naming::jdbc(config.rows.table_format, mapping, config.normalize);
        settings.fold = !config.quote;
        Ok(settings)
    }

    /// Of the keys that Confluent and Aiven have both.
    fn jdbc(
        dialect: Dialect,
        connection: JdbcConnection,
        insert_mode: String,
        rows: &JdbcRows,
        own: OwnConfig,
    ) -> Result<Self> {
        let given = Given {
            url: connection.url,
            user: connection.user,
            password: connection.password,
            insert_mode,
            pk_mode: rows.pk_mode.clone(),
            pk_fields: rows.pk_fields.clone(),
            zone: rows.zone.clone(),
            max_retries: rows.max_retries,
            retry_backoff: rows.retry_backoff,
            own,
        };
        let mut settings = Self::common(dialect, given)?;
        settings.delete = rows.delete;
        (settings.create, settings.evolve) = (rows.create, rows.evolve);
        settings.fields = FieldFilter::new(rows.fields_whitelist.clone(), Vec::new());
        Ok(settings)
    }

    fn common(dialect: Dialect, given: Given) -> Result<Self> {
        let wrong = |reason: String| ConnectorError::config(format!("connection.url: {reason}"));
        let url = JdbcUrl::parse(&given.url).map_err(wrong)?;
        let (connection, login) = jdbc::connection(&url, given.user.as_deref(), given.password, Duration::ZERO)
            .ok_or_else(|| wrong("no user is given; set connection.user".to_owned()))?;
        let exactly_once = given.own.exactly_once == ExactlyOnceMode::Transaction;
        Ok(Self {
            dialect,
            keys: dialect.key_names(),
            connection,
            url,
            login,
            attempts: (1, Duration::ZERO),
            insert_mode: match given.insert_mode.to_ascii_lowercase().as_str() {
                "upsert" => InsertMode::Upsert,
                "update" => InsertMode::Update,
                _ => InsertMode::Insert,
            },
            pk_mode: match given.pk_mode.as_str() {
                "kafka" => PkMode::Kafka,
                "record_key" => PkMode::RecordKey,
                "record_value" => PkMode::RecordValue,
                "record_header" => PkMode::RecordHeader,
                _ => PkMode::None,
            },
            pk_fields: given.pk_fields,
            delete: false,
            truncate: false,
            create: false,
            evolve: false,
            naming: Naming::debezium(String::new()),
            fold: false,
            fields: FieldFilter::default(),
            utc: ["UTC", "Etc/UTC", "Z", "GMT", "UCT"].iter().any(|utc| utc.eq_ignore_ascii_case(&given.zone)),
            zone: given.zone,
            text_column: None,
            timestamps: Vec::new(),
            timestamp_nanos: false,
            replace_null: false,
            max_retries: given.max_retries.max(0).unsigned_abs(),
            retry_backoff: given.retry_backoff,
            offsets_table: exactly_once.then_some(given.own.offsets_table),
            placeholder: given.own.placeholder,
            nested: given.own.nested == NestedValues::Jsonb,
            defer: given.own.defer,
        })
    }
}

//! What a task works by, whatever dialect its keys are in.

use super::{
    AivenQueryConfig, ColumnNames, ConfluentQueryConfig, Granularity, Isolation, Mode, NumericMapping, Other,
    SharedKeys, TableChoice, UnboundNumeric,
};
use crate::{
    config::ConnectionConfig,
    jdbc::{self, JdbcUrl},
    net::Login,
};
use levada_connector_api::{Config, ConfigDef, ConnectorConfig, ConnectorError, Result};
use std::time::Duration;

/// Whose keys a configuration has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Confluent's.
    Confluent,
    /// Aiven's.
    Aiven,
}

impl Dialect {
    /// The keys.
    pub fn config_def(self) -> ConfigDef {
        match self {
            Self::Confluent => ConfluentQueryConfig::config_def(),
            Self::Aiven => AivenQueryConfig::config_def(),
        }
    }
}

/// Where to begin without a stored offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Initial {
    /// Milliseconds since 1970; -1 is the time of the first start where `now` says so.
    pub timestamp: Option<i64>,
    /// Value of the incrementing column.
    pub incrementing: Option<i64>,
    /// Whether -1 is now.
    pub now: bool,
}

/// What a task works by.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the server is.
    pub connection: ConnectionConfig,
    /// The URL, for its parameters.
    pub url: JdbcUrl,
    /// Who connects.
    pub login: Login,
    /// How often a connection is tried, and the time between.
    pub attempts: (u32, Duration),
    /// The query, where it is not tables that are read.
    pub query: Option<String>,
    /// Which tables.
    pub tables: TableChoice,
    /// Their schemas.
    pub schema_pattern: Option<String>,
    /// Their kinds.
    pub table_types: Vec<String>,
    /// Whether tables are meant with their schema.
    pub qualify: bool,
    /// How new rows are told.
    pub mode: Mode,
    /// The growing column; none named is the identity or serial column.
    pub incrementing: ColumnNames,
    /// The columns with the time of the last change.
    pub timestamps: ColumnNames,
    /// Refuse those that may be null.
    pub non_null: bool,
    /// Where to begin.
    pub initial: Initial,
    /// How far behind the clock is read.
    pub delay: Duration,
    /// Wait for transactions in progress.
    pub wait: bool,
    /// Added to each query.
    pub suffix: String,
    /// Isolation of the reading transaction.
    pub isolation: Isolation,
    /// Zone of `timestamp` columns.
    pub zone: String,
    /// Whether that is UTC.
    pub utc: bool,
    /// How `numeric` is represented.
    pub numeric: NumericMapping,
    /// How `numeric` without precision is.
    pub unbound: UnboundNumeric,
    /// How types without a form are.
    pub other: Other,
    /// How timestamps are.
    pub granularity: Granularity,
    /// Begins names of topics.
    pub prefix: String,
    /// Most rows of a batch.
    pub batch_rows: usize,
    /// Time between readings of a table.
    pub poll_interval: Duration,
    /// Time between looks for tables.
    pub table_poll_interval: Duration,
}

impl Settings {
    /// Of a configuration in `dialect`.
    pub fn read(dialect: Dialect, config: &Config) -> Result<Self> {
        match dialect {
            Dialect::Confluent => Self::confluent(ConfluentQueryConfig::parse(config)?),
            Dialect::Aiven => Self::aiven(AivenQueryConfig::parse(config)?),
        }
    }

    fn confluent(config: ConfluentQueryConfig) -> Result<Self> {
        let mut settings = Self::common(&config.common)?;
        if !config.include.is_empty() {
            settings.tables = TableChoice::of_patterns(&config.include, &config.exclude);
        }
        let masked = config.query_masked.map(|query| query.reveal().to_owned()).filter(|query| !query.is_empty());
        settings.query = masked.or(settings.query);
        let common = &config.common;
        settings.timestamps = ColumnNames::new(
            &common.timestamps,
            &config.timestamp_mapping,
            ["timestamp.column.name", "timestamp.columns.mapping"],
        );
        settings.incrementing = ColumnNames::new(
            std::slice::from_ref(&common.incrementing),
            &config.incrementing_mapping,
            ["incrementing.column.name", "incrementing.column.mapping"],
        );
        settings.initial = Initial { timestamp: config.timestamp_initial, incrementing: None, now: true };
        settings.suffix = config.suffix;
        settings.isolation = config.isolation;
        settings.granularity = config.granularity;
        settings.batch_rows = usize::try_from(config.batch_rows).unwrap_or(1000);
        Ok(settings)
    }

    fn aiven(config: AivenQueryConfig) -> Result<Self> {
        let mut settings = Self::common(&config.common)?;
        settings.qualify = config.qualify;
        settings.initial =
            Initial { timestamp: config.timestamp_initial, incrementing: config.incrementing_initial, now: false };
        settings.batch_rows = usize::try_from(config.batch_rows).unwrap_or(100);
        Ok(settings)
    }

    fn common(keys: &SharedKeys) -> Result<Self> {
        let wrong = |reason: &str| ConnectorError::config(format!("connection.url: {reason}"));
        let url = JdbcUrl::parse(&keys.url).map_err(|reason| wrong(&reason))?;
        let connection = jdbc::connection(&url, keys.user.as_deref(), keys.password.clone(), Duration::ZERO);
        let (connection, login) = connection.ok_or_else(|| wrong("no user is given; set connection.user"))?;
        let older = if keys.numeric_precision { NumericMapping::PrecisionOnly } else { NumericMapping::None };
        Ok(Self {
            connection,
            url,
            login,
            attempts: (keys.attempts.max(1).unsigned_abs(), keys.attempts_backoff),
            query: Some(keys.query.trim_end_matches([';', ' ', '\n']).to_owned()).filter(|query| !query.is_empty()),
            tables: TableChoice::of_names(&keys.whitelist, &keys.blacklist),
            schema_pattern: keys.schema.clone().filter(|pattern| !pattern.is_empty()),
            table_types: keys.table_types.iter().map(|kind| kind.to_ascii_uppercase()).collect(),
            qualify: true,
            mode: keys.mode,
            incrementing: ColumnNames::new(
                std::slice::from_ref(&keys.incrementing),
                &[],
                ["incrementing.column.name"; 2],
            ),
            timestamps: ColumnNames::new(&keys.timestamps, &[], ["timestamp.column.name"; 2]),
            non_null: keys.non_null,
            initial: Initial::default(),
            delay: keys.delay,
            wait: keys.wait,
            suffix: String::new(),
            isolation: Isolation::Default,
            utc: ["UTC", "Etc/UTC", "Z", "GMT", "UCT"].iter().any(|utc| utc.eq_ignore_ascii_case(&keys.zone)),
            zone: keys.zone.clone(),
            numeric: keys.numeric.unwrap_or(older),
            unbound: keys.unbound,
            other: keys.other,
            granularity: Granularity::ConnectLogical,
            prefix: keys.prefix.clone(),
            batch_rows: 100,
            poll_interval: keys.poll_interval,
            table_poll_interval: keys.table_poll_interval.max(Duration::from_millis(100)),
        })
    }

    /// Settings of the session that the URL gives.
    pub fn session_options(&self) -> String {
        let escaped = |value: &str| value.replace('\\', "\\\\").replace(' ', "\\ ");
        let path = self.url.get("currentSchema").map(|schema| format!("-c search_path={}", escaped(schema)));
        path.into_iter().chain(self.url.get("options").map(str::to_owned)).collect::<Vec<_>>().join(" ")
    }
}

//! Keys that Confluent's source and Aiven's, which came from it, have both, and those of Levada's own.

use crate::jdbc::url;
use levada_connector_api::{ConfigEnum, ConnectorConfig, config::Secret};
use std::time::Duration;

/// How new rows are told from old ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
pub enum Mode {
    /// They are not: everything is read each time.
    Bulk,
    /// By a column that grows with each new row.
    Incrementing,
    /// By columns with the time of the last change.
    Timestamp,
    /// By both.
    #[config(name = "timestamp+incrementing")]
    TimestampIncrementing,
}

impl Mode {
    /// Whether it reads a time.
    pub fn uses_timestamp(self) -> bool {
        matches!(self, Self::Timestamp | Self::TimestampIncrementing)
    }

    /// Whether it reads a growing column.
    pub fn uses_incrementing(self) -> bool {
        matches!(self, Self::Incrementing | Self::TimestampIncrementing)
    }
}

/// How `numeric` is represented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
pub enum NumericMapping {
    /// As Connect's Decimal.
    #[config(name = "none")]
    None,
    /// Whole numbers of at most 18 digits as integers.
    #[config(name = "precision_only")]
    PrecisionOnly,
    /// The same, and fractions of at most 18 digits as doubles.
    #[config(name = "best_fit")]
    BestFit,
    /// The same, and all fractions as doubles.
    #[config(name = "best_fit_eager_double")]
    BestFitEagerDouble,
}

/// `numeric` without precision and scale, which Connect's Decimal has no form for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
pub enum UnboundNumeric {
    /// As a Decimal without digits behind the point; a value that has some is an error.
    Whole,
    /// As text.
    String,
    /// As a double.
    Double,
}

/// Values of types that the Java connectors leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
pub enum Other {
    /// Left out here too, with a warning.
    Skip,
    /// As the server's text.
    String,
}

/// Isolation of the transaction that reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
pub enum Isolation {
    #[config(name = "DEFAULT")]
    Default,
    #[config(name = "READ_UNCOMMITTED")]
    ReadUncommitted,
    #[config(name = "READ_COMMITTED")]
    ReadCommitted,
    #[config(name = "REPEATABLE_READ")]
    RepeatableRead,
    #[config(name = "SERIALIZABLE")]
    Serializable,
}

impl Isolation {
    /// What stands behind BEGIN.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Default => "",
            Self::ReadUncommitted => " ISOLATION LEVEL READ UNCOMMITTED",
            Self::ReadCommitted => " ISOLATION LEVEL READ COMMITTED",
            Self::RepeatableRead => " ISOLATION LEVEL REPEATABLE READ",
            Self::Serializable => " ISOLATION LEVEL SERIALIZABLE",
        }
    }
}

/// Keys of both.
#[derive(Clone, Debug, ConnectorConfig)]
#[expect(dead_code, reason = "some keys are known and have no effect")]
pub struct SharedKeys {
    /// `jdbc:postgresql://host:port/database?parameters`; several hosts are tried in order.
    #[config(key = "connection.url", importance = "high", secret, required, check = url::check, group = "Database")]
    pub url: String,
    /// User.
    #[config(key = "connection.user", importance = "high", group = "Database")]
    pub user: Option<String>,
    /// Password of the user.
    #[config(key = "connection.password", importance = "high", group = "Database")]
    pub password: Option<Secret>,
    /// How often a connection is tried before the task counts as failed.
    #[config(key = "connection.attempts", default = "3", min = 1, importance = "low", group = "Database")]
    pub attempts: i32,
    /// Time between these tries.
    #[config(key = "connection.backoff.ms", default = "10000", importance = "low", group = "Database")]
    pub attempts_backoff: Duration,
    /// Name of a dialect; `PostgreSqlDatabaseDialect` or nothing.
    #[config(
        key = "dialect.name",
        default = "",
        one_of("", "PostgreSqlDatabaseDialect"),
        importance = "low",
        group = "Database"
    )]
    pub dialect: String,
    /// Tables to read: `table`, `schema.table` or the same in quotes. All when it is empty.
    #[config(key = "table.whitelist", default = "", group = "Database")]
    pub whitelist: Vec<String>,
    /// Tables not to read.
    #[config(key = "table.blacklist", default = "", group = "Database")]
    pub blacklist: Vec<String>,
    /// Has no effect: a connection sees one database.
    #[config(key = "catalog.pattern", group = "Database")]
    pub catalog: Option<String>,
    /// Schemas of tables, with `%` and `_` as in LIKE.
    #[config(key = "schema.pattern", group = "Database")]
    pub schema: Option<String>,
    /// Kinds of tables: `TABLE`, `PARTITIONED TABLE`, `VIEW`, `MATERIALIZED VIEW`, `FOREIGN TABLE`. Partitions are tables.
    #[config(key = "table.types", default = "TABLE", importance = "low", group = "Connector")]
    pub table_types: Vec<String>,
    /// How `numeric(p,s)` is represented: `none` (Decimal), `precision_only`, `best_fit`, `best_fit_eager_double`.
    #[config(key = "numeric.mapping", importance = "low", group = "Database")]
    pub numeric: Option<NumericMapping>,
    /// The older word for `numeric.mapping=precision_only`.
    #[config(key = "numeric.precision.mapping", default = "false", importance = "low", group = "Database")]
    pub numeric_precision: bool,
    /// Zone that columns of type `timestamp` are in.
    #[config(key = "db.timezone", default = "UTC", non_empty, group = "Database")]
    pub zone: String,
    /// How new rows are told from old ones: `bulk`, `incrementing`, `timestamp`, `timestamp+incrementing`.
    #[config(key = "mode", importance = "high", required, group = "Mode")]
    pub mode: Mode,
    /// Column that grows with each new row; when it is empty, the identity or serial column.
    #[config(key = "incrementing.column.name", default = "", group = "Mode")]
    pub incrementing: String,
    /// Columns with the time of the last change; the first that is not null counts.
    #[config(key = "timestamp.column.name", default = "", group = "Mode")]
    pub timestamps: Vec<String>,
    /// Refuse columns of `mode` that may be null: such rows would never be read.
    #[config(key = "validate.non.null", default = "true", importance = "low", group = "Mode")]
    pub non_null: bool,
    /// How far behind the server's clock is read, for rows that are written with a time that has passed.
    #[config(key = "timestamp.delay.interval.ms", default = "0", importance = "high", group = "Mode")]
    pub delay: Duration,
    /// A query to read instead of tables; it may have a WHERE of its own.
    #[config(key = "query", default = "", group = "Mode")]
    pub query: String,
    /// Time from one reading of a table to the next.
    #[config(key = "poll.interval.ms", default = "5000", importance = "high", group = "Connector")]
    pub poll_interval: Duration,
    /// Time from one look for new and dropped tables to the next.
    #[config(key = "table.poll.interval.ms", default = "60000", importance = "low", group = "Connector")]
    pub table_poll_interval: Duration,
    /// Begins the names of topics, before the table's; with `query` the whole name.
    #[config(key = "topic.prefix", importance = "high", required, group = "Connector")]
    pub prefix: String,
    /// Read only what no transaction in progress can still add to: no row is missed because it was committed later than
    /// rows behind it. Rows come later while transactions that write stay open.
    #[config(key = "wait.for.transactions", default = "true", group = "Levada")]
    pub wait: bool,
    /// `numeric` without precision: `whole` (a Decimal of scale 0, fractions are an error), `string`, `double`.
    #[config(key = "numeric.unbound.mapping", default = "whole", importance = "low", group = "Levada")]
    pub unbound: UnboundNumeric,
    /// Types that the Java connectors have no form for (arrays, ranges, intervals, addresses, ...): `skip` leaves such
    /// columns out with a warning, `string` gives the server's text.
    #[config(key = "other.types.mapping", default = "skip", importance = "low", group = "Levada")]
    pub other: Other,
}

//! Values of keys that have a few.

use levada_connector_api::ConfigEnum;

/// `snapshot.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
pub enum SnapshotMode {
    #[config(name = "initial")]
    Initial,
    #[config(name = "initial_only")]
    InitialOnly,
    #[config(name = "no_data")]
    NoData,
    #[config(name = "never")]
    Never,
    #[config(name = "always")]
    Always,
    #[config(name = "when_needed")]
    WhenNeeded,
    #[config(name = "configuration_based")]
    ConfigurationBased,
    #[config(name = "custom")]
    Custom,
}

/// `publication.autocreate.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
pub enum PublicationMode {
    #[config(name = "all_tables")]
    AllTables,
    #[config(name = "disabled")]
    Disabled,
    #[config(name = "filtered")]
    Filtered,
    #[config(name = "no_tables")]
    NoTables,
}

/// `slot.retained.policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
pub enum RetainedPolicy {
    /// Tell it.
    #[config(name = "alert")]
    Alert,
    /// Tell it and stop the task; the slot stays.
    #[config(name = "pause")]
    Pause,
    /// Stop the task and drop the slot.
    #[config(name = "drop")]
    Drop,
}

/// `schema.change.policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
pub enum SchemaPolicy {
    /// Go on by the new shape.
    #[config(name = "evolve")]
    Evolve,
    /// Hand out nothing more.
    #[config(name = "pause")]
    Pause,
    /// Fail the task.
    #[config(name = "fail")]
    Fail,
}

impl SchemaPolicy {
    /// As the configuration has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Evolve => "evolve",
            Self::Pause => "pause",
            Self::Fail => "fail",
        }
    }
}

/// `lsn.flush.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
pub enum FlushMode {
    #[config(name = "connector")]
    Connector,
    #[config(name = "manual")]
    Manual,
    #[config(name = "connector_and_driver")]
    ConnectorAndDriver,
}

/// `offset.mismatch.strategy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
pub enum MismatchStrategy {
    #[config(name = "no_validation")]
    NoValidation,
    #[config(name = "trust_offset")]
    TrustOffset,
    #[config(name = "trust_slot")]
    TrustSlot,
    #[config(name = "trust_greater_lsn")]
    TrustGreaterLsn,
}

/// `decimal.handling.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
pub enum DecimalMode {
    Precise,
    Double,
    String,
}

/// `time.precision.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
pub enum TimeMode {
    #[config(name = "adaptive")]
    Adaptive,
    #[config(name = "adaptive_time_microseconds")]
    AdaptiveTimeMicroseconds,
    #[config(name = "connect")]
    Connect,
    #[config(name = "isostring")]
    IsoString,
    #[config(name = "microseconds")]
    Microseconds,
    #[config(name = "nanoseconds")]
    Nanoseconds,
    #[config(name = "structured")]
    Structured,
}

/// `binary.handling.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
pub enum BinaryMode {
    Bytes,
    Base64,
    Base64UrlSafe,
    Hex,
}

/// `hstore.handling.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
pub enum HstoreMode {
    Json,
    Map,
}

/// `interval.handling.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
pub enum IntervalMode {
    Numeric,
    String,
}

/// `schema.name.adjustment.mode` and `field.name.adjustment.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
pub enum NameAdjustment {
    #[config(name = "none")]
    None,
    #[config(name = "avro")]
    Avro,
    #[config(name = "avro_unicode")]
    AvroUnicode,
}

/// `event.processing.failure.handling.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
pub enum FailureMode {
    Fail,
    Warn,
    Skip,
    Ignore,
}

/// `snapshot.locking.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
pub enum LockingMode {
    None,
    Shared,
    Custom,
}

/// `snapshot.isolation.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
pub enum IsolationMode {
    #[config(name = "serializable")]
    Serializable,
    #[config(name = "repeatable_read")]
    RepeatableRead,
    #[config(name = "read_committed")]
    ReadCommitted,
    #[config(name = "read_uncommitted")]
    ReadUncommitted,
}

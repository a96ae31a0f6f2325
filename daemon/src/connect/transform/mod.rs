//! Single message transforms: a chain of them stands between a task and its converters.
//!
//! Called by the task runners, one record at a time on the task's thread, and by validation for the keys
//! of a class. [`chain`] makes a connector's chain from its configuration; [`classes`] lists what
//! there is. Transforms look at a record through [`ConnectRecord`], so that one piece of code serves
//! sources and sinks. Their behaviour is that of the Java classes of the same names, to which golden
//! cases hold them (`tests/data/TransformGoldens.java`).

mod apache;
mod build;
mod catalog;
mod debezium;
mod field_path;
#[cfg(test)]
mod golden_tests;
mod java_regex;
mod record;
mod schemas;
mod simple_date;
mod values;

pub use build::{Chained, aliases, below, chain};
pub use catalog::{Class, classes, find};
pub use java_regex::{JavaRegex, RegexError};
pub use record::{ConnectRecord, Part};

use levada_connector_api::{ConnectorConfig, Result, config::KeyError};

/// One transform of a chain, over [`levada_connector_api::SourceRecord`] or
/// [`levada_connector_api::SinkRecord`]. Lives on its task's thread.
pub trait Transform<R>: Send {
    /// The changed record, or `None` to drop it. A dropped record counts as acknowledged.
    fn apply(&mut self, record: R) -> Result<Option<R>>;

    /// Class name, for error reports.
    fn class(&self) -> &str;
}

/// A transform class: its keys and what it does to a record of either kind.
trait Plugin: Sized + Send + 'static {
    /// Its keys, without a prefix.
    type Config: ConnectorConfig;

    /// Makes one for a part of the record (which only classes with a `$Key` or `$Value` suffix look at).
    /// The error names a key, as the configuration's own check did not find it.
    fn new(part: Part, config: Self::Config) -> Result<Self, KeyError>;

    /// See [`Transform::apply`].
    fn apply<R: ConnectRecord>(&mut self, record: R) -> Result<Option<R>>;
}

//! The hook for single message transforms: a chain of these stands between a task and its converters.

use levada_connector_api::Result;

/// One transform of a chain, over [`levada_connector_api::SourceRecord`] or
/// [`levada_connector_api::SinkRecord`]. Lives on its task's thread.
pub trait Transform<R>: Send {
    /// The changed record, or `None` to drop it. A dropped record counts as acknowledged.
    fn apply(&mut self, record: R) -> Result<Option<R>>;

    /// Class name, for error reports.
    fn class(&self) -> &str;
}

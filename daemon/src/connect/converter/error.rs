//! Why a value can't be converted.

use levada_connector_api::ConnectorError;

/// A failed conversion, always of the kind that Java reports as `DataException` or
/// `SerializationException`: trying again does not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConvertError {
    /// Lower-case text; holds no part of the record's data (invariant 12).
    pub message: String,
}

impl ConvertError {
    /// An error with a text.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl From<ConvertError> for ConnectorError {
    fn from(error: ConvertError) -> Self {
        Self::data(error.message)
    }
}

//! What is worked out once for a column.

use super::Decode;
use levada_connector_api::{Schema, Value};

/// How a column's values are represented.
#[derive(Clone, Debug)]
pub struct Codec {
    /// Schema of a value that is there.
    pub schema: Schema,
    /// How its text becomes a value.
    pub decode: Decode,
    /// What stands for a value that the server did not send.
    pub placeholder: Value,
}

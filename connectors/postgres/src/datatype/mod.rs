//! PostgreSQL types: how a column's declaration becomes a schema, and the server's text a value.
//!
//! What a column needs is worked out once per relation ([`Codec`]); a value then costs one pass over its
//! text and no more than the value's own allocation.

mod array;
mod calendar;
mod codec;
mod decode;
mod default;
mod geometry;
mod hstore;
mod interval;
mod mapping;
mod numeric;
mod registry;
mod schemas;
mod time;

pub use calendar::days;
pub use codec::Codec;
pub use decode::{Decode, DecodeError, Placeholder, binary, hex_digits};
pub use default::default_value;
pub use interval::interval_precision;
pub use numeric::fixed;
pub use registry::{Kind, TypeInfo, TypeRegistry};
pub use schemas::decimal;
pub use time::{Unit, timestamp_number, zoned};

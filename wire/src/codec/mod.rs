//! How messages become bytes and back.
//!
//! The generated message structs (`crate::messages`, `crate::schemas`) implement [`Field`] and [`Message`]; everything that touches
//! bytes is in [`Reader`] and [`Writer`], so that bounds are checked in one place. Decoding never panics and never allocates by a
//! claimed size (invariant 9): see [`Reader`].

mod decode_error;
mod encode_error;
mod field;
mod message;
mod reader;
mod record_set;
mod writer;

pub use decode_error::DecodeError;
pub use encode_error::EncodeError;
pub use field::Field;
pub(crate) use field::{get, get_tagged_struct, put, put_required};
pub use message::{CoordinatorRecord, Message, Request, VersionRange, record_type};
pub use reader::Reader;
pub use record_set::{External, RecordSet};
pub use writer::{Encoded, Segment, Writer};

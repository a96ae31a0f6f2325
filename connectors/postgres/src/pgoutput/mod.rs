//! The messages of the `pgoutput` plug-in, read without copying.

mod message;
mod reader;
mod tuple;

pub use message::{Message, OldRow, Relation, RelationColumn};
pub use tuple::{Cell, Tuple};

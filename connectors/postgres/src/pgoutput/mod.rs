//! The messages of the `pgoutput` plug-in, read without copying.

mod message;
mod piece;
mod reader;
mod tuple;

pub use message::{Message, OldRow, Relation, RelationColumn};
pub use piece::Piece;
pub use tuple::{Cell, Tuple};

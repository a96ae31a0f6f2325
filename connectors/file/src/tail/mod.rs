//! Following files: which file is which, how far each is read, and what happens to it meanwhile.
//!
//! `identity`, `names` and `rotation` are pure decisions; `life` reads one file, `input` its bytes,
//! `tracker` keeps all of them, `discovery` finds them, and `hints` says when to look.

mod discovery;
mod hints;
mod identity;
mod input;
mod life;
mod matching;
mod names;
mod rotation;
mod slot;
mod tracker;

pub use discovery::{Discovery, check_glob, is_pattern};
pub use hints::Hints;
pub use identity::FileId;
pub use input::id_of;
pub use rotation::Waits;
pub use tracker::{Limits, MakeRecord, Settings, Tracker};

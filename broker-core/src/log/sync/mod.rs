//! Making appended records durable. Invariant 1 stands and falls here.
//!
//! At most one sync of a partition is in flight; while it runs, the next group of appends gathers behind it (group commit). A file is synced
//! by itself (`fdatasync`), or, when enough files of a log directory are waiting at once, by one `syncfs` for all of them; either way each
//! partition's acknowledgements are released for exactly what it had written before its sync began.
//!
//! - `state`: what of a partition is durable, who waits for it.
//! - `job`: what one sync of a partition covers and how it is done.
//! - `queue`: which syncs of a log directory run, one by one or together.
//! - `pace`: whether syncing together pays.
//! - `gather`: how long a sync is held back for appends that are likely to come.

mod gather;
mod job;
mod pace;
mod queue;
mod state;

pub(super) use queue::SyncQueue;
pub use queue::{DEFAULT_SYNCFS_MIN_FILES, SyncCounts};
pub(super) use state::SyncState;

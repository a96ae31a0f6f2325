//! The reading side of a task: a thread of its own with a runtime of one thread, between the server and a queue of
//! bounded size. It answers the server while the queue is full.

mod alongside;
mod beat;
mod blocking;
mod channels;
mod checks;
mod conditions;
mod engine;
mod gap;
mod hidden;
mod incremental;
mod known;
mod locks;
mod messages;
mod newcomers;
mod pace;
mod published;
mod pump;
mod queue;
mod reselect;
mod rows;
mod shapes;
mod signal_file;
mod signals;
mod snapshot;
mod sparse;
mod spill;
mod stream;
mod tables;
mod telling;
mod under_way;
mod visible;
mod watch;

pub use channels::check_signal;
pub use pump::{Begin, Pump, Settings};
pub use queue::{Chunk, Popped};
pub use tables::connect;

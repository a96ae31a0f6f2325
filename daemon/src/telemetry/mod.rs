//! What the node tells of itself: its log (to stderr) and its metrics.

pub mod log;
pub mod process;
pub mod text;

pub use log::{LevelError, LogControl, LogFormat, Logger};

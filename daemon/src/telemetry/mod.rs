//! What the node tells of itself: its log (to stderr) and its metrics.

pub mod log;
pub mod process;
pub mod secrets;
pub mod text;

pub use log::{LevelError, LogControl, LogFormat, Logger};

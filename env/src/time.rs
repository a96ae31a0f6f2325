//! Monotonic time and timers. They are tokio's, so a runtime with a paused clock drives them in simulation.
//!
//! Deadlines, sessions and long polls use these and never wall time: a step of the wall clock expires nothing but retention.

pub use std::time::Duration;

pub use tokio::time::{
    Instant, Interval, MissedTickBehavior, Sleep, Timeout, error::Elapsed, interval, interval_at, sleep, sleep_until,
    timeout, timeout_at,
};

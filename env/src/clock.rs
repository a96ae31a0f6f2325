//! Wall clock and monotonic clock.

use std::fmt::Debug;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::time::Instant;

/// A source of time. Wall time is for record timestamps and retention only; everything with a deadline uses [`Clock::now`].
pub trait Clock: Send + Sync + Debug + 'static {
    /// Milliseconds since the Unix epoch. May step either way.
    fn wall_ms(&self) -> i64;

    /// Monotonic time; under tokio's paused clock it is the simulation's.
    fn now(&self) -> Instant {
        Instant::now()
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealClock;

impl Clock for RealClock {
    fn wall_ms(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            // A clock set before 1970 is a broken machine, not a reason to stop: it only makes records look old.
            Err(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_is_after_this_was_written() {
        assert!(RealClock.wall_ms() > 1_760_000_000_000);
    }
}

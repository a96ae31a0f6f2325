//! How often the stream is read.
//!
//! A server that works off its log sends each change in a call of its own. Where it is on this machine, the call itself carries
//! the change over to a reader that has room, and that costs as much as decoding it; to one that has none it costs little, and the
//! changes travel together once there is room. So far behind the log, all that waits is read at once, and then nothing for a while;
//! where that never comes to an end, since it is the reader that is slower, there is no rest.

use std::time::Duration;
use tokio::time::Instant;

/// Microseconds between commit and sending beyond which the server works off its log.
const FAR_BEHIND: i64 = 1_000_000;
/// Between a reading of all there was and the next.
const REST: Duration = Duration::from_millis(20);

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Pace {
    /// Whether a slower pace is any better.
    matters: bool,
    slow: bool,
    sent: i64,
    next: Instant,
}

impl Pace {
    pub fn new(matters: bool) -> Self {
        Self { matters, slow: false, sent: 0, next: Instant::now() }
    }

    /// A message came that was sent at this time, microseconds by the server's clock.
    pub fn sent(&mut self, micros: i64) {
        self.sent = micros;
    }

    /// The message was of a transaction that was committed at this time, by the same clock.
    pub fn came_to(&mut self, committed: i64) {
        self.slow = self.matters && self.sent.saturating_sub(committed) > FAR_BEHIND;
    }

    /// Everything there was was read.
    pub fn read(&mut self) {
        self.next = Instant::now() + REST;
    }

    /// Whether to read only from [`Self::next`] on, and then everything there is.
    pub fn is_slow(&self) -> bool {
        self.slow
    }

    pub fn next(&self) -> Instant {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_that_works_off_its_log_is_read_slowly() {
        let mut pace = Pace::new(true);
        for (sent, committed, slow) in
            [(5_000_000, 4_900_000, false), (5_000_000, 3_000_000, true), (6_000_000, 5_999_000, false)]
        {
            pace.sent(sent);
            pace.came_to(committed);
            assert_eq!(pace.is_slow(), slow);
        }
        let mut elsewhere = Pace::new(false);
        elsewhere.sent(5_000_000);
        elsewhere.came_to(0);
        assert!(!elsewhere.is_slow());
    }
}

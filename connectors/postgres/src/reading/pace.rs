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
/// Between a reading of all there was and the next, at most.
const REST: Duration = Duration::from_millis(20);
/// Bytes that fill the buffers between half and whole: where more came, the rest is shorter in proportion.
const LARGE_BURST: usize = 512 << 10;
/// Bytes that come in a rest, at least, where it is worth it. A server whose clock is not that of its commits sends fewer.
const LEAST_BURST: usize = 32 << 10;
/// Time without rests behind one that was not.
const AWAKE: Duration = Duration::from_secs(1);

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Pace {
    /// Whether a slower pace is any better.
    matters: bool,
    slow: bool,
    sent: i64,
    /// Whether there was a rest since the pace is slow.
    rested: bool,
    next: Instant,
    /// Until when there are no rests.
    awake: Instant,
}

impl Pace {
    pub fn new(matters: bool) -> Self {
        let now = Instant::now();
        Self { matters, slow: false, sent: 0, rested: false, next: now, awake: now }
    }

    /// A message came that was sent at this time, microseconds by the server's clock.
    pub fn sent(&mut self, micros: i64) {
        self.sent = micros;
    }

    /// The message was of a transaction that was committed at this time, by the same clock.
    pub fn came_to(&mut self, committed: i64) {
        let slow = self.matters && self.sent.saturating_sub(committed) > FAR_BEHIND && self.awake <= Instant::now();
        self.rested &= slow;
        self.slow = slow;
    }

    /// The server has sent all it had.
    pub fn caught_up(&mut self) {
        (self.slow, self.rested) = (false, false);
    }

    /// Everything there was was read, so many bytes.
    pub fn read(&mut self, bytes: usize) {
        let now = Instant::now();
        if self.rested && bytes < LEAST_BURST {
            self.awake = now + AWAKE;
            self.caught_up();
        } else {
            let share = LARGE_BURST as f64 / bytes.max(LARGE_BURST) as f64;
            (self.rested, self.next) = (true, now + REST.mul_f64(share));
        }
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

    /// That has come to a transaction of two seconds before it was sent.
    fn behind(mut pace: Pace) -> Pace {
        pace.sent(5_000_000);
        pace.came_to(3_000_000);
        pace
    }

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
        assert!(!behind(Pace::new(false)).is_slow(), "elsewhere");
    }

    #[test]
    fn it_ends_with_the_log() {
        let mut pace = behind(Pace::new(true));
        pace.caught_up();
        assert!(!pace.is_slow());
    }

    #[test]
    fn rests_that_bring_little_are_given_up() {
        let mut pace = behind(Pace::new(true));
        pace.read(10);
        assert!(pace.is_slow() && pace.next() > Instant::now(), "nothing came of a rest yet");
        pace.read(LEAST_BURST);
        assert!(behind(pace).is_slow());
        let mut pace = behind(Pace::new(true));
        pace.read(10);
        pace.read(10);
        assert!(!pace.is_slow());
        assert!(!behind(pace).is_slow(), "and not tried again at once");
    }

    #[test]
    fn rests_are_short_where_much_comes() {
        let mut pace = behind(Pace::new(true));
        pace.read(10 * LARGE_BURST);
        assert!(pace.next() <= Instant::now() + REST / 10);
    }
}

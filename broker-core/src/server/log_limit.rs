//! Lines that any stranger can cause, a few at a time.

use levada_env::time::{Duration, Instant};
use parking_lot::Mutex;

/// One line in this time; the others are counted.
const EVERY: Duration = Duration::from_secs(10);

/// The limit on one kind of line.
#[derive(Debug, Default)]
pub(super) struct LogLimit(Mutex<Limited>);

#[derive(Debug, Default)]
struct Limited {
    last: Option<Instant>,
    left_out: u64,
}

impl LogLimit {
    /// Whether to write a line now: then how many were left out since the last one.
    pub fn admit(&self, now: Instant) -> Option<u64> {
        let mut limited = self.0.lock();
        if limited.last.is_some_and(|last| now.duration_since(last) < EVERY) {
            limited.left_out += 1;
            return None;
        }
        limited.last = Some(now);
        Some(std::mem::take(&mut limited.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_a_while_says_how_many_were_left_out() {
        let (limit, start) = (LogLimit::default(), Instant::now());
        assert_eq!(limit.admit(start), Some(0));
        assert_eq!((limit.admit(start), limit.admit(start + EVERY / 2)), (None, None));
        assert_eq!(limit.admit(start + EVERY), Some(2));
        assert_eq!(limit.admit(start + EVERY * 2), Some(0));
    }
}

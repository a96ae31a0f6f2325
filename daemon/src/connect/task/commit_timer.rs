//! When a task commits its offsets.

use super::TaskTimes;
use levada_env::Instant;

/// Decides when to commit. Pure but for the clock it is given.
#[derive(Debug)]
pub(in crate::connect) struct CommitTimer {
    times: TaskTimes,
    last: Instant,
    /// When records last came.
    active: Instant,
}

impl CommitTimer {
    pub(in crate::connect) fn new(times: TaskTimes, now: Instant) -> Self {
        Self { times, last: now, active: now }
    }

    /// Records came.
    pub(in crate::connect) fn touch(&mut self, now: Instant) {
        self.active = now;
    }

    /// A commit was tried.
    pub(in crate::connect) fn committed(&mut self, now: Instant) {
        self.last = now;
    }

    /// Every flush interval; and, when all is done (`settled`) and nothing has come for a while, soon.
    pub(in crate::connect) fn is_due(&self, now: Instant, settled: bool) -> bool {
        let idle = settled && now.saturating_duration_since(self.active) >= self.times.idle_commit_delay;
        // An idle task that failed to commit tries again after a delay, not at once.
        let since = now.saturating_duration_since(self.last);
        since >= self.times.offset_flush_interval || (idle && since >= self.times.idle_commit_delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_idle_task_commits_soon_and_a_busy_one_at_the_interval() {
        let times = TaskTimes {
            offset_flush_interval: Duration::from_secs(60),
            idle_commit_delay: Duration::from_millis(100),
            ..TaskTimes::default()
        };
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut timer = CommitTimer::new(times, start);
        timer.touch(at(1000));
        assert!(!timer.is_due(at(1050), true));
        assert!(timer.is_due(at(1100), true));
        assert!(!timer.is_due(at(1100), false));
        assert!(timer.is_due(at(60_000), false));
        timer.committed(at(60_000));
        assert!(!timer.is_due(at(60_050), true));
    }
}

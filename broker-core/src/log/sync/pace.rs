//! Whether one sync of the file system pays, compared with a sync of each file.
//!
//! A `syncfs` saves much where many files wait, but it writes everything that is dirty on the file system: with a busy neighbour on it, or
//! topics whose acknowledgements do not wait for the disk, that can be much that nobody waits for. Which is better cannot be known, only
//! tried. So both are: how long records wait from being written to being durable is averaged for each of the two, the better one is used,
//! and the other one is tried again for a moment from time to time.

use levada_env::Instant;
use levada_env::time::Duration;

/// A way is judged by at least so many partitions' syncs ...
const ENOUGH: u32 = 64;
/// ... over at least so long.
const LONG_ENOUGH: Duration = Duration::from_millis(100);
/// For so long the better way is used before the other is tried again.
const HOLD: Duration = Duration::from_secs(10);
/// A single `syncfs` that takes longer is not waited for a second time.
const SLOW: Duration = Duration::from_millis(500);
/// So many bytes that nobody waits for make syncing them along a waste, for as long as [`HOLD`].
const WASTE_BYTES: u64 = 1 << 20;

/// How files are synced when enough of them wait at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// By one sync of the file system.
    Together,
    /// Each by itself.
    Apart,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Pace {
    way: Way,
    /// Until when `way` stays; `None` while it is being tried.
    hold_until: Option<Instant>,
    /// Since when `way` is looked at, by how many syncs, with how much waiting in all.
    since: Option<Instant>,
    syncs: u32,
    waited: Duration,
    /// The mean wait for each way when it was last looked at.
    together: Option<Duration>,
    apart: Option<Duration>,
    /// Bytes of topics whose acknowledgements do not wait.
    unwaited: u64,
    waste_until: Option<Instant>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            way: Way::Together,
            hold_until: None,
            since: None,
            syncs: 0,
            waited: Duration::ZERO,
            together: None,
            apart: None,
            unwaited: 0,
            waste_until: None,
        }
    }
}

impl Pace {
    /// How files are to be synced now.
    pub(super) fn way(&mut self, now: impl FnOnce() -> Instant) -> Way {
        match self.waste_until {
            Some(until) if now() < until => return Way::Apart,
            Some(_) => self.waste_until = None,
            None => {}
        }
        self.way
    }

    /// Bytes were written whose acknowledgement does not wait for a sync.
    pub(super) fn written_without_sync(&mut self, bytes: u64, now: impl FnOnce() -> Instant) {
        self.unwaited += bytes;
        if self.unwaited >= WASTE_BYTES {
            self.unwaited = 0;
            self.waste_until = Some(now() + HOLD);
        }
    }

    /// A single sync of the file system took so long.
    pub(super) fn synced_together(&mut self, took: Duration, now: Instant) {
        if took > SLOW {
            tracing::debug!(?took, "a syncfs took long, each file is synced by itself for a while");
            self.together = Some(took);
            self.keep(Way::Apart, now);
        }
    }

    /// Records of so many partitions, when enough were waiting at once, are durable after waiting for so long in all.
    pub(super) fn durable(&mut self, way: Way, partitions: u32, waited: Duration, now: Instant) {
        if way != self.way {
            return;
        }
        let since = *self.since.get_or_insert(now);
        self.syncs = self.syncs.saturating_add(partitions);
        self.waited = self.waited.saturating_add(waited);
        if self.syncs < ENOUGH || now.duration_since(since) < LONG_ENOUGH {
            return;
        }
        let mean = self.waited / self.syncs;
        match way {
            Way::Together => self.together = Some(mean),
            Way::Apart => self.apart = Some(mean),
        }
        self.look_again();
        match (self.together, self.apart) {
            _ if self.hold_until.is_some_and(|until| now < until) => {}
            (Some(together), Some(apart)) if self.hold_until.is_none() => self.decide(together, apart, now),
            // Time to try the other.
            _ => {
                self.way = if way == Way::Together { Way::Apart } else { Way::Together };
                self.hold_until = None;
            }
        }
    }

    /// Together takes about half the processor time, so it may take a little longer.
    fn decide(&mut self, together: Duration, apart: Duration, now: Instant) {
        let better = if together <= apart + apart / 10 { Way::Together } else { Way::Apart };
        tracing::debug!(
            ?together,
            ?apart,
            ?better,
            "how long records wait for one syncfs, and for a sync of each file"
        );
        self.keep(better, now);
    }

    fn keep(&mut self, way: Way, now: Instant) {
        self.way = way;
        self.hold_until = Some(now + HOLD);
        self.look_again();
    }

    fn look_again(&mut self) {
        (self.since, self.syncs, self.waited) = (None, 0, Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A machine on which records wait so many milliseconds when synced together and apart.
    struct Machine {
        pace: Pace,
        now: Instant,
        together: u64,
        apart: u64,
    }

    impl Machine {
        fn new(together: u64, apart: u64) -> Self {
            Self { pace: Pace::default(), now: Instant::now(), together, apart }
        }

        /// Runs for so long under load; how much of it was spent together, in percent.
        fn run(&mut self, time: Duration) -> u64 {
            let (mut together, mut rounds) = (0, 0);
            let end = self.now + time;
            while self.now < end {
                let now = self.now;
                let way = self.pace.way(|| now);
                let wait = if way == Way::Together { self.together } else { self.apart };
                self.now += ms(10);
                self.pace.durable(way, 10, ms(wait) * 10, self.now);
                together += u64::from(way == Way::Together);
                rounds += 1;
            }
            together * 100 / rounds
        }
    }

    #[test]
    fn the_better_way_is_used_most_of_the_time() {
        assert!(Machine::new(5, 10).run(Duration::from_secs(60)) > 95);
        assert!(Machine::new(10, 5).run(Duration::from_secs(60)) < 5);
        assert!(
            Machine::new(104, 100).run(Duration::from_secs(60)) > 95,
            "a little longer is made up by what it saves"
        );
        assert!(Machine::new(115, 100).run(Duration::from_secs(60)) < 5);
    }

    #[test]
    fn a_change_is_noticed() {
        let mut machine = Machine::new(5, 10);
        machine.run(Duration::from_secs(20));
        machine.together = 50;
        machine.run(Duration::from_secs(12));
        assert!(machine.run(Duration::from_secs(60)) < 5);
        machine.together = 5;
        machine.run(Duration::from_secs(12));
        assert!(machine.run(Duration::from_secs(60)) > 95);
    }

    #[test]
    fn one_very_slow_sync_is_enough_also_where_nothing_is_known_of_the_other() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.synced_together(ms(400), now);
        assert_eq!(pace.way(|| now), Way::Together);
        pace.synced_together(ms(501), now);
        assert_eq!(pace.way(|| now), Way::Apart);
    }

    #[test]
    fn much_that_nobody_waits_for_keeps_files_apart_for_a_while() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.written_without_sync(WASTE_BYTES - 1, || now);
        assert_eq!(pace.way(|| now), Way::Together);
        pace.written_without_sync(1, || now);
        assert_eq!(pace.way(|| now + ms(9999)), Way::Apart);
        assert_eq!(pace.way(|| now + ms(10_000)), Way::Together);
    }
}

//! Whether one sync of the file system pays, compared with a sync of each file.
//!
//! A `syncfs` writes everything that is dirty on the file system: on one that is shared with a busy neighbour, or with topics whose
//! acknowledgements do not wait for the disk, that can be much that nobody waits for. Both kinds of syncs are timed as they happen; the
//! dearer one is left, and tried again after a while.

use levada_env::Instant;
use levada_env::time::Duration;

/// So many files are synced at a time, each by itself: the threads the disk has for it.
const AT_A_TIME: usize = 8;
/// So many syncs in a row that do not pay are enough.
const PATIENCE: u32 = 8;
/// A single one that takes longer is enough.
const SLOW: Duration = Duration::from_millis(500);
/// So many bytes that nobody waits for make syncing them along a waste.
const WASTE_BYTES: u64 = 1 << 20;
/// For so long each file is synced by itself then.
const APART: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// What the sync of one file by itself takes, averaged.
    alone: Duration,
    /// Syncs together that were slower, less those that were not.
    slower: u32,
    /// Bytes of topics whose acknowledgements do not wait.
    unwaited: u64,
    apart_until: Option<Instant>,
}

impl Pace {
    /// Whether files are to be synced together, as far as is known.
    pub(super) fn pays(&mut self, now: impl FnOnce() -> Instant) -> bool {
        let Some(until) = self.apart_until else { return true };
        if now() < until {
            return false;
        }
        self.apart_until = None;
        true
    }

    /// Bytes were written whose acknowledgement does not wait for a sync.
    pub(super) fn written_without_sync(&mut self, bytes: u64, now: impl FnOnce() -> Instant) {
        self.unwaited += bytes;
        if self.unwaited >= WASTE_BYTES {
            self.unwaited = 0;
            self.apart_until = Some(now() + APART);
        }
    }

    /// A file was synced by itself.
    pub(super) fn synced_alone(&mut self, took: Duration) {
        self.alone = if self.alone.is_zero() { took } else { (self.alone * 7 + took) / 8 };
    }

    /// So many files were synced together.
    pub(super) fn synced_together(&mut self, files: usize, began: Instant, ended: Instant) {
        let took = ended.duration_since(began);
        let apart = self.alone * u32::try_from(files.div_ceil(AT_A_TIME)).unwrap_or(u32::MAX);
        self.slower = if apart.is_zero() || took <= apart { self.slower.saturating_sub(1) } else { self.slower + 1 };
        if took > SLOW || self.slower >= PATIENCE {
            self.slower = 0;
            self.apart_until = Some(ended + APART);
            tracing::debug!(?took, files, alone = ?self.alone, "syncfs does not pay, each file is synced by itself for a while");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A pace that knows that one file by itself takes 2 ms, and syncs of so many files together that took so long.
    fn after(files: usize, took: Duration, times: usize) -> (Pace, Instant) {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.synced_alone(ms(2));
        for _ in 0..times {
            pace.synced_together(files, now, now + took);
        }
        (pace, now + took)
    }

    #[test]
    fn what_is_slower_is_left_for_a_while() {
        let (mut pace, now) = after(6, ms(3), 7);
        assert!(pace.pays(|| now), "not yet");
        pace.synced_together(6, now, now + ms(3));
        assert!(!pace.pays(|| now + ms(3)));
        assert!(!pace.pays(|| now + ms(9000)));
        assert!(pace.pays(|| now + ms(11_000)), "tried again");
        assert!(pace.pays(|| now), "from then on");
    }

    #[test]
    fn what_is_as_fast_or_only_sometimes_slower_goes_on() {
        let (mut pace, now) = after(6, ms(2), 100);
        assert!(pace.pays(|| now));
        // 100 files are 13 rounds of 8 at a time.
        let (mut pace, now) = after(100, ms(26), 100);
        assert!(pace.pays(|| now));
        let (mut pace, now) = after(100, ms(27), 8);
        assert!(!pace.pays(|| now));
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.synced_alone(ms(2));
        for _ in 0..100 {
            pace.synced_together(6, now, now + ms(5));
            pace.synced_together(6, now, now + ms(1));
        }
        assert!(pace.pays(|| now));
    }

    #[test]
    fn one_very_slow_sync_is_enough_also_where_nothing_is_known_of_the_other() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.synced_together(6, now, now + ms(400));
        assert!(pace.pays(|| now));
        pace.synced_together(6, now, now + ms(501));
        assert!(!pace.pays(|| now));
    }

    #[test]
    fn much_that_nobody_waits_for_keeps_files_apart() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.written_without_sync(WASTE_BYTES - 1, || now);
        assert!(pace.pays(|| now));
        pace.written_without_sync(1, || now);
        assert!(!pace.pays(|| now));
    }
}

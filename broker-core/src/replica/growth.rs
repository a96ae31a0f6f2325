//! How many bytes an advance of the high watermark shows to consumers.

use std::collections::VecDeque;

use parking_lot::Mutex;

/// Appends that are told apart while they are not visible. Further ones are counted together.
const STEPS: usize = 1024;

/// Appends of one partition that consumers do not see yet.
#[derive(Debug)]
pub(super) struct Growth(Mutex<Unseen>);

#[derive(Debug)]
struct Unseen {
    /// End offset of each append, and its bytes.
    appends: VecDeque<(i64, u64)>,
    /// Bytes appended so far, as the log counts them.
    appended: u64,
}

impl Growth {
    /// Nothing is unseen, after `appended` bytes.
    pub(super) fn new(appended: u64) -> Self {
        Self(Mutex::new(Unseen { appends: VecDeque::new(), appended }))
    }

    /// `appended` bytes are in the log in all, up to `end`.
    pub(super) fn appended(&self, end: i64, appended: u64) {
        let mut unseen = self.0.lock();
        let bytes = appended.saturating_sub(std::mem::replace(&mut unseen.appended, appended));
        let full = unseen.appends.len() >= STEPS;
        match unseen.appends.back_mut() {
            Some(last) if full => *last = (end, last.1 + bytes),
            _ => unseen.appends.push_back((end, bytes)),
        }
    }

    /// Bytes that the high watermark shows by moving to `high_watermark`.
    pub(super) fn seen(&self, high_watermark: i64) -> u64 {
        let mut unseen = self.0.lock();
        let shown = unseen.appends.partition_point(|(end, _)| *end <= high_watermark);
        unseen.appends.drain(..shown).map(|(_, bytes)| bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appends_count_when_the_high_watermark_passes_them() {
        let growth = Growth::new(0);
        growth.appended(5, 100);
        growth.appended(9, 150);
        assert_eq!((growth.seen(4), growth.seen(5), growth.seen(5)), (0, 100, 0));
        growth.appended(20, 1150);
        assert_eq!(growth.seen(20), 1050);
    }

    #[test]
    fn many_unseen_appends_take_bounded_memory_and_lose_no_bytes() {
        let growth = Growth::new(0);
        (1..=10_000).for_each(|end| growth.appended(end, end as u64 * 10));
        assert!(growth.0.lock().appends.len() <= STEPS);
        assert_eq!(growth.seen(10_000), 100_000);
    }
}

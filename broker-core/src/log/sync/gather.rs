//! How long a sync is held back for more appends.
//!
//! A producer that keeps several batches in flight sends as many again as were just acknowledged. A sync that starts at the first of them
//! leaves the rest to the next one, and so on in turns of one and many: twice the syncs, and twice the wait for most batches. So a sync waits
//! until as much is written as was on its way when the last one ended, but never longer than half of what a sync takes, counted from that
//! end. With one batch at a time there is nothing to wait for, and an append that comes later than that is no answer to acknowledgements.

use levada_env::disk::Gate;
use levada_env::time::Duration;
use levada_env::{Env, Instant};
use parking_lot::Mutex;

/// No sync is held back for longer than this.
pub(super) const LONGEST: Duration = Duration::from_millis(1);

/// So many syncs at most are not held back after waits in vain.
const MOST_SKIPPED: u32 = 63;

/// Counts the batches on their way to the disk, for one partition or for a log directory.
#[derive(Debug, Default)]
pub(super) struct Gather {
    state: Mutex<State>,
    gate: Gate,
}

#[derive(Debug, Default)]
struct State {
    /// Batches written that no sync has covered.
    pending: u64,
    /// What `pending` was when the last sync ended, before it was taken off.
    window: u64,
    /// Until when the next sync may be held back.
    until: Option<Instant>,
    /// What a sync takes, averaged.
    takes: Duration,
    waiting: bool,
    /// So many syncs are not held back, because it was in vain.
    skip: u32,
    /// What `skip` becomes when it is in vain again.
    penalty: u32,
}

impl State {
    /// A wait ended: if what it was for did not come, the next ones are left out, more of them each time.
    fn waited(&mut self) {
        let in_vain = std::mem::take(&mut self.waiting);
        self.penalty = if in_vain { (self.penalty * 2 + 1).min(MOST_SKIPPED) } else { 0 };
        self.skip = self.penalty;
    }
}

impl Gather {
    /// Batches were written that a sync is to cover.
    pub(super) fn written(&self, batches: u64) {
        let mut state = self.state.lock();
        state.pending += batches;
        if state.waiting && state.pending >= state.window {
            state.waiting = false;
            self.gate.open();
        }
    }

    /// On a disk thread, before a sync begins: waits for what is likely to come.
    pub(super) fn wait(&self, env: &Env) {
        let limit = {
            let mut state = self.state.lock();
            let Some(until) = state.until.filter(|_| state.pending < state.window) else { return };
            let limit = until.saturating_duration_since(env.clock.now());
            if limit.is_zero() {
                return;
            }
            if state.skip > 0 {
                state.skip -= 1;
                return;
            }
            state.waiting = true;
            self.gate.close();
            limit
        };
        env.disk.wait_at(&self.gate, limit);
        self.state.lock().waited();
    }

    /// What a sync that begins now covers, for [`Gather::ended`].
    pub(super) fn pending(&self) -> u64 {
        self.state.lock().pending
    }

    /// A sync ended that began at `began` and covered so much. To be called before acknowledgements go out, which bring new appends.
    pub(super) fn ended(&self, covered: u64, began: Instant, now: Instant) {
        let mut state = self.state.lock();
        state.window = state.pending;
        state.pending = state.pending.saturating_sub(covered);
        state.takes = (state.takes * 7 + now.duration_since(began)) / 8;
        state.until = Some(now + (state.takes / 2).min(LONGEST));
    }

    /// So much was covered by a sync that is not of this rhythm.
    pub(super) fn covered_elsewhere(&self, batches: u64) {
        let mut state = self.state.lock();
        state.pending = state.pending.saturating_sub(batches);
    }
}

#[cfg(test)]
mod tests {
    use levada_env::RealDisk;
    use levada_env::{RealClock, SystemRng};
    use std::sync::Arc;

    use super::*;

    fn env() -> Env {
        Env { clock: Arc::new(RealClock), rng: Arc::new(SystemRng), disk: Arc::new(RealDisk::new()) }
    }

    /// A sync that took an hour has just ended.
    fn after_a_sync(covered: u64, written_meanwhile: u64) -> Gather {
        let gather = Gather::default();
        gather.written(covered);
        let pending = gather.pending();
        gather.written(written_meanwhile);
        let now = Instant::now() + Duration::from_secs(7200);
        gather.ended(pending, now - Duration::from_secs(3600), now);
        gather
    }

    fn would_wait(gather: &Gather) -> bool {
        let state = gather.state.lock();
        state.pending < state.window
    }

    #[test]
    fn waits_for_as_many_batches_as_were_on_their_way() {
        let gather = after_a_sync(1, 4);
        assert!(would_wait(&gather), "4 of 5 are there");
        gather.written(1);
        assert!(!would_wait(&gather));
    }

    #[test]
    fn one_batch_at_a_time_is_never_held_back() {
        let gather = after_a_sync(1, 0);
        gather.written(1);
        assert!(!would_wait(&gather));
        gather.wait(&env());
    }

    #[test]
    fn an_append_that_is_no_answer_to_acknowledgements_is_not_held_back() {
        let gather = after_a_sync(5, 0);
        gather.written(1);
        let mut state = gather.state.lock();
        assert!(state.pending < state.window);
        state.until = Some(Instant::now());
        drop(state);
        gather.wait(&env());
    }

    #[test]
    fn the_batch_that_completes_the_window_ends_the_wait() {
        let gather = Arc::new(after_a_sync(2, 0));
        let other = Arc::clone(&gather);
        let writer = levada_env::thread::spawn("writer", move || {
            other.written(1);
            other.written(1);
        });
        // Two hours, if nobody ended it.
        gather.wait(&env());
        writer.unwrap().join().unwrap();
        assert_eq!(gather.pending(), 2);
    }
}

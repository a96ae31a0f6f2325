//! The deadlines of all groups, and the one task that waits for the next of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use levada_env::Instant;
use levada_env::time::sleep_until;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::inner::Inner;

/// Deadlines, soonest first. A group may be in it more than once; only the time its entry is armed for counts.
#[derive(Default)]
pub(super) struct Timers {
    queue: Mutex<BTreeSet<(Instant, String)>>,
    sooner: Notify,
}

impl Timers {
    /// Has `group` ticked at `deadline`.
    pub fn arm(&self, deadline: Instant, group: &str) {
        let mut queue = self.queue.lock();
        queue.insert((deadline, group.to_owned()));
        let is_first = queue.first().is_some_and(|(first, name)| *first == deadline && name == group);
        drop(queue);
        if is_first {
            self.sooner.notify_one();
        }
    }

    fn first(&self) -> Option<Instant> {
        self.queue.lock().first().map(|(deadline, _)| *deadline)
    }

    fn take_due(&self, now: Instant) -> Option<(Instant, String)> {
        let mut queue = self.queue.lock();
        if queue.first()?.0 > now {
            return None;
        }
        queue.pop_first()
    }
}

/// Ticks groups when they are due, until the coordinator stops. It sleeps while nothing is.
pub(super) async fn run(inner: Arc<Inner>) {
    let mut active = inner.active.subscribe();
    loop {
        while let Some((deadline, group)) = inner.timers.take_due(inner.now().instant) {
            tick(&inner, &group, deadline);
        }
        let next = inner.timers.first();
        tokio::select! {
            () = inner.timers.sooner.notified() => {}
            () = sleep(next) => {}
            _ = active.wait_for(|active| !active) => return,
        }
    }
}

async fn sleep(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

fn tick(inner: &Arc<Inner>, group: &str, deadline: Instant) {
    inner.step(group, |entry, now| {
        if entry.armed != Some(deadline) {
            return ((), Vec::new());
        }
        entry.armed = None;
        ((), entry.group.tick(now))
    });
}

//! Lazily started threads that run disk jobs in the order they came.
//!
//! Queues are not bounded here: every submitter has at most one job of a kind in flight per partition, so their length is bounded by the
//! number of partitions.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::Job;
use crate::memory;

const STACK_BYTES: usize = 512 * 1024;
/// Without a job for so long a thread gives memory back; all but one end.
const REST_AFTER: Duration = Duration::from_secs(10);

/// A set of at most `max` threads with one queue.
#[derive(Debug)]
pub(super) struct Pool {
    shared: Arc<Shared>,
    max: usize,
}

#[derive(Debug)]
struct Shared {
    name: String,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("jobs", &self.jobs.len()).field("threads", &self.threads).finish_non_exhaustive()
    }
}

impl Pool {
    pub(super) fn new(name: &str, max: usize) -> Self {
        let shared = Shared { name: name.to_owned(), state: Mutex::default(), wake: Condvar::new() };
        Self { shared: Arc::new(shared), max }
    }

    pub(super) fn submit(&self, job: Job) {
        let mut state = self.shared.state.lock();
        state.jobs.push_back(job);
        if state.idle >= state.jobs.len() || state.threads >= self.max {
            drop(state);
            self.shared.wake.notify_one();
            return;
        }
        state.threads += 1;
        drop(state);
        let shared = Arc::clone(&self.shared);
        let name = self.shared.name.clone();
        if let Err(error) = crate::thread::spawn_with_stack(&name, STACK_BYTES, move || work(&shared)) {
            self.no_thread(&error);
        }
    }

    /// Without a thread the job waits for another thread of the pool; with none at all the process cannot do its work.
    fn no_thread(&self, error: &std::io::Error) {
        let mut state = self.shared.state.lock();
        state.threads -= 1;
        assert!(state.threads > 0, "cannot start the first disk thread {}: {error}", self.shared.name);
        tracing::warn!(pool = %self.shared.name, %error, "cannot start another disk thread");
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.state.lock().closed = true;
        self.shared.wake.notify_all();
    }
}

fn work(shared: &Shared) {
    let mut state = shared.state.lock();
    let mut rested = false;
    loop {
        if let Some(job) = state.jobs.pop_front() {
            rested = false;
            drop(state);
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                tracing::error!(pool = %shared.name, "a disk job panicked");
            }
            state = shared.state.lock();
        } else if state.closed {
            state.threads -= 1;
            return;
        } else {
            state.idle += 1;
            let rests = if rested {
                shared.wake.wait(&mut state);
                false
            } else {
                shared.wake.wait_for(&mut state, REST_AFTER).timed_out()
            };
            state.idle -= 1;
            if rests && state.jobs.is_empty() {
                if state.threads > 1 {
                    state.threads -= 1;
                    return;
                }
                rested = true;
                MutexGuard::unlocked(&mut state, memory::give_back);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn one_thread_keeps_the_order_and_outlives_a_panic() {
        let pool = Pool::new("test", 1);
        let (tx, rx) = mpsc::channel();
        for i in 0..100 {
            let tx = tx.clone();
            pool.submit(Box::new(move || {
                assert!(i != 50, "a job that fails");
                tx.send(i).unwrap();
            }));
        }
        drop(tx);
        let got: Vec<i32> = rx.iter().collect();
        assert_eq!(got, (0..100).filter(|i| *i != 50).collect::<Vec<_>>());
    }

    #[test]
    fn several_threads_run_jobs_that_wait_for_each_other() {
        let pool = Pool::new("test", 2);
        let (tx, rx) = mpsc::channel::<()>();
        let (done_tx, done_rx) = mpsc::channel();
        let done = done_tx.clone();
        pool.submit(Box::new(move || {
            rx.recv().unwrap();
            done.send(1).unwrap();
        }));
        pool.submit(Box::new(move || {
            tx.send(()).unwrap();
            done_tx.send(2).unwrap();
        }));
        let mut got: Vec<i32> = done_rx.iter().collect();
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
    }
}

//! A place where a disk job waits a moment for more to do.

use parking_lot::{Condvar, Mutex};

use crate::time::Duration;

/// Holds one disk job back until it is opened or a time is over: see [`crate::Disk::wait_at`]. It is made closed.
#[derive(Debug, Default)]
pub struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    /// Lets the job go on that waits, or the next one that comes to wait.
    pub fn open(&self) {
        *self.open.lock() = true;
        self.opened.notify_one();
    }

    /// Has the next job wait again.
    pub fn close(&self) {
        *self.open.lock() = false;
    }

    /// Blocks the thread until the gate is open, at most for `limit`.
    pub(super) fn wait(&self, limit: Duration) {
        let mut open = self.open.lock();
        if !*open {
            self.opened.wait_while_for(&mut open, |open| !*open, limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn an_open_gate_holds_nobody_and_a_closed_one_for_its_limit() {
        let gate = Gate::default();
        gate.wait(Duration::from_millis(1));
        gate.open();
        gate.wait(Duration::from_secs(3600));
        gate.close();
        gate.wait(Duration::from_millis(1));
    }

    #[test]
    fn opening_wakes_the_one_who_waits() {
        let gate = Arc::new(Gate::default());
        let opener = Arc::clone(&gate);
        let thread = crate::thread::spawn("gate", move || opener.open()).unwrap();
        gate.wait(Duration::from_secs(3600));
        thread.join().unwrap();
    }
}

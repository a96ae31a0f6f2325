//! Simulated time and disk for seeded tests of whole nodes. Use under a current-thread tokio runtime with its clock paused.

mod disk;
mod file_system;
mod tree;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

pub use disk::{SimDisk, SimFaults};

use crate::clock::Clock;
use crate::rng::SeededRng;
use crate::time::Instant;
use crate::{Env, Rng};

/// Wall time that follows the (paused) monotonic clock and can be stepped.
#[derive(Debug)]
pub struct SimClock {
    start: Instant,
    base_ms: AtomicI64,
}

impl SimClock {
    /// Starts at `wall_ms`, now.
    pub fn new(wall_ms: i64) -> Self {
        Self { start: Instant::now(), base_ms: AtomicI64::new(wall_ms) }
    }

    /// Steps the wall clock without moving monotonic time.
    pub fn step_ms(&self, by: i64) {
        self.base_ms.fetch_add(by, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn wall_ms(&self) -> i64 {
        self.base_ms.load(Ordering::Relaxed) + self.start.elapsed().as_millis() as i64
    }
}

/// A simulated machine: clock, numbers and disk from one seed.
#[derive(Debug, Clone)]
pub struct SimEnv {
    /// The clock, to step it.
    pub clock: Arc<SimClock>,
    /// The disk, to crash it and to inject faults.
    pub disk: Arc<SimDisk>,
    /// The seeded numbers.
    pub rng: Arc<SeededRng>,
}

impl SimEnv {
    /// A machine with an empty disk.
    pub fn new(seed: u64) -> Self {
        let rng = Arc::new(SeededRng::new(seed));
        let disk = Arc::new(SimDisk::new(rng.next_u64()));
        Self { clock: Arc::new(SimClock::new(1_700_000_000_000)), disk, rng }
    }

    /// What the code under test gets.
    pub fn env(&self) -> Env {
        Env { clock: self.clock.clone(), rng: self.rng.clone(), disk: self.disk.clone() }
    }

    /// Power loss: the old disk refuses everything from now on; the new machine has what was durable, plus whatever part of the rest the
    /// seed lets survive.
    pub fn crash(&self) -> Self {
        let disk = Arc::new(self.disk.crash(self.rng.next_u64()));
        Self { clock: self.clock.clone(), disk, rng: self.rng.clone() }
    }
}

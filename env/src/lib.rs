//! The seams to the operating system: time, randomness, disk, network, threads and signals.
//!
//! Everything else in the workspace reaches the machine through an [`Env`], so that a whole broker can run in one thread on a simulated
//! clock and a simulated disk ([`sim`]) with the same seed giving the same trace. This is the only crate that names `std::fs`, sockets,
//! threads, `Instant::now`, `SystemTime` or a source of entropy.

#![allow(clippy::disallowed_methods, reason = "this crate is where the banned operating-system calls live")]

mod clock;
pub mod disk;
pub mod memory;
pub mod net;
pub mod process;
mod rng;
pub mod signal;
pub mod sim;
pub mod thread;
pub mod time;

use std::sync::Arc;

pub use clock::{Clock, RealClock};
pub use disk::{Disk, DiskFile, IoClass, OpenOptions, RealDisk};
pub use rng::{Rng, SeededRng, SystemRng};
pub use time::Instant;

/// The environment a component runs in. Cheap to clone; handed down from `main` or from a simulation.
#[derive(Clone, Debug)]
pub struct Env {
    /// Wall time and monotonic time.
    pub clock: Arc<dyn Clock>,
    /// Random numbers.
    pub rng: Arc<dyn Rng>,
    /// Files and the threads that work on them.
    pub disk: Arc<dyn Disk>,
}

impl Env {
    /// The machine itself.
    pub fn real() -> Self {
        Self { clock: Arc::new(RealClock), rng: Arc::new(SystemRng), disk: Arc::new(RealDisk::new()) }
    }
}

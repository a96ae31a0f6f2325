//! Tests of the log as a whole, on the simulated disk (with crashes and faults) and on the real one.

mod append;
mod compaction;
mod crash;
mod cutting;
mod damage;
mod disk_faults;
mod leftovers;
mod model;
mod queue;
mod reads;
mod support;
mod sync;
mod validation;

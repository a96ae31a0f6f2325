//! Tests of the log as a whole, on the simulated disk (with crashes and faults) and on the real one.

mod basic;
mod compaction;
mod crash;
mod damage;
mod model;
mod support;

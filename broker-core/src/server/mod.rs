//! The broker on the network: listeners, connections, and the limits that keep strangers from harming it (invariant 9).

mod budget;
mod connection;
mod frame_reader;
mod listener;
mod log_limit;
mod output;
mod pending;

pub use budget::{MemoryBudget, MemoryPermit};
pub use listener::{BindError, BoundListener, Server, bind};

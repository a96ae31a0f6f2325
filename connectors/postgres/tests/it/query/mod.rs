//! The query source against real servers.

mod checks;
mod faults;
mod large;
mod modes;
mod names;
mod queries;
mod type_table;
mod world;

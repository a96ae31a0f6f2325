//! The sink against real PostgreSQL servers.

mod bad_rows;
mod checks;
mod connection;
mod exactly_once;
mod large_values;
mod modes;
mod names;
mod round_trip;
mod tables;
mod world;

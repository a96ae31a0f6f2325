//! Sources and sinks against real PostgreSQL servers, which the tests start themselves.

mod capture;
mod doctor;
mod gaps;
mod json;
mod large;
mod progress;
mod query;
mod readme;
mod restart;
mod security;
mod server;
mod signals;
mod sink;
mod snapshot;
mod values;
mod world;

//! Sources and sinks against real PostgreSQL servers, which the tests start themselves.

mod blocking;
mod capture;
mod ddl;
mod doctor;
mod failover;
mod faults;
mod gaps;
mod json;
mod large;
mod new_tables;
mod partitions;
mod postgis;
mod progress;
mod proxy;
mod query;
mod readme;
mod reselect;
mod restart;
mod security;
mod server;
mod signals;
mod sink;
mod snapshot;
mod values;
mod versions;
mod world;

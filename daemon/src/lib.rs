//! The daemon: command line, configuration, wiring, the Connect runtime, REST and metrics.
//!
//! Dependency direction inside this crate: `rest` uses handles of the herder, the metrics and the
//! health; `connect` uses its own `bus` and `levada-connector-api`, never the broker.

pub mod cli;
pub mod config;
pub mod connect;
pub mod node;
pub mod rest;
pub mod telemetry;

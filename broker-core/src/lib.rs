//! The embedded log broker: storage, replication, coordinators, Kafka API handlers, server.
//!
//! Layers, each using only those to its right: server -> api -> {security, coordinator} -> replica -> quorum -> log. A
//! lower layer calls up only through a trait it owns.

pub mod api;
mod broker;
pub mod config;
pub mod coordinator;
pub mod log;
pub mod metrics;
pub mod quorum;
pub mod replica;
pub mod security;
pub mod server;
mod transport;

pub use broker::{Broker, StartError};
pub use config::BrokerConfig;
pub use metrics::BrokerMetrics;

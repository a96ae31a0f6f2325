//! The embedded log broker: storage, replication, coordinators, Kafka API handlers, server.
//!
//! Layers, each using only those to its right: server -> api -> {security, coordinator} -> replica -> quorum -> log. A
//! lower layer calls up only through a trait it owns.

pub mod api;
pub mod config;
pub mod coordinator;
pub mod log;
pub mod security;

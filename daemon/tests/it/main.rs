//! A node in this process, from its configuration to its REST answers, and parts of it with the broker.

mod bus;
mod chain;
mod dead_letters;
mod http;
mod node;
mod plugins;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "postgres")]
#[path = "../../../connectors/postgres/tests/it/server.rs"]
#[expect(dead_code, reason = "the connector's own tests use all of it")]
mod postgres_server;
mod signals;

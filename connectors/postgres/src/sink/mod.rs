//! The sink: records into tables, under the keys of three JDBC sink connectors.
//!
//! A batch goes one way: [`event`] tells what a record asks for, [`plan`] which columns its fields go to, [`encode`] makes
//! the server's text of a value, [`steps`] and [`rows`] gather and reduce them per table, [`write`] sends them, in the one
//! transaction of [`transaction`].
//! Every value crosses as the text of its column's type, so that the server's own input functions decide what fits.
//!
//! Invariants: what `put` has taken is committed in the database (invariant 7); a bad record costs only itself; with
//! `exactly.once.mode=transaction` a record's rows and its offset are committed together or not at all.

mod check;
mod config;
mod connector;
mod encode;
mod event;
mod failure;
mod fields;
mod held;
mod naming;
mod offsets;
mod plan;
mod rows;
mod schema;
mod session;
mod steps;
mod task;
mod transaction;
mod wanted;
mod write;

pub use connector::PostgresSink;

/// Makes a new, not yet started sink connector.
pub type NewSink = fn() -> Box<dyn levada_connector_api::SinkConnector>;

/// The sink connectors of this crate.
pub fn sinks() -> Vec<NewSink> {
    use config::Dialect;
    vec![|| Box::new(PostgresSink::new(Dialect::Debezium)), || Box::new(PostgresSink::new(Dialect::Confluent)), || {
        Box::new(PostgresSink::new(Dialect::Aiven))
    }]
}

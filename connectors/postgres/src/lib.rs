//! PostgreSQL: change data capture, a query source, and a sink.
//!
//! [`sources`] and [`sinks`] are what a daemon registers: a source with the keys, topics, events and offsets of Debezium's
//! PostgreSQL connector, so that its configurations and stored offsets go on as they are, query sources with the keys and
//! offsets of the JDBC source connectors of Confluent and Aiven, and a sink with the keys of the JDBC sink connectors of
//! Debezium, Confluent and Aiven.

mod catalog;
mod config;
mod connector;
mod datatype;
mod doctor;
mod error;
mod event;
mod filter;
mod jdbc;
mod lsn;
mod mask;
mod naming;
mod net;
mod offset;
mod pgoutput;
mod query;
mod reading;
mod shape;
mod signal;
mod sink;
mod table;
mod task;

use levada_connector_api::SourceConnector;

pub use connector::PostgresSource;
pub use query::QuerySource;
pub use sink::{NewSink, PostgresSink, sinks};

/// Version that the connectors report.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Makes a new, not yet started source connector.
pub type NewSource = fn() -> Box<dyn SourceConnector>;

/// The source connectors of this crate.
pub fn sources() -> Vec<NewSource> {
    let mut sources: Vec<NewSource> = vec![|| Box::new(PostgresSource::default())];
    sources.extend(query::sources());
    sources
}

//! The query source: tables and queries read again and again, under the keys of the JDBC source connectors of Confluent and
//! Aiven, for databases without the right to logical replication.
//!
//! [`connector`] divides the tables over tasks and [`monitor`] watches for new ones; [`task`] hands over what [`reader`] has
//! read. A poll of a table goes one way: [`columns`] tells what the answer has, [`mapping`] how its values are represented,
//! [`fence`] up to where nothing can be missing, [`statement`] writes the SQL, and [`rows`] turns COPY's lines into records
//! and offsets.
//!
//! Invariants: an offset stands for no row that was not handed over before it (rows of one timestamp come whole before it);
//! partitions and offsets are those of the Java connectors, byte for byte; memory does not grow with a table.

mod check;
mod columns;
mod config;
mod connector;
mod fence;
mod instant;
mod mapping;
mod monitor;
mod offset;
mod reader;
mod rows;
mod statement;
mod tables;
mod task;

use config::Dialect;
pub use connector::QuerySource;
use levada_connector_api::SourceConnector;

/// The query source with the keys of each dialect.
pub fn sources() -> Vec<crate::NewSource> {
    fn of(dialect: Dialect) -> Box<dyn SourceConnector> {
        Box::new(QuerySource::new(dialect))
    }
    vec![|| of(Dialect::Confluent), || of(Dialect::Aiven)]
}

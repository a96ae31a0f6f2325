//! Files: sources that follow them and sinks that append to them.
//!
//! [`sources`] and [`sinks`] are what a daemon registers: Apache's `FileStreamSource` and
//! `FileStreamSink` with their own keys, and Levada's `FileSource` and `FileSink`.

mod hash;
mod sink;
mod source;
mod tail;
mod text;

use levada_connector_api::{SinkConnector, SourceConnector};

pub use sink::{FileSink, FileStreamSink};
pub use source::{FileSource, FileStreamSource};

/// Version that the connectors report.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Makes a new, not yet started source connector.
pub type NewSource = fn() -> Box<dyn SourceConnector>;

/// The source connectors of this crate.
pub fn sources() -> Vec<NewSource> {
    vec![|| Box::new(FileStreamSource::default()), || Box::new(FileSource::default())]
}

/// Makes a new, not yet started sink connector.
pub type NewSink = fn() -> Box<dyn SinkConnector>;

/// The sink connectors of this crate.
pub fn sinks() -> Vec<NewSink> {
    vec![|| Box::new(FileStreamSink::default()), || Box::new(FileSink::default())]
}

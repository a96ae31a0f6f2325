//! What the author of a connector sees.
//!
//! A connector is split the way Kafka Connect splits it: a [`SourceConnector`] or [`SinkConnector`]
//! checks a configuration and divides the work into task configurations; a [`SourceTask`] or
//! [`SinkTask`] moves records. All calls are blocking, each task has a thread of its own, and every
//! call has a deadline that the runtime enforces (design: "Connect runtime").
//!
//! Records cross every boundary in batches ([`SourceBatch`], `&[SinkRecord]`), and text and bytes
//! are shared slices ([`Str`], [`bytes::Bytes`]), so that a line read from a file reaches the log
//! without a copy of its own.

// Lets the derives' absolute paths work in this crate's own tests.
extern crate self as levada_connector_api;

pub mod abi;
pub mod config;
mod connector;
mod error;
pub mod java_text;
mod offset;
mod progress;
mod record;
pub mod schema;
mod sink;
mod source;
#[cfg(feature = "testkit")]
pub mod testkit;
mod text;
mod value;

pub use bytes::Bytes;
pub use config::{Config, ConfigDef, ConnectorConfig};
pub use connector::{ConnectorContext, ConnectorInfo, ConnectorKind, ExactlyOnceSupport, OffsetChange};
pub use error::{ConnectorError, ErrorKind, Result};
/// Writes [`config::ConfigEnum`] for an enum of unit variants.
pub use levada_connector_derive::ConfigEnum;
/// Writes [`ConnectorConfig`] for a struct of keys; see the derive's own documentation.
pub use levada_connector_derive::ConnectorConfig;
pub use offset::{OffsetMap, SourceOffset, SourcePartition};
pub use progress::{Done, Gauge, ItemProgress, Progress};
pub use record::{Header, Headers, SinkRecord, SourceRecord, TimestampType};
pub use schema::{Field, Schema, SchemaType, logical};
pub use sink::{Committed, SinkConnector, SinkTask, SinkTaskContext, TopicPartition};
pub use source::{
    Checkpoint, Reach, SignalCheck, SignalTopic, SourceBatch, SourceConnector, SourceTask, SourceTaskContext,
    TaskSignal,
};
pub use text::Str;
pub use value::{Struct, Value};

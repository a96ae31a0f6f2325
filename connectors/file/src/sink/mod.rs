//! The sinks: Apache's `FileStreamSink` and Levada's `FileSink`. Both append the text of values to
//! one file, from one task, and differ in their keys and in whether a crash may double lines.

mod config;
mod connector;
mod output;
mod recovery;
mod task;

pub use connector::{FileSink, FileStreamSink};

//! The sources: Apache's `FileStreamSource` and Levada's `FileSource`. Both follow files with
//! [`crate::tail`] and differ in their keys and defaults.

mod config;
mod connector;
mod stdin;
mod task;

pub use connector::{FileSource, FileStreamSource};

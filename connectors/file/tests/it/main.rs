//! The file connectors on a real file system, driven step by step.

mod acceptance;
mod contents;
mod errors;
mod model;
mod readme;
mod rotation;
mod sink;
mod source;
mod world;

//! The Connect worker: herder, tasks, converters, stores, plugins.
//!
//! Nothing in here knows the broker: everything goes through [`bus`].

pub mod bus;
pub mod config_provider;
pub mod converter;
pub mod health;
pub mod herder;
pub mod metrics;
pub mod plugin;
pub mod predicate;
pub mod sink_task;
pub mod source_task;
pub mod store;
pub mod submitted_records;
pub mod task;
#[cfg(test)]
pub mod testing;
pub mod transform;
pub mod validate;
pub mod worker;
